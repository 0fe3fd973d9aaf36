// What the kernel knows of a process. Linux only.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * Microseconds that all threads of a process had a processor, user and system, and microseconds that they were ready and
 * had to wait for one: the mark of other programs on the same processor. `schedstat` counts nanoseconds;
 * `stat` counts in hundredths of a second, too coarse for a window of a few seconds. A thread that ended takes its time
 * with it: no server measured here ends threads while it is measured.
 */
export function cpu(pid) {
  const sum = { ranUs: 0, waitedUs: 0 };
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const [ranNs, waitedNs] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
    sum.ranUs += Number(ranNs) / 1_000;
    sum.waitedUs += Number(waitedNs) / 1_000;
  }
  return sum;
}

/**
 * How much of the time between two calls of `cpu` each process waited for a processor, in percent of `wallUs`; the worst
 * of them. Above a few percent other programs were measured too.
 */
export function waitedPercent(wallUs, ...spans) {
  return Math.max(...spans.map(([before, after]) => (100 * (after.waitedUs - before.waitedUs)) / wallUs));
}

/** How many sockets a process holds. */
export function countSockets(pid) {
  const isSocket = (fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith("socket:");
    } catch {
      return false; // closed since it was listed
    }
  };
  return readdirSync(`/proc/${pid}/fd`).filter(isSocket).length;
}

/** Resident bytes now, and the most there ever were. */
export function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return { rssBytes: field(status, "VmRSS"), peakBytes: field(status, "VmHWM") };
}

function field(status, name) {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1_024;
}
