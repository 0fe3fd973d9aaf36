import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { staticFiles } from "../../src/http/files.ts";
import { listener, httpApi } from "../../src/http/node.ts";
import { fakeHub, sendRaw, serve } from "./support/fake.ts";

async function directory(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "fanfare-files-"));
  onTestFinished(() => rm(made, { recursive: true }));
  return made;
}

async function start(): Promise<string> {
  const root = await directory();
  await mkdir(join(root, "page", "assets"), { recursive: true });
  await writeFile(join(root, "page", "index.html"), "<!doctype html><title>chat</title>");
  await writeFile(join(root, "page", "assets", "main-1a2b.js"), "console.log(1)");
  await writeFile(join(root, "secret.txt"), "outside");
  const files = await staticFiles(join(root, "page"));
  return serve(listener(httpApi(fakeHub(), { extra: [files!] })));
}

describe("the page's files", () => {
  test("index.html is at /, and may load only its own", async () => {
    const url = await start();
    const response = await fetch(`${url}/?room=lobby`);
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(await response.text()).toContain("<title>chat</title>");
    const policy = response.headers.get("content-security-policy");
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain(`connect-src 'self' ws://${new URL(url).host} `);
    expect(policy).not.toContain("unsafe");
  });

  test("an asset has its type, and is not sent twice", async () => {
    const url = `${await start()}/assets/main-1a2b.js`;
    const first = await fetch(url);
    expect(first.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    expect(first.headers.get("cache-control")).toBe("no-cache");
    const again = await fetch(url, { headers: { "if-none-match": first.headers.get("etag")! } });
    expect(again.status).toBe(304);
  });

  test.each(["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "/..\\secret.txt", "/%00"])(
    "%s leads nowhere",
    async (path) => {
      const answer = await sendRaw(await start(), `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 40[04] /);
      expect(answer).not.toContain("outside");
    },
  );

  test("a strange Host does not get into the policy", async () => {
    const answer = await sendRaw(await start(), "GET / HTTP/1.1\r\nHost: a;script-src *\r\nConnection: close\r\n\r\n");
    expect(answer).toContain("connect-src 'self';");
    expect(answer).not.toContain("script-src *");
  });

  test("POST is refused", async () => {
    expect((await fetch(`${await start()}/`, { method: "POST" })).status).toBe(405);
  });

  test("a directory without index.html is no page", async () => {
    expect(await staticFiles(await directory())).toBeUndefined();
    expect(await staticFiles("/no/such/directory")).toBeUndefined();
  });
});
