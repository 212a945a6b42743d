import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Config, readCommand } from '../../src/config/config.ts';
import { nearest } from '../../src/config/spelling.ts';

const root = join(import.meta.dirname, '../..');
const servers = { REDIS_URL: 'redis://cache:6379', DATABASE_URL: 'postgres://db/flashdrop' };
const secret = 'a-secret-of-at-least-thirty-two-bytes';
const production = {
  ...servers,
  FLASHDROP_JWT_SECRET: secret,
  FLASHDROP_JWT_ISSUER: 'https://id.example',
};

function accepted(args: string[], env: Record<string, string>): Config {
  const command = readCommand(args, env);
  if (command.kind !== 'run') throw new Error(JSON.stringify(command));
  return command.config;
}

function problems(args: string[], env: Record<string, string>): string[] {
  const command = readCommand(args, env);
  return command.kind === 'refused' ? command.problems : [];
}

describe('an empty environment', () => {
  test('With an empty environment everything is embedded, on loopback, in demo mode', () => {
    expect(accepted([], {})).toMatchObject({
      role: 'all',
      host: '127.0.0.1',
      port: 8080,
      namespace: 'fd',
      demo: true,
      redis: { kind: 'embedded' },
      ledger: { kind: 'embedded' },
      tokens: { kind: 'folder', algorithm: 'HS256' },
    });
  });
});

