import { describe, expect, it } from "vitest";
import { Gate, HookedBackend } from "./support/backend.ts";
import { FakeClock } from "./support/clock.ts";
import { eventually, open, serve, writeToken } from "./support/hub.ts";

describe("publishing from anywhere in the process", () => {
  it("reaches all members, in order, as the server's own or as from a user", async () => {
    const { hub, member } = await serve();
    const [ann, bob] = [await member("ann", "r"), await member("bob", "r")];
    const first = await hub.room("r").publish("e", { n: 1 });
    const second = await hub.room("r").publish("e", { n: 2 }, { from: "ann" });
    expect([first.offset, second.offset]).toEqual([1, 2]);
    for (const peer of [ann, bob]) {
      await peer.expect({ type: "message", data: { n: 1 }, offset: 1, from: "$absent" });
      await peer.expect({ type: "message", data: { n: 2 }, offset: 2, from: "ann" });
    }
  });

  it("sends one connection `skip` in the message's place, live and from the log", async () => {
    const { hub, connect, member } = await serve();
    const ann = await connect("ann");
    ann.send({ type: "join", room: "r" });
    const { cursor } = await ann.expect({ type: "joined" });
    const bob = await member("bob", "r");
    const [id] = hub.user("ann").here.connections;
    await hub.room("r").publish("e", 1, { except: id! });
    await hub.room("r").publish("e", 2);
    await ann.expect({ type: "skip", room: "r", offset: 1 });
    await ann.expect({ type: "message", offset: 2 });
    await bob.expect({ type: "message", offset: 1 });
    ann.send({ type: "join", room: "r", since: cursor! });
    await ann.expect({ type: "joined", recovered: true, replay: 2 });
    await ann.expect({ type: "skip", offset: 1 });
    await ann.expect({ type: "message", offset: 2 });
  });

  it("is safe to repeat with a key, in a scope of the server's own", async () => {
    const { hub, member } = await serve();
    const ann = await member("ann", "r");
    const once = await hub.room("r").publish("e", 1, { key: "k" });
    expect(await hub.room("r").publish("e", 1, { key: "k" })).toEqual({ ...once, duplicate: true });
    await expect(hub.room("r").publish("e", 2, { key: "k" })).rejects.toMatchObject({ code: "conflict" });
    ann.send({ type: "publish", id: "1", key: "k", room: "r", event: "e", data: 2 });
    await ann.until({ type: "ack", re: "1", offset: 2, duplicate: "$absent" });
  });

  it("rejects what JSON cannot hold, and keeps nothing", async () => {
    const { hub } = await serve();
    await expect(hub.room("r").publish("e", undefined as never)).rejects.toThrow(TypeError);
    await expect(hub.room("r").publish("e", 1n)).rejects.toThrow(TypeError);
    await expect(hub.room("").publish("e", 1)).rejects.toThrow(/1 to 255 bytes/);
    expect(await hub.room("r").history()).toEqual([]);
  });

  it("reaches a user on all devices, and those that come later", async () => {
    const { hub, member, connect } = await serve();
    const [phone, laptop] = [await member("ann", "@ann"), await member("ann", "@ann")];
    await hub.user("ann").publish("mail", "hello");
    for (const device of [phone, laptop]) await device.expect({ type: "message", room: "@ann", data: "hello" });
    const tablet = await connect("ann");
    tablet.send({ type: "join", room: "@ann", history: 10 });
    await tablet.expect({ type: "joined", replay: 1, rights: ["presence", "history"] });
    await tablet.expect({ type: "message", data: "hello" });
    tablet.send({ type: "publish", id: "1", room: "@ann", event: "mail" });
    await tablet.expect({ type: "error", re: "1", code: "forbidden" });
    const bob = await connect("bob");
    bob.send({ type: "join", id: "1", room: "@ann" });
    await bob.expect({ type: "error", re: "1", code: "forbidden" });
  });

  it("signals all but one, or one connection alone", async () => {
    const { hub, member } = await serve();
    const [ann, bob] = [await member("ann", "r"), await member("bob", "r")];
    const [annId] = hub.user("ann").here.connections;
    await hub.room("r").signal("typing", true, { except: annId! });
    await bob.expect({ type: "signal", room: "r", event: "typing", data: true, from: "$absent" });
    hub.connection(annId!)?.signal("hint", 1);
    await ann.expect({ type: "signal", room: "$absent", event: "hint", data: 1 });
    expect([await ann.settled(), await bob.settled()]).toEqual([[], []]);
  });
});

