/** A position in a room's log: the last message dealt with (P-4). Offset 0 is before the first message. */
export interface Cursor {
  readonly epoch: string;
  readonly offset: number;
}

const form = /^([A-Za-z0-9_-]{1,32}):(0|[1-9][0-9]{0,15})$/;

/** Reads `epoch:offset`; undefined where there is no text, it has another form, or the offset is over 2^53-1. */
export function parseCursor(text: string | undefined): Cursor | undefined {
  const [, epoch, digits] = form.exec(String(text)) ?? [];
  const offset = Number(digits);
  return epoch !== undefined && Number.isSafeInteger(offset) ? { epoch, offset } : undefined;
}

export function formatCursor(cursor: Cursor): string {
  return `${cursor.epoch}:${cursor.offset}`;
}
