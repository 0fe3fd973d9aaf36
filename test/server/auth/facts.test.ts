import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BackendUnavailable, type Backend } from "../../../src/backends/backend.ts";
import { memory } from "../../../src/backends/memory/index.ts";
import type { Identity } from "../../../src/server/auth/identity.ts";
import { createRevocations, type Revocations } from "../../../src/server/auth/revocations.ts";
import { createTickets, type Tickets } from "../../../src/server/auth/tickets.ts";

const startMs = 1_800_000_000_000;
let clockMs: number;
let backend: Backend;
let tickets: Tickets;
let revocations: Revocations;

beforeEach(async () => {
  clockMs = startMs;
  backend = memory();
  await backend.open({ now: () => clockMs, log: () => {} });
  tickets = createTickets(backend, () => clockMs, randomBytes);
  revocations = createRevocations(backend, () => clockMs);
});

afterEach(() => backend.close());

const down = (): Promise<never> => Promise.reject(new BackendUnavailable("down"));

describe("a ticket", () => {
  it.each<[string, Identity]>([
    ["a user alone", { user: "ann" }],
    ["a user of no room", { user: "__proto__", rooms: {} }],
    [
      "all there is",
      { user: "ann é", rooms: { "a/*": ["join"] }, expiresAt: startMs + 3_600_000, issuedAt: startMs - 1 },
    ],
  ])("gives back its identity: %s", async (_, identity) => {
    const { ticket, expires_at } = await tickets.create(identity);
    expect(ticket).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(expires_at).toBe(startMs + 30_000);
    expect(await tickets.redeem(ticket)).toEqual(identity);
  });

  it("is good once, even when it is looked up a hundred times at once", async () => {
    const { ticket } = await tickets.create({ user: "ann" });
    const found = await Promise.all(Array.from({ length: 100 }, () => tickets.redeem(ticket)));
    expect(found.filter((identity) => identity !== undefined)).toEqual([{ user: "ann" }]);
    expect(await tickets.redeem(ticket)).toBeUndefined();
  });

  it("is good until 30 s are over", async () => {
    const [early, late] = [await tickets.create({ user: "ann" }), await tickets.create({ user: "ann" })];
    clockMs = startMs + 29_999;
    expect(await tickets.redeem(early.ticket)).toBeDefined();
    clockMs = startMs + 30_000;
    expect(await tickets.redeem(late.ticket)).toBeUndefined();
  });

  it("ends with its identity where that is sooner", async () => {
    const { ticket, expires_at } = await tickets.create({ user: "ann", expiresAt: startMs + 5_000 });
    expect(expires_at).toBe(startMs + 5_000);
    clockMs = startMs + 5_000;
    expect(await tickets.redeem(ticket)).toBeUndefined();
  });

  it("of an identity that has ended is good for nothing", async () => {
    const { ticket } = await tickets.create({ user: "ann", expiresAt: startMs });
    expect(await tickets.redeem(ticket)).toBeUndefined();
  });

  it("is spent at its time even where the backend keeps it for longer", async () => {
    const facts = new Map<string, string>();
    const lazy = createTickets(
      {
        set: (key, value) => Promise.resolve(void facts.set(key, value)),
        take: (key) => Promise.resolve(facts.get(key)),
      },
      () => clockMs,
      randomBytes,
    );
    const { ticket } = await lazy.create({ user: "ann" });
    expect(await lazy.redeem(ticket)).toBeDefined();
    clockMs += 30_000;
    expect(await lazy.redeem(ticket)).toBeUndefined();
    expect([...facts.keys(), ...facts.values()].join()).not.toContain(ticket);
  });

  it.each([[""], ["x"], ["x".repeat(43)], ["../".repeat(14) + "x"], ["x".repeat(10_000)]])(
    "that nobody made is none: %s",
    async (made) => {
      expect(await tickets.redeem(made)).toBeUndefined();
    },
  );

  it("rejects where the backend is down", async () => {
    const broken = createTickets({ set: down, take: down }, () => clockMs, randomBytes);
    await expect(broken.create({ user: "ann" })).rejects.toThrow(BackendUnavailable);
    await expect(broken.redeem("x".repeat(43))).rejects.toThrow(BackendUnavailable);
  });
});

describe("a revocation", () => {
  it("refuses what was issued before it, and nothing after", async () => {
    await revocations.revoke("ann");
    expect(await revocations.unlessRevoked({ user: "ann", issuedAt: startMs - 1 })).toBeUndefined();
    expect(await revocations.unlessRevoked({ user: "ann", issuedAt: startMs })).toBeUndefined();
    expect(await revocations.unlessRevoked({ user: "ann", issuedAt: startMs + 1 })).toBeDefined();
  });

  it("refuses what does not tell when it was issued", async () => {
    expect(await revocations.unlessRevoked({ user: "ann" })).toBeDefined();
    await revocations.revoke("ann");
    expect(await revocations.unlessRevoked({ user: "ann" })).toBeUndefined();
  });

  it("is of one user alone", async () => {
    await revocations.revoke("ann");
    expect(await revocations.unlessRevoked({ user: "bob", issuedAt: startMs - 1 })).toBeDefined();
    expect(await revocations.unlessRevoked({ user: "ann2", issuedAt: startMs - 1 })).toBeDefined();
  });

  it("refuses an unspent ticket by the time of the token that it was made from", async () => {
    const { ticket } = await tickets.create({ user: "ann", issuedAt: startMs - 1_000 });
    await revocations.revoke("ann");
    const identity = await tickets.redeem(ticket);
    expect(identity).toBeDefined();
    expect(await revocations.unlessRevoked(identity!)).toBeUndefined();
  });

  it("holds for 400 days", async () => {
    await revocations.revoke("ann");
    clockMs += 400 * 86_400_000 - 1;
    expect(await revocations.unlessRevoked({ user: "ann", issuedAt: startMs })).toBeUndefined();
    clockMs += 1;
    expect(await revocations.unlessRevoked({ user: "ann", issuedAt: startMs })).toBeDefined();
  });

  it("takes nothing back of an earlier one when the clock is set back", async () => {
    await revocations.revoke("ann");
    clockMs -= 60_000;
    await revocations.revoke("ann");
    expect(await revocations.unlessRevoked({ user: "ann", issuedAt: startMs })).toBeUndefined();
  });

  it("is seen at once by another node with the same backend", async () => {
    const other = createRevocations(backend, () => clockMs);
    expect(await other.unlessRevoked({ user: "ann", issuedAt: startMs })).toBeDefined();
    await revocations.revoke("ann");
    expect(await other.unlessRevoked({ user: "ann", issuedAt: startMs })).toBeUndefined();
  });

  it("rejects where the backend is down", async () => {
    const broken = createRevocations({ set: down, get: down, take: down }, () => clockMs);
    await expect(broken.revoke("ann")).rejects.toThrow(BackendUnavailable);
    await expect(broken.unlessRevoked({ user: "ann" })).rejects.toThrow(BackendUnavailable);
  });
});
