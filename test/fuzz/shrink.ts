import type { Case } from "./case.ts";

/** A shorter case for which `shows` is still true: without some of its writes, then without parts of them, by halves. */
export async function shrink(found: Case, shows: (shorter: Case) => Promise<boolean>, maxTries: number): Promise<Case> {
  let best = found;
  let tries = 0;
  const better = async (chunks: readonly Buffer[]): Promise<boolean> => {
    if (chunks.length === 0 || tries++ >= maxTries) return false;
    const shorter = { ...best, chunks };
    if (!(await shows(shorter))) return false;
    best = shorter;
    return true;
  };
  await shorten(() => best.chunks, better);
  for (let i = 0; i < best.chunks.length; i++) {
    await shorten(
      () => [...(best.chunks[i] ?? [])],
      (bytes) => better(best.chunks.with(i, Buffer.from(bytes))),
    );
  }
  return best;
}

/** Takes out a half, then quarters, and so on. */
async function shorten<T>(now: () => readonly T[], better: (items: readonly T[]) => Promise<boolean>): Promise<void> {
  for (let size = Math.ceil(now().length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < now().length;) {
      const items = now();
      if (!(await better([...items.slice(0, at), ...items.slice(at + size)]))) at += size;
    }
  }
}
