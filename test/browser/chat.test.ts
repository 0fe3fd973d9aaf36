import { describe, expect, onTestFinished, test } from "vitest";
import { overflow, phone } from "./person.ts";
import { executablePath, missing, useStage } from "./stage.ts";

test("Chromium is installed", ({ skip }) => {
  // Where nobody would read the word "skipped", it is a failure.
  if (process.env["CI"] === undefined) skip(executablePath === undefined, missing);
  expect(executablePath ?? missing).not.toBe(missing);
});

/** Reconnecting with its backoff takes its time. */
const slowly = { timeout: 45_000 };

describe.skipIf(executablePath === undefined)("the chat in Chromium", () => {
  const open = useStage();

  test("a person signs in with a name, and is still there after a reload", async () => {
    const { browser, server } = await open();
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(server.url);
    await page.getByLabel("Your name").fill("~nobody");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("does not begin with ~").waitFor();
    await page.getByLabel("Your name").fill("  Ann  Lee ");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByTestId("member Ann Lee").waitFor();
    await page.reload();
    await page.getByTestId("member Ann Lee").waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Your name").waitFor();
    expect(await page.getByTestId("message").count()).toBe(0);
  });

  test("messages, presence and typing appear at once in both tabs", async () => {
    const { people } = await open();
    const ann = await people.open("Ann");
    const bob = await people.open("Bob");
    await ann.seesMember("Bob");
    await bob.seesMember("Ann");

    await ann.composer.pressSequentially("Hel");
    await bob.page.getByTestId("typing").getByText("Ann is typing…").waitFor();
    await ann.say("Hello");
    await bob.seesText("Hello");
    await expect.poll(() => bob.page.getByTestId("typing").textContent()).toBe("");
    await bob.say("Hello yourself");
    await ann.seesText("Hello yourself");
    await expect.poll(() => ann.deliveries()).toEqual(["kept"]);
    expect(await bob.texts()).toEqual(["Hello", "Hello yourself"]);

    await bob.page.getByRole("button", { name: "Sign out" }).click();
    await ann.page.getByTestId("member Bob").waitFor({ state: "detached" });
  });

  test("after a kill -9, what was typed meanwhile is there once, in order, in both tabs", slowly, async () => {
    const { people, server } = await open();
    const ann = await people.open("Ann");
    const bob = await people.open("Bob");
    await ann.say("before 1");
    await bob.seesText("before 1");
    await bob.say("before 2");
    await ann.seesText("before 2");

    // One is on its way when the server dies: nobody knows yet whether it was kept.
    await ann.say("ann at the edge");
    await server.kill();
    for (const { page } of [ann, bob]) await page.getByTestId("banner").waitFor();
    await ann.say("ann 1", "ann 2", "ann 3");
    await bob.say("bob 1", "bob 2", "bob 3");
    expect((await ann.deliveries()).slice(-3)).toEqual(["sending", "sending", "sending"]);

    await server.restart();
    for (const person of [ann, bob]) await person.untilOnline();
    const all = 9;
    for (const person of [ann, bob]) await expect.poll(async () => (await person.texts()).length).toBe(all);
    await expect.poll(() => ann.deliveries()).toEqual(Array.from({ length: 5 }, () => "kept"));
    await expect.poll(() => bob.deliveries()).toEqual(Array.from({ length: 4 }, () => "kept"));
    // What is shown from the log is in the log's order, the same for both.
    await expect.poll(async () => isSame(await ann.texts(), await bob.texts())).toBe(true);
    const texts = await ann.texts();
    const by = (author: string): string[] => texts.filter((text) => text.startsWith(author));
    expect(texts.slice(0, 2)).toEqual(["before 1", "before 2"]);
    expect(by("ann")).toEqual(["ann at the edge", "ann 1", "ann 2", "ann 3"]);
    expect(by("bob")).toEqual(["bob 1", "bob 2", "bob 3"]);

    // The same as a newcomer sees: nothing stands twice in the log either.
    const cid = await people.open("Cid");
    await cid.seesText("before 1");
    await expect.poll(() => cid.texts()).toEqual(texts);
  });

  test("rooms that are not shown count what is unread", async () => {
    const { people } = await open();
    const ann = await people.open("Ann");
    const bob = await people.open("Bob");
    await ann.openRoom("random");
    await bob.say("one", "two");
    await ann.page.getByTestId("unread general").getByText("2").waitFor();
    await expect.poll(() => ann.page.title()).toBe("(2) Fanfare chat");

    await ann.openRoom("general");
    await ann.page.getByText("New", { exact: true }).waitFor();
    expect(await ann.texts()).toEqual(["one", "two"]);
    expect(await ann.page.getByTestId("unread general").count()).toBe(0);
    await expect.poll(() => ann.page.title()).toBe("Fanfare chat");
  });

  test("a room begins when someone joins it, and both find it by its name", async () => {
    const { people } = await open();
    const ann = await people.open("Ann");
    const bob = await people.open("Bob");
    for (const { page } of [ann, bob]) {
      await page.getByLabel("Join or create a room").fill("Café & Cake");
      await page.getByLabel("Join or create a room").press("Enter");
      await page.locator(".room-header h1", { hasText: "café-cake" }).waitFor();
    }
    await ann.seesMember("Bob");
    await ann.say("only here");
    await bob.seesText("only here");
    await ann.page.getByRole("button", { name: "Leave café-cake" }).click();
    await bob.page.getByTestId("member Ann").waitFor({ state: "detached" });
    expect(await ann.texts()).toEqual([]);
  });

  test("a reload keeps the person, the room, the messages and the draft, and nobody sees it", async () => {
    const { people } = await open();
    const ann = await people.open("Ann");
    const bob = await people.open("Bob");
    await ann.openRoom("support");
    await bob.openRoom("support");
    await ann.say("first");
    await bob.seesText("first");
    await ann.composer.fill("half a th");
    await bob.page.evaluate(() => {
      const seen: string[] = [];
      Object.assign(window, { seen });
      const look = (): unknown => seen.push(document.querySelector(".people")?.textContent ?? "");
      new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
    });
    await ann.page.reload();
    await ann.seesText("first");
    expect(await ann.composer.inputValue()).toBe("half a th");
    await bob.say("second");
    await ann.seesText("second");
    expect(await ann.texts()).toEqual(["first", "second"]);
    const seen = await bob.page.evaluate(() => (window as unknown as { seen: string[] }).seen);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.filter((people) => !people.includes("Ann"))).toEqual([]);
  });

  test("two tabs of one person are one member, and each shows what the other sent", async () => {
    const { people } = await open();
    const one = await people.open("Ann");
    const other = await people.open("Ann");
    await one.say("from one");
    await other.seesText("from one");
    await other.say("from the other");
    await one.seesText("from the other");
    for (const tab of [one, other]) {
      expect(await tab.texts()).toEqual(["from one", "from the other"]);
      await expect.poll(() => tab.deliveries()).toEqual(["kept", "kept"]);
      expect(await tab.page.locator(".people li").count()).toBe(1);
    }
  });

  test("on a phone, rooms and people are drawers, and the composer is in reach", async () => {
    const { people } = await open();
    const ann = await people.open("Ann", phone);
    expect(await overflow(ann)).toBeLessThanOrEqual(0);
    const box = await ann.composer.boundingBox();
    expect((box?.y ?? 1e6) + (box?.height ?? 0)).toBeLessThanOrEqual(844);

    await ann.page.getByRole("button", { name: "Rooms" }).click();
    await ann.openRoom("random");
    await ann.page.locator(".sidebar.open").waitFor({ state: "detached" });
    await ann.page.getByRole("button", { name: "1 here" }).click();
    await ann.page.getByTestId("member Ann").waitFor({ state: "visible" });
    await ann.page.keyboard.press("Escape");
    await ann.page.locator(".members.open").waitFor({ state: "detached" });
    await ann.say("from a phone");
    await expect.poll(() => ann.deliveries()).toEqual(["kept"]);
  });
});

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
