import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Quiet, and alone: nothing that a fresh Chromium would fetch for itself. */
export const chromiumArgs: readonly string[] = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** The browser that `CHROMIUM` names, or the first one on the `PATH`. */
export function findChromium(): string | undefined {
  const named = process.env["CHROMIUM"];
  if (named !== undefined && existsSync(named)) return named;
  const directories = (process.env["PATH"] ?? "").split(delimiter);
  return directories.flatMap((directory) => names.map((name) => join(directory, name))).find(existsSync);
}
