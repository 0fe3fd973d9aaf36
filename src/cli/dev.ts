import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { Operation } from "../http/answer.ts";
import { devToken } from "../http/dev.ts";
import { staticFiles } from "../http/files.ts";
import { signToken } from "../server/auth/jwt.ts";

/** How long a token of dev mode lives: a working day. */
const expiresInMs = 12 * 3_600_000;

/** The built chat, beside the built command. */
const chatDirectory = fileURLToPath(new URL("../chat", import.meta.url));

export const devWarning: string =
  "DEV MODE: every origin, every room and every name is let in, and POST /dev/token gives anyone a token. " +
  "For a machine of your own, never for a network.";

/** A secret for one run of the server: its tokens end with it. */
export function randomSecret(): string {
  return randomBytes(32).toString("base64url");
}

/** What dev mode serves besides: tokens for all, and the chat at `/` where it has been built. */
export async function devOperations(secret: string): Promise<readonly Operation[]> {
  const chat = await staticFiles(chatDirectory);
  const tokens = devToken((user) => signToken({ secret, user, rooms: ["**"], expiresInMs }));
  return chat === undefined ? [tokens] : [tokens, chat];
}
