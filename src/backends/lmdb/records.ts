import { crc32 } from "node:zlib";
import type { Keep } from "../../protocol/contract.ts";
import type { LogEntry, NewEntry } from "../backend.ts";

/** What is kept of a room beside its messages. */
export interface RoomRecord {
  readonly id: number;
  readonly epoch: string;
  /** The newest offset when the log was last empty; where messages are kept, the newest of them is the head. */
  readonly head: number;
  /** When the room was last known to be used. */
  readonly usedAt: number;
  readonly keep: Keep;
}

export interface KeyRecord {
  readonly until: number;
  readonly offset: number;
  readonly fingerprint: string;
  readonly resultJson: string | undefined;
}

export interface FactRecord {
  readonly until: number;
  readonly value: string;
}

/** What stands in front of an entry's text: checksum, offset, time, and the length of `except` (0xffff: none). */
const header = { checksum: 0, offset: 4, at: 10, exceptBytes: 18, text: 20 };
const noExcept = 0xffff;

/** What an entry's checksum begins with, so that an entry of another room or life never passes for one of this. */
export function entrySeed(room: string, epoch: string): number {
  return crc32(`${room}\u0000${epoch}`);
}

/** Throws a RangeError where `except` is 64 kB or longer. */
export function encodeEntry(seed: number, offset: number, { body, at, except }: NewEntry): Buffer {
  const exceptBytes = except === undefined ? 0 : Buffer.byteLength(except);
  if (exceptBytes >= noExcept)
    throw new RangeError(`except must be shorter than ${noExcept} bytes, got ${exceptBytes}`);
  const value = Buffer.allocUnsafe(header.text + exceptBytes + Buffer.byteLength(body));
  value.writeUIntBE(offset, header.offset, 6);
  value.writeDoubleBE(at, header.at);
  value.writeUInt16BE(except === undefined ? noExcept : exceptBytes, header.exceptBytes);
  if (except !== undefined) value.write(except, header.text);
  value.write(body, header.text + exceptBytes);
  value.writeUInt32BE(crc32(value.subarray(4), seed), header.checksum);
  return value;
}

/** undefined where the checksum, or the offset that it stands at, is not right. */
export function decodeEntry(seed: number, offset: number, value: Buffer): LogEntry | undefined {
  if (!isEntry(seed, offset, value)) return undefined;
  const at = value.readDoubleBE(header.at);
  const exceptBytes = value.readUInt16BE(header.exceptBytes);
  if (exceptBytes === noExcept) return { offset, body: value.toString("utf8", header.text), at };
  const bodyAt = header.text + exceptBytes;
  return { offset, body: value.toString("utf8", bodyAt), at, except: value.toString("utf8", header.text, bodyAt) };
}

/** An entry's time alone; undefined as in `decodeEntry`. */
export function decodeEntryTime(seed: number, offset: number, value: Buffer): number | undefined {
  return isEntry(seed, offset, value) ? value.readDoubleBE(header.at) : undefined;
}

function isEntry(seed: number, offset: number, value: Buffer): boolean {
  return (
    value.length >= header.text &&
    value.readUIntBE(header.offset, 6) === offset &&
    value.readUInt32BE(header.checksum) === crc32(value.subarray(4), seed)
  );
}

/** A small record: the checksum covers the key that it stands under, too. */
export function encodeRecord(key: Buffer, parts: readonly unknown[]): Buffer {
  const text = Buffer.from(`\u0000\u0000\u0000\u0000${JSON.stringify(parts)}`);
  text.writeUInt32BE(crc32(text.subarray(4), crc32(key)), 0);
  return text;
}

/** undefined where the checksum is not right. */
function decodeRecord(key: Buffer, value: Buffer): readonly unknown[] | undefined {
  if (value.length < 4 || value.readUInt32BE(0) !== crc32(value.subarray(4), crc32(key))) return undefined;
  return JSON.parse(value.toString("utf8", 4)) as unknown[];
}

export const encodeRoom = (key: Buffer, room: RoomRecord): Buffer =>
  encodeRecord(key, [room.id, room.epoch, room.head, room.usedAt, room.keep.messages, room.keep.ms]);

export function decodeRoom(key: Buffer, value: Buffer): RoomRecord | undefined {
  const parts = decodeRecord(key, value);
  if (parts === undefined) return undefined;
  const [id, epoch, head, usedAt, messages, ms] = parts as [
    number,
    string,
    number,
    number,
    number | null,
    number | null,
  ];
  // JSON writes Infinity, for ever, as null.
  return { id, epoch, head, usedAt, keep: { messages: messages ?? Infinity, ms: ms ?? Infinity } };
}

export const encodeKey = (key: Buffer, { until, offset, fingerprint, resultJson }: KeyRecord): Buffer =>
  encodeRecord(key, [until, offset, fingerprint, resultJson]);

export function decodeKey(key: Buffer, value: Buffer): KeyRecord | undefined {
  const parts = decodeRecord(key, value);
  if (parts === undefined) return undefined;
  const [until, offset, fingerprint, resultJson] = parts as [number, number, string, string | null];
  return { until, offset, fingerprint, resultJson: resultJson ?? undefined };
}

export const encodeFact = (key: Buffer, { until, value }: FactRecord): Buffer => encodeRecord(key, [until, value]);

export function decodeFact(key: Buffer, value: Buffer): FactRecord | undefined {
  const parts = decodeRecord(key, value) as [number, string] | undefined;
  return parts && { until: parts[0], value: parts[1] };
}
