import { optionalBody } from '../schemas/contract.ts';
import { examples } from '../schemas/examples.ts';
import { operationIdOf, schemaNames } from '../schemas/operations.ts';

// Completes the document that @fastify/swagger makes: operation ids, examples, and schemas that have a
// name, so that a generated client has methods and types that one can speak of.

type Json = { [key: string]: unknown };

export type OpenApiDocument = Json & {
  paths: Record<string, Record<string, Operation>>;
  components?: Json & { schemas?: Record<string, Json> };
};

type Content = Record<string, { schema?: Json; example?: unknown }>;
type Operation = {
  operationId?: string;
  requestBody?: { required?: boolean; content?: Content };
  responses?: Record<string, { content?: Content }>;
};

const methods = new Set(['get', 'post', 'put', 'patch', 'delete']);
const json = 'application/json';

/** Gives names to what is without one; the document is changed and returned. */
export function completed(document: OpenApiDocument): OpenApiDocument {
  const schemas: Record<string, Json> = { ...document.components?.schemas };
  const names = new Map<string, string>();
  for (const { operation, id } of operationsOf(document)) {
    operation.operationId = id;
    tellOptionalBody(operation);
    for (const [part, type] of partsOf(operation)) {
      if (!isNameable(type.schema)) continue;
      const text = JSON.stringify(type.schema);
      const name = names.get(text) ?? nameFor({ id, part, taken: schemas });
      names.set(text, name);
      schemas[name] = type.schema;
      type.schema = referenceTo(name);
    }
    const example = examples[id];
    const body = operation.requestBody?.content?.[json];
    if (body && example !== undefined) body.example = example;
  }
  for (const [name, schema] of Object.entries(schemas)) {
    // A part that is a whole of its own elsewhere, such as the drops of a list.
    schemas[name] = linked(schema, names, { self: name }) as Json;
  }
  document.components = { ...document.components, schemas };
  return document;
}

/** The plugin says of every body that it is required. */
function tellOptionalBody({ requestBody }: Operation): void {
  const schema = requestBody?.content?.[json]?.schema;
  if (!requestBody || !schema?.[optionalBody]) return;
  delete schema[optionalBody];
  requestBody.required = false;
}

export function* operationsOf(document: OpenApiDocument) {
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      if (methods.has(method)) yield { operation, id: operationIdOf(method, path), method, path };
    }
  }
}

/** The bodies of an operation: the request, and what a success answers. */
function* partsOf({ requestBody, responses = {} }: Operation) {
  const request = requestBody?.content?.[json];
  if (request) yield ['Request', request] as const;
  for (const [status, { content }] of Object.entries(responses)) {
    const answer = status.startsWith('2') ? content?.[json] : undefined;
    if (answer) yield ['Response', answer] as const;
  }
}

function isNameable(schema: Json | undefined): schema is Json {
  return schema !== undefined && schema['$ref'] === undefined && schema['type'] === 'object';
}

function nameFor(of: { id: string; part: 'Request' | 'Response'; taken: object }): string {
  const { id, part, taken } = of;
  const own = `${id.charAt(0).toUpperCase()}${id.slice(1)}${part}`;
  const known = part === 'Response' ? schemaNames[id] : undefined;
  return known !== undefined && !(known in taken) ? known : own;
}

function referenceTo(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

function linked(value: unknown, names: Map<string, string>, { self }: { self?: string }): unknown {
  if (Array.isArray(value)) return value.map((one) => linked(one, names, {}));
  if (typeof value !== 'object' || value === null) return value;
  const name = names.get(JSON.stringify(value));
  if (name !== undefined && name !== self) return referenceTo(name);
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, linked(part, names, {})]),
  );
}
