import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestServer } from "../../support/server.ts";

const root = join(import.meta.dirname, "../../..");
const isRoot = process.getuid?.() === 0;

export interface ProxyTimes {
  /** In place of the shipped 60 s without a byte. */
  readonly idleMs: number;
  /** In place of the shipped 60 s that connections have after a reload. */
  readonly reloadMs: number;
}

export const shippedTimes: ProxyTimes = { idleMs: 60_000, reloadMs: 60_000 };

export interface Place {
  readonly directory: string;
  readonly port: number;
  readonly server: TestServer;
}

export interface ProxyKind {
  readonly program: string;
  /** Names the program where it is not found by itself. */
  readonly variable: string;
  readonly file: string;
  args(place: Place): readonly string[];
  readonly reload: NodeJS.Signals;
  /** Where requests are logged. */
  readonly accessLog: "access.log" | "output.log";
  /** What a place of its own needs in place of what is shipped. */
  changes(place: Place, times: ProxyTimes): readonly Change[];
}

type Change = readonly [shipped: string, here: string];

const nginx: ProxyKind = {
  program: "nginx",
  variable: "NGINX",
  file: "nginx.conf",
  reload: "SIGHUP",
  accessLog: "access.log",
  args: ({ directory }) => [
    ...["-p", directory, "-c", join(directory, "proxy.conf")],
    ...["-e", join(directory, "error.log"), "-g", "daemon off;"],
  ],
  changes: ({ directory, port, server }, { idleMs, reloadMs }) => [
    ...(isRoot ? [] : [["user www-data;", ""] satisfies Change]),
    ["pid /run/nginx.pid;", `pid ${directory}/nginx.pid;`],
    ["/var/log/nginx/fanfare-error.log", `${directory}/error.log`],
    ["/var/log/nginx/fanfare-access.log", `${directory}/access.log`],
    ["http {\n", `http {\n${temporary(directory)}`],
    ["listen 80;", `listen 127.0.0.1:${port};`],
    ["server 127.0.0.1:8080 ", `server ${server.host} `],
    ["worker_shutdown_timeout 60s;", `worker_shutdown_timeout ${reloadMs}ms;`],
    ["proxy_read_timeout 60s;", `proxy_read_timeout ${idleMs}ms;`],
    ["proxy_send_timeout 60s;", `proxy_send_timeout ${idleMs}ms;`],
  ],
};

const haproxy: ProxyKind = {
  program: "haproxy",
  variable: "HAPROXY",
  file: "haproxy.cfg",
  reload: "SIGUSR2",
  accessLog: "output.log",
  args: ({ directory }) => ["-W", "-f", join(directory, "proxy.conf")],
  changes: ({ directory, port, server }, { idleMs, reloadMs }) => [
    ...(isRoot ? [] : [["    user haproxy\n    group haproxy\n    chroot /var/lib/haproxy\n", ""] satisfies Change]),
    // What it may open is the machine's to say.
    ["maxconn 40000", "maxconn 500"],
    ["/run/haproxy/fanfare.sock", `${directory}/haproxy.sock`],
    ["hard-stop-after 60s", `hard-stop-after ${reloadMs}ms`],
    ["timeout client 60s", `timeout client ${idleMs}ms`],
    ["timeout server 60s", `timeout server ${idleMs}ms`],
    ["timeout tunnel 60s", `timeout tunnel ${idleMs}ms`],
    ["bind :80\n", `bind 127.0.0.1:${port}\n`],
    ["fanfare1 127.0.0.1:8080 ", `fanfare1 ${server.host} `],
  ],
};

const kinds: Readonly<Record<"nginx" | "HAProxy", ProxyKind>> = { nginx, HAProxy: haproxy };

export type ProxyName = keyof typeof kinds;
export const proxyNames = Object.keys(kinds) as readonly ProxyName[];

export function kindOf(name: ProxyName): ProxyKind {
  return kinds[name];
}

/** The shipped configuration, moved to a place of its own. Throws where it has not what is to be moved. */
export function configuration(kind: ProxyKind, place: Place, times: ProxyTimes): string {
  let text = shipped(kind.file);
  for (const [there, here] of kind.changes(place, times)) {
    if (!text.includes(there)) throw new Error(`deploy/${kind.file} does not hold ${JSON.stringify(there)}`);
    text = text.replaceAll(there, here);
  }
  return text;
}

/** The text of a file in deploy/. */
export function shipped(file: string): string {
  return readFileSync(join(root, "deploy", file), "utf8");
}

/** Where the program is. Throws where it is missing: these tests are not left out. */
export function findProgram({ program, variable }: ProxyKind): string {
  const named = process.env[variable];
  if (named !== undefined && existsSync(named)) return named;
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  const found = directories.map((directory) => join(directory, program)).find(existsSync);
  if (found === undefined) throw new Error(`${program} is missing: install it, or let ${variable} name it`);
  return found;
}

/** Directories that Debian's nginx would otherwise share with the machine's own. */
function temporary(directory: string): string {
  const ways = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return ways.map((way) => `    ${way}_temp_path ${directory}/${way};\n`).join("");
}
