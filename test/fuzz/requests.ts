import type { Random } from "./random.ts";
import { badTokens, bodyCanary, goodTokens } from "./secrets.ts";
import { mutatedObject, oddText, valueText } from "./texts.ts";

const rooms = ["fuzz", "fuzz/a", "fuzz/b", "fuzz/__proto__", "quiet/a", "unkept/a", "secret", "@ann"];
const cursors = ["a:0", "fuzz:1", "abc:9007199254740991", "abc:9007199254740992", ":", "x:-1", "a".repeat(33) + ":1"];

export function roomName(random: Random): string {
  return random.chance(0.8) ? random.pick(rooms) : oddText(random);
}

/** The text of one frame for the hub's protocol, lawful or nearly so. */
export function requestText(random: Random): string {
  if (random.chance(0.03)) return valueText(random);
  return mutatedObject(random, frameOf(random));
}

function frameOf(random: Random): Record<string, unknown> {
  const id = String(random.int(0, 9));
  const room = roomName(random);
  const event = random.pick(["said", "e", "typing"]);
  const data = { text: bodyCanary };
  const key = random.pick(["k1", "k2", "k3"]);
  switch (random.int(0, 11)) {
    case 0:
    case 1:
      return { type: "join", id, room };
    case 2:
      return { type: "join", id, room, presence: random.chance(0.7), data, history: random.int(0, 5) };
    case 3:
      return { type: "join", id, room, since: random.pick(cursors) };
    case 4:
      return { type: "leave", id, room };
    case 5:
      return { type: "publish", id, room, event, data };
    case 6:
      return { type: "publish", id, key, room, event, data: random.int(0, 2), echo: random.chance(0.5) };
    case 7:
      return { type: "signal", id, room, event, data };
    case 8:
      return { type: "history", id, room, before: random.int(1, 20), limit: random.int(1, 200) };
    case 9:
      return { type: "presence", id, room, data };
    case 10:
      return random.chance(0.3)
        ? { type: "auth", id, token: random.pick(random.chance(0.7) ? goodTokens : badTokens) }
        : { type: "pong" };
    default:
      return { type: "ping", id, timestamp: random.int(0, 9) };
  }
}
