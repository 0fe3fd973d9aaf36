import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bodies, entryOf, keptOffset, numbers, recorder } from "../../src/testing/backend/tools.ts";
import { newDirectory, openBackends, opened, room } from "./fixtures/lmdb.ts";

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
