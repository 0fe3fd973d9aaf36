import type { Json, JsonObject } from "../../../src/protocol/json.ts";

type Schema = JsonObject;
const known = new Set(
  "$ref,type,enum,const,minimum,maximum,minLength,maxLength,pattern,items,properties,required,additionalProperties,oneOf,description".split(
    ",",
  ),
);

/**
 * What is wrong with a value by a JSON Schema, or undefined. It knows the keywords that the API's document uses and throws
 * on any other, so that none is passed over.
 */
export function faultOf(value: Json | undefined, schema: Schema, document: JsonObject, at = "$"): string | undefined {
  const unknown = Object.keys(schema).find((keyword) => !known.has(keyword));
  if (unknown !== undefined) throw new Error(`this checker does not know ${unknown}`);
  if (typeof schema["$ref"] === "string") return faultOf(value, resolve(schema["$ref"], document), document, at);
  if (schema["oneOf"] !== undefined) return faultOfOne(value, schema["oneOf"] as Schema[], document, at);
  if ("const" in schema && value !== schema["const"]) return `${at} is not ${JSON.stringify(schema["const"])}`;
  if (schema["enum"] !== undefined && !(schema["enum"] as Json[]).includes(value as Json)) return `${at} is not listed`;
  const types = [schema["type"] ?? []].flat() as string[];
  if (types.length > 0 && !types.some((type) => isOf(type, value))) return `${at} is no ${types.join(" or ")}`;
  return faultOfParts(value, schema, document, at);
}

function faultOfParts(value: Json | undefined, schema: Schema, document: JsonObject, at: string): string | undefined {
  if (typeof value === "number") return faultOfNumber(value, schema, at);
  if (typeof value === "string") return faultOfText(value, schema, at);
  if (Array.isArray(value) && schema["items"] !== undefined) {
    return first(value.map((item, i) => faultOf(item, schema["items"] as Schema, document, `${at}[${i}]`)));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const properties = (schema["properties"] ?? {}) as Record<string, Schema>;
  const missing = ((schema["required"] ?? []) as string[]).find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) return `${at}.${missing} is missing`;
  const extra = Object.keys(value).find((name) => !Object.hasOwn(properties, name));
  if (schema["additionalProperties"] === false && extra !== undefined) return `${at}.${extra} is not in the document`;
  return first(
    Object.entries(properties).map(([name, inner]) =>
      Object.hasOwn(value, name) ? faultOf(value[name], inner, document, `${at}.${name}`) : undefined,
    ),
  );
}

function faultOfNumber(value: number, schema: Schema, at: string): string | undefined {
  if (value < ((schema["minimum"] as number | undefined) ?? -Infinity)) return `${at} is small`;
  return value > ((schema["maximum"] as number | undefined) ?? Infinity) ? `${at} is large` : undefined;
}

function faultOfText(value: string, schema: Schema, at: string): string | undefined {
  if (value.length < ((schema["minLength"] as number | undefined) ?? 0)) return `${at} is short`;
  if (value.length > ((schema["maxLength"] as number | undefined) ?? Infinity)) return `${at} is long`;
  const pattern = schema["pattern"];
  return typeof pattern === "string" && !new RegExp(pattern, "u").test(value) ? `${at} has another form` : undefined;
}

function faultOfOne(value: Json | undefined, all: Schema[], document: JsonObject, at: string): string | undefined {
  const faults = all.map((schema) => faultOf(value, schema, document, at));
  return faults.filter((fault) => fault === undefined).length === 1 ? undefined : `${at}: ${faults.join("; ")}`;
}

function isOf(type: string, value: Json | undefined): boolean {
  if (type === "array") return Array.isArray(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return type === "integer" ? Number.isInteger(value) : typeof value === type;
}

function first(faults: readonly (string | undefined)[]): string | undefined {
  return faults.find((fault) => fault !== undefined);
}

function resolve(ref: string, document: JsonObject): Schema {
  const found = ref
    .slice(2)
    .split("/")
    .reduce<Json | undefined>((inner, name) => (inner as JsonObject | undefined)?.[name], document);
  if (found === undefined) throw new Error(`${ref} is not in the document`);
  return found as Schema;
}
