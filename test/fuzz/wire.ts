import type { Random } from "./random.ts";

export interface FrameParts {
  opcode: number;
  fin: boolean;
  /** The three reserved bits, 0 to 7. */
  rsv: number;
  mask: Buffer | undefined;
  payload: Buffer;
  /** The length that the header tells; `form` is how many bytes tell it: 0, 2 or 8. */
  declared: number;
  form: 0 | 2 | 8;
}

export function lawful(random: Random, payload: Buffer, opcode = 1, fin = true): FrameParts {
  const form = payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8;
  return { opcode, fin, rsv: 0, mask: random.bytes(4), payload, declared: payload.length, form };
}

export function frameBytes({ opcode, fin, rsv, mask, payload, declared, form }: FrameParts): Buffer {
  const head = Buffer.alloc(2 + form);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (mask === undefined ? 0 : 0x80) | (form === 0 ? declared & 0x7f : form === 2 ? 126 : 127);
  if (form === 2) head.writeUInt16BE(declared & 0xffff, 2);
  if (form === 8) head.writeBigUInt64BE(BigInt(declared), 2);
  if (mask === undefined) return Buffer.concat([head, payload]);
  const hidden = Buffer.from(payload);
  for (let i = 0; i < hidden.length; i++) hidden[i] = hidden[i]! ^ mask[i & 3]!;
  return Buffer.concat([head, mask, hidden]);
}

export function textFrame(random: Random, text: string): Buffer {
  return frameBytes(lawful(random, Buffer.from(text)));
}

/** One frame with 0 to 2 faults in its header. */
export function mutatedFrame(random: Random, payload: Buffer): Buffer {
  const parts = lawful(random, payload);
  for (let faults = random.int(0, 2); faults > 0; faults--) fault(random, parts);
  const bytes = frameBytes(parts);
  if (random.chance(0.9)) return bytes;
  const at = random.int(0, bytes.length);
  return random.chance(0.5)
    ? bytes.subarray(0, at)
    : Buffer.concat([bytes.subarray(0, at), random.bytes(3), bytes.subarray(at)]);
}

const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63];

function fault(random: Random, parts: FrameParts): void {
  random.one<unknown>([
    () => (parts.opcode = random.int(0, 15)),
    () => (parts.opcode = random.pick([0, 2, 8, 9, 10])),
    () => (parts.rsv = random.int(1, 7)),
    () => (parts.mask = undefined),
    () => (parts.mask = Buffer.alloc(4)),
    () => (parts.fin = !parts.fin),
    () => (parts.declared = random.pick(lengths)),
    () => (parts.declared += random.pick([-1, 1, 100])),
    () => (parts.form = random.pick([0, 2, 8])),
    () => (parts.payload = random.bytes(random.int(0, 200))),
    () => (parts.payload = closePayload(random)),
  ]);
  parts.declared = Math.max(0, parts.declared);
}

const closeCodes = [
  0, 999, 1000, 1001, 1004, 1005, 1006, 1007, 1011, 1015, 1016, 2999, 3000, 4000, 4001, 4999, 5000, 65_535,
];

export function closePayload(random: Random): Buffer {
  const code = random.pick(closeCodes);
  const reason = random.chance(0.3) ? random.bytes(random.int(0, 124)) : Buffer.from("bye");
  return random.chance(0.1) ? random.bytes(1) : Buffer.concat([Buffer.from([code >> 8, code & 0xff]), reason]);
}

/** A message in fragments, now and then with a control frame or a whole message where none may be, or without an end. */
export function fragments(random: Random, payload: Buffer): Buffer[] {
  const made: Buffer[] = [];
  const count = random.int(2, 6);
  for (let i = 0; i < count; i++) {
    const part = payload.subarray(
      Math.floor((i * payload.length) / count),
      Math.floor(((i + 1) * payload.length) / count),
    );
    const opcode = i === 0 || random.chance(0.03) ? 1 : 0;
    const isLast = i === count - 1 && !random.chance(0.05);
    made.push(frameBytes(lawful(random, part, opcode, isLast)));
    if (random.chance(0.3))
      made.push(frameBytes(lawful(random, random.bytes(random.int(0, 125)), random.pick([9, 10]))));
    if (random.chance(0.03)) made.push(frameBytes(lawful(random, closePayload(random), 8)));
  }
  return made;
}
