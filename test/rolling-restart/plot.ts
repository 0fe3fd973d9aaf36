import type { Figures } from "./figures.ts";
import type { Rolling } from "./run.ts";

const width = 760;
const height = 340;
const left = 56;
const right = 16;
const panelHeight = 110;
const tops = [40, 190] as const;

/** Reconnects and deliveries by second, with the restarts behind them. Readable on light and on dark. */
export function plot({ restarts }: Pick<Rolling, "restarts">, figures: Figures, title: string): string {
  const x = (second: number): number => round(left + (second / figures.seconds) * (width - left - right));
  const bands = restarts.flatMap(({ node, fromMs, toMs }) => {
    const [from, to] = [x(fromMs / 1000), x(toMs / 1000)];
    return [
      ...tops.map(
        (top) => `<rect class="band" x="${from}" y="${top}" width="${round(to - from)}" height="${panelHeight}"/>`,
      ),
      `<text class="label" x="${round((from + to) / 2)}" y="${tops[0] - 6}" text-anchor="middle">${node}</text>`,
    ];
  });
  const panels = [
    ...panel({ top: tops[0], values: figures.reconnects, name: "reconnects a second", kind: "bars", x }),
    ...panel({ top: tops[1], values: figures.deliveries, name: "messages delivered a second", kind: "line", x }),
  ];
  const ticks = [];
  for (let second = 0; second <= figures.seconds; second += 10) {
    const at = `x="${x(second)}" y="${tops[1] + panelHeight + 16}"`;
    ticks.push(`<text class="label" ${at} text-anchor="middle">${second} s</text>`);
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">
<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .label { font-size: 11px; fill: #57606a; }
  .band { fill: #8b949e; fill-opacity: 0.2; }
  .axis { stroke: #8b949e; stroke-width: 1; }
  .bars { fill: #0969da; }
  .line { fill: none; stroke: #0969da; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .label { fill: #9198a1; }
    .bars { fill: #58a6ff; }
    .line { stroke: #58a6ff; }
  }
</style>
<text x="${left}" y="16">${title}</text>
${[...bands, ...panels, ...ticks].join("\n")}
</svg>
`;
}

interface Panel {
  readonly top: number;
  readonly values: readonly number[];
  readonly name: string;
  readonly kind: "bars" | "line";
  readonly x: (second: number) => number;
}

function panel({ top, values, name, kind, x }: Panel): string[] {
  const most = Math.max(1, ...values);
  const bottom = top + panelHeight;
  const y = (value: number): number => round(bottom - (value / most) * (panelHeight - 8));
  const shown = values.map((value, second) => ({ value, second }));
  const marks =
    kind === "bars"
      ? shown
          .filter(({ value }) => value > 0)
          .map(({ value, second }) => {
            const size = `width="${round(x(second + 1) - x(second) - 1)}" height="${round(bottom - y(value))}"`;
            return `<rect class="bars" x="${x(second)}" y="${y(value)}" ${size}/>`;
          })
      : [
          `<polyline class="line" points="${shown.map(({ value, second }) => `${x(second + 0.5)},${y(value)}`).join(" ")}"/>`,
        ];
  return [
    ...marks,
    `<line class="axis" x1="${left}" y1="${bottom}" x2="${width - right}" y2="${bottom}"/>`,
    `<text class="label" x="${left - 6}" y="${y(most) + 4}" text-anchor="end">${most.toLocaleString("en")}</text>`,
    `<text class="label" x="${left - 6}" y="${bottom + 4}" text-anchor="end">0</text>`,
    `<text class="label" x="${left + 4}" y="${top + 12}">${name}</text>`,
  ];
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
