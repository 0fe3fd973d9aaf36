/**
 * WebSocket frames as bytes (RFC 6455, section 5.2), for what a server sends: final, unmasked, not compressed. A frame is
 * made once and written to any number of sockets. A text becomes a text frame; bytes, which only endpoints send, a binary
 * one.
 */

const finalText = 0x81;
const finalBinary = 0x82;

/** What one frame carries. */
export type Payload = string | Uint8Array;

function headerBytes(payloadBytes: number): number {
  return payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10;
}

function writeHeader(target: Buffer, at: number, payloadBytes: number, opcode = finalText): number {
  target[at] = opcode;
  if (payloadBytes < 126) {
    target[at + 1] = payloadBytes;
    return at + 2;
  }
  if (payloadBytes < 65_536) {
    target[at + 1] = 126;
    return target.writeUInt16BE(payloadBytes, at + 2);
  }
  target[at + 1] = 127;
  return target.writeUIntBE(payloadBytes, target.writeUInt16BE(0, at + 2), 6);
}

/** One text as a frame. */
export function frameText(text: string): Buffer {
  const payloadBytes = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(headerBytes(payloadBytes) + payloadBytes);
  frame.write(text, writeHeader(frame, 0, payloadBytes));
  return frame;
}

/** Bytes as a binary frame. They are copied: the caller may write to them again. */
export function frameBinary(payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes(payload.length) + payload.length);
  frame.set(payload, writeHeader(frame, 0, payload.length, finalBinary));
  return frame;
}

/** Several texts as frames in one buffer; `starts[i]` is where frame i begins, and the last one is the buffer's end. */
export function frameTexts(texts: readonly Payload[]): { bytes: Buffer; starts: number[] } {
  const sizes = texts.map((text) => Buffer.byteLength(text));
  const total = sizes.reduce((sum, size) => sum + headerBytes(size) + size, 0);
  // Not from the shared pool: a batch that waits for one slow reader must not keep a slab of others' bytes alive.
  const bytes = Buffer.allocUnsafeSlow(total);
  const starts: number[] = [];
  let at = 0;
  for (let i = 0; i < texts.length; i++) {
    starts.push(at);
    const size = sizes[i] ?? 0;
    const payload = texts[i] ?? "";
    at = writeHeader(bytes, at, size, typeof payload === "string" ? finalText : finalBinary);
    if (typeof payload === "string") bytes.write(payload, at);
    else bytes.set(payload, at);
    at += size;
  }
  starts.push(at);
  return { bytes, starts };
}

/** The payloads of the frames in a buffer that this file made, in order; the buffers share its memory. */
export function* payloads(frames: Buffer): Generator<Buffer> {
  for (const { payload } of framesIn(frames)) yield payload;
}

/** The same, with what kind of frame each was in. */
export function* framesIn(frames: Buffer): Generator<{ readonly payload: Buffer; readonly isBinary: boolean }> {
  for (let at = 0; at < frames.length;) {
    const short = (frames[at + 1] ?? 0) & 0x7f;
    const header = short < 126 ? 2 : short === 126 ? 4 : 10;
    const size = short < 126 ? short : short === 126 ? frames.readUInt16BE(at + 2) : frames.readUIntBE(at + 4, 6);
    yield { payload: frames.subarray(at + header, at + header + size), isBinary: frames[at] === finalBinary };
    at += header + size;
  }
}
