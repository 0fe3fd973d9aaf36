import { describe, expect, it } from "vitest";
import { Lanes, type Task } from "../../src/server/lanes.ts";
import { Gate } from "./support/backend.ts";
import { turnEnded } from "./support/pipe.ts";

/** Tasks that write down when they take effect and when they are answered. */
class Diary {
  readonly lines: string[] = [];
  readonly lanes = new Lanes();

  /** Takes effect when `effect` opens, at once without it. */
  plain(name: string, effect?: Gate): Task {
    return {
      pipelined: false,
      failed: false,
      run: async () => {
        this.lines.push(`${name} begins`);
        await effect?.passed;
        this.lines.push(`${name} done`);
        return () => undefined;
      },
    };
  }

  /** A publish: its place is settled when `handler` opens, its outcome when `outcome` does. */
  publish(name: string, { handler, outcome }: { handler?: Gate; outcome?: Gate } = {}): Task {
    const task: Task = {
      pipelined: true,
      failed: false,
      run: async () => {
        this.lines.push(`${name} begins`);
        await handler?.passed;
        if (task.failed) return () => void this.lines.push(`${name} unavailable`);
        this.lines.push(`${name} appends`);
        return async () => {
          await outcome?.passed;
          this.lines.push(`${name} acked`);
        };
      },
    };
    return task;
  }
}

describe("requests of one room", () => {
  it("take effect in the order they came, however long one takes", async () => {
    const diary = new Diary();
    const slow = new Gate();
    diary.lanes.add("r", diary.plain("1", slow));
    diary.lanes.add("r", diary.plain("2"));
    await turnEnded();
    expect(diary.lines).toEqual(["1 begins"]);
    slow.open();
    await turnEnded();
    expect(diary.lines).toEqual(["1 begins", "1 done", "2 begins", "2 done"]);
  });

  it("do not wait for those of another room", async () => {
    const diary = new Diary();
    const slow = new Gate();
    diary.lanes.add("r", diary.plain("1", slow));
    diary.lanes.add("other", diary.plain("2"));
    await turnEnded();
    expect(diary.lines).toEqual(["1 begins", "2 begins", "2 done"]);
    slow.open();
  });

  it("append before the publish in front of them is answered, and are answered after it", async () => {
    const diary = new Diary();
    const [first, second] = [new Gate(), new Gate()];
    diary.lanes.add("r", diary.publish("1", { outcome: first }));
    diary.lanes.add("r", diary.publish("2", { outcome: second }));
    await turnEnded();
    expect(diary.lines).toEqual(["1 begins", "1 appends", "2 begins", "2 appends"]);
    second.open();
    await turnEnded();
    expect(diary.lines).toHaveLength(4);
    first.open();
    await turnEnded();
    expect(diary.lines.slice(4)).toEqual(["1 acked", "2 acked"]);
  });

  it("wait for the answers of publishes where they are no publishes themselves", async () => {
    const diary = new Diary();
    const outcome = new Gate();
    diary.lanes.add("r", diary.publish("1", { outcome }));
    diary.lanes.add("r", diary.plain("leave"));
    await turnEnded();
    expect(diary.lines).toEqual(["1 begins", "1 appends"]);
    outcome.open();
    await turnEnded();
    expect(diary.lines.slice(2)).toEqual(["1 acked", "leave begins", "leave done"]);
  });

  it("that come while the last answer is awaited are not forgotten", async () => {
    const diary = new Diary();
    const outcome = new Gate();
    diary.lanes.add("r", diary.publish("1", { outcome }));
    await turnEnded();
    diary.lanes.add("r", diary.plain("2"));
    outcome.open();
    await turnEnded();
    expect(diary.lines.slice(2)).toEqual(["1 acked", "2 begins", "2 done"]);
  });
});

describe("a publish with an unknown outcome", () => {
  it("fails the one in its handler and all that wait behind it", async () => {
    const diary = new Diary();
    const [outcome, handler] = [new Gate(), new Gate()];
    diary.lanes.add("r", diary.publish("1", { outcome }));
    diary.lanes.add("r", diary.publish("2", { handler }));
    diary.lanes.add("r", diary.publish("3"));
    await turnEnded();
    diary.lanes.failWaiting("r");
    handler.open();
    outcome.open();
    await turnEnded();
    expect(diary.lines.filter((line) => line.endsWith("appends"))).toEqual(["1 appends"]);
    expect(diary.lines.filter((line) => /acked|unavailable/.test(line))).toEqual([
      "1 acked",
      "2 unavailable",
      "3 unavailable",
    ]);
  });

  it("fails none of another room, and none that comes later", async () => {
    const diary = new Diary();
    const handler = new Gate();
    diary.lanes.add("other", diary.publish("other", { handler }));
    diary.lanes.failWaiting("r");
    diary.lanes.failWaiting("nobody's");
    diary.lanes.add("r", diary.publish("later"));
    handler.open();
    await turnEnded();
    expect(diary.lines).toContain("other acked");
    expect(diary.lines).toContain("later acked");
  });
});

describe("what is pending", () => {
  it("is counted until it is answered, and leaves nothing behind", async () => {
    const diary = new Diary();
    const [outcome, slow] = [new Gate(), new Gate()];
    diary.lanes.add("r", diary.publish("1", { outcome }));
    diary.lanes.add("s", diary.plain("2", slow));
    await turnEnded();
    expect([diary.lanes.pending, diary.lanes.has("r"), diary.lanes.has("s")]).toEqual([2, true, true]);
    outcome.open();
    await turnEnded();
    expect([diary.lanes.pending, diary.lanes.has("r")]).toEqual([1, false]);
    slow.open();
    await turnEnded();
    expect([diary.lanes.pending, diary.lanes.has("s")]).toEqual([0, false]);
  });
});
