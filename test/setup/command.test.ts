import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test, vi } from 'vitest';
import { comparingMsMax, requestJson } from '../../scripts/command.ts';

test('A command asks an engine without fetch, which gives up after five minutes where an audit or a reconciliation may take fifteen', async () => {
  vi.stubGlobal('fetch', () => Promise.reject(new Error('Headers Timeout Error')));
  const engine = createServer(async (request, response) => {
    const { method, url, headers } = request;
    if (url === '/none') response.statusCode = 404;
    response.end(
      JSON.stringify({ title: `${method} ${headers.authorization}`, body: await text(request) }),
    );
  });
  engine.listen(0, '127.0.0.1');
  await once(engine, 'listening');
  try {
    const address = `http://127.0.0.1:${(engine.address() as AddressInfo).port}`;
    const signal = AbortSignal.timeout(comparingMsMax);
    const asked = {
      method: 'POST',
      headers: { authorization: 'Bearer k' },
      body: '{"n":"é"}',
      signal,
    };
    const hint = (status: number) => `see ${status}`;
    const answer = await requestJson(address, '/v1/x', { ...asked, hint });
    expect(answer).toEqual({ title: 'POST Bearer k', body: '{"n":"é"}' });
    const refused = requestJson(address, '/none', { headers: {}, hint });
    await expect(refused).rejects.toThrow(`${address} answers 404 GET undefined: see 404`);
    const nobody = requestJson('http://127.0.0.1:1', '/', { headers: {}, hint });
    await expect(nobody).rejects.toThrow('no engine answers at http://127.0.0.1:1');
  } finally {
    vi.unstubAllGlobals();
    engine.close();
  }
});
