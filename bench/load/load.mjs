// load.c in JavaScript, for machines without a C compiler: the same options, commands and answers. It counts some hundred
// thousand deliveries a second; a server that sends more waits for it, so figures at 1,000 messages a second say less.
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const text = { type: "string" };
const { values } = parseArgs({
  options: {
    port: text,
    targets: text,
    concurrency: { ...text, default: "100" },
    "ready-frames": { ...text, default: "0" },
    sources: { ...text, default: "1" },
    stall: { ...text, default: "0" },
    header: { ...text, default: "" },
    match: { ...text, default: "" },
    publish: { ...text, default: "" },
    reply: { ...text, multiple: true, default: [] },
  },
});
const number = (name) => Number(values[name]);
const targets = readFileSync(values.targets, "utf8").trimEnd().split("\n");
const match = Buffer.from(values.match);
const replies = values.reply.map((rule) => rule.split("=>")).map(([prefix, answer]) => [Buffer.from(prefix), answer]);
const sampleEvery = Math.max(1, Math.floor(targets.length / 64));
const maxSamples = 1 << 22;
const maxUnsentBytes = 1 << 20;
const mask = Buffer.from([0x5a, 0x13, 0xc7, 0x88]);

const counts = { deliveries: 0, bytes: 0, reads: 0, published: 0, due: 0, disorders: 0 };
const sockets = { ready: 0, closed: 0, failed: 0 };
let samples = [];
let opened = 0;
let settled = 0;
let publisher;
let clock;

function nowUs() {
  return Number(process.hrtime.bigint() / 1_000n);
}

function say(event, facts) {
  console.log(JSON.stringify({ event, ...facts }));
}

// ── frames

function clientFrame(opcode, payload) {
  const bytes = payload.length;
  const headBytes = bytes < 126 ? 2 : bytes < 65_536 ? 4 : 10;
  const frame = Buffer.alloc(headBytes + 4 + bytes);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (headBytes === 2 ? bytes : headBytes === 4 ? 126 : 127);
  if (headBytes === 4) frame.writeUInt16BE(bytes, 2);
  if (headBytes === 10) frame.writeBigUInt64BE(BigInt(bytes), 2);
  mask.copy(frame, headBytes);
  for (let i = 0; i < bytes; i++) frame[headBytes + 4 + i] = payload[i] ^ mask[i & 3];
  return frame;
}

/** Calls `take` with each whole frame at the front; gives the rest. */
function takeFrames(data, take) {
  let at = 0;
  while (data.length - at >= 2) {
    const short = data[at + 1] & 127;
    const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (data.length - at < headBytes) break;
    const bytes =
      short < 126 ? short : short === 126 ? data.readUInt16BE(at + 2) : Number(data.readBigUInt64BE(at + 2));
    if (data.length - at < headBytes + bytes) break;
    take(data[at] & 15, data, at + headBytes, bytes);
    at += headBytes + bytes;
  }
  return data.subarray(at);
}

/** A stream's events, each with one line of data, in the place of frames. */
function takeEvents(data, take) {
  let at = 0;
  for (let end; (end = data.indexOf("\n\n", at)) !== -1; at = end + 2) {
    const textAt = data.indexOf("data: ", at) + 6;
    if (textAt >= 6 && textAt < end) take(1, data, textAt, end - textAt);
  }
  return data.subarray(at);
}

function isStream(index) {
  return targets[index].startsWith("/sse");
}

function begins(prefix, data, at, bytes) {
  return bytes >= prefix.length && data.compare(prefix, 0, prefix.length, at, at + prefix.length) === 0;
}

// ── one connection

