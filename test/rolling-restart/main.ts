// npm run rolling-restart -- [--clients 2000] [--drain-ms 10000] [--seed n] [--plot FILE.svg]. See docs/proof.md.
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { check } from "../torture/check/index.ts";
import { showViolations } from "../torture/witness.ts";
import { figuresOf } from "./figures.ts";
import { showFlaps } from "./flaps.ts";
import { plot } from "./plot.ts";
import { rollingRestart } from "./run.ts";

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "500" },
    "drain-ms": { type: "string", default: "10000" },
    seed: { type: "string", default: "7" },
    plot: { type: "string" },
  },
});
const clients = Number(values.clients);
const drainMs = Number(values["drain-ms"]);
if (!(clients > 0) || !(drainMs > 0)) {
  say("--clients and --drain-ms are numbers over 0");
  process.exit(2);
}

const rolling = await rollingRestart({ clients, drainMs, seed: Number(values.seed), tell: say });
const figures = figuresOf(rolling);
const violations = check(rolling.records);
say(`reconnects a second, at most     ${figures.peakReconnects}`);
say(`messages delivered               ${figures.deliveries.reduce((sum, count) => sum + count, 0)}`);
say(`to apps on fanfare/client        ${figures.appMessages}`);
say(`members or apps that were reset  ${figures.resets}`);
say(`arrivals and departures told     ${figures.flaps.length}`);
if (figures.flaps.length > 0) say(showFlaps(figures.flaps, rolling));
if (values.plot !== undefined) {
  const title = `A rolling restart of 3 nodes with ${clients.toLocaleString("en")} clients`;
  await writeFile(values.plot, plot(rolling, figures, title));
}
const isGood = violations.length === 0 && figures.flaps.length === 0 && figures.resets === 0;
say(isGood ? "\nNothing lost, nothing twice, nobody gone." : `\nWRONG\n${showViolations(violations)}`);
process.exit(isGood ? 0 : 1);

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
