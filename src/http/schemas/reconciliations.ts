import { z } from 'zod';
import { differenceKinds } from '../../reconciliation/differences.ts';

/** 90 days: providers are asked about no more. */
const sinceHoursMax = 2_160;

export const reconciliationBody = z.strictObject({
  sinceHours: z.int().min(1).max(sinceHoursMax).optional(),
});

const count = z.int().min(0);
const at = z.iso.datetime();
const counts = z.partialRecord(z.enum(differenceKinds), count);
const notCompared = z.object({ what: z.string(), why: z.string() });

const difference = z.object({
  kind: z.enum(differenceKinds),
  order: z.string(),
  payment: z.string(),
  provider: z.string(),
  lane: z.string().optional(),
  says: z.object({
    ledger: z.string().optional(),
    provider: z.string().optional(),
    lane: z.string().optional(),
  }),
  done: z.enum(['repaired', 'alarm']),
});

export const reconciliationReportBody = z.object({
  since: at,
  startedAt: at,
  endedAt: at,
  outcome: z.enum(['clean', 'repaired', 'alarm']),
  compared: z.object({
    payments: count,
    orders: count,
    billLines: count,
    foreignBillLines: count,
  }),
  differences: z.array(difference),
  further: count,
  kinds: counts,
  alarms: counts,
  notCompared: z.array(notCompared),
});
