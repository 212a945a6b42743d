import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { orderId, orderRef } from '../../../src/domain/ids.ts';
import { type ProblemCode, problemCodes, problems } from '../../../src/http/problems/problems.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

const root = join(import.meta.dirname, '../../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

let engine: TestEngine;
beforeAll(async () => {
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    settings: { demo: true },
    operatorKey: 'an operator’s key of the tests, long enough',
  });
});
afterAll(() => engine?.stop());

type Operation = {
  operationId?: string;
  security?: object[];
  responses: Record<
    string,
    { content?: Record<string, { schema: { allOf?: { properties?: Codes }[] } }> }
  >;
};
type Codes = { code: { enum: ProblemCode[] } };
type OpenApi = {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown> };
};

async function openApi(): Promise<OpenApi> {
  return (await engine.app.inject('/openapi.json')).json();
}

function codesOf(operation: Operation): { code: ProblemCode; status: number }[] {
  return Object.entries(operation.responses).flatMap(([status, { content }]) => {
    const [, codes] = content?.['application/problem+json']?.schema.allOf ?? [];
    return (codes?.properties?.code.enum ?? []).map((code) => ({ code, status: Number(status) }));
  });
}

describe('The catalogue of problems', () => {
  test('and docs/errors.md list the same codes with the same texts', () => {
    const rows = [...read('docs/errors.md').matchAll(/^\| <a id="(\w+)"><\/a>`(\w+)` \|(.*)\|$/gm)];
    const documented = rows.map(([, anchor, code, rest]) => {
      expect(anchor).toBe(code);
      const [status, retry, title, detail] = (rest as string).split('|').map((cell) => cell.trim());
      return { code, status: Number(status), retry: retry === 'yes', title, detail };
    });
    const catalogue = problemCodes.map((code) => {
      const { status, title, detail, ...more } = problems[code];
      return { code, status, retry: 'retry' in more, title, detail };
    });
    expect(documented).toEqual(catalogue);
  });

  test('and OpenAPI list the same codes under the same status', async () => {
    const { paths } = await openApi();
    const documented = new Map<ProblemCode, number>();
    for (const operation of Object.values(paths).flatMap((path) => Object.values(path))) {
      for (const { code, status } of codesOf(operation)) documented.set(code, status);
    }
    // No operation can have these: they are for addresses and methods that are none, and for files.
    const elsewhere: ProblemCode[] = ['not_found', 'method_not_allowed', 'request_refused'];
    const catalogue = problemCodes.filter((code) => !elsewhere.includes(code));
    expect([...documented.keys()].sort()).toEqual([...catalogue].sort());
    for (const [code, status] of documented) expect(problems[code].status).toBe(status);
  });

  test('leaves a refund whose outcome is unknown to say in its own words that nothing was started, and says nothing of refunds that were to a Buy', async () => {
    const store = await engine.merchant();
    const drop = await engine.publish(store.id);
    const order = orderId(orderRef(drop.id, 'buyer', 'key', drop.lanes));
    vi.spyOn(engine.services.refunds, 'refund').mockResolvedValueOnce({ kind: 'unsure' });
    const answer = await engine.app.inject({
      method: 'POST',
      url: `/v1/orders/${order}/refund`,
      headers: { authorization: store.authorization },
    });
    expect(answer.headers['retry-after']).toBeDefined();
    expect(answer.json()).toMatchObject({
      code: 'outcome_unknown',
      status: 503,
      order,
      detail: expect.stringMatching(/^Nothing was refunded now: an earlier refund/),
    });
    expect(problems.outcome_unknown.detail).not.toMatch(/earlier refund/);
  });

  test('lists only codes that the source sends', () => {
    const sources = readdirSync(join(root, 'src/http'), { recursive: true })
      .map(String)
      .filter((file) => file.endsWith('.ts') && !/problems|contract/.test(file))
      .map((file) => read(join('src/http', file)))
      .join('\n')
      .replace(/problems: \[[^\]]*\]/g, '');
    const unsent = problemCodes.filter(
      (code) => !sources.includes(`'${code}'`) && code !== 'invalid_request',
    );
    expect(unsent).toEqual([]);
  });

  test('is shown on the page that `type` links to', async () => {
    const page = await engine.app.inject('/docs/errors');
    for (const code of problemCodes) expect(page.body).toContain(`<h2 id="${code}">`);
  });
});

