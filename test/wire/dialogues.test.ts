import { readdirSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { speak, type Dialogue } from "../support/dialogue.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { readVectors } from "../vectors/vectors.ts";

const folder = new URL("../../vectors/dialogues/", import.meta.url);
const files = readdirSync(folder).sort();
const all = files.map((file) => ({ file, dialogues: readVectors<Dialogue[]>(`dialogues/${file}`) }));

/** Dialogues with the same arguments share a server, but for those that stop it. */
const servers = new Map<string, Promise<TestServer>>();

function serverFor(dialogue: Dialogue): Promise<TestServer> {
  const args = ["--backend", "memory", ...(dialogue.server ?? [])];
  const isStopped = dialogue.steps.some((step) => step.stop === true);
  const key = isStopped ? dialogue.name : args.join(" ");
  const server = servers.get(key) ?? startServer(args);
  servers.set(key, server);
  return server;
}

afterAll(async () => {
  for (const server of servers.values()) await endServer(await server.catch(() => undefined));
});

describe.each(all)("$file", ({ dialogues }) => {
  it.each(dialogues.map((dialogue) => ({ dialogue, title: `${dialogue.rules.join(" ")} ${dialogue.name}` })))(
    "$title",
    async ({ dialogue }) => {
      await expect(speak(dialogue, await serverFor(dialogue))).resolves.toBeUndefined();
    },
  );
});

it("every rule about the socket has a dialogue", () => {
  const rules = ["1-6", "10-18", "20-27", "30-38", "40-43", "50-53", "60-63"].flatMap((range) => {
    const [from = 0, to = 0] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => `P-${from + i}`);
  });
  const covered = new Set(all.flatMap(({ dialogues }) => dialogues.flatMap((dialogue) => dialogue.rules)));
  expect(rules.filter((rule) => !covered.has(rule))).toEqual([]);
});
