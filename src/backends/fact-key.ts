const maxBytes = 1_000;

/** Throws a RangeError where the key of a fact is longer than the contract allows. */
export function checkFactKey(key: string): void {
  const bytes = Buffer.byteLength(key);
  if (bytes > maxBytes) throw new RangeError(`a fact's key is at most ${maxBytes} bytes, got ${bytes}`);
}
