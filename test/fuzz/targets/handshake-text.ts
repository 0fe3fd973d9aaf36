/** A header given as a list is repeated; undefined leaves it out. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

export const allowedOrigin = "https://app.example.com";

export const upgradeHeaders: Headers = {
  Host: "fuzz.test",
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version": "13",
};

/** One character of it is one byte on the wire. */
export function requestHead(target: string, headers: Headers, method = "GET", version = "HTTP/1.1"): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one) => `${name}: ${one}\r\n`),
  );
  return `${method} ${target} ${version}\r\n${lines.join("")}\r\n`;
}

/** Text as the bytes that a careless client writes. */
export function bytesOf(text: string): Buffer {
  return Buffer.from(text, "latin1");
}
