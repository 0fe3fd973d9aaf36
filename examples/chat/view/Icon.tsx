import type { VNode } from "preact";

/** Strokes on a grid of 24. */
const paths = {
  fanfare: "M12 20.5v-5M12 10V3.5M8 17 4.5 13.5M16 17l3.5-3.5M8.8 11.5 5.5 5.5M15.2 11.5l3.3-6",
  menu: "M4 7h16M4 12h16M4 17h10",
  people:
    "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20a6.5 6.5 0 0 1 13 0M16 4.3a3.5 3.5 0 0 1 0 6.4M18 14.2a6.5 6.5 0 0 1 3.5 5.8",
  close: "M6 6l12 12M18 6L6 18",
  send: "M5 12l-1.5-7.5L21 12 3.5 19.5 5 12Zm0 0h7",
  down: "M12 5v14M6 13l6 6 6-6",
  plus: "M12 5v14M5 12h14",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7.5V12l3 2",
  check: "M5 12.5l4.5 4.5L19 7.5",
  alert: "M12 8v5M12 16.5h.01M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Z",
  exit: "M10 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h4M15 16l4-4-4-4M19 12H9",
  hash: "M9.5 4 7.5 20M16.5 4l-2 16M4.5 9h16M3.5 15h16",
} as const;

export type IconName = keyof typeof paths;

/** Decoration: what it means stands beside it, or in the label of the button around it. */
export function Icon({ name }: { name: IconName }): VNode {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
