import type { IncomingMessage } from "node:http";
import { BlockList, isIP, SocketAddress } from "node:net";

/** Where a request came from: a plain IPv4 or IPv6 address; empty where it is not known. */
export type AddressOf = (request: Pick<IncomingMessage, "socket" | "headers">) => string;

/** Proxies behind proxies that are believed in one request; what stands further left counts nothing. */
const maxHops = 16;

/**
 * Tells where requests came from. Without trusted proxies that is the peer of the socket, whatever headers say. A trusted
 * peer is asked by `X-Forwarded-For`, read from the right: each proxy adds there whom it was called by, so the first that
 * is not trusted itself is the client, and all that stands left of it is only what that client says.
 *
 * Throws a TypeError naming the first entry that is no address (`10.0.0.1`, `::1`) and no range (`10.0.0.0/8`).
 */
export function makeAddressOf(trustedProxies: readonly string[] = []): AddressOf {
  if (trustedProxies.length === 0) return peerOf;
  const trusted = blockListOf(trustedProxies);
  const isTrusted = (address: string): boolean => trusted.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
  return (request) => {
    const peer = peerOf(request);
    // A peer without an address speaks over a socket of the file system, or is gone.
    if (isIP(peer) === 0 || !isTrusted(peer)) return peer;
    return clientOf(peer, forwardedFor(request.headers), isTrusted);
  };
}

/** Throws as `makeAddressOf` does. */
export function checkTrustedProxies(entries: readonly string[]): void {
  blockListOf(entries);
}

function peerOf({ socket }: Pick<IncomingMessage, "socket">): string {
  return plain(socket.remoteAddress ?? "");
}

/** All fields, in order: Node joins repeated ones by commas. */
function forwardedFor(headers: IncomingMessage["headers"]): string {
  return String(headers["x-forwarded-for"] ?? "");
}

/** The first address from the right that is not trusted, or the last of the trusted ones where none follows. */
function clientOf(peer: string, list: string, isTrusted: (address: string) => boolean): string {
  let found = peer;
  let end = list.length;
  for (let hops = 0; hops < maxHops && end > 0 && isTrusted(found); hops++) {
    const comma = list.lastIndexOf(",", end - 1);
    const address = forwardedAddress(list.slice(comma + 1, end).trim());
    // Nobody can tell who wrote what stands left of an entry that says nothing ("unknown").
    if (address === undefined) return found;
    found = address;
    end = comma;
  }
  return found;
}

/** An entry, which some proxies write with a port or brackets; undefined: it is no address. */
function forwardedAddress(entry: string): string | undefined {
  const bare = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(entry)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(entry)?.[1] ?? entry;
  return isIP(bare) === 0 || bare.includes("%") ? undefined : plain(bare);
}

/** One text for one address, so that it is counted once: IPv4 mapped into IPv6 (`::ffff:10.0.0.1`) is IPv4. */
function plain(address: string): string {
  if (!address.includes(":") || address.includes("%")) return address;
  const short = new SocketAddress({ address, family: "ipv6" }).address;
  return /^::ffff:([\d.]+)$/.exec(short)?.[1] ?? short;
}

function blockListOf(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) addTo(list, entry);
  return list;
}

function addTo(list: BlockList, entry: string): void {
  const [, address = "", bits] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  const family = isIP(address);
  const width = family === 6 ? 128 : 32;
  if (family === 0 || (bits !== undefined && Number(bits) > width)) {
    throw new TypeError(
      `a trusted proxy must look like 10.0.0.1, 10.0.0.0/8 or fd00::/8, got ${JSON.stringify(entry)}`,
    );
  }
  // Requests' addresses are written plainly before they are looked up, so this one is too.
  const text = bits === undefined ? plain(address) : address;
  const type = isIP(text) === 6 ? "ipv6" : "ipv4";
  if (bits === undefined) list.addAddress(text, type);
  else list.addSubnet(text, Number(bits), type);
}
