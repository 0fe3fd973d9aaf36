/** With a counter behind it, enough that ids of two lives or nodes do not meet. */
const randomPrefixBytes = 5;

/** Ids of connections. Short ones: V8 keeps a text of up to 12 characters flat, a longer one as a tree of its parts. */
export function idMaker(randomBytes: (count: number) => Buffer): () => string {
  const prefix = randomBytes(randomPrefixBytes).toString("base64url");
  let count = 0;
  return () => `${prefix}${(count++).toString(36)}`;
}
