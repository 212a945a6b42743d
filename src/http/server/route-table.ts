import type { FastifyInstance, RouteOptions } from 'fastify';
import findMyWay from 'find-my-way';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Requests of the route are refused while the process is behind: see load-shedding.ts. */
    isShed?: boolean | undefined;
  }
}

/** How addresses are matched: the same for the app's router and for the table of its routes. */
export const routerOptions = {
  ignoreTrailingSlash: false,
  ignoreDuplicateSlashes: false,
  useSemicolonDelimiter: false,
  caseSensitive: true,
  maxParamLength: 800,
};

export type RouteTable = ReturnType<typeof openRouteTable>;

/**
 * The routes of an app, for what has to be known of a request outside its route. An address has many
 * spellings (a query, percent-encoded letters, the absolute form), so it is never compared as a text:
 * the table looks it up as the app's router does, by the same library and options.
 */
export function openRouteTable() {
  const router = findMyWay(routerOptions);
  const methods = new Set<string>();

  function add({ url, method, config }: RouteOptions): void {
    const isShed = config?.isShed ?? false;
    for (const name of [method].flat()) {
      methods.add(name);
      router.on(methodOf(name), url, () => {}, { isShed });
    }
  }

  const find = (method: string, url: string): { isShed: boolean } | undefined =>
    router.find(methodOf(method), url)?.store;

  return {
    /** Takes in every route that is added to the app from now on. */
    follow(app: FastifyInstance): void {
      app.addHook('onRoute', add);
    },
    /** Whether a request is of a route whose requests are refused while the process is behind. */
    isShed: (method: string, url: string): boolean => find(method, url)?.isShed ?? false,
    /** The methods of the routes at an address, sorted; none where there is nothing. */
    methodsAt: (url: string): string[] =>
      [...methods].filter((method) => find(method, url) !== undefined).sort(),
  };
}

/** find-my-way's types list the methods; at run time it takes those that Node knows. */
function methodOf(name: string): findMyWay.HTTPMethod {
  return name as findMyWay.HTTPMethod;
}
