import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { extname, join, relative, sep } from "node:path";
import { pathOf } from "../server/target.ts";
import { type Operation, requireMethod } from "./answer.ts";

interface StaticFile {
  readonly body: Buffer;
  readonly type: string;
  readonly etag: string;
}

/** More than a bundled page ever has; a directory with more is the wrong one. */
const maxFiles = 500;

const types: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
};

/**
 * Serves the files of a directory, `index.html` as `/`. They are read once, now, into a table of addresses: no path that
 * comes in ever reaches the disk. Gives undefined where the directory does not exist or has no `index.html`.
 */
export async function staticFiles(directory: string): Promise<Operation | undefined> {
  const files = await readAll(directory);
  if (!files.has("/")) return undefined;
  return (request, response) => {
    const file = files.get(pathOf(request));
    if (file === undefined) return false;
    requireMethod(request, "GET", "HEAD");
    response.setHeader("etag", file.etag);
    // Always asked again, never sent again: a new build is seen at the next load.
    response.setHeader("cache-control", "no-cache");
    if (request.headers["if-none-match"] === file.etag) {
      response.writeHead(304).end();
      return true;
    }
    response.writeHead(200, {
      "content-type": file.type,
      "content-length": file.body.length,
      "content-security-policy": contentSecurityPolicy(request),
      "cross-origin-opener-policy": "same-origin",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
    });
    response.end(request.method === "HEAD" ? undefined : file.body);
    return true;
  };
}

async function readAll(directory: string): Promise<Map<string, StaticFile>> {
  const files = new Map<string, StaticFile>();
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  const found = entries.filter((entry) => entry.isFile());
  if (found.length > maxFiles) throw new RangeError(`${directory} has more than ${maxFiles} files`);
  for (const entry of found) {
    const file = join(entry.parentPath, entry.name);
    const address = `/${relative(directory, file).split(sep).map(encodeURIComponent).join("/")}`;
    files.set(address === "/index.html" ? "/" : address, await readStaticFile(file));
  }
  return files;
}

async function readStaticFile(file: string): Promise<StaticFile> {
  const body = await readFile(file);
  return {
    body,
    type: types[extname(file)] ?? "application/octet-stream",
    etag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`,
  };
}

const plainHost = /^[A-Za-z0-9.-]+(?::\d+)?$|^\[[0-9A-Fa-f:.]+\](?::\d+)?$/;

/** Nothing but the page's own files and its own socket, which older browsers do not count as `'self'`. */
function contentSecurityPolicy(request: IncomingMessage): string {
  const host = request.headers.host ?? "";
  const sockets = plainHost.test(host) ? ` ws://${host} wss://${host}` : "";
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    `connect-src 'self'${sockets}`,
    "manifest-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}
