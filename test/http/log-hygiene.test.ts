import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { emptyDirectory, start } from "../cli/process.ts";
import { testOrigin, type TestServer } from "../support/server.ts";
import { connect, type ConnectOptions } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";

/** What must not be in any line, wherever it was put. */
const canary = "c4n4ry";
/** Clears a terminal and begins a line of its own, where it gets through. */
const escape = "\u001b[2J\r\n\u0085\u2028";
const secret = `${canary}-a-secret-of-32-bytes-and-more`;
const apiKey = `${canary}-key-0123456789`;

/** An app whose every handler and check fails with what it was given in its words. */
const config = `
export default {
  cookie: "session",
  auth: ({ token, kind }) => {
    if (token.startsWith("good")) return { user: token.slice(token.lastIndexOf("-") + 1) };
    if (token.startsWith("throw")) throw new Error("cannot check " + kind + " " + token);
    if (token.startsWith("later")) return Promise.reject(new TypeError(token, { cause: new Error("because " + token) }));
    return undefined;
  },
  setup(hub) {
    hub.on("**", {
      join: ({ room, data }) => { if (room.startsWith("throw")) throw new Error(room + JSON.stringify(data)); },
      leave: ({ room }) => { throw new Error("left " + room); },
      publish: {
        fail: ({ room, data, user, key }) => { throw new Error([room, user, key, JSON.stringify(data)].join()); },
        later: async ({ data }) => { throw new TypeError(data, { cause: new Error("because " + data) }); },
        text: ({ data }) => { throw data; },
        object: ({ data }) => { throw { message: data, stack: data }; },
      },
    });
  },
};
`;

interface Variant {
  readonly name: string;
  readonly flags: readonly string[];
  readonly token: (user: string) => string;
  /** Lines that the checks of credentials must have left. */
  readonly failedChecks: number;
}

const variants: readonly Variant[] = [
  {
    name: "with checks of the app's own that throw",
    flags: [],
    token: (user) => `good-${canary}-${user}`,
    // Two kinds of failure in six places, one at a renewal, and a name that is none.
    failedChecks: 2 * 6 + 2,
  },
  {
    name: "with a secret for JWTs",
    flags: ["--secret", secret],
    token: (user) => makeToken({ sub: user, rooms: ["**"], [canary]: canary }, { secret }),
    failedChecks: 0,
  },
];

describe("the log at level debug", () => {
  it.each(variants)("$name has nothing in it that came in", async ({ flags, token, failedChecks }) => {
    const file = join(emptyDirectory(), "fanfare.config.mjs");
    writeFileSync(file, config);
    const common = ["--backend", "memory", "--log-level", "debug", "--port", "0", "--drain-ms", "0", "--config", file];
    const keys = ["--api-key", `ops=${apiKey}`, "--origin", testOrigin];
    const running = start(["serve", ...common, ...keys, ...flags]);
    const { host } = new URL(await running.url);
    const server = { host } as TestServer;
    const attempt = async (options: ConnectOptions): Promise<void> => {
      const peer = await connect(server, options).catch(() => undefined);
      await peer?.closed();
    };
    for (const bad of [canary, `throw${canary}`, `later${canary}`]) {
      await attempt({ query: { token: bad } });
      await attempt({ query: { ticket: bad } });
      await attempt({ headers: { authorization: `Bearer ${bad}` } });
      await attempt({ protocols: ["fanfare.v1", `fanfare.token.${bad}`] });
      await attempt({ headers: { cookie: `session=${bad}`, origin: testOrigin } });
      const first = await connect(server, { query: { auth: "first" } });
      first.send({ type: "auth", token: bad });
      await first.closed();
      await fetch(`http://${host}/sse?room=a&token=${bad}`).then((answer) => answer.text());
      await fetch(`http://${host}/v1/rooms`, { headers: { authorization: `Bearer ${bad}` } });
    }
    await attempt({ path: `/ws/${canary}%1b[2J%0d%0a`, query: { token: canary, [`${canary}\u001b`]: escape } });

    const ann = await connect(server, { headers: { authorization: `Bearer ${token("ann")}` } });
    const welcome = await ann.expect({ type: "welcome" });
    const says = async (frame: Record<string, unknown>, answer: string): Promise<void> => {
      ann.send(frame as never);
      await ann.until({ type: answer });
    };
    await says({ type: "auth", id: "0", token: `throw${canary}` }, "error");
    await says({ type: "join", id: "1", room: "a", data: { [canary]: `${canary}${escape}` } }, "joined");
    await says({ type: "publish", id: "2", room: "a", event: canary, key: canary, data: canary + escape }, "ack");
    const failing = ["fail", "later", "text", "object"];
    for (const event of failing) {
      await says({ type: "publish", id: event, key: canary + event, room: "a", event, data: canary + escape }, "error");
      const answer = await fetch(`http://${host}/v1/rooms/${canary}/messages`, {
        method: "POST",
        headers: { authorization: `Bearer ${token("ann")}`, "content-type": "application/json" },
        body: JSON.stringify({ event, data: canary + escape }),
      });
      expect([answer.status, await answer.text()]).toEqual([500, expect.not.stringContaining(canary)]);
    }
    await says({ type: "presence", id: "3", room: "a", data: `${canary}${escape}` }, "ack");
    await says({ type: "join", id: "4", room: `b${escape}${canary}` }, "error");
    await says({ type: "join", id: "5", room: `throw${canary}`, data: canary + escape }, "error");
    await says({ type: canary + escape }, "error");
    ann.text(`{"type":"publish","data":"${canary}${escape}`);
    await ann.until({ type: "error", code: "bad_frame" });
    await says({ type: "leave", id: "6", room: "a" }, "left");
    ann.socket.close(4567, canary);

    const evil = await connect(server, { query: { token: token("evil%1b[2J%0d%0a") } });
    await evil.expect({ type: "welcome" });
    await evil.close();
    await attempt({ query: { token: token(`evil${escape}${canary}`) } });
    const body = `{"event":"${canary}${escape}`;
    const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
    for (const path of ["/v1/rooms/a/messages", `/v1/${canary}%1b[2J%0d%0a?token=${canary}`, "/v1/publish"]) {
      await fetch(`http://${host}${path}`, { method: "POST", headers, body });
    }
    await fetch(`http://${host}/metrics?token=${canary}%1b`).then((answer) => answer.text());
    running.signal("SIGTERM");
    const { code, stdout, stderr } = await running.ended;
    expect(code).toBe(0);

    const output = stdout + stderr;
    expect(output.split("\n").filter((line) => line.includes(canary))).toEqual([]);
    expect(output.match(/[^\n\P{Cc}]|[\u2028\u2029]/gu)).toBeNull();
    const lines = output.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as LogLine] : []));
    expect(lines.filter(({ msg }) => msg === "credentials cannot be checked")).toHaveLength(failedChecks);
    expect(lines.filter(({ msg }) => msg === "a handler failed").length).toBeGreaterThan(1);
    expect(lines.filter(({ msg, connection }) => /connection|handler|credentials/.test(msg) && !connection)).toEqual(
      [],
    );
    const calls = lines.filter(({ msg }) => msg === "an HTTP call failed");
    expect([calls.length, new Set(calls.map(({ request }) => request)).size]).toEqual([failing.length, failing.length]);
    const ended = lines.find(({ msg, user }) => msg === "connection ended" && user === "ann");
    expect(ended).toMatchObject({ code: 4567, connection: welcome["connection"], durationMs: expect.any(Number) });
  });
});

interface LogLine {
  readonly msg: string;
  readonly connection?: string;
  readonly request?: string;
  readonly user?: string;
}