describe('The OpenAPI document', () => {
  test('lists every route of the design, those of the demo, and no others', async () => {
    const { paths } = await openApi();
    const routes = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(routes.sort()).toEqual(
      [
        'DELETE /v1/drops/{drop}',
        'PATCH /v1/drops/{drop}',
        'POST /v1/drops/{drop}/duplicate',
        'GET /v1/drops',
        'POST /v1/drops',
        'GET /v1/drops/{drop}',
        'GET /v1/drops/{drop}/stream',
        'GET /v1/drops/{drop}/report',
        'GET /v1/drops/{drop}/audit',
        'GET /v1/drops/{drop}/orders',
        'POST /v1/drops/{drop}/orders',
        'GET /v1/drops/{drop}/appointment',
        'POST /v1/drops/{drop}/appointment',
        'GET /v1/drops/{drop}/appointments',
        'DELETE /v1/drops/{drop}/appointments',
        'DELETE /v1/drops/{drop}/appointments/{buyer}',
        'POST /v1/drops/{drop}/appointments/import',
        'POST /v1/drops/{drop}/publish',
        'POST /v1/drops/{drop}/pause',
        'POST /v1/drops/{drop}/resume',
        'POST /v1/drops/{drop}/end',
        'POST /v1/drops/{drop}/cancel',
        'POST /v1/drops/{drop}/items/{sku}/adjustments',
        'GET /v1/orders',
        'GET /v1/drops/{drop}/orders/{order}',
        'GET /v1/stores/{merchant}/drops',
        'GET /v1/orders/{order}',
        'GET /v1/orders/{order}/stream',
        'POST /v1/orders/{order}/cancel',
        'POST /v1/orders/{order}/payment',
        'POST /v1/orders/{order}/refund',
        'GET /v1/wallet',
        'GET /v1/wallet/topups/{topup}',
        'GET /v1/wallet/statement',
        'PUT /v1/wallet/password',
        'POST /v1/payments/{provider}/notifications',
        'POST /v1/reconciliations',
        'POST /v1/merchants',
        'POST /v1/keys',
        'POST /v1/keys/revoke',
        'POST /v1/wallet/topups',
        'POST /demo/tokens',
        'POST /demo/crowds',
        'POST /demo/statements',
      ].sort(),
    );
  });

  test('resolves all of its references, and shows the schemas that validate', async () => {
    const document = await openApi();
    const references = JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g);
    for (const [, reference] of references) {
      const name = /^#\/components\/schemas\/(.+)$/.exec(reference as string)?.[1] ?? '';
      expect(document.components.schemas).toHaveProperty(name);
    }
    const buy = document.paths['/v1/drops/{drop}/orders']?.['post'] as Operation & {
      requestBody: { content: Record<string, { schema: object }> };
    };
    expect(buy.requestBody.content['application/json']?.schema).toEqual({
      $ref: '#/components/schemas/BuyRequest',
    });
    expect(document.components.schemas['BuyRequest']).toMatchObject({
      additionalProperties: false,
      required: ['sku', 'quantity', 'payment'],
      properties: { quantity: { type: 'integer', minimum: 1, maximum: 10_000 } },
    });
    expect(buy.security).toEqual([{ buyer: [] }]);
    expect(JSON.stringify(buy)).toContain('Idempotency-Replayed');
  });
});

test('Every metric is listed in docs/operations.md, and every metric listed there exists', async () => {
  const engineMetrics = await engine.deps.metrics.registry.getMetricsAsJSON();
  const exported = engineMetrics.map(({ name }) => name);
  // Those of the runtime come with the library and are documented as a family.
  const own = exported.filter((name) => !/^flashdrop_(?:process|nodejs)_/.test(name));
  const documented = [...read('docs/operations.md').matchAll(/^\| `(flashdrop_\w+)` \|/gm)].map(
    ([, name]) => name,
  );
  expect([...documented].sort()).toEqual([...own].sort());
});
