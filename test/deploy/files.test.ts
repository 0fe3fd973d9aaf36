import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { variableOf } from "../../src/cli/flags.ts";
import { readServeSettings, serveFlags } from "../../src/cli/settings.ts";
import { readPage, tableUnder } from "../docs/markdown.ts";
import { defaultLimits } from "../../src/server/options.ts";
import { proxyNames, kindOf, shipped } from "./support/configurations.ts";

// What cannot be run where the tests run (systemd, Docker, Kubernetes) is read here, and held against the command.

const root = join(import.meta.dirname, "../..");
const folder = join(root, "deploy");
/** What `fanfare serve` may take beyond `--drain-ms` to end (docs/operations.md). */
const afterDrainMs = 5_000;
/** P-50: a peer that is silent for this long after a ping is closed. */
const pongWithinMs = 10_000;

type Node = Readonly<Record<string, unknown>>;

/** The documents of a YAML file. Throws on what is no YAML, and on a key that is given twice. */
function documents(file: string): Node[] {
  return parseAllDocuments(shipped(file)).map((document) => {
    const fault = document.errors[0] ?? document.warnings[0];
    if (fault !== undefined) throw fault;
    return document.toJS() as Node;
  });
}

/** What stands at a path such as `spec.template.0`; throws where there is nothing. */
function at(node: unknown, path: string): unknown {
  let found: unknown = node;
  for (const key of path.split(".")) {
    found = (found as Node | undefined)?.[key];
    if (found === undefined) throw new Error(`there is no ${path}`);
  }
  return found;
}

const text = (node: unknown, path: string): string => String(at(node, path));
const number = (node: unknown, path: string): number => Number(at(node, path));

/** Every `FANFARE_…` must be a variable of the command, with a value that it takes. */
function expectSettings(env: Readonly<Record<string, string>>): ReturnType<typeof readServeSettings> {
  const known = Object.keys(serveFlags).map(variableOf);
  expect(Object.keys(env).filter((name) => name.startsWith("FANFARE_") && !known.includes(name))).toEqual([]);
  return readServeSettings([], env);
}

describe("deploy/", () => {
  it("holds the files that its page tells of, and no others", () => {
    const listed = tableUnder(readPage("docs/deploying.md"), "The files").map(([file = ""]) =>
      file.replace(/^\[([^\]]+)\].*$/, "$1"),
    );
    expect(listed.sort()).toEqual(readdirSync(folder).sort());
  });
});

describe.each(proxyNames)("the configuration of %s", (name) => {
  const { file } = kindOf(name);

  it("waits longer for an idle connection than a ping and its answer take", () => {
    const timeouts = shipped(file).matchAll(
      /^ *(?:proxy_(?:read|send)_timeout|timeout (?:client|server|tunnel)) (\d+)s;?$/gm,
    );
    const seconds = [...timeouts].map(([, value]) => Number(value)).filter((value) => value !== 5);
    expect(seconds.length).toBeGreaterThanOrEqual(2);
    expect(Math.min(...seconds) * 1_000).toBeGreaterThan(defaultLimits.pingMs + pongWithinMs);
  });

  it("goes to the port that the command listens on, and asks for readiness", () => {
    expect(shipped(file)).toContain(`127.0.0.1:${readServeSettings([], {}).port} `);
    expect(shipped(file)).toContain("/readyz");
  });
});

describe("fanfare.service", () => {
  const unit = shipped("fanfare.service");
  const lines = unit.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const values = (name: string): string[] =>
    lines.filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1));
  const env = Object.fromEntries(
    values("Environment").flatMap((line) =>
      line.split(" ").map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)] as const),
    ),
  );

  it("is made of sections and settings", () => {
    expect(lines.filter((line) => line.startsWith("["))).toEqual(["[Unit]", "[Service]", "[Install]"]);
    expect(lines.filter((line) => !/^(?:\[\w+\]|[A-Z]\w+=.*)$/.test(line))).toEqual([]);
  });

  it("sets the command up by variables that it knows, with its log in the unit's own directory", () => {
    const { backend, host, trustedProxies } = expectSettings(env);
    expect(host).toBe("127.0.0.1");
    expect(trustedProxies).toEqual(["127.0.0.1"]);
    expect(backend).toEqual({ kind: "lmdb", directory: "/var/lib/fanfare/log" });
    expect(values("StateDirectory")).toEqual(["fanfare"]);
  });

  it("sends SIGTERM, and kills only after the drain is over for sure", () => {
    expect(values("KillSignal")).toEqual(["SIGTERM"]);
    const stopMs = Number(/^(\d+)s$/.exec(values("TimeoutStopSec")[0] ?? "")?.[1]) * 1_000;
    expect(stopMs).toBeGreaterThan(expectSettings(env).drainMs + 2 * afterDrainMs);
  });

  it("opens more files than the hub takes connections", () => {
    expect(Number(values("LimitNOFILE")[0])).toBeGreaterThan(defaultLimits.connections + 1_000);
  });

  it("gives the process no more than it needs", () => {
    const wanted = { User: "fanfare", NoNewPrivileges: "yes", ProtectSystem: "strict", ProtectHome: "yes" };
    for (const [name, value] of Object.entries(wanted)) expect(values(name)).toEqual([value]);
    expect(values("CapabilityBoundingSet")).toEqual([""]);
  });

  it("runs what the package has", () => {
    expect(values("ExecStart")).toEqual(["/usr/bin/node /opt/fanfare/bin/fanfare.js serve"]);
    expect(existsSync(join(root, "bin/fanfare.js"))).toBe(true);
  });
});

