import { decodeJson } from "../../protocol/encode.ts";
import { isObject, type Json } from "../../protocol/json.ts";

/** One entry of a node's map that is another now, or (without `value`) gone. */
export interface Change {
  readonly key: string;
  readonly value?: Json;
  /** Gone in every way: of a user, the graces on other nodes too (P-41). */
  readonly forGood?: true;
}

/** A place in the stream of a node's changes to one map: a life of the map there, and the number of the last change. */
export type Place = readonly [life: number, number: number];

/** What nodes say of one map, to all who have it or to one. `map` is absent on a room's own channel. */
export type MapMessage =
  /** The changes that make `place` of the place before it. */
  | { readonly type: "changes"; readonly from: string; readonly place: Place; readonly changes: readonly Change[] }
  /** Where I am; with `known` I want to hear from each of you who is elsewhere than I know. */
  | {
      readonly type: "sync";
      readonly from: string;
      readonly place: Place;
      readonly known?: Readonly<Record<string, Place>>;
    }
  /** All that the sender has in the map at `place`, in `parts` messages; none: it is as the asker knows it. */
  | {
      readonly type: "state";
      readonly from: string;
      readonly place: Place;
      readonly part: number;
      readonly parts: number;
      readonly changes: readonly Change[];
      /** The nodes that the sender knows to have the map. */
      readonly peers: readonly string[];
    }
  /** What `node`, which has gone away, left in the map; it counts for so long yet (P-53). Comes before the sender's state. */
  | {
      readonly type: "left";
      readonly from: string;
      readonly node: string;
      readonly holdMs: number;
      readonly changes: readonly Change[];
    }
  /** I know you at `place` and have missed something. */
  | { readonly type: "want"; readonly from: string; readonly place: Place };

/** A room as a node left it that went away: who was there, and may come back (P-53). */
export type LeftRoom = readonly [room: string, users: readonly Change[]];

/** What was spent of a rate on one node. */
export type Cost = readonly [rate: string, key: string, cost: number];

export type NodeMessage =
  | { readonly type: "beat"; readonly from: string; readonly isNew: boolean }
  /** The sender goes away; its users may come back for so long (P-53). */
  | { readonly type: "bye"; readonly from: string; readonly holdMs: number }
  /** What `node`, which goes or went away, left in rooms that no other node was in; it counts for so long. */
  | {
      readonly type: "left-rooms";
      readonly from: string;
      readonly node: string;
      readonly holdMs: number;
      readonly rooms: readonly LeftRoom[];
    }
  /** The sender has opened a room that was left so, and knows from here on who is waited for in it. */
  | { readonly type: "took"; readonly from: string; readonly room: string }
  | { readonly type: "ask"; readonly from: string; readonly id: number; readonly call: string; readonly with: Json }
  /** One of `parts` messages that answer. */
  | {
      readonly type: "answer";
      readonly from: string;
      readonly id: number;
      readonly part: number;
      readonly parts: number;
      readonly items: readonly Json[];
    }
  /** What users, rooms or addresses have spent there. */
  | { readonly type: "spent"; readonly from: string; readonly costs: readonly Cost[] }
  | (MapMessage & { readonly map: string });

/** Undefined: it is not for us to understand, and came of a newer version. */
export function readMessage(text: string): NodeMessage | undefined {
  const message: unknown = decodeJson(text);
  if (!isObject(message) || typeof message["type"] !== "string" || typeof message["from"] !== "string")
    return undefined;
  // Nodes of one system trust each other: whoever can write there can do all that a node can.
  return message as unknown as NodeMessage;
}

/** Engines take messages of a megabyte at least; one of these is far under it. */
const partCharacters = 131_072;
const partEntries = 1_000;

/** In as many parts as it takes, at least one. */
export function inParts<T extends object | Json>(items: Iterable<T>): T[][] {
  let part: T[] = [];
  const parts = [part];
  let characters = 0;
  for (const item of items) {
    const size = JSON.stringify(item).length;
    if (part.length >= partEntries || (part.length > 0 && characters + size > partCharacters)) {
      parts.push((part = []));
      characters = 0;
    }
    part.push(item);
    characters += size;
  }
  return parts;
}
