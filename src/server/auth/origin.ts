import type { IncomingHttpHeaders } from "node:http";

interface Origin {
  readonly scheme: string;
  readonly host: string;
  readonly port: string;
}

const hostAndPort = String.raw`([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?`;
const originShape = new RegExp(`^([a-z][a-z0-9+.-]*)://${hostAndPort}$`);
const entryShape = new RegExp(String.raw`^([a-z][a-z0-9+.-]*)://(\*\.)?${hostAndPort}$`);
const hostShape = new RegExp(`^${hostAndPort}$`);

/**
 * Whether a request may come from where it says (P-15): without `Origin` it is no browser's and passes. A list holds
 * origins (`https://app.example.com`), compared by scheme, host and port; `https://*.example.com` for every host under
 * one, not that one itself; or `*` for all. `null` is on no list, but `*` lets it in. Without a list only the server's
 * own host is let in, with either scheme, because a proxy may speak TLS for it.
 */
export function originAllowed(
  request: { readonly headers: IncomingHttpHeaders },
  origins: readonly string[] | undefined,
): boolean {
  // Node joins repeated Origin headers with a comma, which no origin has, so that two of them are malformed here.
  const given = request.headers.origin?.toLowerCase();
  if (given === undefined) return true;
  if (given === "null") return origins?.includes("*") ?? false;
  const origin = parse(originShape, given);
  if (origin === undefined) return false;
  if (origins === undefined) return isOwnHost(origin, request.headers.host);
  return origins.some((entry) => entry === "*" || isListed(origin, entry.toLowerCase()));
}

/**
 * Whether a cookie sent along counts (P-11): with an allowed `Origin`, or without one where `Sec-Fetch-Site` is
 * `same-origin`. An origin that is let in by `*` alone does not count, or any page could act as its visitor.
 */
export function cookieCounts(
  request: { readonly headers: IncomingHttpHeaders },
  origins: readonly string[] | undefined,
): boolean {
  if (request.headers.origin === undefined) return request.headers["sec-fetch-site"] === "same-origin";
  const named = origins?.filter((entry) => entry !== "*");
  if (originAllowed(request, named)) return true;
  return (origins?.includes("*") ?? false) && originAllowed(request, undefined);
}

/** Throws a TypeError naming the first entry that could never match, e.g. one with a path. */
export function checkOrigins(origins: readonly string[]): void {
  for (const entry of origins) {
    if (entry === "*" || entryShape.test(entry.toLowerCase())) continue;
    throw new TypeError(`an origin must look like https://app.example.com, got ${JSON.stringify(entry)}`);
  }
}

function isListed(origin: Origin, entry: string): boolean {
  const wildcard = entry.includes("://*.");
  const listed = parse(originShape, wildcard ? entry.replace("*.", "") : entry);
  if (listed === undefined || listed.scheme !== origin.scheme || listed.port !== origin.port) return false;
  return wildcard ? isUnder(origin.host, listed.host) : origin.host === listed.host;
}

function isUnder(host: string, parent: string): boolean {
  return host.endsWith(`.${parent}`) && !host.startsWith(".");
}

function isOwnHost(origin: Origin, header: string | undefined): boolean {
  const [, host, port] = hostShape.exec(header?.toLowerCase() ?? "") ?? [];
  return host === origin.host && (port ?? defaultPort(origin.scheme)) === origin.port;
}

function parse(shape: RegExp, text: string): Origin | undefined {
  const [, scheme, host, port] = shape.exec(text) ?? [];
  if (scheme === undefined || host === undefined) return undefined;
  return { scheme, host, port: port ?? defaultPort(scheme) };
}

function defaultPort(scheme: string): string {
  if (scheme === "https") return "443";
  return scheme === "http" ? "80" : "";
}
