import type { Field, Fields } from "./fields.ts";
import type { Audience, Route } from "./route.ts";
import { type Schema, schemaNamed, schemas } from "./schema.ts";

const title = "Fanfare";
/** The version of the API, as its addresses tell it. */
const version = "1";

const needs: Readonly<Record<Audience, { readonly security: readonly object[]; readonly tells: string }>> = {
  caller: { security: [{ apiKey: [] }, { token: [] }], tells: "An API key, or a user's token with the rights." },
  key: { security: [{ apiKey: [] }], tells: "An API key." },
  user: { security: [{ token: [] }], tells: "A user's token." },
};

const securitySchemes = {
  apiKey: { type: "http", scheme: "bearer", description: "A key of the operator: all rights in every room" },
  token: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "A user's token: the user's rights" },
};

const idempotencyKey = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "Makes the publish safe to repeat: it is kept once",
  schema: { type: "string", minLength: 1, maxLength: 64 },
};

const failure: object = content("It was refused or failed", schemaNamed("Error"));

const tooMany: object = {
  ...content("Too many requests, of the user, the address or into the room; API keys are exempt", schemaNamed("Error")),
  headers: {
    "Retry-After": { description: "Seconds; retry_after_ms is exact", schema: { type: "integer", minimum: 1 } },
  },
};

const healthPaths = {
  "/healthz": { get: plain("health", "Whether the process is up", { "200": content("It is", schemaNamed("Up")) }) },
  "/readyz": {
    get: plain("readiness", "Whether it can serve", {
      "200": content("It can", schemaNamed("Readiness")),
      "503": content("It cannot now; reasons tells why", schemaNamed("Readiness")),
    }),
  },
};

/** The OpenAPI 3.1 document of these calls and of health, as JSON text. */
export function openApiText(routes: readonly Route[]): string {
  const paths: Record<string, Record<string, object>> = { ...healthPaths };
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operationOf(route);
  paths["/v1/openapi.json"] = {
    get: plain("document", "Read this document", { "200": content("The document", { type: "object" }) }),
  };
  const info = { title, version, summary: "Realtime rooms: publish, read and moderate over HTTP" };
  return JSON.stringify({ openapi: "3.1.0", info, paths, components: { schemas, securitySchemes } });
}

function plain(operationId: string, summary: string, responses: Readonly<Record<string, object>>): object {
  return { operationId, summary, security: [], responses: { ...responses, default: failure } };
}

function operationOf({ operation, summary, audience, pathFields, query, body, keyed, success }: Route): object {
  const { security, tells } = needs[audience];
  const parameters = [
    ...Object.entries(pathFields).map(([name, field]) => parameter(name, "path", field)),
    ...Object.entries(query).map(([name, field]) => parameter(name, "query", field)),
    ...(keyed ? [idempotencyKey] : []),
  ];
  return {
    operationId: operation,
    summary,
    description: tells,
    security,
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && { requestBody: { required: true, ...jsonOf(objectOf(body.fields)) } }),
    responses: { [success.status]: content(success.tells, success.schema), "429": tooMany, default: failure },
  };
}

function parameter(name: string, where: "path" | "query", { required, schema }: Field<unknown>): object {
  return { name, in: where, required, schema };
}

/** Unknown members are ignored (P-1), so the schema lets them be. */
function objectOf(fields: Fields): Schema {
  const entries = Object.entries(fields);
  const required = entries.filter(([, field]) => field.required).map(([name]) => name);
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([name, { schema }]) => [name, schema])),
    required,
  };
}

function content(description: string, schema: Schema | undefined): object {
  return { description, ...(schema !== undefined && jsonOf(schema)) };
}

function jsonOf(schema: Schema): { content: object } {
  return { content: { "application/json": { schema } } };
}
