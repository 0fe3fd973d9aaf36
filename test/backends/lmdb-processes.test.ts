import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { entryOf, numbers, roomOf, TestClock } from "../../src/testing/backend/tools.ts";
import { newDirectory, opened, room } from "./fixtures/lmdb.ts";

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
