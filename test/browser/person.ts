import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { onTestFinished } from "vitest";

/** What Chromium itself writes to the console while the server is away. */
const serverIsAway = /net::ERR_CONNECTION_(?:REFUSED|RESET)|WebSocket connection to .* failed/;

const desk: BrowserContextOptions = { viewport: { width: 1280, height: 800 } };
export const phone: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

/** One tab, and what a person does and sees in it. */
export class Person {
  readonly name: string;
  readonly page: Page;
  /** Errors of the page, CSP violations among them; not the browser's own about a server that is away. */
  readonly faults: string[] = [];

  constructor(name: string, page: Page) {
    this.name = name;
    this.page = page;
    page.on("pageerror", (error) => this.faults.push(String(error.stack)));
    page.on("console", (message) => {
      const text = message.text();
      if (["error", "warning"].includes(message.type()) && !serverIsAway.test(text)) this.faults.push(text);
    });
    page.on("dialog", (dialog) => {
      this.faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
  }

  get composer(): Locator {
    return this.page.locator(".composer textarea");
  }
  get bubbles(): Locator {
    return this.page.getByTestId("message");
  }

  async say(...texts: readonly string[]): Promise<void> {
    for (const text of texts) {
      await this.composer.fill(text);
      await this.composer.press("Enter");
    }
  }

  /** The messages of the room that is shown, in order. */
  texts(): Promise<string[]> {
    return this.page.getByTestId("text").allTextContents();
  }

  /** How it stands with each of one's own messages that are shown. */
  deliveries(): Promise<(string | null)[]> {
    return this.page
      .getByTestId("delivery")
      .evaluateAll((marks) => marks.map((mark) => mark.getAttribute("data-state")));
  }

  async seesMember(user: string): Promise<void> {
    await this.page.getByTestId(`member ${user}`).waitFor({ state: "attached" });
  }

  async seesText(text: string): Promise<void> {
    await this.page.getByTestId("text").getByText(text, { exact: true }).waitFor();
  }

  async untilOnline(): Promise<void> {
    await this.page.locator(".connection.online").waitFor({ state: "attached" });
  }

  async openRoom(name: string): Promise<void> {
    await this.page.locator(".room a", { hasText: name }).click();
    await this.page.locator(".room-header h1", { hasText: name }).waitFor();
  }
}

/** Opens tabs at one address; when the test ends they are closed, and none of them may have had a fault. */
export class People {
  readonly #browser: Browser;
  readonly #url: string;

  constructor(browser: Browser, url: string) {
    this.#browser = browser;
    this.#url = url;
  }

  /** Signed in, connected, in `general`. `prepare` is called before the page is loaded. */
  async open(
    name: string,
    options: BrowserContextOptions = desk,
    prepare?: (page: Page) => Promise<void>,
  ): Promise<Person> {
    const context = await this.#browser.newContext(options);
    const person = new Person(name, await context.newPage());
    onTestFinished(async () => {
      await context.close();
      if (person.faults.length > 0) throw new Error(`faults in ${name}'s page:\n${person.faults.join("\n")}`);
    });
    await prepare?.(person.page);
    await person.page.goto(`${this.#url}/?name=${encodeURIComponent(name)}`);
    await person.untilOnline();
    await person.seesMember(name);
    return person;
  }
}

/** By how many pixels the page is wider than its window. */
export function overflow({ page }: Person): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
}
