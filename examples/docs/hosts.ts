import { createServer, type Server } from "node:http";
import fastifyWebsocket from "@fastify/websocket";
import { createAdaptorServer } from "@hono/node-server";
import express from "express";
import type { AnyHub } from "fanfare";
import { fetchApi, httpApi, type ApiKey } from "fanfare/http";
import fastify, { type FastifyInstance } from "fastify";
import { Hono } from "hono";

// #region express
/** Express 5: the API goes before any body parser, because it reads bodies itself. */
export function withExpress(hub: AnyHub, apiKeys: readonly ApiKey[]): Server {
  const app = express();
  const api = httpApi(hub, { apiKeys });
  app.use((request, response, next) => {
    void api(request, response).then((answered) => {
      if (!answered) next();
    });
  });
  app.use(express.json());
  app.get("/hello", (_request, response) => void response.send("hello"));
  app.post("/echo", (request, response) => void response.json(request.body));

  const server = createServer(app);
  hub.attach(server);
  return server;
}
// #endregion

// #region fastify
/** Fastify 5, with routes for sockets of its own. */
export async function withFastify(hub: AnyHub, apiKeys: readonly ApiKey[]): Promise<FastifyInstance> {
  const app = fastify();
  const api = httpApi(hub, { apiKeys });
  app.addHook("onRequest", async (request, reply) => {
    if (await api(request.raw, reply.raw)) reply.hijack();
  });
  await app.register(fastifyWebsocket);
  app.get("/own", { websocket: true }, (socket) => socket.send("own"));
  app.get("/hello", () => "hello");
  app.post("/echo", (request) => request.body);

  hub.attach(app.server);
  app.addHook("preClose", () => hub.close()); // not onClose: Fastify waits for open sockets before that
  return app;
}
// #endregion

// #region hono
/** Hono on `@hono/node-server`. */
export function withHono(hub: AnyHub, apiKeys: readonly ApiKey[]): Server {
  const app = new Hono();
  const api = fetchApi(hub, { apiKeys });
  app.all("/v1/*", (c) => api(c.req.raw));
  app.get("/readyz", (c) => api(c.req.raw));
  app.get("/hello", (c) => c.text("hello"));
  app.post("/echo", async (c) => c.json(await c.req.json()));

  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  hub.attach(server);
  return server;
}
// #endregion
