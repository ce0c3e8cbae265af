import createClient, { type Client } from "openapi-fetch";
import type { paths } from "./schema.js";

export type { components, operations, paths } from "./schema.js";

/** A typed client of the gateway; failures come as `error`, a problem document, and are never thrown. */
export function connect(baseUrl: string, key: string): Client<paths> {
  return createClient<paths>({ baseUrl, headers: { "X-XYTE-API-KEY": key } });
}
