import { describe, expect, it } from "vitest";
import { makeAddressOf } from "../../src/server/proxies.ts";

/** Where a request from `peer` with this X-Forwarded-For came from, where these proxies are trusted. */
function addressOf(peer: string | undefined, forwarded: string | undefined, trusted: readonly string[]): string {
  const headers = forwarded === undefined ? {} : { "x-forwarded-for": forwarded };
  const socket = { remoteAddress: peer } as never;
  return makeAddressOf(trusted)({ socket, headers });
}

const proxies = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"];

describe("a client's address", () => {
  it.each<[string, string | undefined, string | undefined, string]>([
    ["of a client without a proxy", "192.0.2.7", undefined, "192.0.2.7"],
    ["behind a trusted proxy", "127.0.0.1", "192.0.2.7", "192.0.2.7"],
    ["behind one in a trusted range", "10.200.3.4", "192.0.2.7", "192.0.2.7"],
    ["behind one with IPv6", "fd00::12", "2001:db8::7", "2001:db8::7"],
    ["behind two trusted proxies", "127.0.0.1", "192.0.2.7, 10.1.1.1", "192.0.2.7"],
    ["a client's own claim left of it", "127.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"],
    ["a claim left of two proxies", "127.0.0.1", "198.51.100.1, 192.0.2.7, 10.1.1.1", "192.0.2.7"],
    ["a claim to be a proxy", "127.0.0.1", "10.0.0.9, 192.0.2.7", "192.0.2.7"],
    ["a proxy's own request", "127.0.0.1", undefined, "127.0.0.1"],
    ["an empty header", "127.0.0.1", "", "127.0.0.1"],
    ["all in it are proxies", "127.0.0.1", "10.0.0.2,10.0.0.1", "10.0.0.2"],
    ["an entry that is no address", "127.0.0.1", "unknown", "127.0.0.1"],
    ["what stands left of such an entry", "127.0.0.1", "198.51.100.1, unknown", "127.0.0.1"],
    ["an empty entry", "127.0.0.1", "198.51.100.1,", "127.0.0.1"],
    ["an entry with a port", "127.0.0.1", "192.0.2.7:5123", "192.0.2.7"],
    ["an entry in brackets", "127.0.0.1", "[2001:db8::7]:5123", "2001:db8::7"],
    ["an entry with a zone", "127.0.0.1", "fe80::1%eth0", "127.0.0.1"],
    ["IPv4 mapped into IPv6", "::ffff:127.0.0.1", "::ffff:192.0.2.7", "192.0.2.7"],
    ["the same in hexadecimal", "::ffff:7f00:1", "::FFFF:c000:207", "192.0.2.7"],
    ["IPv6 in a longer form", "127.0.0.1", "2001:DB8:0:0::0007", "2001:db8::7"],
    ["of a socket that is gone", undefined, "192.0.2.7", ""],
  ])("%s", (_, peer, forwarded, address) => {
    expect(addressOf(peer, forwarded, proxies)).toBe(address);
  });

  it.each([
    ["192.0.2.7", "198.51.100.1"],
    ["11.0.0.1", "198.51.100.1"],
    ["127.0.0.2", "127.0.0.1"],
    ["fe00::1", "198.51.100.1"],
  ])("of a peer that is not trusted (%s) is its own, whatever it claims", (peer, forwarded) => {
    expect(addressOf(peer, forwarded, proxies)).toBe(peer);
  });

  it("is that of the socket where no proxy is trusted", () => {
    expect(addressOf("127.0.0.1", "192.0.2.7", [])).toBe("127.0.0.1");
    expect(addressOf("::ffff:127.0.0.1", "192.0.2.7", [])).toBe("127.0.0.1");
  });

  it("is looked for past 16 proxies and no further, however long the header", () => {
    const chain = (length: number): string => ["192.0.2.7", ...Array<string>(length).fill("10.0.0.1")].join(",");
    expect(addressOf("127.0.0.1", chain(15), proxies)).toBe("192.0.2.7");
    expect(addressOf("127.0.0.1", chain(16), proxies)).toBe("10.0.0.1");
    expect(addressOf("127.0.0.1", chain(1_000), proxies)).toBe("10.0.0.1");
  });

  it("takes a mapped address as a proxy too", () => {
    expect(addressOf("127.0.0.1", "192.0.2.7", ["::ffff:127.0.0.1"])).toBe("192.0.2.7");
  });
});

describe("trusted proxies", () => {
  it.each([
    "",
    "proxy.example.com",
    "10.0.0.0/33",
    "fd00::/129",
    "10.0.0.1/",
    "10.0.0",
    "*",
    "10.0.0.1:80",
    " 10.0.0.1",
  ])("%j is refused by its name", (entry) => {
    expect(() => makeAddressOf(["127.0.0.1", entry])).toThrow(`got ${JSON.stringify(entry)}`);
  });
});
