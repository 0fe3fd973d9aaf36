// npm run build: the package by tsc, the chat page by esbuild. Built beside dist and then swapped in, so that a build that
// fails leaves the last good one, and nothing that was deleted from the sources stays behind.
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { builtStamp, root, runTool } from "./steps.mjs";

const next = join(root, ".tmp", "dist-next");
const last = join(root, ".tmp", "dist-last");
const dist = join(root, "dist");
const chat = join(root, "examples", "chat");

/** What stands beside the page's sources and is served as it is. */
const assets = new Set([".css", ".html", ".ico", ".png", ".svg", ".webmanifest", ".woff2"]);

rmSync(next, { recursive: true, force: true });
mkdirSync(next, { recursive: true });
const started = new Date();

if ((await runTool("typescript/bin/tsc", ["-p", "tsconfig.build.json", "--outDir", next])) !== 0) process.exit(1);
await buildChat();

rmSync(last, { recursive: true, force: true });
if (existsSync(dist)) renameSync(dist, last);
renameSync(next, dist);
rmSync(last, { recursive: true, force: true });
stamp();

async function buildChat() {
  const { build } = await import("esbuild");
  await build({
    entryPoints: [join(chat, "main.tsx")],
    outfile: join(next, "chat", "main.js"),
    alias: { "fanfare/client": join(root, "src", "client", "index.ts") },
    bundle: true,
    minify: true,
    sourcemap: true,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "warning",
  });
  for (const name of readdirSync(chat)) {
    if (assets.has(extname(name))) cpSync(join(chat, name), join(next, "chat", name));
  }
}

/** Dated when the build began: what was edited meanwhile is newer, and gets built the next time. */
function stamp() {
  writeFileSync(builtStamp, `${started.toISOString()}\n`);
  utimesSync(builtStamp, started, started);
}
