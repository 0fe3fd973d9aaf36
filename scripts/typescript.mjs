// node --import ./scripts/typescript.mjs FILE.ts: runs TypeScript on a Node that cannot by itself, as tests' helpers are.
import { readFile } from "node:fs/promises";
import { register } from "node:module";
import { isMainThread } from "node:worker_threads";

// Node 20 loads the hooks below in a thread of their own, from this same file.
if (isMainThread) register(import.meta.url);

export async function load(url, context, next) {
  if (!url.endsWith(".ts")) return next(url, context);
  const { transform } = await import("esbuild");
  const text = await readFile(new URL(url), "utf8");
  const { code } = await transform(text, { loader: "ts", sourcemap: "inline", sourcefile: url });
  return { format: "module", source: code, shortCircuit: true };
}
