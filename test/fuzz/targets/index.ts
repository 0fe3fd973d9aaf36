import type { MakeCase } from "../case.ts";
import { endpointsCase } from "./endpoints.ts";
import { framesCase, jsonCase } from "./frames.ts";
import { handshakeCase } from "./handshakes.ts";
import { httpCase } from "./http.ts";
import { sseCase } from "./sse.ts";

export type Target = "frames" | "json" | "http" | "handshake" | "sse" | "endpoints";

export const targets: Readonly<Record<Target, MakeCase>> = {
  frames: framesCase,
  json: jsonCase,
  http: httpCase,
  handshake: handshakeCase,
  sse: sseCase,
  endpoints: endpointsCase,
};
