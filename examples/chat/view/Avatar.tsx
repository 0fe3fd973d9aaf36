import type { VNode } from "preact";

const hues = 12;

/** A person's initials on a colour of their own. Decoration: the name stands beside it. */
export function Avatar({ name }: { name: string }): VNode {
  return (
    <span class={`avatar hue-${hueOf(name)}`} aria-hidden="true">
      {initialsOf(name)}
    </span>
  );
}

export function hueOf(name: string): number {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  return hash % hues;
}

/** By what a reader sees as one character: an emoji or an accented letter is not cut in two. */
function initialsOf(name: string): string {
  const words = name.split(/[\s_-]+/).filter((word) => word !== "");
  const ends = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return ends.map((word) => firstCharacter(word ?? "?")).join("");
}

function firstCharacter(word: string): string {
  const [first] = new Intl.Segmenter().segment(word);
  return (first?.segment ?? "?").toLocaleUpperCase();
}
