/** A position in a room's log: the last message dealt with (P-4). Offset 0 is before the first message. */
export interface Cursor {
  readonly epoch: string;
  readonly offset: number;
}

const form = /^([A-Za-z0-9_-]{1,32}):(0|[1-9][0-9]{0,15})$/;

/** Reads `epoch:offset`; undefined where the text has another form or the offset is over 2^53-1. */
export function parseCursor(text: string): Cursor | undefined {
  const match = form.exec(text);
  const offset = Number(match?.[2]);
  if (match?.[1] === undefined || !Number.isSafeInteger(offset)) return undefined;
  return { epoch: match[1], offset };
}

export function formatCursor(cursor: Cursor): string {
  return `${cursor.epoch}:${cursor.offset}`;
}
