import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { createHub, Refused } from "fanfare";
import { fetchApi } from "fanfare/http";
import { describe, expect, it, onTestFinished } from "vitest";
import { fetchHandler, serveApp } from "../../examples/docs/http.ts";
import { serveFlags } from "../../src/cli/settings.ts";
import { start } from "../cli/process.ts";
import { errorCodes } from "../../src/protocol/codes.ts";
import { toHttpError } from "../../src/http/errors.ts";
import { blocksOf, readPage, tableUnder } from "./markdown.ts";

const page = readPage("docs/http.md");
const blocks = blocksOf(page);
/** Shell that goes together: what is set once counts for all that follows. */
const script = blocks.filter(({ info }) => info === "sh curl").flatMap(({ text }) => text.trimEnd().split("\n"));
const curls = script.filter((line) => line.startsWith("curl "));
const key = "a-long-random-key";

function hasCurl(): boolean {
  try {
    execFileSync("curl", ["--version"]);
    return true;
  } catch {
    return false;
  }
}

describe("the page on HTTP", () => {
  it("starts a server by flags that there are", () => {
    const command = blocks.find(({ info, text }) => info === "sh run" && text.includes("serve"))?.text ?? "";
    const flags = [...command.matchAll(/--([a-z-]+)/g)].map(([, flag]) => flag);
    expect(flags).toEqual(["secret", "backend", "api-key"]);
    for (const flag of flags) expect(Object.keys(serveFlags)).toContain(flag);
    expect(command).toContain(key);
  });

  it.skipIf(!hasCurl())("shows commands that go well, one after the other", async () => {
    const secret = "a secret of 32 random bytes or more";
    const url = await start([
      "serve",
      "--port",
      "0",
      "--secret",
      secret,
      "--backend",
      "memory",
      "--api-key",
      `orders=${key}`,
    ]).url;
    expect(curls.length).toBeGreaterThan(10);
    const settings = script
      .filter((line) => /^[A-Z]+=/.test(line))
      .map((line) => line.replace("http://127.0.0.1:8080", url));
    const answers: string[] = [];
    for (const curl of curls) {
      const run = promisify(execFile)("bash", ["-c", [...settings, curl].join("\n")]);
      answers.push((await run).stdout);
    }
    expect(JSON.parse(answers[0] ?? "")).toEqual({ offset: 1, cursor: expect.any(String) });
    expect(JSON.parse(answers[2] ?? "")).toMatchObject({ offset: 2, duplicate: true });
    expect(answers.at(-1)).toBe("");
  });

  it("names every call that there is", async () => {
    const document = await fetchApi(createHub())(new Request("http://app/v1/openapi.json"));
    const { paths } = (await document.json()) as { paths: Record<string, object> };
    const calls = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const listed = tableUnder(page, "Who may").flatMap(([names = ""]) => names.split(", "));
    const told = listed.map((name) => (name.startsWith("/") ? `GET ${name}` : name));
    expect(told.sort()).toEqual(calls.sort());
  });

  it("tells the status of every code that a call can be refused with", () => {
    const rows = tableUnder(page, "Errors");
    for (const code of errorCodes) {
      const { status } = toHttpError(new Refused(code, ""));
      const row = rows.find(([, codes = ""]) => new RegExp(`\\b${code}\\b`).test(codes));
      // What only a handler could throw, or a connection get, is in PROTOCOL.md alone.
      if (row === undefined) expect(["unknown_type", "not_joined", "too_many_rooms"]).toContain(code);
      else expect([code, row[0]]).toEqual([code, String(status)]);
    }
  });

  it("shows how it is mounted on node:http, beside the app's own answers", async () => {
    const hub = createHub();
    const server = serveApp(hub, key).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(async () => {
      await hub.close({ drainMs: 0 });
      server.close();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const headers = { authorization: `Bearer ${key}`, connection: "close" };
    expect(await (await fetch(`${url}/v1/rooms`, { headers })).json()).toEqual({ rooms: [], more: false });
    expect(await (await fetch(`${url}/orders`, { headers })).text()).toBe("the app");
  });

  it("shows how it is mounted where fetch is spoken", async () => {
    const hub = createHub();
    onTestFinished(() => hub.close({ drainMs: 0 }));
    const api = fetchHandler(hub, key);
    const response = await api(new Request("http://app/v1/rooms", { headers: { authorization: `Bearer ${key}` } }));
    expect(await response.json()).toEqual({ rooms: [], more: false });
  });
});
