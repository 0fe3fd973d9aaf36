import { connect } from "node:net";
import type { Case } from "./case.ts";
import type { Fault } from "./fault.ts";
import { judgeReply, type Seen } from "./reply.ts";

/**
 * Nothing more is awaited where this long nothing came after the first answer, or twice as long as that took where the
 * machine is busy; or after so long in any case.
 */
const silenceMs = 30;
const patienceMs = 1_500;
/** More than any case can ask for. */
const maxReplyBytes = 64 * 1_048_576;

/**
 * Says a case on a TCP connection of its own and reads what comes until its end, or until nothing does. `from` is the last
 * byte of the address that it comes from. The connection is always reset: it is the rudest way to leave.
 */
export async function attack(port: number, said: Case, from: number, seen: Seen): Promise<Fault | undefined> {
  const bytes = await converse(port, said, 2 + (from % 200));
  // Over all writes: a method may be cut in two.
  const hasHead = Buffer.concat(said.chunks).includes("HEAD");
  return judgeReply(bytes, { speaks: said.speaks, hasHead }, seen);
}

function converse(port: number, { chunks, end }: Case, host: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const heard: Buffer[] = [];
    let bytes = 0;
    let isOver = false;
    const socket = connect({ port, host: "127.0.0.1", localAddress: `127.0.0.${host}`, noDelay: true });
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(later);
      clearTimeout(impatience);
      socket.resetAndDestroy();
      resolve(Buffer.concat(heard));
    };
    let later: NodeJS.Timeout | undefined;
    let saidAt = 0;
    let quietMs = 0;
    const impatience = setTimeout(over, patienceMs);
    const waitOn = (): void => {
      if (isOver) return;
      clearTimeout(later);
      later = setTimeout(() => {
        // Where this process is late, what came in the meantime has not been read yet.
        const before = bytes;
        setTimeout(() => setImmediate(() => (bytes === before ? over() : waitOn())), 1);
      }, quietMs);
    };
    socket.on("error", over).on("close", over);
    socket.on("data", (data: Buffer) => {
      if (quietMs === 0) quietMs = Math.max(silenceMs, 2 * (performance.now() - saidAt));
      heard.push(data);
      bytes += data.length;
      if (bytes > maxReplyBytes || (end === "pong" && data.includes('"re":"the last"'))) over();
      else waitOn();
    });
    const write = (i: number): void => {
      const chunk = chunks[i];
      if (isOver || chunk === undefined) return;
      socket.write(chunk);
      setImmediate(write, i + 1);
    };
    socket.on("connect", () => {
      saidAt = performance.now();
      write(0);
    });
  });
}