describe("Dockerfile", () => {
  const steps = shipped("Dockerfile")
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line !== "");
  const of = (name: string): string[] =>
    steps.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));

  it("builds in one stage and runs in another, on the Node that the package asks for", () => {
    expect(of("FROM")).toEqual(["node:20-slim AS build", "node:20-slim"]);
    const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { engines: { node: string } };
    expect(engines.node).toMatch(/^>=20\./);
  });

  it("runs no scripts of dependencies", () => {
    const installs = of("RUN").filter((line) => /npm (?:ci|install|prune)/.test(line));
    expect(installs).toHaveLength(3);
    for (const line of installs) expect(line).toContain("--ignore-scripts");
  });

  it("copies what there is, and the folders that the command needs", () => {
    const own = of("COPY").filter((line) => !line.startsWith("--from"));
    for (const name of own.flatMap((line) => line.split(" ").slice(0, -1)))
      expect(existsSync(join(root, name))).toBe(true);
    const carried = of("COPY").flatMap((line) => /^--from=build \/build\/(\S+)/.exec(line)?.[1] ?? []);
    expect(carried).toEqual(["package.json", "bin", "dist", "node_modules"]);
  });

  it("leaves out of its context nothing that is built", () => {
    const out = shipped("Dockerfile.dockerignore").split("\n");
    expect(["src", "examples", "scripts", "bin", "package.json"].filter((name) => out.includes(name))).toEqual([]);
  });

  it("runs as nobody special, with the log on a volume, and gets its signals itself", () => {
    expect(of("USER")).toEqual(["node"]);
    expect(of("VOLUME")).toEqual(["/data"]);
    expect(of("CMD")).toEqual(['["node", "bin/fanfare.js", "serve"]']);
    expect(steps.indexOf("USER node")).toBeLessThan(steps.findIndex((line) => line.startsWith("CMD ")));
    const env = Object.fromEntries(
      of("ENV")[0]
        ?.split(" ")
        .map((pair) => pair.split("=") as [string, string]) ?? [],
    );
    const { port, host, backend } = expectSettings(env);
    expect([String(port), host]).toEqual([of("EXPOSE")[0], "0.0.0.0"]);
    expect(backend).toEqual({ kind: "lmdb", directory: "/data" });
  });
});

