import { openSync, readFileSync, readSync, statSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { open as openRaw } from "lmdb";
import { describe, expect, it } from "vitest";
import { bodies, entryOf, keptOffset, keyOf, numbers } from "../../src/testing/backend/tools.ts";
import { newDirectory, opened, room } from "./fixtures/lmdb.ts";

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
