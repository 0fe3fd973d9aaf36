import { createServer, type RequestListener, type Server } from "node:http";

/** A request's headers, and then all of it, must be there within these; Node's own defaults are a minute and five. */
const headersTimeout = 10_000;
const requestTimeout = 30_000;
const connectionsCheckingInterval = 1_000;

/** A node:http server with the deadlines that one on the open network needs. */
export function makeHttpServer(listener?: RequestListener): Server {
  return createServer({ headersTimeout, requestTimeout, connectionsCheckingInterval }, listener);
}
