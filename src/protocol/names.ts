/** P-20: the longest name of a room, in bytes of UTF-8. */
export const maxRoomBytes = 255;
/** P-13: the longest name of a user, in bytes of UTF-8 (`@` and the name make a room's name). */
export const maxUserBytes = 254;
/** P-3, P-5, P-31: the longest id, event or key, in characters. */
export const maxTokenCharacters = 64;

const plainAscii = /^[!-~](?:[ -~]*[!-~])?$/;
const controlOrOuterSpace = /\p{Cc}|^\s|\s$/u;

/** P-20: whether a text is a name: NFC, well-formed, no control characters, no space at either end, 1 to `maxBytes`. */
export function isName(text: string, maxBytes: number): boolean {
  if (plainAscii.test(text)) return text.length <= maxBytes;
  if (text === "" || text.length > maxBytes) return false;
  if (!text.isWellFormed() || controlOrOuterSpace.test(text)) return false;
  return utf8Bytes(text) <= maxBytes && text.normalize("NFC") === text;
}

export function isRoomName(text: string): boolean {
  return isName(text, maxRoomBytes);
}

/** P-13: whether a token's `sub` can name a user. `~` begins the names of anonymous users only (P-18). */
export function isUserName(text: string): boolean {
  return !text.startsWith("~") && isName(text, maxUserBytes);
}

/** P-3, P-5, P-31: an id, an event's name or a key: 1 to 64 characters, well-formed. */
export function isToken(text: string): boolean {
  if (text === "" || !text.isWellFormed()) return false;
  if (text.length <= maxTokenCharacters) return true;
  return text.length <= 2 * maxTokenCharacters && [...text].length <= maxTokenCharacters;
}

/** P-20: the personal room of a user. */
export function personalRoom(user: string): string {
  return `@${user}`;
}

export function isPersonalRoom(room: string): boolean {
  return room.startsWith("@");
}

/** P-20: names that begin with `$` are kept for the server. */
export function isReservedRoom(room: string): boolean {
  return room.startsWith("$");
}

/** The length in bytes that UTF-8 gives a well-formed text. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0x80) bytes += c >= 0x800 ? (c >= 0xd800 && c <= 0xdfff ? 1 : 2) : 1;
  }
  return bytes;
}
