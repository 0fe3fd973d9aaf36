import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { open as openRaw } from "lmdb";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { lmdb } from "../../src/backends/lmdb/index.ts";
import {
  bodies,
  entryOf,
  keptOffset,
  keyOf,
  numbers,
  recorder,
  roomOf,
  TestClock,
} from "../../src/testing/backend/tools.ts";
import { backendSuite, type SuiteSubject } from "../../src/testing/index.ts";

const made: string[] = [];
function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "fanfare-lmdb-"));
  made.push(directory);
  return directory;
}
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

function make(): Promise<SuiteSubject> {
  const directory = newDirectory();
  return Promise.resolve({
    backend: lmdb({ directory }),
    reopen: () => Promise.resolve(lmdb({ directory })),
    destroy: () => Promise.resolve(rmSync(directory, { recursive: true, force: true })),
  });
}
backendSuite("the lmdb backend", make, { describe, it, expect });

const room = roomOf("room");
const openBackends: Backend[] = [];
async function opened(directory: string, clock = new TestClock()): Promise<Backend> {
  const backend = lmdb({ directory });
  await backend.open({ now: () => clock.now, log: () => undefined });
  openBackends.push(backend);
  return backend;
}
afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(openBackends.splice(0).map((backend) => backend.close()));
});

const appender = join(import.meta.dirname, "../../node_modules/.cache/fanfare-test/appender.mjs");
beforeAll(async () => {
  const entryPoints = [join(import.meta.dirname, "fixtures/appender.ts")];
  await build({ entryPoints, outfile: appender, bundle: true, platform: "node", format: "esm", packages: "external" });
});

/** A process with the log open; `lines` are what it told. */
async function startAppender(directory: string, mode: string): Promise<{ child: ChildProcess; lines: string[] }> {
  const child = spawn(process.execPath, [appender, directory, mode], { stdio: ["pipe", "pipe", "inherit"] });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on("line", (line) => lines.push(line));
  await once(reader, "line");
  return { child, lines };
}

async function kill(child: ChildProcess): Promise<void> {
  const closed = once(child, "close");
  child.kill("SIGKILL");
  await closed;
}

type Kept = [name: string, epoch: string, offset: number, body: string];

async function expectKept(backend: Backend, kept: readonly Kept[]): Promise<void> {
  for (const name of new Set(kept.map(([of]) => of))) {
    const each = roomOf(name, { messages: 1_000_000, ms: 86_400_000 });
    const { epoch, head } = await backend.state(each);
    const entries = await backend.read(each, 0, 1_000_000);
    expect(entries.map(({ offset }) => offset)).toEqual(numbers(1, head));
    const byOffset = new Map(entries.map((entry) => [entry.offset, entry.body]));
    const here = kept.filter(([of]) => of === name);
    const read = here.map(([, inEpoch, offset]) => [inEpoch, byOffset.get(offset)]);
    expect(read).toEqual(here.map(([, , , body]) => [epoch, body]));
  }
}

describe("kill -9", () => {
  it("loses nothing that was acknowledged, four times over", { timeout: 60_000 }, async () => {
    const directory = newDirectory();
    const kept: Kept[] = [];
    for (let round = 1; round <= 4; round++) {
      const { child, lines } = await startAppender(directory, "append");
      const before = kept.length;
      while (lines.length < 400 * round) await once(child.stdout!, "data");
      await kill(child);
      expect(lines[0]).toBe("opened");
      for (const line of lines.slice(1)) if (line.endsWith("]")) kept.push(JSON.parse(line.slice(5)) as Kept);
      expect(kept.length - before).toBeGreaterThan(300);
      const backend = await opened(directory, Object.assign(new TestClock(), { now: Date.now() }));
      await expectKept(backend, kept);
      await backend.close();
    }
  });
});

describe("a directory", () => {
  it("in use by another process is refused, and free again when that was killed", async () => {
    const directory = newDirectory();
    const { child } = await startAppender(directory, "hold");
    await expect(opened(directory)).rejects.toThrow(new RegExp(`is in use by process ${child.pid}: stop it`));
    await kill(child);
    await (await opened(directory)).append(room, entryOf("a"));
  });

  it("in use by this process is refused to this process and to another", async () => {
    const directory = newDirectory();
    await opened(directory);
    await expect(opened(directory)).rejects.toThrow(/in use by this process/);
    const { child, lines } = await startAppender(directory, "hold");
    if (child.exitCode === null) await once(child, "exit");
    expect(lines).toEqual([
      expect.stringContaining(`refused the log in ${directory} is in use by process ${process.pid}`),
    ]);
  });

  it("is free where a lock names a pid that somebody else has now", async () => {
    const directory = newDirectory();
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    writeFileSync(join(directory, "fanfare.lock"), JSON.stringify({ pid: process.ppid, startedAt: "1", boot }));
    await expect(opened(directory)).resolves.toBeDefined();
  });
});

