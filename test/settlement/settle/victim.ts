import { openLedger } from '../../../src/ledger/ledger.ts';
import { openStage } from '../stage.ts';

// A process of its own that settles what it finds and kills itself at a step: what is then in
// Redis and in the ledger is what a real crash leaves.

const [redisUrl = '', namespace = '', place = '', dieAt = '', book = ''] = process.argv.slice(2);
const ledger = await openLedger(JSON.parse(place));
const stage = await openStage({ redisUrl, namespace, ledger });
await stage
  .settlement({
    ...(book === 'elsewhere' ? { provider: {} } : {}),
    onStep(step) {
      if (step === dieAt) process.kill(process.pid, 'SIGKILL');
    },
  })
  .start();
