import { parseCursor, type Cursor } from "../../protocol/cursor.ts";
import type { ServerFrame } from "../../protocol/frames.ts";
import { payloads } from "../wire.ts";
import type { Cursors } from "./cursors.ts";

/** So many different places of listeners are kept for one shared buffer; whoever stands elsewhere pays for a copy. */
const maxPlaces = 4;

/** Frames as events, and where the stream stands after them. */
export interface Events {
  readonly bytes: Buffer;
  readonly cursors: Cursors;
}

/** One frame, and how it moves the cursor of its room (P-37). */
interface Step {
  readonly payload: Buffer;
  readonly move: ((cursors: Cursors) => Cursors) | undefined;
}

interface Shared {
  readonly steps: readonly Step[];
  /** By the name of the place that a listener stands at. */
  readonly byPlace: Map<string, Events>;
}

/**
 * Turns the buffers of frames that rooms and connections are written (`wire.ts`) into events. A room's broadcast is one
 * buffer for all: it is read once, and made into events once for all listeners who stand at the same place, which is
 * where listeners of one room are. They are written the same bytes, as members over the WebSocket are.
 */
export class EventEncoder {
  readonly #shared: WeakMap<Buffer, Shared> = new WeakMap();

  encode(frames: Buffer, cursors: Cursors): Events {
    let shared = this.#shared.get(frames);
    if (shared === undefined) {
      shared = { steps: Array.from(payloads(frames), stepOf), byPlace: new Map() };
      this.#shared.set(frames, shared);
    }
    const known = shared.byPlace.get(cursors.name);
    if (known !== undefined) return known;
    const events = encodeSteps(shared.steps, cursors);
    if (shared.byPlace.size < maxPlaces) shared.byPlace.set(cursors.name, events);
    return events;
  }
}

/** One text of ours as an event; `retryMs` tells the browser when to come back. */
export function encodeEvent(text: string, id: string, retryMs?: number): string {
  return `${retryMs === undefined ? "" : `retry: ${retryMs}\n`}id: ${id}\ndata: ${text}\n\n`;
}

function encodeSteps(steps: readonly Step[], from: Cursors): Events {
  let cursors = from;
  const heads = steps.map(({ move }) => {
    if (move !== undefined) cursors = move(cursors);
    return `id: ${cursors.id}\ndata: `;
  });
  const total = steps.reduce((sum, { payload }, i) => sum + (heads[i]?.length ?? 0) + payload.length + 2, 0);
  // Not from the shared pool, for the same reason as in `wire.ts`.
  const bytes = Buffer.allocUnsafeSlow(total);
  let at = 0;
  for (const [i, { payload }] of steps.entries()) {
    at += bytes.write(heads[i] ?? "", at, "latin1");
    at += payload.copy(bytes, at);
    at += bytes.write("\n\n", at, "latin1");
  }
  return { bytes, cursors };
}

function stepOf(payload: Buffer): Step {
  return { payload, move: moveOf(JSON.parse(payload.toString()) as ServerFrame) };
}

function moveOf(frame: ServerFrame): Step["move"] {
  switch (frame.type) {
    case "joined":
    case "gap": {
      // A room without a log names none.
      const cursor = parseCursor(frame.cursor);
      return (cursors) => cursors.at(frame.room, cursor);
    }
    case "message":
    case "skip": {
      const { room, offset } = frame;
      return offset === undefined ? undefined : (cursors) => cursors.at(room, advanced(cursors.of(room), offset));
    }
    default:
      return undefined;
  }
}

/** Messages do not name their epoch: it is that of the `joined` or `gap` before them. */
function advanced(cursor: Cursor | undefined, offset: number): Cursor | undefined {
  return cursor === undefined ? undefined : { epoch: cursor.epoch, offset };
}
