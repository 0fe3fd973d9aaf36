import { readdirSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { speak, type Dialogue, type Step } from "../support/dialogue.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { readVectors } from "../vectors/vectors.ts";

const folder = new URL("../../vectors/dialogues/", import.meta.url);
const files = readdirSync(folder).sort();
const all = files.map((file) => ({ file, dialogues: readVectors(`dialogues/${file}`) as Dialogue[] }));

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

describe("a dialogue that goes otherwise is found", () => {
  const ping = { on: "a", send: { type: "ping", id: "1" } };
  it.each<{ name: string; steps: Step[]; fault: string }>([
    { name: "another frame", steps: [ping, { on: "a", expect: { type: "joined" } }], fault: "step 3" },
    { name: "another field", steps: [ping, { on: "a", expect: { type: "pong", re: "2" } }], fault: "frame.re" },
    { name: "a field too many", steps: [ping, { on: "a", expect: { re: "$absent" } }], fault: "frame.re is there" },
    { name: "no silence", steps: [ping, { on: "a", quiet: true }], fault: "not quiet" },
    {
      name: "another close",
      steps: [
        { on: "a", close: 1000 },
        { on: "a", expectClose: 4001 },
      ],
      fault: "closed with 1000",
    },
    {
      name: "a refusal that does not come",
      steps: [{ connect: "b", as: "bob", refused: 403 }],
      fault: "the connection opened",
    },
    { name: "another status", steps: [{ http: "GET", path: "/healthz", status: 404 }], fault: "status 200" },
  ])("$name", async ({ name, steps, fault }) => {
    const dialogue = { rules: [], name, steps: [{ connect: "a", as: "ann" }, ...steps] };
    await expect(speak(dialogue, await serverFor(dialogue))).rejects.toThrow(fault);
  });
});
