import { describe, expect, it } from "vitest";
import type { Json } from "../../src/protocol/json.ts";
import { settle, World } from "../client/support/harness.ts";
import { readVectors } from "./vectors.ts";

interface Case {
  name: string;
  rule: string;
  texts: string[];
  taken: Json[];
  cursor: string | null;
  gaps?: number;
}

const { cases } = readVectors("frames.json") as { cases: Case[] };

describe("a client takes what a server sends", () => {
  it.each(cases)("$rule $name", async ({ texts: [first = "", ...rest], taken, cursor, gaps }) => {
    const world = new World();
    const room = world.client.join("r");
    const seen: unknown[] = [];
    let told = 0;
    room.on("message", (message) => seen.push(message.data));
    room.on("gap", () => told++);
    room.on("reset", () => told++);
    const socket = await world.online();
    await world.admit("r", { cursor: undefined, ...(JSON.parse(first) as Record<string, unknown>) });
    for (const text of rest) socket.says(text);
    await settle();
    expect(seen).toEqual(taken);
    expect(room.cursor ?? null).toBe(cursor);
    expect(told).toBe(gaps ?? 0);
  });
});
