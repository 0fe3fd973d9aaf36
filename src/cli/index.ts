import { readFileSync } from "node:fs";
import { type ArgsDef, type CommandDef, defineCommand, renderUsage } from "citty";
import { type Flags, UsageError } from "./flags.ts";
import { Failure, type Io, red } from "./io.ts";
import { serveFlags } from "./settings.ts";
import { token, tokenFlags } from "./token.ts";

// The server and all that it needs are loaded only to serve: help and tokens come at once.
const serve = async (args: readonly string[], io: Io): Promise<number> => (await import("./serve.ts")).serve(args, io);

interface Command {
  readonly description: string;
  readonly flags: Flags;
  readonly run: (args: readonly string[], io: Io) => number | Promise<number>;
}

const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["serve", { description: "Runs a server until it is told to stop", flags: serveFlags, run: serve }],
  ["token", { description: "Prints a token for a user", flags: tokenFlags, run: token }],
]);

/**
 * Runs the command and gives its exit code: 0, 1 where something around it failed, 2 where it was asked wrongly. Either
 * is one line on stderr; only a fault of our own shows a stack.
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const [name = "--help", ...rest] = args;
  try {
    if (name === "--version") return print(io, versionOf());
    if (name === "--help" || name === "-h" || name === "help") return print(io, await usage());
    const command = commands.get(name);
    if (command === undefined) {
      throw new UsageError(`unknown command ${JSON.stringify(name)}; known: ${[...commands.keys()].join(", ")}`);
    }
    if (rest.includes("--help") || rest.includes("-h")) return print(io, await usage(name));
    return await command.run(rest, io);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof Failure)) throw error;
    io.stderr.write(`${red("fanfare:", io.stderr)} ${error.message}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

function print(io: Io, text: string): number {
  io.stdout.write(`${text}\n`);
  return 0;
}

/** Help by citty. The arguments are read by ours, which citty's reader is too kind for: it lets unknown flags pass. */
function usage(name?: string): Promise<string> {
  const definitions = Object.fromEntries([...commands].map(([key, command]) => [key, define(key, command)]));
  const all = defineCommand({
    meta: { name: "fanfare", version: versionOf(), description: "Realtime rooms: typed, ordered, gap-free" },
    subCommands: definitions,
  });
  const one = name === undefined ? undefined : definitions[name];
  return one === undefined ? renderUsage(all) : renderUsage(one, all);
}

function define(name: string, command: Command): CommandDef {
  const args: ArgsDef = Object.fromEntries(
    Object.entries(command.flags).map(([flag, { repeated, description, ...rest }]) => [
      flag,
      { ...rest, description: repeated === true ? `${description}; may be repeated` : description },
    ]),
  );
  const variables = "each flag is a variable too, --keep-ms is FANFARE_KEEP_MS; commas separate repeated values";
  return defineCommand({ meta: { name, description: `${command.description}; ${variables}` }, args });
}

function versionOf(): string {
  const file = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  return version;
}
