import { processEnvironment, readCommand } from '../src/config/config.ts';
import { openFolder } from '../src/embedded/folder.ts';
import { LedgerError } from '../src/ledger/database/database.ts';
import { type Ledger, openLedger } from '../src/ledger/ledger.ts';
import { StartError } from '../src/start-error.ts';

// Merchants and their API keys, for whoever runs the engine. On a PostgreSQL server it works beside
// the running engine; on the embedded ledger the engine has to be stopped first.

const usage = `npm run merchant -- create "NAME"       a new merchant and its first API key
npm run merchant -- key MERCHANT_ID     a further API key for a merchant
npm run merchant -- revoke API_KEY      ends an API key at once`;

async function main(args: string[]): Promise<number> {
  const [verb, subject, ...rest] = args;
  const work = works[verb ?? ''];
  if (!work || !subject || rest.length > 0) return complain(usage, 2);
  try {
    return await onLedger((ledger) => work(ledger, subject));
  } catch (error) {
    if (error instanceof StartError || error instanceof LedgerError) {
      return complain(error.message, 1);
    }
    throw error;
  }
}

type OnLedger = (ledger: Ledger) => Promise<number>;
type Work = (ledger: Ledger, subject: string) => Promise<number>;

const works: Record<string, Work | undefined> = {
  async create({ merchants }, name) {
    const { merchant, apiKey } = await merchants.create({ name });
    return tell(`merchant  ${merchant.id}\nAPI key   ${apiKey}\nThe key is not shown again.`);
  },
  async key({ merchants }, id) {
    if (!(await merchants.get(id))) return complain(`there is no merchant ${id}`, 1);
    return tell(`API key   ${await merchants.issueKey(id)}\nThe key is not shown again.`);
  },
  async revoke({ merchants }, apiKey) {
    if (!(await merchants.revoke(apiKey))) return complain('this is no living API key', 1);
    return tell('revoked');
  },
};

async function onLedger(work: OnLedger): Promise<number> {
  const command = readCommand([], processEnvironment());
  if (command.kind === 'refused') return complain(command.problems.join('\n'), 2);
  if (command.kind !== 'run') throw new Error('bug: no flags were given');
  const { config } = command;
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

function tell(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

function complain(text: string, code: number): number {
  process.stderr.write(`${text}\n`);
  return code;
}

process.exitCode = await main(process.argv.slice(2));
