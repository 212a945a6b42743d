// A child of a cluster whose start fails in the way that `open` names; for cluster.test.ts.
import { openChannel } from '../../src/processes/channel.ts';
import { StartError } from '../../src/start-error.ts';

const channel = openChannel(process, {
  open(how: string) {
    if (how === 'cannot start') throw new StartError('there is no Redis: install one');
    if (how === 'dies') process.kill(process.pid, 'SIGKILL');
  },
  listen({ port }: { port: number }) {
    if (port === 0) throw Object.assign(new Error('listen ENOTSUP'), { code: 'ENOTSUP' });
    return { address: `http://127.0.0.1:${port}`, port };
  },
});
await channel.ended;
process.exit();
