import type { Merchant } from '../merchant.ts';
import { countInvited, listInvited } from '../workload/invitations.ts';
import type { Parameters } from '../workload/parameters.ts';
import type { Group } from '../workload/schedule.ts';
import { SpikeError } from './preflight.ts';

export type Invited = { appointments: number; importMs: number | undefined };

/** The longest wait for the import, in ms; 1.3 million appointments take under a minute. */
const linesPerSecond = 1_300_000 / 60;
const slackMs = 2_000;

/** How long before the opening the import has to begin, in ms. */
export function importMsMax(groups: Group[], { appointments }: Parameters): number {
  if (appointments === 0) return 0;
  return slackMs + (countInvited(groups, appointments) / linesPerSecond) * 1_000;
}

/**
 * Imports the appointments of a sale.
 * @throws SpikeError when it took so long that the crowd would come late
 */
export async function invite(sale: {
  merchant: Merchant;
  drop: string;
  groups: Group[];
  parameters: Parameters;
  /** The latest instant for the start signal, ms since the epoch. */
  until: number;
  stop: AbortSignal;
}): Promise<Invited> {
  const { merchant, drop, groups, parameters, stop } = sale;
  const { appointments } = parameters;
  if (appointments === 0) return { appointments: 0, importMs: undefined };
  const started = performance.now();
  const { imported } = await merchant.importBuyers(drop, listInvited(groups, appointments), stop);
  const importMs = Math.round(performance.now() - started);
  if (Date.now() > sale.until) {
    const late = ((Date.now() - sale.until) / 1_000).toFixed(1);
    throw new SpikeError(
      `the import of ${imported} appointments took ${(importMs / 1_000).toFixed(1)} s, ${late} s too long for the opening: lower --scale or --set appointments`,
    );
  }
  return { appointments: imported, importMs };
}
