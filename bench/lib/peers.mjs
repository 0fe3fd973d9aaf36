// The servers that are measured: how each is started, and what a client of each says.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { token } from "./token.mjs";
import { bench, scratch } from "./tools.mjs";

const secret = "a secret of thirty-two bytes or more, for the bench alone";
const command = fileURLToPath(new URL("../../bin/fanfare.js", import.meta.url));

/** None of Fanfare's bounds is to be met by a bench; raising them changes nothing else. */
const limits = [
  "requests_per_s=1000000",
  "pending_requests=1000000",
  "connections=30000",
  "connections_per_address=30000",
];

/**
 * @typedef Peer
 * @property {string} name
 * @property {() => {command: string[], env?: Record<string, string>, cleanUp?: () => void}} start
 * @property {(room: string, user: string) => string} target  of the request that opens a connection in a room
 * @property {(data: string) => string} publish  the text that publishes `data`, JSON with `%T` and `%N` in it
 * @property {string} match  how a delivered message begins
 * @property {number} readyFrames  frames until a connection is in its room
 * @property {string[]} replies  `PREFIX=>TEXT`: what a client must answer
 * @property {string} [header]
 */

/** @type {Peer} */
export const wsRooms = {
  name: "ws",
  start: () => node("ws-rooms.mjs"),
  target: (room) => `/${room}`,
  publish: (data) => data,
  match: '{"t":',
  readyFrames: 0,
  replies: [],
};

/** @type {Peer} */
export const wsBare = { ...wsRooms, name: "ws-bare", start: () => node("ws-bare.mjs") };

/** @type {Peer} */
export const socketIo = {
  name: "socket.io",
  start: () => node("socket-io.mjs"),
  target: (room) => `/socket.io/?EIO=4&transport=websocket&room=${room}`,
  publish: (data) => `42["publish",${data}]`,
  match: '42["message",',
  readyFrames: 2,
  replies: ["0{=>40", "2=>3"],
};

/** @returns {Peer} */
export function floor(binary) {
  return { ...wsRooms, name: "floor (C)", start: () => ({ command: [binary] }) };
}

/** `backend`: `lmdb`, `memory`, or the address of an engine. Every connection is a user of its own, by token. @returns {Peer} */
export function fanfare(backend = "lmdb") {
  return {
    name: backend === "lmdb" ? "fanfare" : `fanfare ${backend.split(":", 1)[0]}`,
    start: () => startFanfare(backend),
    target: (room, user) => `/ws/${room}?token=${token(secret, user)}`,
    publish: (data) => `{"type":"publish","id":"%N","key":"%N","room":"bench","event":"tick","data":${data}}`,
    match: '{"type":"message"',
    readyFrames: 2,
    replies: ['{"type":"ping"=>{"type":"pong"}'],
    header: "Sec-WebSocket-Protocol: fanfare.v1",
  };
}

/** Fanfare with all members but the publisher, who is the first, listening over SSE. @returns {Peer} */
export function fanfareSse(publisher) {
  const socket = fanfare();
  return {
    ...socket,
    name: "fanfare sse",
    target: (room, user) =>
      user === publisher ? socket.target(room, user) : `/sse?room=${room}&token=${token(secret, user)}`,
  };
}

/** Fanfare where connections are opened and join nothing. @returns {Peer} */
export function fanfareWithoutRoom() {
  return { ...fanfare(), target: (_room, user) => `/ws?token=${token(secret, user)}`, readyFrames: 1 };
}

function startFanfare(backend) {
  const directory = backend === "lmdb" ? mkdtempSync(join(scratch, "log-")) : undefined;
  const flags = ["--port", "0", "--drain-ms", "0", "--log-level", "warn"];
  for (const limit of limits) flags.push("--limit", limit);
  flags.push("--backend", directory === undefined ? backend : `lmdb:${directory}`);
  return {
    command: [process.execPath, command, "serve", ...flags],
    env: { FANFARE_SECRET: secret },
    cleanUp: () => directory && rmSync(directory, { recursive: true, force: true }),
  };
}

function node(file) {
  return { command: [process.execPath, join(bench, "peers", file)] };
}
