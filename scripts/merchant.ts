import type { Config } from '../src/config/config.ts';
import { required } from '../src/domain/required.ts';
import { type DataFolder, openFolder, readSecrets } from '../src/embedded/folder.ts';
import { readHolder } from '../src/embedded/lock.ts';
import { LedgerError } from '../src/ledger/database/database.ts';
import { openLedger } from '../src/ledger/ledger.ts';
import { StartError } from '../src/start-error.ts';
import {
  CommandError,
  complain,
  engineAddress,
  exitUnknown,
  readConfig,
  requestJson,
} from './command.ts';

// Creates merchants and their API keys, for operators, whether the engine runs or not. An embedded ledger
// is open in the running engine alone, so then the engine is asked.

const usage = `npm run merchant -- create "NAME"       a new merchant and its first API key
npm run merchant -- key MERCHANT_ID     a further API key for a merchant
npm run merchant -- revoke API_KEY      ends an API key at once`;

async function main(args: string[]): Promise<number> {
  const [verb, subject, ...rest] = args;
  const action = actions[verb ?? ''];
  if (!action || !subject || rest.length > 0) return complain(usage, exitUnknown);
  try {
    return await onKeys((keys) => action(keys, subject));
  } catch (error) {
    if (error instanceof StartError || error instanceof LedgerError) {
      return complain(error.message, 1);
    }
    if (error instanceof CommandError) return complain(error.message, exitUnknown);
    throw error;
  }
}

type Keys = {
  create(name: string): Promise<{ id: string; apiKey: string }>;
  /** Undefined when there is no such merchant. */
  issue(merchant: string): Promise<string | undefined>;
  revoke(apiKey: string): Promise<boolean>;
};
type OnKeys = (keys: Keys) => Promise<number>;
type Action = (keys: Keys, subject: string) => Promise<number>;

const actions: Record<string, Action | undefined> = {
  async create(keys, name) {
    const { id, apiKey } = await keys.create(name);
    return print(`merchant  ${id}\nAPI key   ${apiKey}\nThe key is not shown again.`);
  },
  async key(keys, id) {
    const apiKey = await keys.issue(id);
    if (apiKey === undefined) return complain(`there is no merchant ${id}`, 1);
    return print(`API key   ${apiKey}\nThe key is not shown again.`);
  },
  async revoke(keys, apiKey) {
    if (!(await keys.revoke(apiKey)))
      return complain('this API key does not exist or is revoked already', 1);
    return print('revoked');
  },
};

async function onKeys(work: OnKeys): Promise<number> {
  const config = readConfig();
  if (config.ledger.kind === 'url') return using({ databaseUrl: config.ledger.url }, work);
  const where = required(config.folder, 'data folder for the embedded ledger');
  let folder: DataFolder;
  try {
    folder = await openFolder(where);
  } catch (error) {
    // In use by an engine that serves: it has the ledger open.
    if (!readHolder(where.path)?.address) throw error;
    return await work(keysOfEngine(config));
  }
  try {
    return await using({ folder: folder.ledger }, work);
  } finally {
    folder.close();
  }
}

async function using(where: Parameters<typeof openLedger>[0], work: OnKeys): Promise<number> {
  const ledger = await openLedger(where);
  const { merchants } = ledger;
  try {
    return await work({
      async create(name) {
        const { merchant, apiKey } = await merchants.create({ name });
        return { id: merchant.id, apiKey };
      },
      async issue(id) {
        const merchant = await merchants.get(id);
        return merchant && (await merchants.issueKey(merchant.id));
      },
      revoke: merchants.revoke,
    });
  } finally {
    await ledger.close();
  }
}

/** The keys of the engine that runs on the data folder, through its routes for operators. */
function keysOfEngine(config: Config): Keys {
  const { path } = required(config.folder, 'data folder');
  const key = config.operatorKey ?? readSecrets(path)?.operatorKey;
  const address = engineAddress(config, undefined);
  const post = <T>(route: string, body: object) =>
    requestJson<T>(address, route, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      hint: (status) =>
        status === 401 ? 'is FLASHDROP_OPERATOR_KEY that of this engine?' : 'check what you typed',
    });
  return {
    create: (name) => post('/v1/merchants', { name }),
    issue: async (merchant) => (await post<{ apiKey: string }>('/v1/keys', { merchant })).apiKey,
    revoke: async (apiKey) =>
      (await post<{ revoked: boolean }>('/v1/keys/revoke', { apiKey })).revoked,
  };
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
