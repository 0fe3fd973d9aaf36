import { readFileSync } from "node:fs";
import { join } from "node:path";
import { transform } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type AnyHub, createHub } from "../../src/server/index.ts";
import { httpServer } from "../server/support/hub.ts";
import { chromiumArgs } from "./chromium.ts";
import { executablePath } from "./stage.ts";

const example = join(import.meta.dirname, "../../examples/docs/sse.ts");
const html = `<!doctype html><meta charset="utf-8"><title>SSE</title><script type="module">
  import { listen } from "/sse.js";
  window.seen = [];
  window.loads = 0;
  window.source = listen("chat/lobby", (message) => window.seen.push(message.data), () => window.loads++);
</script>`;

/** The page of the docs, on a server that can be made to drop all of its connections. */
async function open(browser: Browser): Promise<{ hub: AnyHub; page: Page; cut: () => void }> {
  const { code } = await transform(readFileSync(example, "utf8"), { loader: "ts" });
  const { server, port } = await httpServer((request, response) => {
    const isScript = request.url === "/sse.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? code : html);
  });
  const hub = createHub({ anonymous: true });
  hub.attach(server);
  onTestFinished(() => hub.close({ drainMs: 0 }));
  const page = await browser.newPage();
  onTestFinished(() => page.close());
  await page.goto(`http://127.0.0.1:${port}/`);
  await expect.poll(() => hub.counts().connections).toBe(1);
  return { hub, page, cut: () => server.closeAllConnections() };
}

// chat.test.ts tells where Chromium is missing.
describe.skipIf(executablePath === undefined)("the page of the docs in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath ?? "", args: [...chromiumArgs] });
  });
  afterAll(() => browser.close());

  test("comes back by itself when its connection breaks, and misses nothing", async () => {
    const { hub, page, cut } = await open(browser);
    let published = 0;
    const publishing = setInterval(() => void hub.room("chat/lobby").publish("n", ++published), 10);
    onTestFinished(() => clearInterval(publishing));
    for (let cuts = 0; cuts < 2; cuts++) {
      await expect.poll(() => page.evaluate("window.source.readyState")).toBe(1);
      cut();
      await expect.poll(() => hub.counts().connections).toBe(0);
      await expect.poll(() => hub.counts().connections, { timeout: 8_000 }).toBe(1);
    }
    clearInterval(publishing);
    await expect.poll(() => page.evaluate("window.seen.at(-1)")).toBe(published);
    expect(published).toBeGreaterThan(100);
    expect(await page.evaluate("window.seen")).toEqual(Array.from({ length: published }, (_, i) => i + 1));
    expect(await page.evaluate("window.loads")).toBe(0);
  });

  test("stops where the server says to stop", async () => {
    const { hub, page } = await open(browser);
    const [id = ""] = hub.room("chat/lobby").here.connections;
    hub.connection(id)?.disconnect();
    await expect.poll(() => page.evaluate("window.source.readyState")).toBe(2);
  });
});
