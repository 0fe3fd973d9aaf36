const time = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long", month: "long", day: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const dayMs = 86_400_000;

export function timeOf(at: number): string {
  return time.format(at);
}

export function fullTimeOf(at: number): string {
  return full.format(at);
}

export function dayOf(at: number, now: number): string {
  const day = new Date(at).toDateString();
  if (day === new Date(now).toDateString()) return "Today";
  if (day === new Date(now - dayMs).toDateString()) return "Yesterday";
  return weekday.format(at);
}
