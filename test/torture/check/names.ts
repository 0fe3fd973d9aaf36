import type { Rec } from "../records.ts";
import type { Sight, Story } from "./story.ts";
import { violation, type Violation } from "./violation.ts";

/** 1: one (room, epoch, offset) names one message. 5: a message is in a log at most once. */
export function checkNames({ sights }: Story): Violation[] {
  const byName = new Map<string, Sight>();
  const byMessage = new Map<string, Sight>();
  const found: Violation[] = [];
  const told = new Set<string>();
  for (const sight of sights) {
    const { room, epoch, offset, id, record } = sight;
    const name = `${room} ${epoch}:${offset}`;
    const other = byName.get(name);
    if (other === undefined) byName.set(name, sight);
    else if (other.id !== id && !told.has(name)) {
      told.add(name);
      found.push(violation(1, `${name} is ${other.id} and ${id}`, other.record, record));
    }
    const message = `${room} ${epoch} ${id}`;
    const place = byMessage.get(message);
    if (place === undefined) byMessage.set(message, sight);
    else if (place.offset !== offset && !told.has(message)) {
      told.add(message);
      found.push(violation(5, `${id} is twice in ${room}, at ${place.offset} and ${offset}`, place.record, record));
    }
  }
  return found;
}

/** 5: after any error but `unavailable` nothing was kept and nothing will be. Nobody sees what nobody published. */
export function checkRefused({ sights, publishes }: Story): Violation[] {
  const found: Violation[] = [];
  const told = new Set<string>();
  for (const { id, room, record } of sights) {
    if (told.has(id)) continue;
    const publish = publishes.get(id);
    if (publish === undefined || publish.room !== room) {
      told.add(id);
      found.push(violation(1, `${id} was never published in ${room}`, record));
    } else if (publish.attempts.every(({ outcome }) => outcome.kind === "refused")) {
      told.add(id);
      found.push(violation(5, `${id} was refused, and is in ${room}`, publish.attempts.at(-1)?.answer, record));
    }
  }
  return found;
}

/**
 * 6: within an epoch, messages of one publisher are in the order in which it first sent them. It repeats in order what was
 * not acknowledged, so that a repeat cannot change it.
 */
export function checkOrder({ sights, publishes }: Story): Violation[] {
  const places = new Map<string, Sight>();
  for (const sight of sights)
    places.set(`${sight.epoch} ${sight.id}`, places.get(`${sight.epoch} ${sight.id}`) ?? sight);
  const newest = new Map<string, { sight: Sight; asked: Rec | undefined }>();
  const found: Violation[] = [];
  const epochs = new Set(sights.map(({ epoch }) => epoch));
  // Publishes are in the order of their first sending.
  for (const { id, publisher, attempts } of publishes.values()) {
    // What takes the key of another is sent out of the line.
    if (id.includes("conflict")) continue;
    for (const epoch of epochs) {
      const sight = places.get(`${epoch} ${id}`);
      if (sight === undefined) continue;
      const line = `${publisher} ${sight.room} ${epoch}`;
      const last = newest.get(line);
      const asked = attempts[0]?.asked;
      if (last !== undefined && last.sight.offset > sight.offset) {
        const text = `${publisher} sent ${last.sight.id} before ${id}, which stand at ${last.sight.offset} and ${sight.offset}`;
        found.push(violation(6, text, last.asked, asked, last.sight.record, sight.record));
      } else newest.set(line, { sight, asked });
    }
  }
  return found;
}
