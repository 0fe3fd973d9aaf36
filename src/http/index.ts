/** Fanfare over HTTP: publish, read and moderate (P-80), mounted in an app of one's own. */
export { httpApi } from "./node.ts";
export type { HttpApi, HttpApiOptions } from "./node.ts";
export { fetchApi } from "./fetch.ts";
export type { FetchFacts } from "./fetch.ts";
export type { ApiOptions } from "./api/api.ts";
export type { ApiKey } from "./api/keys.ts";
export type { ApiHub } from "./api/route.ts";
export type { Operation } from "./answer.ts";
