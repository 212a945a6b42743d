import type { ServerMessage } from './buy.ts';

/** Tells the bench that this process serves, and its processor time whenever it asks. */
export function serve(ready: { port: number; drop: string }): void {
  const tell = (message: ServerMessage) => process.send?.(message);
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    tell({ kind: 'cpu', micros: user + system });
  });
  process.on('disconnect', () => process.exit());
  tell({ kind: 'ready', ...ready });
}
