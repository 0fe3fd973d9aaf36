/** A position in a log. */
export interface Cursor {
  readonly epoch: string;
  readonly offset: number;
}

export function readCursor(value: unknown): Cursor {
  const [epoch = "", offset = ""] = String(value).split(":");
  return { epoch, offset: Number(offset) };
}

export function showCursor({ epoch, offset }: Cursor): string {
  return `${epoch}:${offset}`;
}
