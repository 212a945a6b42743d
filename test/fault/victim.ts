import { openLedger } from '../../src/ledger/ledger.ts';
import { startTestEngine } from '../support/engine.ts';

// An engine in a process of its own that kills itself around the reserve call in which the buyer
// named on the command line is met: what clients and Redis have then is what a real crash leaves.

const [redisUrl = '', namespace = '', folder = '', port = '0', dieAt = '', doomed = ''] =
  process.argv.slice(2);
const die = () => process.kill(process.pid, 'SIGKILL');
const ledger = await openLedger({ folder });
const engine = await startTestEngine({
  redisUrl,
  namespace,
  ledger,
  settings: { demo: true },
  settling: false,
  lanes: (lanes) => ({
    ...lanes,
    async reserve(ref, reservations) {
      const met = reservations.some(({ buyer }) => buyer === doomed);
      if (met && dieAt === 'before') die();
      const answers = await lanes.reserve(ref, reservations);
      if (met && dieAt === 'after') die();
      return answers;
    },
  }),
});
process.stdout.write(`serves at ${await engine.serve(Number(port))}\n`);
