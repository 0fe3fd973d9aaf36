import type { VNode } from "preact";

/** Strokes on a grid of 24. */
const paths = {
  fanfare: "M6.5 17.5h.01M6.5 12.5a5 5 0 0 1 5 5M6.5 7.5a10 10 0 0 1 10 10M6.5 2.8a14.7 14.7 0 0 1 14.7 14.7",
  menu: "M4 7h16M4 12h16M4 17h10",
  people:
    "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20a6.5 6.5 0 0 1 13 0M16 4.3a3.5 3.5 0 0 1 0 6.4M18 14.2a6.5 6.5 0 0 1 3.5 5.8",
  close: "M6 6l12 12M18 6L6 18",
  send: "M5 12l-1.5-7.5L21 12 3.500 19.500 5 12Zm0 0h7",
  down: "M12 5v14M6 13l6 6 6-6",
  plus: "M12 5v14M5 12h14",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7.500V12l3 2",
  check: "M5 12.500l4.500 4.500L19 7.500",
  alert: "M12 8v5M12 16.500h.01M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Z",
  exit: "M10 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h4M15 16l4-4-4-4M19 12H9",
  hash: "M9.500 4 7.500 20M16.500 4l-2 16M4.500 9h16M3.500 15h16",
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
