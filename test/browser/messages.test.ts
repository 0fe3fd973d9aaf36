import { describe, expect, test } from "vitest";
import { overflow, phone } from "./person.ts";
import { executablePath, useStage } from "./stage.ts";
import { Tap } from "./tap.ts";

// chat.test.ts tells where Chromium is missing.
describe.skipIf(executablePath === undefined)("messages in Chromium", () => {
  const open = useStage();

  test("history loads as one scrolls back, and what one reads keeps its place", async () => {
    const { people, server } = await open("--limit", "requests_per_s=5000");
    const written = Array.from({ length: 170 }, (_, i) => `line ${i + 1}`);
    await server.publish("Bob", "chat/general", written);
    const ann = await people.open("Ann");
    await expect.poll(() => ann.texts()).toEqual(written.slice(-50));
    const list = ann.page.locator(".messages");
    expect(await list.evaluate((it) => it.scrollHeight - it.scrollTop - it.clientHeight)).toBeLessThan(2);

    const read = ann.bubbles.filter({ hasText: "line 121" });
    await list.evaluate((it) => (it.scrollTop = 0));
    const before = await read.boundingBox();
    await expect.poll(async () => (await ann.texts()).length).toBeGreaterThan(50);
    expect(await ann.texts()).toEqual(written.slice(-(await ann.bubbles.count())));
    const after = await read.boundingBox();
    expect(Math.abs((after?.y ?? 0) - (before?.y ?? 1e6))).toBeLessThan(40);

    const start = ann.page.getByText("This is where #general begins.");
    await expect
      .poll(async () => {
        await list.evaluate((it) => (it.scrollTop = 0));
        return start.isVisible();
      })
      .toBe(true);
    expect(await ann.texts()).toEqual(written);
    await ann.page.getByRole("button", { name: "Newest" }).click();
    await expect.poll(() => list.evaluate((it) => it.scrollHeight - it.scrollTop - it.clientHeight)).toBeLessThan(2);
  });

  test("markup, right-to-left text, long words and lines are shown as they were written", async () => {
    const { people } = await open();
    const ann = await people.open("Ann");
    const bob = await people.open("Bob", phone);
    const written = [
      `<img src="x" onerror="alert(1)">`,
      "<script>alert(2)</script>",
      "שלום לכולם",
      "👩‍👩‍👧‍👦",
      "x".repeat(4_000),
      "two\nlines",
    ];
    await ann.say(...written);
    await expect.poll(() => bob.texts()).toEqual(written);
    expect(await bob.page.locator(".messages :is(img, script)").count()).toBe(0);
    expect(await overflow(bob)).toBeLessThanOrEqual(0);
    await ann.composer.fill("x".repeat(4_001));
    await ann.page.getByText("1 too many").waitFor();
    expect(await ann.page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true);
  });

  test("where messages were trimmed meanwhile, the page says so and shows the newest", async () => {
    const { people } = await open("--keep-messages", "5");
    const tap = new Tap();
    const ann = await people.open("Ann", undefined, (page) => tap.into(page));
    const bob = await people.open("Bob");
    await bob.say("old");
    await ann.seesText("old");
    tap.cut();
    await ann.page.getByTestId("banner").waitFor();
    const written = Array.from({ length: 8 }, (_, i) => `line ${i}`);
    await bob.say(...written);
    await expect.poll(() => bob.deliveries()).toEqual(Array.from({ length: 9 }, () => "kept"));
    tap.mend();
    await ann.page.getByText("Some messages could not be recovered").waitFor();
    await expect.poll(() => ann.texts()).toEqual(["old", ...written.slice(-5)]);
  });

  test("a message that is refused says why, and goes out when it is tried again", async () => {
    const { people } = await open();
    const tap = new Tap();
    const ann = await people.open("Ann", undefined, (page) => tap.into(page));
    const bob = await people.open("Bob");
    tap.refusal = "forbidden";
    await ann.say("please");
    await ann.page.getByText("You may not write in this room.").waitFor();
    expect(await ann.deliveries()).toEqual(["failed"]);
    tap.refusal = undefined;
    await ann.page.getByRole("button", { name: "Try again" }).click();
    await bob.seesText("please");
    await expect.poll(() => ann.deliveries()).toEqual(["kept"]);
    expect(await ann.texts()).toEqual(["please"]);
  });
});
