// Tokens for Fanfare's `--secret`, made here rather than by Fanfare's own code, so that ten thousand take a moment.
import { createHmac } from "node:crypto";

const header = encode({ alg: "HS256", typ: "JWT" });

export function token(secret, user) {
  const seconds = Math.floor(Date.now() / 1_000);
  const body = `${header}.${encode({ sub: user, rooms: ["**"], iat: seconds, exp: seconds + 7_200 })}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