/** A log of a thousand messages, closed. */
async function filled(): Promise<{ directory: string; file: string }> {
  const directory = newDirectory();
  const backend = await opened(directory);
  await Promise.all(numbers(1, 1_000).map((i) => backend.append(room, entryOf(`needle ${i} ${"x".repeat(200)}`))));
  await backend.close();
  return { directory, file: join(directory, "data.mdb") };
}

/** Changes one bit of a text, wherever the file has it. */
function flip(file: string, text: string): void {
  const handle = openSync(file, "r+");
  const bytes = Buffer.alloc(statSync(file).size);
  readSync(handle, bytes, 0, bytes.length, 0);
  let found = 0;
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
    writeSync(handle, Buffer.of(bytes[at]! ^ 1), 0, 1, at);
    found++;
  }
  expect(found).toBeGreaterThan(0);
}

describe("a data file", () => {
  it.each([0.9, 0.5, 0.1])("cut to %f of its length is refused", async (part) => {
    const { directory, file } = await filled();
    truncateSync(file, Math.floor(statSync(file).size * part));
    await expect(opened(directory)).rejects.toThrow(/data\.mdb is truncated.*Restore it from a backup/);
  });

  it.each([1, 100, 4_096, 5_000])("of %d bytes is refused", async (bytes) => {
    const { directory, file } = await filled();
    truncateSync(file, bytes);
    await expect(opened(directory)).rejects.toThrow(/truncated/);
  });

  it.each([
    ["text", Buffer.from("this is no database\n".repeat(1_000))],
    ["zeros", Buffer.alloc(100_000)],
    ["noise", Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * i * 31) & 255))],
  ])("of %s is refused", async (_, content) => {
    const directory = newDirectory();
    writeFileSync(join(directory, "data.mdb"), content);
    await expect(opened(directory)).rejects.toThrow(/cannot be used as a log.*no LMDB file/);
  });

  it("whose pages are garbage is refused after a crash", async () => {
    const { directory, file } = await filled();
    const bytes = readFileSync(file);
    bytes.fill(0xa5, 3 * 4_096);
    writeFileSync(file, bytes);
    writeFileSync(join(directory, "fanfare.lock"), "left behind");
    await expect(opened(directory)).rejects.toThrow(/cannot be used as a log: reading it failed/);
  });

  it("of another program is refused, and left as it is", async () => {
    const directory = newDirectory();
    const other = openRaw({ path: directory, noSubdir: false });
    await other.put("theirs", 1);
    await other.close();
    await expect(opened(directory)).rejects.toThrow(/holds another program's LMDB data/);
    const again = openRaw({ path: directory, noSubdir: false });
    expect(again.get("theirs")).toBe(1);
    await again.close();
  });

  it("of another layout is refused", async () => {
    const { directory } = await filled();
    const raw = openRaw({
      path: directory,
      noSubdir: false,
      overlappingSync: false,
      encoding: "binary",
      keyEncoding: "binary",
    });
    await raw.put(Buffer.from("\u0001layout"), Buffer.from("fanfare log, layout 2"));
    await raw.close();
    await expect(opened(directory)).rejects.toThrow(/written by another version of Fanfare \("fanfare log, layout 2"/);
  });

  it("with a flipped bit gives an error for the page that it is in, and what is whole elsewhere", async () => {
    const { directory, file } = await filled();
    flip(file, "needle 500 x");
    const backend = await opened(directory);
    expect(bodies(await backend.read(room, 0, 499))).toHaveLength(499);
    await expect(backend.read(room, 490, 20)).rejects.toMatchObject({
      name: "BackendUnavailable",
      message: /damaged.*offset 500/,
    });
    await expect(backend.readBack(room, 505, 20)).rejects.toMatchObject({ name: "BackendUnavailable" });
    expect(bodies(await backend.read(room, 500, 1_000))).toHaveLength(500);
    expect(keptOffset(await backend.append(room, entryOf("more")))).toBe(1_001);
  });

  it("with a flipped bit in a key fails that publish, and those called after it", async () => {
    const directory = newDirectory();
    const first = await opened(directory);
    await first.append(room, entryOf("a"), keyOf("k", "fingerprint-in-the-file"));
    await first.close();
    flip(join(directory, "data.mdb"), "fingerprint-in-the-file");
    const backend = await opened(directory);
    const calls = [backend.append(room, entryOf("a"), keyOf("k")), backend.append(room, entryOf("b"))];
    expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(bodies(await backend.read(room, 0, 10))).toEqual(["a"]);
  });
});

