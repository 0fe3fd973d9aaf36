import type { ChildProcess } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import { configuration, findProgram, kindOf, shippedTimes } from "../deploy/support/configurations.ts";
import { killProgram, temporaryDirectory } from "../support/engines/processes.ts";
import { http } from "../support/http.ts";
import type { Address } from "../support/no-loss/connection.ts";
import { freePort } from "../support/ports.ts";
import type { TestServer } from "../support/server.ts";

const upstreamHeader = "X-Upstream";
const startWithinMs = 10_000;

export interface Nginx {
  readonly address: Address;
  stop(): Promise<void>;
}

/**
 * The shipped nginx before several nodes in place of one. A node that does not answer, or says that it goes away, is passed
 * over: the next one takes the request. None is ever left out for a while (`max_fails=0`): with all of them left out, there
 * would be nobody to ask.
 */
export async function startNginx(servers: readonly TestServer[]): Promise<Nginx> {
  const [first] = servers;
  if (first === undefined) throw new Error("nginx needs a server");
  const folder = temporaryDirectory("nginx");
  // Its workers are another user than the one who starts them.
  chmodSync(folder.path, 0o755);
  const kind = kindOf("nginx");
  const place = { directory: folder.path, port: await freePort(), server: first };
  const upstream = servers.map(({ host }) => `server ${host} max_fails=0;`).join("\n        ");
  const text = configuration(kind, place, shippedTimes)
    .replace(`server ${first.host} max_fails=0;`, upstream)
    .replace(
      "proxy_http_version 1.1;",
      `proxy_http_version 1.1;\n            add_header ${upstreamHeader} $upstream_addr always;`,
    )
    .replaceAll("proxy_next_upstream off;", "proxy_next_upstream error timeout http_503;");
  writeFileSync(join(folder.path, "proxy.conf"), text);
  const child = spawn(findProgram(kind), kind.args(place), { stdio: "ignore" });
  const address = { host: `127.0.0.1:${place.port}`, port: place.port };
  await ready(address, child);
  return {
    address,
    stop: async () => {
      await quit(child);
      folder.remove();
    },
  };
}

/** The server that answered, by the head of its answer: of several that were asked the last. */
export function upstreamOf(head: string): string | undefined {
  return new RegExp(`^${upstreamHeader}: (?:.*, )?(\\S+)\r?$`, "im").exec(head)?.[1];
}

/** Its workers end with it only where it is told to end. */
async function quit(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await Promise.race([ended, wait(3_000)]);
  await killProgram(child);
}

async function ready({ host }: Address, child: ChildProcess): Promise<void> {
  const giveUpAt = performance.now() + startWithinMs;
  while ((await http(`http://${host}/readyz`).catch(() => undefined))?.status !== 200) {
    if (child.exitCode !== null || performance.now() > giveUpAt) throw new Error("nginx does not come up");
    await wait(20);
  }
}
