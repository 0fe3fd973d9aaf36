import { type ReadonlySignal, signal } from "@preact/signals";
import { createClient } from "fanfare/client";
import { Chat } from "./model/chat.ts";
import type { Host } from "./model/host.ts";
import { rooms } from "./rooms.ts";
import type { Saved } from "./saved.ts";

const host: Host = {
  now: () => Date.now(),
  later: (run, ms) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** Who is signed in, in this tab: at most one person at a time. */
export class Session {
  readonly #saved: Saved;
  readonly #chat = signal<Chat | undefined>(undefined);

  constructor(saved: Saved) {
    this.#saved = saved;
  }

  get chat(): ReadonlySignal<Chat | undefined> {
    return this.#chat;
  }

  /** `first` is the room to show. */
  signIn(name: string, first: string): void {
    this.#saved.name = name;
    const client = createClient({ url: "/ws", token: () => fetchToken(name), rooms });
    const { rooms: joined } = this.#saved;
    const draftOf = (room: string): string => this.#saved.draft(room);
    this.#chat.value = new Chat({ client, me: name, host, rooms: joined, first, draftOf });
  }

  signOut(): void {
    this.#chat.value?.close();
    this.#chat.value = undefined;
    this.#saved.clear();
  }
}

/** Asked again for each attempt to connect: a server that came back may know nothing of earlier tokens. */
async function fetchToken(user: string): Promise<string> {
  const response = await fetch("/dev/token", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user }),
  });
  if (!response.ok) throw new Error(`no token: HTTP ${response.status}`);
  const { token } = (await response.json()) as { token: string };
  return token;
}

const maxNameLength = 32;

/** A user's name from what a person typed (P-13, P-20), or undefined where it is none. */
export function userNameOf(text: string): string | undefined {
  const name = text.normalize("NFC").replaceAll(/\s+/g, " ").trim();
  const isFit = name !== "" && name.length <= maxNameLength && !/^~|\p{C}/u.test(name);
  return isFit ? name : undefined;
}