describe("compose.yaml", () => {
  const [compose] = documents("compose.yaml");
  const fanfare = at(compose, "services.fanfare");
  const nginx = at(compose, "services.nginx");
  const env = at(fanfare, "environment") as Record<string, string>;
  const settings = expectSettings({ ...env, FANFARE_SECRET: "x", FANFARE_API_KEY: "" });

  it("builds by the Dockerfile", () => {
    expect(existsSync(join(folder, text(fanfare, "build.context"), text(fanfare, "build.dockerfile")))).toBe(true);
  });

  it("starts without a secret never", () => {
    expect(env["FANFARE_SECRET"]).toMatch(/^\$\{FANFARE_SECRET:\?/);
  });

  it("kills only after the drain is over for sure", () => {
    const graceMs = Number(/^(\d+)s$/.exec(text(fanfare, "stop_grace_period"))?.[1]) * 1_000;
    expect(graceMs).toBeGreaterThan(settings.drainMs + 2 * afterDrainMs);
  });

  it("asks for readiness at the port that it listens on", () => {
    expect(text(fanfare, "healthcheck.test")).toContain(`:${settings.port}/readyz`);
    expect(text(nginx, "command")).toContain(`/fanfare:${settings.port}/`);
  });

  it("trusts the network that the proxy is in, and lets nobody in past it", () => {
    expect(settings.trustedProxies).toEqual([text(compose, "networks.inside.ipam.config.0.subnet")]);
    expect(fanfare).not.toHaveProperty("ports");
    expect([at(fanfare, "networks"), at(nginx, "networks")]).toEqual([["inside"], ["inside"]]);
  });

  it("changes in nginx.conf what is there", () => {
    const commands = text(nginx, "command").matchAll(/s([/#])(.*?)\1.*?\1'/g);
    const patterns = [...commands].map(([, , pattern = ""]) => new RegExp(pattern, "m"));
    expect(patterns).toHaveLength(4);
    for (const pattern of patterns) expect(shipped("nginx.conf")).toMatch(pattern);
  });
});

describe.each([
  ["kubernetes.yaml", "StatefulSet"],
  ["kubernetes-redis.yaml", "Deployment"],
])("%s", (file, workload) => {
  const all = documents(file);
  const one = (kind: string): Node => {
    const found = all.filter((document) => document["kind"] === kind);
    expect(found).toHaveLength(1);
    return found[0]!;
  };
  const pod = at(one(workload), "spec.template.spec");
  const container = at(pod, "containers.0");
  const env = Object.fromEntries(
    (at(container, "env") as { name: string; value?: string }[]).map(({ name, value }) => [
      name,
      value ?? (name === "FANFARE_BACKEND" ? "redis://redis:6379" : "a-secret"),
    ]),
  );
  const settings = expectSettings(env);

  it("has the four kinds, each once", () => {
    expect(all.map(({ kind, apiVersion }) => `${String(apiVersion)} ${String(kind)}`)).toEqual([
      `apps/v1 ${workload}`,
      "v1 Service",
      "policy/v1 PodDisruptionBudget",
      "networking.k8s.io/v1 Ingress",
    ]);
  });

  it("probes what the command answers, on the port that it listens on", () => {
    const port = { name: "http", containerPort: settings.port };
    expect(at(container, "ports")).toEqual([port]);
    expect(settings.host).toBe("0.0.0.0");
    const paths = { startupProbe: "/healthz", livenessProbe: "/healthz", readinessProbe: "/readyz" };
    for (const [probe, path] of Object.entries(paths)) {
      expect(at(container, `${probe}.httpGet`)).toEqual({ path, port: port.name });
    }
    expect(text(one("Service"), "spec.ports.0.targetPort")).toBe(port.name);
  });

  it("gives time for the sleep before the signal, the drain, and to spare", () => {
    const [program, seconds] = at(container, "lifecycle.preStop.exec.command") as string[];
    expect(program).toBe("sleep");
    const neededMs = Number(seconds) * 1_000 + settings.drainMs + 2 * afterDrainMs;
    expect(number(pod, "terminationGracePeriodSeconds") * 1_000).toBeGreaterThan(neededMs);
  });

  it("finds its pods by one label", () => {
    const labels = at(one(workload), "spec.template.metadata.labels");
    expect(at(one(workload), "spec.selector.matchLabels")).toEqual(labels);
    expect(at(one("Service"), "spec.selector")).toEqual(labels);
    expect(at(one("PodDisruptionBudget"), "spec.selector.matchLabels")).toEqual(labels);
  });

  it("leads in by the service, for longer than a connection is idle, without sticky sessions", () => {
    const ingress = one("Ingress");
    const service = {
      name: text(one("Service"), "metadata.name"),
      port: { name: text(one("Service"), "spec.ports.0.name") },
    };
    const paths = at(ingress, "spec.rules.0.http.paths") as { path: string; backend: Node }[];
    // Neither probes nor metrics.
    expect(paths.map(({ path }) => path)).toEqual(["/ws", "/sse", "/v1"]);
    for (const { backend } of paths) expect(backend).toEqual({ service });
    const annotations = at(ingress, "metadata.annotations") as Record<string, string>;
    const idleMs = Number(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) * 1_000;
    expect(idleMs).toBeGreaterThan(defaultLimits.pingMs + pongWithinMs);
    expect(shipped(file)).not.toMatch(/affinity/i);
  });

  it("runs as nobody special", () => {
    expect(at(pod, "securityContext.runAsNonRoot")).toBe(true);
    expect(at(container, "securityContext.readOnlyRootFilesystem")).toBe(true);
    expect(at(container, "securityContext.allowPrivilegeEscalation")).toBe(false);
  });
});

describe("the log on disk", () => {
  it("has one owner: one replica, with a volume", () => {
    const [set] = documents("kubernetes.yaml");
    const container = at(set, "spec.template.spec.containers.0");
    expect(number(set, "spec.replicas")).toBe(1);
    expect(at(container, "env")).toContainEqual({ name: "FANFARE_BACKEND", value: "lmdb:/data/log" });
    expect(text(container, "volumeMounts.0.mountPath")).toBe("/data");
    expect(text(container, "volumeMounts.0.name")).toBe(text(set, "spec.volumeClaimTemplates.0.metadata.name"));
  });

  it("is none where replicas share an engine, whose address is a secret", () => {
    const [deployment] = documents("kubernetes-redis.yaml");
    const container = at(deployment, "spec.template.spec.containers.0");
    expect(number(deployment, "spec.replicas")).toBeGreaterThan(1);
    expect(shipped("kubernetes-redis.yaml")).not.toContain("volume");
    const valueFrom = { secretKeyRef: { name: "fanfare", key: "backend" } };
    expect(at(container, "env")).toContainEqual({ name: "FANFARE_BACKEND", valueFrom });
  });
});
