import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runMayhem } from './mayhem/run.ts';
import { rowsOf, tableOf } from './mayhem/table.ts';

const usage = `npm run mayhem -- [--orders N] [--seed N] [--kills N] [--rate N] [--hold MS]
  Sells two drops to N buyers (5000) who pay by wallet, Stripe, Alipay and WeChat Pay, or do not,
  against simulated providers with every misbehaviour switched on and workers that are killed
  (12 times), all of it chosen by the seed; then judges the money from the providers' own books.
  --rate is how many buyers come in a second (35), --hold how long a unit is held (12000).
  Exit 0 when every promise held, 1 when one broke: the seed to run it again is printed.`;

const breachesShown = 40;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (!options) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const { seed, orders, kills } = options;
  say(`${orders} buyers, ${kills} kills, seed ${seed}`);
  const result = await runMayhem({ ...options, say });
  const { evidence, breaches } = result;
  say(`\n${tableOf(rowsOf(evidence, result))}\n`);
  const { acknowledged, told } = evidence.book;
  say(`${acknowledged.size} orders, ${result.kills} kills`);
  for (const [what, times] of Object.entries(told).sort()) say(`  ${what}: ${times}`);
  for (const text of breaches.slice(0, breachesShown)) say(`BREACH ${text}`);
  if (breaches.length === 0) return 0;
  say(`${breaches.length} breaches; again with: npm run mayhem -- ${argsOf(options)}`);
  say(`the logs are in ${result.logs}`);
  return 1;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

type Options = NonNullable<ReturnType<typeof readOptions>>;

function argsOf({ orders, seed, kills, rate, holdMs }: Options): string {
  return `--orders ${orders} --seed ${seed} --kills ${kills} --rate ${rate} --hold ${holdMs}`;
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        orders: { type: 'string', default: '5000' },
        seed: { type: 'string', default: String(randomInt(2 ** 31 - 1)) },
        kills: { type: 'string', default: '12' },
        rate: { type: 'string', default: '35' },
        hold: { type: 'string', default: '12000' },
      },
    });
    const [orders, seed, kills, rate, holdMs] = [
      values.orders,
      values.seed,
      values.kills,
      values.rate,
      values.hold,
    ].map(Number) as [number, number, number, number, number];
    const numbers = [orders, seed, kills, rate, holdMs];
    if (!numbers.every((value) => Number.isInteger(value) && value >= 0)) return undefined;
    const isFair =
      orders >= 1 && orders <= 50_000 && kills <= 1_000 && rate >= 1 && holdMs >= 1_000;
    return isFair ? { orders, seed, kills, rate, holdMs } : undefined;
  } catch {
    return undefined;
  }
}
