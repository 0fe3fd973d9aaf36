import type { Case } from "../case.ts";
import type { Random } from "../random.ts";
import { requestText } from "../requests.ts";
import { goodTokens } from "../secrets.ts";
import { closePayload, fragments, frameBytes, lawful, mutatedFrame, textFrame } from "../wire.ts";
import { bytesOf, requestHead, upgradeHeaders } from "./handshake-text.ts";

/** Frames of the WebSocket, whole and broken, after a good handshake. */
export function framesCase(random: Random): Case {
  const said = random.list(1, 8, () => someFrames(random)).flat();
  return onSocket(random, said, random.chance(0.2));
}

/** Good framing around requests of the protocol that are not. */
export function jsonCase(random: Random): Case {
  const said = random.list(5, 40, () => textFrame(random, requestText(random).slice(0, 100_000)));
  return onSocket(random, said, false);
}

const lastPing = '{"type":"ping","id":"the last"}';

function onSocket(random: Random, said: readonly Buffer[], isCut: boolean): Case {
  const target = `/ws${random.chance(0.2) ? "/fuzz%2fa" : ""}?token=${random.pick(goodTokens)}`;
  const head = bytesOf(requestHead(target, { ...upgradeHeaders, "Sec-WebSocket-Protocol": "fanfare.v1" }));
  const all = Buffer.concat([...said, textFrame(random, lastPing)]);
  return {
    chunks: [head, ...(isCut ? pieces(random, all) : [all])],
    end: "pong",
    inputs: said.length + 1,
    speaks: "fanfare",
  };
}

function someFrames(random: Random): Buffer[] {
  const payload = Buffer.from(requestText(random).slice(0, 80_000));
  return random.one([
    () => [textFrame(random, payload.toString())],
    () => [mutatedFrame(random, payload)],
    () => [mutatedFrame(random, payload)],
    () => fragments(random, payload),
    () => fragments(random, random.bytes(random.int(0, 30))),
    () => [frameBytes(lawful(random, random.bytes(random.int(0, 125)), random.pick([9, 10])))],
    () =>
      Array.from({ length: random.int(90, 120) }, () =>
        frameBytes(lawful(random, Buffer.alloc(0), random.pick([9, 10]))),
      ),
    () => [frameBytes(lawful(random, closePayload(random), 8)), random.bytes(random.int(0, 50))],
    () => [random.bytes(random.int(1, 40))],
    () =>
      Array.from({ length: random.int(10, 200) }, (_, i) =>
        frameBytes(lawful(random, Buffer.alloc(0), i === 0 ? 1 : 0, false)),
      ),
    () => [
      frameBytes(lawful(random, Buffer.from([0x7b, 0x22, random.int(128, 255), random.int(128, 255), 0x22, 0x7d]))),
    ],
  ]);
}

/** Cut where no frame ends: in headers, masks and characters. */
export function pieces(random: Random, bytes: Buffer): Buffer[] {
  const cuts = random.list(1, 5, () => random.int(0, bytes.length)).toSorted((a, b) => a - b);
  return [0, ...cuts].map((cut, i) => bytes.subarray(cut, cuts[i] ?? bytes.length)).filter((piece) => piece.length > 0);
}
