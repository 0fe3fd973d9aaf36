import { describe, expect, test } from "vitest";
import { type Bubble, layOut } from "../../examples/chat/model/items.ts";
import * as timelines from "../../examples/chat/model/timeline.ts";
import type { Message, Timeline } from "../../examples/chat/model/timeline.ts";

const noon = new Date(2026, 0, 5, 12).getTime();
const minuteMs = 60_000;

function message(offset: number, { epoch = "e", from = "bob", key = `k${offset}`, at = noon } = {}): Message {
  return { id: `${epoch}:${offset}`, offset, from, text: `text ${offset}`, at, key };
}

function messages(first: number, last: number, epoch = "e"): Message[] {
  return Array.from({ length: last - first + 1 }, (_, i) => message(first + i, { epoch }));
}

function filled(...runs: readonly (readonly Message[])[]): Timeline {
  return runs.reduce(
    (timeline, run) => run.reduce(timelines.append, timelines.beginRun(timeline, "more")),
    timelines.emptyTimeline,
  );
}

function offsets({ runs }: Timeline): number[][] {
  return runs.map((run) => run.messages.map(({ offset }) => offset));
}

describe("a timeline", () => {
  test("takes a message that came twice once", () => {
    expect(offsets([message(1), message(2), message(2)].reduce(timelines.append, filled()))).toEqual([[1, 2]]);
  });

  test("drops the pending message whose key came back, and no other", () => {
    const sending = { kind: "sending" } as const;
    const pending = ["k1", "k2"].map((key) => ({ key, text: key, at: noon, delivery: sending }));
    const timeline = pending.reduce(timelines.addPending, filled([]));
    expect(timelines.append(timeline, message(1)).pending.map(({ key }) => key)).toEqual(["k2"]);
    expect(timelines.prepend(timeline, 1, [message(2)], false).pending.map(({ key }) => key)).toEqual(["k1"]);
  });

  test("puts a page of history before the run that asked for it", () => {
    const paged = timelines.prepend(filled([message(5), message(6)]), 1, messages(3, 4), true);
    expect(offsets(paged)).toEqual([[3, 4, 5, 6]]);
    expect(paged.runs[0]?.older).toBe("more");
    expect(timelines.prepend(paged, 1, messages(1, 2), false).runs[0]?.older).toBe("none");
  });

  test("closes a hole whose last page reaches what was there", () => {
    const holed = filled(messages(1, 2), messages(6, 7));
    expect(offsets(timelines.prepend(holed, 2, messages(4, 5), true))).toEqual([
      [1, 2],
      [4, 5, 6, 7],
    ]);
    expect(offsets(timelines.prepend(holed, 2, messages(3, 5), true))).toEqual([[1, 2, 3, 4, 5, 6, 7]]);
    expect(offsets(timelines.prepend(holed, 2, messages(1, 5), false))).toEqual([[1, 2, 3, 4, 5, 6, 7]]);
  });

  test("keeps two epochs apart, whatever their offsets", () => {
    const holed = filled(messages(1, 2, "old"), messages(4, 5, "new"));
    expect(offsets(timelines.prepend(holed, 2, messages(1, 3, "new"), false))).toEqual([
      [1, 2],
      [1, 2, 3, 4, 5],
    ]);
  });

  test("takes no page of a log that began anew into a run of the old one", () => {
    const late = timelines.prepend(filled(messages(8, 9, "old")), 1, messages(1, 3, "new"), true);
    expect(offsets(late)).toEqual([[8, 9]]);
    expect(late.runs[0]?.older).toBe("none");
  });

  test("leaves no empty run behind, where nothing had come yet", () => {
    expect(offsets(timelines.beginRun(filled([]), "none"))).toEqual([[]]);
  });

  test("lets whole runs go before it cuts one, and remembers that what it cut can be had again", () => {
    expect(offsets(timelines.trim(filled(messages(1, 4), messages(8, 9)), 5))).toEqual([[8, 9]]);
    const cut = timelines.trim(timelines.sealRuns(filled(messages(1, 9))), 3);
    expect(offsets(cut)).toEqual([[7, 8, 9]]);
    expect(cut.runs[0]?.older).toBe("more");
  });
});

describe("the layout of a timeline", () => {
  const layout = (timeline: Timeline, unreadFrom?: string): string[] =>
    layOut(timeline, "ann", unreadFrom).map((item) => (item.type === "bubble" ? sign(item) : item.type));
  const sign = ({ first, last, text }: Bubble): string => `${first ? "[" : ""}${text.slice(5)}${last ? "]" : ""}`;

  test("groups what one author wrote within minutes of each other", () => {
    const list = [
      message(1),
      message(2, { at: noon + minuteMs }),
      message(3, { at: noon + 7 * minuteMs }),
      message(4, { from: "cid", at: noon + 7 * minuteMs }),
    ];
    expect(layout(filled(list))).toEqual(["edge", "day", "[1", "2]", "[3]", "[4]"]);
  });

  test("begins anew with each day, at the first that is unread, and after a hole", () => {
    const days = [message(1), message(2, { at: noon + 24 * 60 * minuteMs })];
    expect(layout(filled(days))).toEqual(["edge", "day", "[1]", "day", "[2]"]);
    expect(layout(filled(messages(1, 3)), "e:2")).toEqual(["edge", "day", "[1]", "unread", "[2", "3]"]);
    expect(layout(filled(messages(1, 1), messages(5, 5)))).toEqual(["edge", "day", "[1]", "edge", "[5]"]);
  });

  test("keeps one's own message in its row when it comes back", () => {
    const own = { key: "mine", text: "text 1", at: noon, delivery: { kind: "sending" } } as const;
    const sent = timelines.addPending(filled([]), own);
    const back = timelines.append(sent, message(1, { from: "ann", key: "mine" }));
    const rowOf = (timeline: Timeline): string | undefined => layOut(timeline, "ann", undefined).at(-1)?.id;
    expect(rowOf(sent)).toBe("mine");
    expect(rowOf(back)).toBe("mine");
  });
});
