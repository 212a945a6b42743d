import { openFolder } from '../src/embedded/folder.ts';
import { LedgerError } from '../src/ledger/database/database.ts';
import { type Ledger, openLedger } from '../src/ledger/ledger.ts';
import { StartError } from '../src/start-error.ts';
import { CommandError, complain, exitUnknown, readConfig } from './command.ts';

// Creates merchants and their API keys, for operators. With a PostgreSQL server it runs beside the
// engine; with the embedded ledger the engine must be stopped first.

const usage = `npm run merchant -- create "NAME"       a new merchant and its first API key
npm run merchant -- key MERCHANT_ID     a further API key for a merchant
npm run merchant -- revoke API_KEY      ends an API key at once`;

async function main(args: string[]): Promise<number> {
  const [verb, subject, ...rest] = args;
  const action = actions[verb ?? ''];
  if (!action || !subject || rest.length > 0) return complain(usage, exitUnknown);
  try {
    return await onLedger((ledger) => action(ledger, subject));
  } catch (error) {
    if (error instanceof StartError || error instanceof LedgerError) {
      return complain(error.message, 1);
    }
    if (error instanceof CommandError) return complain(error.message, exitUnknown);
    throw error;
  }
}

type OnLedger = (ledger: Ledger) => Promise<number>;
type Action = (ledger: Ledger, subject: string) => Promise<number>;

const actions: Record<string, Action | undefined> = {
  async create({ merchants }, name) {
    const { merchant, apiKey } = await merchants.create({ name });
    return print(`merchant  ${merchant.id}\nAPI key   ${apiKey}\nThe key is not shown again.`);
  },
  async key({ merchants }, id) {
    const merchant = await merchants.get(id);
    if (!merchant) return complain(`there is no merchant ${id}`, 1);
    return print(`API key   ${await merchants.issueKey(merchant.id)}\nThe key is not shown again.`);
  },
  async revoke({ merchants }, apiKey) {
    if (!(await merchants.revoke(apiKey)))
      return complain('this API key does not exist or is revoked already', 1);
    return print('revoked');
  },
};

async function onLedger(work: OnLedger): Promise<number> {
  const config = readConfig();
  if (config.ledger.kind === 'url') return using({ databaseUrl: config.ledger.url }, work);
  if (!config.folder) throw new Error('bug: an embedded ledger needs a data folder');
  const folder = await openFolder(config.folder);
  try {
    return await using({ folder: folder.ledger }, work);
  } finally {
    folder.close();
  }
}

async function using(where: Parameters<typeof openLedger>[0], work: OnLedger): Promise<number> {
  const ledger = await openLedger(where);
  try {
    return await work(ledger);
  } finally {
    await ledger.close();
  }
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
