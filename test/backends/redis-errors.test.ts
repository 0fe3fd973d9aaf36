import { describe, expect, it } from "vitest";
import { isMisdirected } from "../../src/backends/redis/errors.ts";

describe("a reply of Redis", () => {
  it("that comes from a master no more gives the connection up, as Redis 7 puts it and as 6.2 does", () => {
    const said = "READONLY You can't write against a read only replica.";
    const in7 = `${said} script: 5f2a, on @user_script:24.`;
    const in62 = `ERR Error running script (call to f_5f2a): @user_script:24: @user_script: 24: -${said} `;
    const all = [said, in7, in62, "TERM another life of the data began"];
    expect(all.filter((text) => !isMisdirected(new Error(text)))).toEqual([]);
  });

  it("that speaks of what was asked does not, whatever it quotes", () => {
    const all = ["OOM command not allowed", "FOREIGN t:{READONLY}:meta holds something else", "ERR -READONLY"];
    expect(all.filter((text) => isMisdirected(new Error(text)))).toEqual([]);
  });
});