describe("asking who is there", () => {
  it("tells members, size and connections of a room, and the rooms of a connection", async () => {
    const { hub, member, connect } = await serve();
    const room = hub.room("r");
    expect([await room.size(), await room.members(), await room.connections()]).toEqual([0, [], []]);
    await member("ann", "r", { data: { a: 1 } });
    const again = await connect("ann");
    again.send({ type: "join", room: "r" });
    await again.expect({ type: "joined", members: 1 });
    await member("bob", "r");
    expect([await room.size(), (await room.connections()).length]).toEqual([2, 3]);
    expect(room.here).toEqual({ size: 2, connections: await room.connections() });
    expect(await hub.user("ann").connections()).toEqual(hub.user("ann").here.connections);
    expect(await room.members()).toEqual([
      { user: "ann", data: { a: 1 } },
      { user: "bob", data: null },
    ]);
    const [id] = hub.user("bob").here.connections;
    expect([hub.connection(id!)?.user, hub.connection(id!)?.rooms()]).toEqual(["bob", ["r"]]);
    expect(hub.connection("unknown")).toBeUndefined();
  });

  it("pages through the rooms that have members", async () => {
    const { hub, connect } = await serve();
    const ann = await connect("ann");
    for (const room of ["a/1", "a/2", "a/3", "b/1"]) ann.send({ type: "join", room });
    await ann.settled();
    await eventually(() => hub.counts().rooms === 4);
    expect(await hub.rooms({ prefix: "a/", limit: 2 })).toEqual({
      rooms: [
        { room: "a/1", members: 1 },
        { room: "a/2", members: 1 },
      ],
      more: true,
    });
    expect(await hub.rooms({ prefix: "a/", after: "a/2" })).toEqual({
      rooms: [{ room: "a/3", members: 1 }],
      more: false,
    });
  });

  it("lists no room that nobody is in yet", async () => {
    const backend = new HookedBackend();
    const { hub, connect } = await serve({ backend });
    const gate = new Gate();
    backend.hook = (call, when) => (call === "state" && when === "before" ? gate.passed : undefined);
    const ann = await connect("ann");
    ann.send({ type: "join", room: "r", history: 5 });
    await eventually(() => backend.calls.includes("state"));
    expect([await hub.rooms(), hub.counts().rooms]).toEqual([{ rooms: [], more: false }, 1]);
    gate.open();
    await ann.expect({ type: "joined" });
    expect(await hub.rooms()).toEqual({ rooms: [{ room: "r", members: 1 }], more: false });
  });

  it("reads history backwards by pages of 100 at most", async () => {
    const { hub } = await serve();
    for (let i = 1; i <= 120; i++) await hub.room("r").publish("e", i);
    const newest = await hub.room("r").history({ limit: 5_000 });
    expect(newest.map(({ offset }) => offset)).toEqual(Array.from({ length: 100 }, (_, i) => i + 21));
    expect((await hub.room("r").history({ before: 3 })).map(({ data }) => data)).toEqual([1, 2]);
  });
});

describe("taking a user out of a room", () => {
  it("ends it on all connections with `left` as the last frame, and tells the others", async () => {
    const { hub, member } = await serve();
    const watcher = await member("bob", "r", { presence: true });
    const devices = [await member("ann", "r"), await member("ann", "r")];
    await watcher.expect({ type: "presence", joined: [{ user: "ann" }] });
    await hub.room("r").remove("ann");
    await watcher.expect({ type: "presence", left: [{ user: "ann" }], members: 1 });
    await hub.room("r").publish("e", 1);
    for (const device of devices) {
      expect(await device.settled()).toEqual([{ type: "left", room: "r", reason: "removed" }]);
      device.send({ type: "publish", id: "1", room: "r", event: "e" });
      await device.expect({ type: "error", re: "1", code: "not_joined" });
    }
  });

  it("takes out one whose connection vanished, and the room with its last member", async () => {
    const { hub, member } = await serve();
    const ann = await member("ann", "r");
    ann.destroy();
    await eventually(() => hub.counts().connections === 0);
    expect(hub.counts().rooms).toBe(1);
    await hub.room("r").remove("ann");
    expect(hub.counts()).toEqual({ connections: 0, rooms: 0 });
  });
});

describe("disconnecting a user", () => {
  it("closes all connections with 4003 and ends the presence at once", async () => {
    const { hub, member } = await serve();
    const devices = [await member("ann", "r"), await member("ann", "other")];
    await hub.user("ann").disconnect();
    for (const device of devices) await device.expectClose(4003);
    expect(hub.counts()).toEqual({ connections: 0, rooms: 0 });
  });

  it("closes one connection alone where asked to", async () => {
    const { hub, member } = await serve();
    const [phone, laptop] = [await member("ann", "r"), await member("ann", "r")];
    hub.connection(hub.user("ann").here.connections[0]!)?.disconnect();
    await phone.expectClose(4003);
    expect(await laptop.settled()).toEqual([]);
  });

  it("with revoke refuses tokens and tickets of before, and takes newer ones (invariant 11)", async () => {
    const clock = new FakeClock();
    const { hub, port, connect } = await serve({}, { clock });
    const token = (): { user: string; issuedAt: number } => ({ user: "ann", issuedAt: clock.now() });
    const old = token();
    const ann = await connect(old);
    const { ticket } = await hub.tickets.create(old);
    clock.advance(1_000);
    await hub.user("ann").disconnect({ revoke: true });
    await ann.expectClose(4003);
    for (const query of [{ token: writeToken(old) }, { ticket }]) {
      const refused = await open(port, { query });
      await refused.expect({ type: "error", code: "unauthorized" });
      await refused.expectClose(4001);
    }
    clock.advance(1_000);
    const again = await connect(token());
    again.send({ type: "auth", id: "1", token: writeToken(old) });
    await again.expect({ type: "error", re: "1", code: "unauthorized" });
    expect(await again.settled()).toEqual([]);
  });
});
