// A browser for the tests: the system's Chromium, or Debian's package where we may install it.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { run } from "./steps.mjs";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Resolves to the browser's path, or to undefined after telling what to install. */
export async function findChromium() {
  return search() ?? (await install());
}

function search() {
  if (process.env.CHROMIUM && existsSync(process.env.CHROMIUM)) return process.env.CHROMIUM;
  const directories = (process.env.PATH ?? "").split(delimiter);
  return directories
    .flatMap((directory) => names.map((name) => join(directory, name)))
    .find((path) => existsSync(path));
}

async function install() {
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || spawnSync("apt-get", ["--version"]).status !== 0) {
    console.error(
      "The tests need a browser. Install Chromium (Debian: apt-get install chromium), or set CHROMIUM to one.",
    );
    return undefined;
  }
  console.log("Installing Chromium (apt-get) …");
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["update", "-qq"], env);
  await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "chromium"], env);
  const found = search();
  if (found === undefined) console.error("Chromium could not be installed; see apt-get's words above.");
  return found;
}
