// Programs that the tests run and npm does not bring: the system's own, or Debian's packages where we may install them.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
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
  await run("apt-get", ["update", "-qq"], env);
  await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages], env);
  for (const program of missing) {
    if (search(program) === undefined)
      console.error(`${program.title} could not be installed; see apt-get's words above.`);
  }
}
