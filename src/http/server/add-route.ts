import type {
  FastifyInstance,
  FastifySchemaCompiler,
  onRequestHookHandler,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
  RouteHandlerMethod,
} from 'fastify';
import type { z } from 'zod';
import { type Contract, schemaOf } from '../schemas/contract.ts';

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** The parameters that a path names: `/v1/drops/:drop/items/:sku` has `drop` and `sku`. */
type ParamsOf<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? { [name in Name]: string } & ParamsOf<Rest>
  : Path extends `${string}:${infer Name}`
    ? { [name in Name]: string }
    : unknown;

type OutputOf<Schema> = Schema extends z.ZodType ? z.output<Schema> : unknown;

/** What a request of a route holds, from its path and the schemas of its contract. */
export type RequestTypes<Path extends string, C extends Contract> = {
  Params: ParamsOf<Path>;
  Body: OutputOf<C['body']>;
  Querystring: OutputOf<C['querystring']>;
};

type Handler<Types extends object> = RouteHandlerMethod<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  Types
>;

type RouteOptions<C extends Contract> = {
  contract: C;
  /** Checks before the body is read, such as who is asking. */
  onRequest?: onRequestHookHandler | onRequestHookHandler[];
  bodyLimit?: number;
  exposeHeadRoute?: boolean;
  validatorCompiler?: FastifySchemaCompiler<unknown>;
};

/**
 * Adds a route by its contract: `address` is the method and the path, such as
 * `GET /v1/orders/:order`. The handler's params are typed by the path, body and query by the schemas
 * that validate them.
 */
export function addRoute<Path extends string, C extends Contract>(
  app: FastifyInstance,
  address: `${Method} ${Path}`,
  options: RouteOptions<C>,
  handler: Handler<RequestTypes<Path, C>>,
): void {
  const { contract, ...rest } = options;
  const [method = '', url = ''] = address.split(' ', 2);
  app.route<RequestTypes<Path, C>>({ method, url, schema: schemaOf(contract), handler, ...rest });
}
