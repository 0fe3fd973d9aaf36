import { describe, expect, it } from "vitest";
import { isFull, isMisdirected, unavailable } from "../../src/backends/redis/errors.ts";

/** How Redis 6.2 begins what failed in a script. */
const in62 = "ERR Error running script (call to f_5f2a): @user_script:24: @user_script: 24: ";

describe("a reply of Redis", () => {
  it("that comes from a master no more gives the connection up, as Redis 7 puts it and as 6.2 does", () => {
    const said = "READONLY You can't write against a read only replica.";
    const in7 = `${said} script: 5f2a, on @user_script:24.`;
    const all = [said, in7, `${in62}-${said} `, "TERM another life of the data began"];
    expect(all.filter((text) => !isMisdirected(new Error(text)))).toEqual([]);
  });

  it("that speaks of what was asked does not, whatever it quotes", () => {
    const all = ["OOM command not allowed", "FOREIGN t:{READONLY}:meta holds something else", "ERR -READONLY"];
    expect(all.filter((text) => isMisdirected(new Error(text)))).toEqual([]);
  });

  it.each([
    [
      "as Redis 7 puts it",
      "OOM command not allowed when used memory > 'maxmemory'. script: 5f2a5f2a5f2a5f2a5f2a5f2a5f2a5f2a5f2a5f2a, on @user_script:98.",
    ],
    ["out of a script in 6.2", `${in62}-OOM command not allowed when used memory > 'maxmemory'. `],
  ])("that speaks of a full memory says what to do, %s", (_, said) => {
    expect(isFull(new Error(said))).toBe(true);
    expect(unavailable("h:1", new Error(said)).message).toMatch(
      /: OOM command .*\. Its memory is full: raise maxmemory/,
    );
  });

  it.each([
    "NOPERM User ann has no permissions to run the 'set' command",
    "ERR ACL failure in script: User ann has no permissions to run the 'xadd' command script: on @user_script:98.",
    "ERR The user executing the script can't run this command or subcommand script: 5f2a, on @user_script:98.",
    `${in62}The user executing the script can't run this command or subcommand`,
  ])("that speaks of missing rights says what to do: %s", (said) => {
    expect(unavailable("h:1", new Error(said)).message).toMatch(/Its user needs the rule in docs\/backends\.md$/);
  });
});
