import { describe, expect, it } from "vitest";
import { FakeClock } from "../server/support/clock.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { connect } from "./plain.ts";

describe("an endpoint that asks who it is", () => {
  it("takes the hub's credentials, and closes others with 4001", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/in", { authenticate: true }, ({ socket, user }) => void socket.send(user satisfies string));
    const url = `ws://127.0.0.1:${port}/in`;
    const header = await connect(url, { headers: { Authorization: "Bearer ann" } });
    const ticket = await hub.tickets.create({ user: "bob" });
    const byTicket = await connect(`${url}?ticket=${ticket.ticket}`);
    expect([await header.next(), await byTicket.next()]).toEqual(["ann", "bob"]);
    for (const query of ["", "?token=bad", `?ticket=${ticket.ticket}`]) {
      expect(await (await connect(url + query)).closed()).toEqual({ code: 4001, reason: "unauthorized" });
    }
    await eventually(() => hub.counts().connections === 0);
  });

  it("refuses in HTTP where it is told to, and lets in without any where they are optional", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/a", { authenticate: true, unauthorized: 401 }, () => undefined);
    hub.endpoint("/b", { authenticate: "optional" }, ({ socket, user }) => void socket.send({ user: user ?? null }));
    const url = `ws://127.0.0.1:${port}`;
    await expect(connect(`${url}/a?token=bad`)).rejects.toThrow("status 401: unauthorized");
    expect(await (await connect(`${url}/b`)).next()).toEqual({ user: null });
    expect(await (await connect(`${url}/b?token=ann`)).next()).toEqual({ user: "ann" });
    expect((await (await connect(`${url}/b?token=bad`)).closed()).code).toBe(4001);
  });

  it("lets anonymous users in where the hub does", async () => {
    const { hub, port } = await serve({ anonymous: true });
    hub.endpoint("/a", { authenticate: true }, ({ socket, user }) => void socket.send(user));
    expect(await (await connect(`ws://127.0.0.1:${port}/a`)).next()).toMatch(/^~/);
  });

  it("answers 503 where credentials cannot be checked now", async () => {
    const { hub, port } = await serve({ auth: () => Promise.reject(new Error("down")) });
    hub.endpoint("/a", { authenticate: true }, () => undefined);
    await expect(connect(`ws://127.0.0.1:${port}/a?token=ann`)).rejects.toThrow("status 503");
  });

  it("holds the number of a user's connections, ends them by name, and ends them with their token", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({ limits: { connectionsPerUser: 1, pingMs: 100_000 } }, { clock });
    hub.endpoint("/a", { authenticate: true }, async ({ socket }) => {
      socket.send("in");
      for await (const _ of socket);
    });
    const url = `ws://127.0.0.1:${port}/a?token=`;
    const ann = await connect(`${url}ann`);
    await ann.next();
    expect((await (await connect(`${url}ann`)).closed()).code).toBe(4300);
    await hub.user("ann").disconnect();
    expect((await ann.closed()).code).toBe(4003);

    const token = encodeURIComponent(JSON.stringify({ user: "bob", expiresAt: clock.now() + 60_000 }));
    const bob = await connect(url + token);
    expect(await bob.next()).toBe("in");
    clock.advance(59_000);
    expect(bob.socket.readyState).toBe(bob.socket.OPEN);
    clock.advance(1_500);
    expect((await bob.closed()).code).toBe(4100);
    expect(bob.unread).toBe(0);
  });
});

describe("an endpoint with origins of its own", () => {
  it("lets in these, and the hub's do not count for it; elsewhere only the hub's do", async () => {
    const { hub, port } = await serve({ origins: ["https://app.example.com"], cookie: "session" });
    const origins = ["https://partner.example.com"];
    hub.endpoint("/partner", { origins, authenticate: "optional" }, ({ socket, user }) => socket.close(1000, user));
    hub.endpoint("/own", { authenticate: "optional" }, ({ socket, user }) => socket.close(1000, user));
    hub.endpoint("/public", { origins: ["*"], authenticate: "optional" }, ({ socket, user }) =>
      socket.close(1000, user),
    );
    const from = async (path: string, origin: string): Promise<string> => {
      const headers = { Origin: origin, Cookie: "session=ann" };
      const peer = await connect(`ws://127.0.0.1:${port}${path}`, { headers }).catch((error: Error) => error.message);
      return typeof peer === "string" ? peer.slice(0, 10) : (await peer.closed()).reason;
    };
    const [app, partner] = ["https://app.example.com", "https://partner.example.com"];
    expect([await from("/partner", partner), await from("/partner", app)]).toEqual(["ann", "status 403"]);
    expect([await from("/own", partner), await from("/own", app)]).toEqual(["status 403", "ann"]);
    // A page that any origin may be is no visitor's own (P-11): its cookie does not count.
    expect(await from("/public", partner)).toBe("");
    const wrong = { origins: ["https://app.example.com/path"] };
    expect(() => hub.endpoint("/wrong", wrong, () => undefined)).toThrow("an origin must look like");
  });
});

describe("an endpoint whose first message signs in", () => {
  it("knows the user from then on, for the hub too", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/f", { authenticate: "first", receive: "text" }, async ({ socket, signIn }) => {
      const before = socket.user;
      const identity = await signIn((await socket.next()) ?? "");
      socket.send({ before: before ?? null, after: socket.user ?? null, identity: identity?.user ?? null });
      await expect(signIn("again")).rejects.toThrow("signed in");
      for await (const _ of socket);
    });
    const peer = await connect(`ws://127.0.0.1:${port}/f`);
    peer.send("ann");
    expect(await peer.next()).toEqual({ before: null, after: "ann", identity: "ann" });
    expect(hub.user("ann").here.connections).toHaveLength(1);
    peer.socket.terminate();
    await eventually(() => hub.user("ann").here.connections.length === 0);
  });

  it("closes with 1008 who stays silent, and who talks without signing in", async () => {
    const clock = new FakeClock();
    const { hub, port, logged } = await serve({}, { clock });
    let ended = 0;
    hub.endpoint("/f", { authenticate: "first" }, async ({ socket }) => {
      for await (const message of socket) socket.send(message);
      expect(socket.closed).toEqual({ code: 1008, reason: "not signed in" });
      ended++;
    });
    const [silent, talking] = [await connect(`ws://127.0.0.1:${port}/f`), await connect(`ws://127.0.0.1:${port}/f`)];
    clock.advance(9_900);
    talking.send("hi");
    expect([await talking.next(), silent.socket.readyState]).toEqual(["hi", silent.socket.OPEN]);
    clock.advance(400);
    expect([await silent.closed(), await talking.closed()]).toMatchObject([{ code: 1008 }, { code: 1008 }]);
    await eventually(() => ended === 2);
    expect(logged.filter((line) => line.startsWith("error"))).toEqual([]);
  });

  it("tells the app of a bad token, and closes with 1013 where it cannot be checked", async () => {
    const { hub, port } = await serve({
      auth: ({ token }) => {
        if (token === "down") throw new Error("down");
        return undefined;
      },
    });
    hub.endpoint("/f", { authenticate: "first", receive: "text" }, async ({ socket, signIn }) => {
      for await (const token of socket) socket.send({ in: (await signIn(token)) !== undefined });
    });
    const peer = await connect(`ws://127.0.0.1:${port}/f`);
    peer.send("bad");
    expect(await peer.next()).toEqual({ in: false });
    peer.send("down");
    expect((await peer.closed()).code).toBe(1013);
  });
});
