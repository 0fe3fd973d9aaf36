import { execFile } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { start } from "../cli/process.ts";
import { root } from "./markdown.ts";

const secret = "a secret of 32 random bytes or more";
const apiKey = "a-long-random-key";

/** Runs Python (3, nothing installed) after an import of the page's code; the JSON that it prints. */
async function python(code: string): Promise<unknown> {
  const script = ["import json, sys", "sys.dont_write_bytecode = True", "from back_end import *", code].join("\n");
  const options = { cwd: join(root, "examples/docs"), env: { PATH: process.env["PATH"], PYTHONPATH: "." } };
  const { stdout } = await promisify(execFile)(process.env["PYTHON"] ?? "python3", ["-c", script], options);
  return JSON.parse(stdout) as unknown;
}

describe("the page on migrating", () => {
  it("shows a back end in Python that signs tokens, publishes, and asks who is there", async () => {
    const flags = ["--port", "0", "--secret", secret, "--backend", "memory", "--api-key", `shop=${apiKey}`];
    const url = await start(["serve", ...flags]).url;
    const token = (await python(
      `print(json.dumps(token_for("ann", ["chat/*", "@ann"], ${JSON.stringify(secret)})))`,
    )) as string;
    const socket = new WebSocket(`${url.replace("http", "ws")}/ws?token=${token}`, "fanfare.v1");
    onTestFinished(() => socket.terminate());
    const frames: { type: string; [field: string]: unknown }[] = [];
    socket.on("message", (data) => frames.push(JSON.parse(String(data)) as (typeof frames)[number]));
    await once(socket, "open");
    for (const room of ["chat/tea", "@ann", "staff"]) socket.send(JSON.stringify({ type: "join", id: room, room }));
    await expect.poll(() => frames.filter(({ re }) => re !== undefined).length).toBe(3);
    expect(frames).toContainEqual(expect.objectContaining({ type: "error", re: "staff", code: "forbidden" }));

    const answers = await python(`
rooms = Rooms(${JSON.stringify(url)}, ${JSON.stringify(apiKey)})
first = rooms.publish("chat/tea", "said", {"text": "hi"}, key="job-1", user="bob")
again = rooms.publish("chat/tea", "said", {"text": "hi"}, key="job-1", user="bob")
told = rooms.tell("ann", "notice", "sent")
print(json.dumps([first, again, told, rooms.members("chat/tea")]))`);
    const cursor: unknown = expect.any(String);
    expect(answers).toEqual([
      { offset: 1, cursor },
      { offset: 1, cursor, duplicate: true },
      { offset: 1, cursor },
      ["ann"],
    ]);
    await expect.poll(() => frames.filter(({ type }) => type === "message").length).toBe(2);
    const said = { type: "message", room: "chat/tea", event: "said", data: { text: "hi" }, from: "bob" };
    expect(frames).toContainEqual(expect.objectContaining(said));
    expect(frames).toContainEqual(expect.objectContaining({ room: "@ann", event: "notice", data: "sent" }));
  });
});
