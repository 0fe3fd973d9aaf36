import type { Case } from "../case.ts";
import type { Random } from "../random.ts";
import { badTokens, goodTokens } from "../secrets.ts";
import { mutatedObject, valueText } from "../texts.ts";
import { closePayload, fragments, frameBytes, lawful, mutatedFrame } from "../wire.ts";
import { pieces } from "./frames.ts";
import { bytesOf, requestHead, upgradeHeaders } from "./handshake-text.ts";

const paths = [
  "/e/echo",
  "/e/json/a",
  "/e/json/%C3%A9",
  "/e/json/__proto__",
  "/e/checked/a",
  "/e/bytes",
  "/e/first",
  "/e/json/",
  "/e/json/%zz",
  "/e/none",
];

/** Messages of an app's own, with and without framing, checks and rights. */
export function endpointsCase(random: Random): Case {
  const path = random.pick(paths);
  const token = random.pick(random.chance(0.8) ? goodTokens : badTokens);
  const target = random.chance(0.8) ? `${path}?token=${encodeURIComponent(token)}` : path;
  const protocol = random.chance(0.2) ? random.pick(["chat", "chat, fanfare.token.x", "other"]) : undefined;
  const head = bytesOf(requestHead(target, { ...upgradeHeaders, "Sec-WebSocket-Protocol": protocol }));
  const said = random.list(1, 10, (i) => message(random, i === 0 && path === "/e/first" ? token : undefined)).flat();
  const all = Buffer.concat([...said, frameBytes(lawful(random, closeNormally, 8))]);
  const chunks = random.chance(0.2) ? pieces(random, all) : [all];
  return { chunks: [head, ...chunks], end: "close", inputs: said.length + 1, speaks: "app" };
}

const closeNormally = Buffer.from([0x03, 0xe8]);

function message(random: Random, first: string | undefined): Buffer[] {
  const text = first ?? (random.chance(0.5) ? mutatedObject(random, { text: "hello" }) : valueText(random));
  const payload = Buffer.from(text.slice(0, 70_000));
  return random.one([
    () => [frameBytes(lawful(random, payload))],
    () => [frameBytes(lawful(random, payload))],
    () => [frameBytes(lawful(random, random.bytes(random.int(0, random.pick([10, 1_010]))), 2))],
    () => [mutatedFrame(random, payload)],
    () => fragments(random, payload),
    () => [frameBytes(lawful(random, random.bytes(random.int(0, 125)), random.pick([9, 10])))],
    () => [frameBytes(lawful(random, closePayload(random), 8))],
  ]);
}
