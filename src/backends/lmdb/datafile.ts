import { spawnSync } from "node:child_process";
import { closeSync, openSync, readSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

/** Where the parts of an LMDB root page stand (format 2 as lmdb-js has it, on 64 bits: the page's own header is 24 bytes). */
const meta = { magic: 24, version: 28, pageBytes: 48, lastPage: 144, transaction: 152, end: 160 };
const magic = 0xbeefc0de;
const version = 2;
/** The reader table of LMDB; it is mapped and written to, so its blocks must be there before. */
const lockFileBytes = 16_384;
/** How long the look through a file may take after a crash; one too large for it is taken as it is. */
const probeWithinMs = 5_000;
/** A file that looks short is refused unless it was read to its end, so that gets more time. */
const probeShortWithinMs = 60_000;

/**
 * Throws where opening the file would end the process (LMDB maps it: a page that is not there is a SIGBUS) or where it is
 * no LMDB file. A file that is not there passes. With `thorough`, or where the file looks short, a child process reads all
 * of it first.
 */
export function checkDataFile(directory: string, thorough: boolean): void {
  const path = join(directory, "data.mdb");
  const bytes = statSync(path, { throwIfNoEntry: false })?.size;
  if (bytes === undefined || bytes === 0) return;
  const roots = readRoots(path, bytes);
  const newest = roots.reduce((a, b) => (b.transaction > a.transaction ? b : a));
  // Pages that were given up before they were written may be missing at the end, so short is not yet broken.
  const isShort = (newest.lastPage + 1n) * BigInt(newest.pageBytes) > BigInt(bytes);
  if (thorough || isShort) probe(directory, path, isShort);
}

/** Makes sure that the blocks of LMDB's lock file exist: writing to a mapped hole on a full disk is a SIGBUS. */
export function reserveLockFile(directory: string): void {
  const path = join(directory, "lock.mdb");
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) < lockFileBytes)
    writeFileSync(path, Buffer.alloc(lockFileBytes));
}

interface Root {
  readonly pageBytes: number;
  readonly lastPage: bigint;
  readonly transaction: bigint;
}

function readRoots(path: string, bytes: number): [Root, Root] {
  const file = openSync(path, "r");
  try {
    const first = readRoot(file, 0, path);
    if (bytes < 2 * first.pageBytes) throw truncated(path);
    return [first, readRoot(file, first.pageBytes, path)];
  } finally {
    closeSync(file);
  }
}

function readRoot(file: number, position: number, path: string): Root {
  const page = Buffer.alloc(meta.end);
  if (readSync(file, page, 0, meta.end, position) < meta.end) throw truncated(path);
  if (page.readUInt32LE(meta.magic) !== magic) throw foreign(path, "it is no LMDB file");
  if ((page.readUInt32LE(meta.version) & 0xffff) !== version)
    throw foreign(path, "it has another version of LMDB's format");
  const pageBytes = page.readUInt32LE(meta.pageBytes);
  if (pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0)
    throw foreign(path, "its first page is damaged");
  return {
    pageBytes,
    lastPage: page.readBigUInt64LE(meta.lastPage),
    transaction: page.readBigUInt64LE(meta.transaction),
  };
}

/** Reads every row in a child process, which may crash in our place. */
function probe(directory: string, path: string, isShort: boolean): void {
  const lmdb = createRequire(import.meta.url).resolve("lmdb");
  const script = `
    const { open } = require(${JSON.stringify(lmdb)});
    const options = { noSubdir: false, readOnly: true, encoding: "binary", keyEncoding: "binary", maxDbs: 1 };
    const db = open({ path: process.argv[1], ...options });
    let rows = 0;
    for (const row of db.getRange({ start: Buffer.of(0) })) rows += row.value.length >= 0 ? 1 : 0;
    // A page of which only a part is there reads as zeros, and the walk ends there in silence.
    if (rows !== db.getStats().entryCount) process.exit(1);
  `;
  const { status, signal, error } = spawnSync(process.execPath, ["-e", script, directory], {
    stdio: "ignore",
    timeout: isShort ? probeShortWithinMs : probeWithinMs,
    killSignal: "SIGTERM",
  });
  const tookTooLong = signal === "SIGTERM" || error !== undefined;
  if (status === 0 || (tookTooLong && !isShort)) return;
  throw isShort ? truncated(path) : foreign(path, `reading it failed (${signal ?? `status ${status}`})`);
}

function truncated(path: string): Error {
  return new Error(`${path} is truncated: pages that it refers to are missing. ${advice}`);
}

function foreign(path: string, why: string): Error {
  return new Error(`${path} cannot be used as a log: ${why}. ${advice}`);
}

const advice = "Restore it from a backup, or move it away to begin with an empty log";