function open(index) {
  const { socket, connection } = dial(index);
  const settle = (outcome) => {
    if (connection.settled) return;
    connection.settled = true;
    sockets[outcome]++;
    settled++;
    openSome();
    if (outcome === "ready" && index >= targets.length - number("stall")) socket.pause();
  };
  const onFrame = (opcode, data, at, bytes) => {
    if (opcode === 9) socket.write(clientFrame(10, data.subarray(at, at + bytes)));
    if (opcode === 8) socket.destroy();
    if (opcode !== 1 && opcode !== 2) return;
    if (connection.settled && begins(match, data, at, bytes)) return deliver(connection, data, at, bytes);
    for (const [prefix, answer] of replies) {
      if (begins(prefix, data, at, bytes)) socket.write(clientFrame(1, Buffer.from(answer)));
    }
    if (++connection.frames >= number("ready-frames")) settle("ready");
  };
  socket.on("data", (chunk) => {
    counts.reads++;
    let data = connection.rest.length > 0 ? Buffer.concat([connection.rest, chunk]) : chunk;
    if (!connection.upgraded) {
      const end = data.indexOf("\r\n\r\n");
      if (end < 0) return void (connection.rest = data);
      if (!data.toString("latin1", 0, end).startsWith(`HTTP/1.1 ${isStream(index) ? 200 : 101}`))
        return void socket.destroy();
      connection.upgraded = true;
      data = data.subarray(end + 4);
      if (number("ready-frames") === 0) settle("ready");
    }
    connection.rest = (isStream(index) ? takeEvents : takeFrames)(data, onFrame);
  });
  socket.on("error", () => socket.destroy());
  socket.on("close", () => {
    if (!connection.settled) return settle("failed");
    sockets.ready--;
    sockets.closed++;
  });
}

function dial(index) {
  const local = `127.0.0.${1 + (index % number("sources"))}`;
  const socket = connect({ host: "127.0.0.1", port: number("port"), noDelay: true, localAddress: local });
  const upgrade =
    `Upgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n` +
    (values.header === "" ? "" : `${values.header}\r\n`);
  const head = `GET ${targets[index]} HTTP/1.1\r\nHost: 127.0.0.1:${values.port}\r\n`;
  socket.write(`${head}${isStream(index) ? "" : upgrade}\r\n`);
  if (index === 0) publisher = socket;
  const sampled = index % sampleEvery === 0;
  return {
    socket,
    connection: { settled: false, upgraded: false, frames: 0, rest: Buffer.alloc(0), sampled, last: 0 },
  };
}

function deliver(connection, data, at, bytes) {
  counts.deliveries++;
  counts.bytes += bytes;
  if (!connection.sampled) return;
  const payload = data.latin1Slice(at, at + bytes);
  const number = Number(/"n":"(\d+)"/.exec(payload)?.[1]);
  const sentUs = Number(/"t":"(\d+)"/.exec(payload)?.[1]);
  if (connection.last !== 0 && number !== connection.last + 1) counts.disorders++;
  connection.last = number;
  if (samples.length < maxSamples) samples.push(Math.max(0, nowUs() - sentUs));
}

const openBeganUs = nowUs();

function openSome() {
  while (opened < targets.length && opened - settled < number("concurrency")) open(opened++);
  if (settled !== targets.length) return;
  settled = -1;
  say("ready", { ready: sockets.ready, failed: sockets.failed, ms: Math.floor((nowUs() - openBeganUs) / 1_000) });
}

// ── publishing and commands

function start(ratePerS) {
  const beganUs = nowUs();
  const intervalUs = 1e6 / ratePerS;
  counts.published = counts.due = 0;
  clock = setInterval(() => {
    counts.due = Math.floor((nowUs() - beganUs) / intervalUs);
    while (counts.published < counts.due && publisher.writableLength < maxUnsentBytes) {
      const dueUs = Math.floor(beganUs + ++counts.published * intervalUs);
      const message = values.publish
        .replaceAll("%T", String(dueUs).padStart(16, "0"))
        .replaceAll("%N", String(counts.published).padStart(10, "0"));
      publisher.write(clientFrame(1, Buffer.from(message)));
    }
  }, 1);
}

function report() {
  const sorted = Float64Array.from(samples).sort();
  const quantileMs = (q) => (sorted.length === 0 ? -1 : sorted[Math.floor(q * (sorted.length - 1))] / 1_000);
  const latencies = { p50_ms: quantileMs(0.5), p99_ms: quantileMs(0.99), max_ms: quantileMs(1) };
  say("report", { at_us: nowUs(), ...counts, samples: sorted.length, ...latencies, ...sockets });
}

const commands = {
  start: (rate) => start(Number(rate)),
  stop: () => clearInterval(clock),
  clear: () => void (samples = []),
  report,
  quit: () => process.exit(0),
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [name, argument] = line.split(" ");
    commands[name]?.(argument);
  })
  .on("close", () => process.exit(0));
openSome();
