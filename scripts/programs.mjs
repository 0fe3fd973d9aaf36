// Programs that the tests run and npm does not bring: the system's own, or Debian's packages where we may install them.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { run } from "./steps.mjs";

/** What tests need. `variable` names a program for them, and overrides the search. */
const programs = [
  {
    title: "Chromium",
    debianPackage: "chromium",
    variable: "CHROMIUM",
    names: ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
  },
  { title: "nginx", debianPackage: "nginx", variable: "NGINX", names: ["nginx"] },
  { title: "HAProxy", debianPackage: "haproxy", variable: "HAPROXY", names: ["haproxy"] },
  { title: "Redis", debianPackage: "redis-server", variable: "REDIS", names: ["redis-server", "valkey-server"] },
  {
    title: "Redis Sentinel",
    debianPackage: "redis-sentinel",
    variable: "REDIS_SENTINEL",
    names: ["redis-sentinel", "valkey-sentinel"],
  },
  { title: "NATS", debianPackage: "nats-server", variable: "NATS_SERVER", names: ["nats-server"] },
  { title: "OpenSSL", debianPackage: "openssl", variable: "OPENSSL", names: ["openssl"] },
  { title: "Python", debianPackage: "python3", variable: "PYTHON", names: ["python3"] },
  { title: "faketime", debianPackage: "faketime", variable: "FAKETIME", names: ["faketime"] },
];

/** A mirror that fails is asked again, and another apt that is at work is waited for, as after a machine's start. */
const aptOptions = ["-qq", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"];
/** No option of apt-get waits for another one that fetches the lists of packages. */
const mostUpdates = 5;
const betweenUpdatesMs = 10_000;

/** Where Debian puts servers, which is not on every user's PATH. */
const furtherDirectories = ["/usr/sbin", "/usr/local/sbin"];

/**
 * Resolves to the programs, each with its `path`: undefined for what is missing and could not be installed, after telling
 * what to install.
 */
export async function findPrograms() {
  const missing = programs.filter((program) => search(program) === undefined);
  if (missing.length > 0) await install(missing);
  return programs.map((program) => ({ ...program, path: search(program) }));
}

function search({ variable, names }) {
  const named = process.env[variable];
  if (named && existsSync(named)) return named;
  const directories = [...(process.env.PATH ?? "").split(delimiter), ...furtherDirectories];
  return directories
    .flatMap((directory) => names.map((name) => join(directory, name)))
    .find((path) => existsSync(path));
}

async function install(missing) {
  const packages = missing.map(({ debianPackage }) => debianPackage);
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || spawnSync("apt-get", ["--version"]).status !== 0) {
    const variables = missing.map(({ variable }) => variable).join(", ");
    const titles = missing.map(({ title }) => title).join(", ");
    console.error(
      `The tests need ${titles}. Install them (Debian: apt-get install ${packages.join(" ")}), or set ${variables}.`,
    );
    return;
  }
  console.log(`Installing ${packages.join(", ")} (apt-get) …`);
  // RUNLEVEL: the packages of servers start them, where nobody says that this is no time for it.
  const env = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const apt = (...words) => run("apt-get", [...aptOptions, ...words], env);
  const add = ["install", "-y", "--no-install-recommends"];
  for (let tries = 1; (await apt("update")) !== 0 && tries < mostUpdates; tries++) await wait(betweenUpdatesMs);
  // One that this release does not have must not keep the others away.
  if ((await apt(...add, ...packages)) !== 0) for (const name of packages) await apt(...add, name);
  for (const program of missing) {
    if (search(program) === undefined)
      console.error(`${program.title} could not be installed; see apt-get's words above.`);
  }
}
