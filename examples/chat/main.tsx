// The page: a chat whose rooms, messages and people come from `fanfare/client`. `model/` knows no page, `view/` shows it.
import { effect } from "@preact/signals";
import { render } from "preact";
import { Saved } from "./saved.ts";
import { Session, userNameOf } from "./session.ts";
import { App } from "./view/App.tsx";
import { followKeyboard } from "./view/viewport.ts";

const saved = new Saved(() => sessionStorage);
const session = new Session(saved);
const roomInAddress = (): string => {
  try {
    return decodeURIComponent(location.hash.slice(2));
  } catch {
    // Not what this page wrote there: the same as none.
    return "";
  }
};

/** Rooms and drafts are saved as they change; the address names the room, so that it can be shared and gone back from. */
effect(() => {
  const chat = session.chat.value;
  if (chat === undefined) return;
  const { name } = chat.shown.value;
  if (roomInAddress() !== name) history.pushState(null, "", `#/${encodeURIComponent(name)}`);
  saved.rooms = chat.rooms.value.map((room) => room.name);
});
effect(() => {
  for (const room of session.chat.value?.rooms.value ?? []) saved.setDraft(room.name, room.draft.value);
});
effect(() => {
  const unread = session.chat.value?.unread.value ?? 0;
  document.title = unread === 0 ? "Fanfare chat" : `(${unread}) Fanfare chat`;
});

const watch = (): void => {
  const chat = session.chat.value;
  if (chat !== undefined) chat.isWatched.value = document.visibilityState === "visible";
};
document.addEventListener("visibilitychange", watch);
for (const type of ["hashchange", "popstate"]) {
  addEventListener(type, () => session.chat.value?.open(roomInAddress()));
}
followKeyboard();

const signIn = (name: string): void => {
  session.signIn(name, roomInAddress());
  watch();
};

// `?name=Ann` signs in at once: for a link to oneself, and for tests.
const name = userNameOf(new URLSearchParams(location.search).get("name") ?? saved.name);
if (name !== undefined) signIn(name);

const app = document.querySelector("#app");
if (app !== null) render(<App session={session} signIn={signIn} />, app);
