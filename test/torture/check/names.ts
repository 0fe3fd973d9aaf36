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
