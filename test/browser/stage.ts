import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { ChatServer } from "./chatServer.ts";
import { chromiumArgs, findChromium } from "./chromium.ts";
import { People } from "./person.ts";

export const executablePath: string | undefined = findChromium();
export const missing = "Chromium is missing: install it, or let CHROMIUM name one";

export interface Stage {
  readonly browser: Browser;
  readonly server: ChatServer;
  readonly people: People;
}

/** For the top of a `describe`: one browser for all of its tests, and for each a server and contexts of its own. */
export function useStage(): (...serveArgs: readonly string[]) => Promise<Stage> {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath ?? "", args: [...chromiumArgs] });
  });
  afterAll(() => browser.close());
  return async (...serveArgs) => {
    const server = await ChatServer.start(serveArgs);
    return { browser, server, people: new People(browser, server.url) };
  };
}