/** Why a small file system cannot be mounted here; undefined where it can. */
function whyNoMount(): string | undefined {
  const directory = newDirectory();
  const { status, stderr, error } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", directory]);
  if (status !== 0) return `mount -t tmpfs: ${error?.message ?? String(stderr).trim()}`;
  spawnSync("umount", [directory]);
  return undefined;
}

async function fillAndFree(disk: string): Promise<void> {
  const directory = join(disk, "log");
  mkdirSync(directory);
  const ballast = join(disk, "ballast");
  writeFileSync(ballast, Buffer.alloc(2 * 1024 * 1024));
  const backend = await opened(directory);
  const seen = await recorder(backend, room);
  const kept: string[] = [];
  const refused: unknown[] = [];
  for (let i = 0; refused.length < 60; i++) {
    const names = numbers(1, 20).map((n) => `${i}.${n} ${"x".repeat(2_000)}`);
    const results = await Promise.allSettled(names.map((body) => backend.append(room, entryOf(body))));
    kept.push(...names.filter((_, n) => results[n]?.status === "fulfilled"));
    refused.push(...results.flatMap((result) => (result.status === "rejected" ? [(result.reason as Error).name] : [])));
  }
  expect(new Set(refused)).toEqual(new Set(["BackendUnavailable"]));
  await expect
    .poll(() => backend.check().catch((error: unknown) => error))
    .toMatchObject({ name: "BackendUnavailable", message: /the disk of .* is full/ });
  expect(kept.length).toBeGreaterThan(50);
  rmSync(ballast);
  await expect.poll(() => backend.check().then(() => "works")).toBe("works");
  const after = await Promise.all(numbers(1, 50).map((n) => backend.append(room, entryOf(`after ${n}`))));
  expect(after.map(keptOffset)).toEqual(numbers(kept.length + 1, kept.length + 50));
  const all = [...kept, ...numbers(1, 50).map((n) => `after ${n}`)];
  expect(seen.bodies()).toEqual(all);
  await backend.close();
  const again = await opened(directory);
  expect(bodies(await again.read(room, 0, 10_000))).toEqual(all);
}

const noMount = whyNoMount();
describe("a full disk", () => {
  it.skipIf(noMount !== undefined && process.env["CI"] !== "true")(
    `fails appends without harm, and they work again when there is space${noMount === undefined ? "" : ` (${noMount})`}`,
    { timeout: 30_000 },
    async () => {
      expect(noMount).toBeUndefined();
      const disk = newDirectory();
      spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]);
      try {
        await fillAndFree(disk);
      } finally {
        await Promise.all(openBackends.splice(0).map((backend) => backend.close()));
        spawnSync("umount", [disk]);
      }
    },
  );
});

describe("sweeping", () => {
  it("removes what nobody asks for, so that the file does not grow for ever", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const clock = new TestClock();
    const directory = newDirectory();
    const backend = await opened(directory, clock);
    for (const i of numbers(1, 50)) {
      const each = roomOf(`swept/${i}`, { messages: 100, ms: 60_000 });
      await Promise.all(numbers(1, 20).map((n) => backend.append(each, entryOf("x", clock.now), keyOf(`k${n}`))));
      await backend.set(`fact ${i}`, "v", 1_000);
    }
    clock.now += 3_600_000;
    for (let i = 0; i < 20; i++) {
      vi.advanceTimersByTime(1_000);
      await backend.check();
    }
    await backend.close();
    const raw = openRaw<Buffer, Buffer>({
      path: directory,
      noSubdir: false,
      overlappingSync: false,
      encoding: "binary",
      keyEncoding: "binary",
    });
    const left = [...raw.getRange({ start: Buffer.of(0) })].map(({ key }) =>
      Buffer.from(key as Uint8Array).toString("latin1"),
    );
    await raw.close();
    expect(left).toEqual(["\u0001check", "\u0001layout", "\u0001nextRoom"]);
  });

  it("spares a key and a fact that are used again while it looks", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const clock = new TestClock();
    const backend = await opened(newDirectory(), clock);
    await backend.append(room, entryOf("a"), keyOf("k"));
    await backend.set("fact", "old", 1_000);
    clock.now += 300_001;
    const again = Promise.all([backend.append(room, entryOf("b"), keyOf("k")), backend.set("fact", "new", 1_000)]);
    await Promise.resolve();
    vi.advanceTimersByTime(1_000);
    await again;
    await backend.check();
    expect(await backend.find(room, keyOf("k"))).toMatchObject({ offset: 2 });
    expect(await backend.get("fact")).toBe("new");
  });

  it("leaves no timer behind", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const backend = await opened(newDirectory());
    expect(vi.getTimerCount()).toBe(1);
    await backend.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});
