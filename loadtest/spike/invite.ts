import type { Merchant } from '../merchant.ts';
import { listInvited } from '../workload/invitations.ts';
import type { Parameters } from '../workload/parameters.ts';
import type { Group } from '../workload/schedule.ts';

export type Invited = { appointments: number; importMs: number | undefined };

/** Imports the appointments of a sale. However long it takes, the drop opens after it. */
export async function invite(sale: {
  merchant: Merchant;
  drop: string;
  groups: Group[];
  parameters: Parameters;
  stop: AbortSignal;
}): Promise<Invited> {
  const { merchant, drop, groups, parameters, stop } = sale;
  const { appointments } = parameters;
  if (appointments === 0) return { appointments: 0, importMs: undefined };
  const started = performance.now();
  const { imported } = await merchant.importBuyers(drop, listInvited(groups, appointments), stop);
  return { appointments: imported, importMs: Math.round(performance.now() - started) };
}