describe('empty settings', () => {
  const blanks = ['', '  ', '\t\r\n', '""', "' '"];

  test('An empty URL of a store is refused in one line that says what to write, and nothing embedded starts in its place', () => {
    for (const blank of blanks) {
      for (const others of [{}, production]) {
        for (const name of ['REDIS_URL', 'DATABASE_URL']) {
          const scheme = name === 'REDIS_URL' ? 'redis' : 'postgres';
          expect(problems(['--port', '8081'], { ...others, [name]: blank })).toEqual([
            expect.stringMatching(
              `^${name} is set but empty: write a URL such as ${scheme}://host.*, or remove it to use the embedded server$`,
            ),
          ]);
        }
      }
    }
    expect(problems([], { REDIS_URL: '', DATABASE_URL: '' })).toHaveLength(2);
  });

  test('An empty URL of a store is not to be removed where the role needs the server, and a wrong flag is told beside it', () => {
    for (const role of ['api', 'worker']) {
      const env = { ...production, FLASHDROP_ROLE: role, REDIS_URL: '' };
      const found = problems(['--prot', '1'], env);
      expect(found[0]).toMatch(
        /^REDIS_URL is set but empty: write a URL such as redis:[^,]*, with/,
      );
      expect(found[0]).not.toContain('remove');
      expect(found.slice(1)).toEqual(
        problems(['--prot', '1'], { ...production, FLASHDROP_ROLE: role }),
      );
      expect(found.length).toBeGreaterThan(1);
    }
  });

  test('Every setting that .env.example lists is refused when it is set but empty, each by its name', () => {
    const example = readFileSync(join(root, '.env.example'), 'utf8');
    const names = [...example.matchAll(/^#?(FLASHDROP_[A-Z_]+)=/gm)].map(([, name]) => name ?? '');
    const read = names.filter((name) => !/_NO_INSTALL$|_TEST_/.test(name));
    expect(read.length).toBeGreaterThan(30);
    for (const name of read) {
      const env = { ...production, [name]: ' ' };
      expect(problems([], env)).toEqual([
        expect.stringMatching(`^${name} is set but empty: write `),
      ]);
    }
  });

  test('A setting that a flag overrides may be empty', () => {
    expect(accepted(['--port', '8081'], { FLASHDROP_PORT: '' }).port).toBe(8081);
  });

  test('The deployment of docker-compose.yml passes no empty setting on', () => {
    const compose = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
    expect(compose).not.toMatch(/^\s+\w+:\s*\$\{\w+(:?-)?\}$/m);
    expect(compose).toMatch(/^ {2}FLASHDROP_JWT_SECRET:$/m);
  });
});

describe('the number of api processes', () => {
  test('The number of api processes is set by a setting or a flag, and a worker has none', () => {
    expect(accepted([], { FLASHDROP_API_PROCESSES: '3' }).apiProcesses).toBe(3);
    expect(accepted(['--api-processes', '2'], {}).apiProcesses).toBe(2);
    const worker = { ...production, FLASHDROP_ROLE: 'worker', FLASHDROP_API_PROCESSES: '3' };
    expect(accepted([], worker).apiProcesses).toBe(1);
    for (const wrong of ['0', '65', 'many']) {
      expect(problems([], { FLASHDROP_API_PROCESSES: wrong })).toHaveLength(1);
    }
  });
});

describe('demo mode', () => {
  test('Demo mode is off once a server is configured', () => {
    for (const name of ['REDIS_URL', 'DATABASE_URL'] as const) {
      const { REDIS_URL: _redis, DATABASE_URL: _ledger, ...others } = production;
      expect(accepted([], { ...others, [name]: servers[name] }).demo).toBe(false);
    }
  });

  test('Demo mode is reachable from other machines only when it is set explicitly', () => {
    const env = { FLASHDROP_HOST: '0.0.0.0' };
    expect(problems([], env)).toEqual([expect.stringContaining('FLASHDROP_DEMO=on')]);
    expect(accepted([], { ...env, FLASHDROP_DEMO: 'on' }).demo).toBe(true);
  });
});

describe('what others may take', () => {
  const jwks = {
    ...servers,
    FLASHDROP_JWKS_URL: 'https://id.example/keys',
    FLASHDROP_JWT_ISSUER: 'https://id.example',
  };
  const stripe = {
    FLASHDROP_PUBLIC_URL: 'https://shop.example',
    FLASHDROP_STRIPE_SECRET_KEY: 'sk_live_1',
    FLASHDROP_STRIPE_WEBHOOK_SECRET: 'whsec_1',
  };

  test('Plain http to another machine is refused for keys and providers, unless it is allowed by name', () => {
    const plain = ['http://id.example/keys', 'HTTP://10.0.0.7/', 'http://127.0.0.1.evil.example/'];
    for (const name of ['FLASHDROP_JWKS_URL', 'FLASHDROP_STRIPE_URL']) {
      for (const url of plain) {
        const env = { ...jwks, ...stripe, [name]: url };
        const found = problems([], env);
        expect(found).toEqual([expect.stringMatching(`^${name} is plain http .*plain-http`)]);
        const allowed = { ...env, FLASHDROP_ALLOW_INSECURE: 'plain-http' };
        expect(problems([], allowed)).toEqual([]);
      }
      for (const url of ['http://localhost:1/', 'http://127.9.9.9/', 'http://[::1]:1/']) {
        expect(problems([], { ...jwks, ...stripe, [name]: url })).toEqual([]);
      }
    }
  });

  test('A demo that other machines reach is refused with a key that takes real money, unless it is allowed by name', () => {
    const demo = { ...stripe, FLASHDROP_DEMO: 'on' };
    for (const host of ['0.0.0.0', '::', '192.168.1.2', 'shop.example']) {
      const env = { ...demo, FLASHDROP_HOST: host };
      expect(problems([], env)).toEqual([
        expect.stringMatching(/stripe takes real money.*live-demo/),
      ]);
      expect(problems([], { ...env, FLASHDROP_ALLOW_INSECURE: 'live-demo' })).toEqual([]);
      expect(problems([], { ...env, FLASHDROP_STRIPE_SECRET_KEY: 'sk_test_1' })).toEqual([]);
      expect(problems([], { ...env, FLASHDROP_STRIPE_SECRET_KEY: 'rk_live_1' })).toHaveLength(1);
      expect(problems([], { ...env, FLASHDROP_STRIPE_URL: 'http://127.0.0.1:1' })).toEqual([]);
    }
    expect(problems([], demo)).toEqual([]);
  });
});

describe('simulated payment providers', () => {
  const stripe = {
    FLASHDROP_PUBLIC_URL: 'https://shop.example',
    FLASHDROP_STRIPE_SECRET_KEY: 'sk_test_1',
    FLASHDROP_STRIPE_WEBHOOK_SECRET: 'whsec_1',
  };

  test('Providers are simulated in an embedded demo without a configured provider, else only when set', () => {
    expect(accepted([], {}).simulators).toBe(true);
    expect(accepted([], { FLASHDROP_SIMULATORS: 'off' }).simulators).toBe(false);
    expect(accepted([], stripe).simulators).toBe(false);
    expect(accepted([], production).simulators).toBe(false);
    const demo = { ...production, FLASHDROP_DEMO: 'on' };
    expect(accepted([], demo).simulators).toBe(false);
    expect(accepted([], { ...demo, FLASHDROP_SIMULATORS: 'on' }).simulators).toBe(true);
  });

  test('Simulated providers are refused outside demo mode, beside a real provider, and for one role alone', () => {
    const on = { FLASHDROP_SIMULATORS: 'on' };
    expect(problems([], { ...production, ...on })).toEqual([
      expect.stringMatching(/^FLASHDROP_SIMULATORS is on outside demo mode.*FLASHDROP_DEMO=on/),
    ]);
    expect(problems([], { ...stripe, ...on })).toEqual([
      expect.stringMatching(/^FLASHDROP_SIMULATORS is on and stripe is configured.*=off/),
    ]);
    const role = { ...production, FLASHDROP_DEMO: 'on', FLASHDROP_ROLE: 'worker', ...on };
    expect(problems([], role)).toEqual([
      expect.stringMatching(/^FLASHDROP_SIMULATORS is on and FLASHDROP_ROLE is "worker"/),
    ]);
  });
});

describe('wrong settings', () => {
  test('All wrong settings are reported together, each with its name, its value and what is allowed', () => {
    const found = problems(['--fresh', '--role', 'boss'], {
      ...production,
      FLASHDROP_PORT: '80a',
      FLASHDROP_DEMO: 'maybe',
      FLASHDROP_LOG_LEVEL: 'loud',
      FLASHDROP_NAMESPACE: 'FD:1',
      FLASHDROP_ALLOW_UNSAFE_REDIS: 'eviction,evrysec',
    });
    expect(found).toEqual([
      'FLASHDROP_ROLE is "boss": it must be api, worker or all',
      'FLASHDROP_DEMO is "maybe": it must be on or off',
      expect.stringContaining('--fresh'),
      'FLASHDROP_PORT is "80a": it must be a whole number from 0 to 65535',
      'FLASHDROP_NAMESPACE is "FD:1": it must be 1 to 32 of a-z, 0-9, - and _',
      expect.stringContaining('FLASHDROP_LOG_LEVEL is "loud"'),
      expect.stringContaining('FLASHDROP_ALLOW_UNSAFE_REDIS is "eviction,evrysec"'),
    ]);
  });

  test('A problem never shows a secret or a password', () => {
    const found = problems([], {
      ...production,
      FLASHDROP_JWT_SECRET: 'hunter2',
      REDIS_URL: 'redis://user:hunter2@host:port',
      DATABASE_URL: 'mysql://user:hunter2@host/db',
    });
    expect(found).toHaveLength(3);
    expect(found.join()).not.toContain('hunter2');
  });

  test('A URL with a password that ends early is refused, and nothing of it is shown', () => {
    for (const password of [
      'hun#ter2',
      'hun/ter2',
      'hun?ter2',
      'hunter2%',
      'hun ter2#',
      '1/ter2',
    ]) {
      for (const user of ['', 'me']) {
        const found = problems([], {
          ...production,
          REDIS_URL: `redis://${user}:${password}@cache:6379`,
          DATABASE_URL: `postgres://${user}:${password}@db/flashdrop`,
          FLASHDROP_JWKS_URL: `ftp://${user}:${password}@id.example`,
          FLASHDROP_PUBLIC_URL: `//${user}:${password}@shop.example`,
          FLASHDROP_HOST: `redis://${user}:${password}@cache`,
        });
        expect([password, found]).toEqual([
          password,
          expect.arrayContaining([
            expect.stringMatching(/^REDIS_URL is "redis:.*%23/),
            expect.stringMatching(/^DATABASE_URL is "postgres:.*%23/),
          ]),
        ]);
        expect(found.join()).not.toMatch(/hun|ter2/);
      }
    }
  });

  test('A secret that stands in another setting, or for a flag, is not shown', () => {
    for (const secret of [
      'sk_live_51Abc',
      'whsec_Abc',
      'fdk_abc',
      '-----BEGIN KEY',
      'x'.repeat(99),
    ]) {
      const found = problems([`redis://:${secret}@host`], {
        ...production,
        FLASHDROP_ROLE: secret,
      });
      expect(found).toHaveLength(2);
      expect(found.join()).not.toContain(secret);
    }
  });

  test('A name that differs from a setting in its prefix or its case is refused', () => {
    for (const name of ['flashdrop_port', 'FLASHDORP_PORT', 'FLASH_DROP_PORT', 'Flashdrop_Port']) {
      expect(problems([], { [name]: '1' })).toEqual([
        expect.stringMatching(`^${name} is no setting; did you mean FLASHDROP_PORT`),
      ]);
    }
  });

  test('For a mistyped name the nearest known one is suggested', () => {
    expect(problems(['--prot', '8081'], { FLASHDROP_NAMSPACE: 'x' })).toEqual([
      'FLASHDROP_NAMSPACE is no setting; did you mean FLASHDROP_NAMESPACE?',
      '--prot is no flag; did you mean --port?',
    ]);
  });

  test('For a flag that npm took itself the right command is shown', () => {
    expect(problems(['8081'], {})).toEqual([expect.stringContaining('npm start -- --port')]);
  });

  test('A role of api or worker is refused on embedded stores', () => {
    for (const role of ['api', 'worker']) {
      const { DATABASE_URL: _ledger, ...others } = production;
      const found = problems(['--role', role], others);
      expect(found).toEqual([expect.stringContaining('DATABASE_URL must both be set')]);
    }
  });
});

describe('verification of buyers’ tokens', () => {
  test('Outside demo mode a secret or a JWKS, and an issuer, are required', () => {
    expect(problems([], servers)).toEqual([
      expect.stringContaining('FLASHDROP_JWT_SECRET or FLASHDROP_JWKS_URL'),
      expect.stringContaining('FLASHDROP_JWT_ISSUER'),
    ]);
  });

  test('An algorithm must fit the secret or the JWKS, so that a public key is never used as a secret', () => {
    const jwks = {
      ...servers,
      FLASHDROP_JWKS_URL: 'https://id.example/keys',
      FLASHDROP_JWT_ISSUER: 'https://id.example',
    };
    expect(accepted([], jwks).tokens).toMatchObject({ kind: 'jwks', algorithm: 'RS256' });
    for (const env of [
      { ...jwks, FLASHDROP_JWT_ALGORITHM: 'HS256' },
      { ...production, FLASHDROP_JWT_ALGORITHM: 'RS256' },
    ]) {
      expect(problems([], env)).toEqual([expect.stringContaining('FLASHDROP_JWT_ALGORITHM')]);
    }
    expect(problems([], { ...production, FLASHDROP_JWT_ALGORITHM: 'none' })).toHaveLength(1);
  });

  test('A secret and a JWKS together are refused', () => {
    const env = { ...production, FLASHDROP_JWKS_URL: 'https://id.example/keys' };
    expect(problems([], env)).toEqual([expect.stringContaining('both set')]);
  });
});

test('A flag overrides the environment', () => {
  expect(accepted(['--port', '1'], { FLASHDROP_PORT: '2' }).port).toBe(1);
});

test('A word is suggested only when it is near', () => {
  expect(nearest('--colour', ['port', 'host', 'role'])).toBeUndefined();
  expect(nearest('rol', ['port', 'host', 'role'])).toBe('role');
});

describe('http', () => {
  test('The http settings are lists and times, and by default nobody is trusted and nobody is sent anywhere', () => {
    expect(accepted([], {}).http).toEqual({
      keepAliveMs: undefined,
      trustedProxies: [],
      allowedOrigins: [],
      allowedSchemes: [],
    });
    const env = {
      FLASHDROP_KEEP_ALIVE_MS: '620000',
      FLASHDROP_TRUSTED_PROXIES: 'loopback, 10.0.0.0/8,192.0.2.7,fd00::/8',
      FLASHDROP_ALLOWED_ORIGINS: 'https://shop.example,http://127.0.0.1:3000/',
      FLASHDROP_ALLOWED_SCHEMES: 'shopapp,com.example.shop',
    };
    expect(accepted([], env).http).toEqual({
      keepAliveMs: 620_000,
      trustedProxies: ['loopback', '10.0.0.0/8', '192.0.2.7', 'fd00::/8'],
      allowedOrigins: ['https://shop.example', 'http://127.0.0.1:3000'],
      allowedSchemes: ['shopapp', 'com.example.shop'],
    });
  });

  test.for([
    ['FLASHDROP_KEEP_ALIVE_MS', '75s'],
    ['FLASHDROP_KEEP_ALIVE_MS', '0'],
    ['FLASHDROP_TRUSTED_PROXIES', '1'],
    ['FLASHDROP_TRUSTED_PROXIES', 'true'],
    ['FLASHDROP_TRUSTED_PROXIES', '*'],
    ['FLASHDROP_TRUSTED_PROXIES', '0.0.0.0/0'],
    ['FLASHDROP_TRUSTED_PROXIES', '10.0.0.0/33'],
    ['FLASHDROP_TRUSTED_PROXIES', '10.0.0.0/8,'],
    ['FLASHDROP_TRUSTED_PROXIES', 'proxy.example'],
    ['FLASHDROP_ALLOWED_ORIGINS', 'shop.example'],
    ['FLASHDROP_ALLOWED_ORIGINS', 'https://shop.example/orders'],
    ['FLASHDROP_ALLOWED_ORIGINS', 'https://ann@shop.example'],
    ['FLASHDROP_ALLOWED_ORIGINS', '*'],
    ['FLASHDROP_ALLOWED_SCHEMES', 'https'],
    ['FLASHDROP_ALLOWED_SCHEMES', 'javascript'],
    ['FLASHDROP_ALLOWED_SCHEMES', 'shopapp:'],
  ])('%s is refused as %j in one line that says what is allowed', ([name, text]) => {
    const found = problems([], { [name as string]: text as string });
    expect(found).toEqual([expect.stringMatching(`^${name} is ".*: it must be `)]);
  });
});
