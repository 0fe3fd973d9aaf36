import { groupBy } from "./group.ts";
import type { Attempt, Publish, Story } from "./story.ts";
import { violation, type Violation } from "./violation.ts";

interface Line {
  readonly publish: Publish;
  readonly attempt: Attempt;
}

/** What each connection published into each room, in the order in which it sent it. */
function linesOf({ publishes, records }: Story): Line[][] {
  const places = new Map(records.map((record, place) => [record, place]));
  const placeOf = ({ attempt }: Line): number => places.get(attempt.asked) ?? -1;
  const all = [...publishes.values()].flatMap((publish) => publish.attempts.map((attempt) => ({ publish, attempt })));
  const sent = all.filter(({ attempt }) => attempt.asked.kind === "sent");
  const byLine = groupBy(sent, ({ publish, attempt }) => {
    return `${attempt.asked.kind === "sent" ? attempt.asked.connection : ""} ${publish.room}`;
  });
  // Those of one millisecond as they were recorded: a repeat may stand behind what was first sent after it.
  return [...byLine.values()].map((line) => line.toSorted((a, b) => placeOf(a) - placeOf(b)));
}

/** 6 (P-6): requests of one connection that name the same room are answered in the order they came. */
export function checkAnswers(story: Story): Violation[] {
  const places = new Map(story.records.map((record, place) => [record, place]));
  const placeOf = ({ attempt }: Line): number =>
    attempt.answer === undefined ? -1 : (places.get(attempt.answer) ?? -1);
  return linesOf(story).flatMap((line) => {
    const answered = line.filter((one) => placeOf(one) !== -1);
    const wrong = answered.find((one, i) => i > 0 && placeOf(answered[i - 1] ?? one) > placeOf(one));
    if (wrong === undefined) return [];
    const before = answered[answered.indexOf(wrong) - 1];
    const text = `${wrong.publish.publisher} was answered ${wrong.publish.id} before ${before?.publish.id ?? ""}`;
    return [
      violation(6, text, before?.attempt.asked, wrong.attempt.asked, wrong.attempt.answer, before?.attempt.answer),
    ];
  });
}

/**
 * 6: publishes of one connection that were kept when they came keep their order. One that failed is overtaken by those that
 * were already on their way, which cannot be told from outside; repeats stand where they first were.
 */
export function checkLines(story: Story): Violation[] {
  return linesOf(story).flatMap((line) => {
    const newest = new Map<string, { one: Line; offset: number }>();
    for (const one of line) {
      const { outcome, answer } = one.attempt;
      if (outcome.kind !== "acked" || outcome.isDuplicate) continue;
      const last = newest.get(outcome.epoch);
      if (last !== undefined && last.offset > outcome.offset) {
        const { publisher, id } = one.publish;
        const text = `${publisher} sent ${last.one.publish.id} before ${id}, which stand at ${last.offset} and ${outcome.offset}`;
        return [violation(6, text, last.one.attempt.asked, one.attempt.asked, last.one.attempt.answer, answer)];
      }
      newest.set(outcome.epoch, { one, offset: outcome.offset });
    }
    return [];
  });
}

/** 6: what is sent after another was acknowledged, by whomever, stands after it. */
export function checkTimes({ publishes, sights }: Story): Violation[] {
  const all = [...publishes.values()];
  const acks = all.flatMap((publish) =>
    publish.attempts.flatMap(({ outcome, answer }) =>
      outcome.kind === "acked" && answer !== undefined ? [{ publish, outcome, answer }] : [],
    ),
  );
  const logs = groupBy(acks, ({ publish, outcome }) => `${publish.room} ${outcome.epoch}`);
  for (const log of logs.values()) log.sort((a, b) => a.answer.at - b.answer.at);
  const found: Violation[] = [];
  for (const [name, seen] of groupBy(sights, ({ room, epoch }) => `${room} ${epoch}`)) {
    const log = logs.get(name) ?? [];
    const offsets = new Map(seen.map(({ id, offset, record }) => [id, { offset, record }]));
    const first = (publish: Publish): number => publish.attempts[0]?.asked.at ?? 0;
    const here = all.filter(({ id }) => offsets.has(id)).sort((a, b) => first(a) - first(b));
    let newest: (typeof log)[number] | undefined;
    let at = 0;
    for (const publish of here) {
      for (let next = log[at]; next !== undefined && next.answer.at < first(publish); next = log[++at]) {
        if (newest === undefined || next.outcome.offset > newest.outcome.offset) newest = next;
      }
      const place = offsets.get(publish.id);
      if (newest === undefined || place === undefined || place.offset >= newest.outcome.offset) continue;
      const text = `${publish.id} is at ${place.offset}, and was sent after ${newest.publish.id} was acknowledged at ${newest.outcome.offset}`;
      found.push(violation(6, text, newest.answer, publish.attempts[0]?.asked, place.record));
    }
  }
  return found;
}
