// `fanfare serve --config` with a bug in what keeps the messages. TORTURE_BUG names it; without one all is well.
import { memory } from "fanfare";

const bug = process.env.TORTURE_BUG;
/** Messages of a room after which the bug shows. */
const after = 30;

/** A memory whose rooms lose all that they keep once, and go on in the same epoch as if nothing had been. */
function flushed() {
  const [first, second] = [memory(), memory()];
  const epochs = new Map();
  const counts = new Map();
  const lost = new Set();
  const of = (room) => (lost.has(room.name) ? second : first);
  const same = (room, result) => ({ ...result, epoch: epochs.get(room.name) ?? result.epoch });
  const state = async (room) => {
    const found = await of(room).state(room);
    if (!epochs.has(room.name)) epochs.set(room.name, found.epoch);
    return same(room, found);
  };
  return {
    ...delegated(first),
    open: async (context) => void (await Promise.all([first.open(context), second.open(context)])),
    close: async () => void (await Promise.all([first.close(), second.close()])),
    find: async (room, key) => {
      const found = await of(room).find(room, key);
      return found === undefined ? undefined : same(room, found);
    },
    append: async (room, entry, key) => {
      counts.set(room.name, (counts.get(room.name) ?? 0) + 1);
      if (counts.get(room.name) === after) lost.add(room.name);
      return same(room, await of(room).append(room, entry, key));
    },
    state,
    read: (room, from, limit) => of(room).read(room, from, limit),
    readBack: (room, before, limit) => of(room).readBack(room, before, limit),
    subscribe: async (room, listener) => {
      const both = [await first.subscribe(room, listener), await second.subscribe(room, listener)];
      return {
        state: await state(room),
        sync: () => state(room),
        others: () => both[0].others(),
        close: () => both.forEach((one) => one.close()),
      };
    },
  };
}

/** A memory that acknowledges some messages without keeping them. */
function hasty() {
  const inner = memory();
  let count = 0;
  return {
    ...delegated(inner),
    append: async (room, entry, key) => {
      if (++count < after || count % 10 !== 0) return inner.append(room, entry, key);
      const { epoch, head } = await inner.state(room);
      return { kind: "kept", epoch, offset: head + 1 };
    },
  };
}

/** Its methods, bound to it. */
function delegated(backend) {
  const methods = ["open", "close", "check", "find", "append", "state", "read", "readBack", "subscribe", "relay"];
  const bound = [...methods, "set", "get", "take"].map((name) => [name, backend[name].bind(backend)]);
  return { name: backend.name, promises: backend.promises, ...Object.fromEntries(bound) };
}

const bugs = { reused: flushed, acked: hasty };

export default { backend: (bugs[bug] ?? memory)() };
