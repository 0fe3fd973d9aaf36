import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../support/ports.ts";
import { TestServer } from "../support/server.ts";
import { Link, type Mangle } from "./link.ts";
import type { Recorder } from "./records.ts";

export interface NodeOptions {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Where the run's files are. */
  readonly folder: string;
  readonly recorder: Recorder;
  readonly mangle?: Mangle | undefined;
}

/** An engine's fault lasts some seconds, and so does each attempt. */
const mostStarts = 20;

/** A `fanfare serve` that is killed, stopped and misled, behind a way of its own for its clients. */
export class TortureNode {
  readonly name: string;
  readonly link: Link;
  /** Its ways to the engine, where it has one. */
  readonly engineLinks: Link[] = [];
  readonly server: TestServer;
  readonly #recorder: Recorder;
  readonly #clockFile: string;
  /** Whether its end is ours. */
  #isExpected = false;
  /** Two faults may want it away at once: it comes back with the last. */
  #away = 0;
  #paused = 0;
  #turn: Promise<void> = Promise.resolve();

  private constructor(port: number, { name, args, env, folder, recorder, mangle }: NodeOptions) {
    this.name = name;
    this.#recorder = recorder;
    this.#clockFile = join(folder, `${name}.clock`);
    writeFileSync(this.#clockFile, "+0");
    this.server = new TestServer(port, args, { ...clockedEnvironment(this.#clockFile), ...env });
    this.link = new Link(() => ({ host: this.server.host, port }), mangle);
  }

  static async make(options: NodeOptions): Promise<TortureNode> {
    const node = new TortureNode(await freePort(), options);
    await node.link.open();
    return node;
  }

  async start(): Promise<void> {
    this.#isExpected = false;
    await this.server.start();
    void this.server.exited.then(({ code, signal }) => {
      if (this.#isExpected) return;
      const text = `code ${code}, signal ${signal}: ${this.server.output.slice(-2_000)}`;
      this.#recorder.add({ kind: "mark", mark: "died", who: [this.name], text });
    });
  }

  /** Ends it, and gives what starts it again. */
  async away(signal: "SIGKILL" | "SIGTERM"): Promise<() => Promise<void>> {
    this.#away++;
    await this.#inTurn(() => this.#end(signal));
    return () => this.#inTurn(() => this.#back());
  }

  /** Stops the process between two instructions, and gives what lets it go on. */
  pause(): () => void {
    if (this.#paused++ === 0 && this.server.alive) void this.server.signal("SIGSTOP");
    return () => {
      if (--this.#paused === 0 && this.server.alive) void this.server.signal("SIGCONT");
    };
  }

  /** What its wall clock shows beside the true time; its timers notice nothing. */
  setClock(offsetMs: number): void {
    writeFileSync(this.#clockFile, `${offsetMs < 0 ? "-" : "+"}${Math.abs(offsetMs / 1000)}`);
  }

  async end(): Promise<void> {
    this.#isExpected = true;
    if (this.server.alive) {
      void this.server.signal("SIGCONT");
      await this.server.kill();
    }
    this.link.close();
    for (const link of this.engineLinks) link.close();
  }

  /** One that is about to start is not ended before it has. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** As whoever supervises it does: a node that finds no engine when it starts is started again. */
  async #back(): Promise<void> {
    if (--this.#away > 0) return;
    for (let tries = 1; ; tries++) {
      try {
        await this.start();
        return;
      } catch (error) {
        if (this.server.alive || tries === mostStarts) throw error;
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
  }

  async #end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    if (!this.server.alive) return;
    this.#isExpected = true;
    const ended = this.server.signal(signal);
    // One that is stopped does not see a SIGTERM before it goes on.
    if (signal === "SIGTERM" && this.#paused > 0) void this.server.signal("SIGCONT");
    await ended;
  }
}

/** The wall clock is that of the file, read again each second; what counts elapsed time stays true. */
function clockedEnvironment(file: string): NodeJS.ProcessEnv {
  // For the tests FAKETIME names the program; for the library it would be a time.
  const { FAKETIME: _, ...env } = process.env;
  return {
    ...env,
    LD_PRELOAD: clockLibrary(),
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_CACHE_DURATION: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
}

function clockLibrary(): string {
  const folders = ["/usr/lib", "/usr/local/lib"].filter(existsSync);
  const candidates = folders.flatMap((folder) => [folder, ...readdirSync(folder).map((name) => join(folder, name))]);
  const found = candidates.map((folder) => join(folder, "faketime", "libfaketime.so.1")).find(existsSync);
  if (found === undefined) throw new Error("libfaketime is missing: install it (Debian: apt-get install faketime)");
  return found;
}
