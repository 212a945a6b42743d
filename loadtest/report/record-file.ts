import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { actions, type SpikeRecord } from '../record/record.ts';

/** A file that holds no record of a run; the message says why. */
export class RecordFileError extends Error {}

/** JSON has no undefined: it is written as null, and a missing key reads the same. */
function maybe<T extends z.ZodType>(schema: T) {
  return schema.nullish().transform((value) => (value ?? undefined) as z.output<T> | undefined);
}

const figures = z.record(z.string(), z.number());
const point = z.enum(['A', 'B', 'C', 'D', 'E', 'F', 'audit']);

const realSale = z.strictObject({
  title: z.string(),
  date: z.string(),
  units: z.number(),
  appointments: maybe(z.number()),
  soldOutMs: maybe(z.number()),
  source: z.string(),
});

const latency = z.strictObject({
  count: z.number(),
  p50: z.number(),
  p90: z.number(),
  p99: z.number(),
  p999: z.number(),
  max: z.number(),
});

const units = z.strictObject({
  available: z.number(),
  held: z.number(),
  sold: z.number(),
  ledger: z.strictObject({
    reserved: z.number(),
    paid: z.number(),
    released: z.number(),
    refunded: z.number(),
  }),
  settlementLag: z.number(),
});

const queues = z.strictObject({
  outboxBacklog: z.number(),
  waiting: z.number(),
  active: z.number(),
  delayed: z.number(),
});

const engineMoment = z.strictObject({
  units: maybe(units),
  queues: maybe(queues),
  processes: z.array(
    z.strictObject({
      name: z.string(),
      pid: z.number(),
      cpu: z.number(),
      memoryBytes: z.number(),
    }),
  ),
});

const moment = z.strictObject({
  atMs: z.number(),
  stepMs: z.number().positive(),
  scheduled: z.number(),
  sent: z.number(),
  followUps: z.number(),
  accepted: z.number(),
  replayed: z.number(),
  refused: figures,
  looks: z.number(),
  latency: z.partialRecord(
    z.enum(actions),
    z.strictObject({ p50: z.number(), p99: z.number(), max: z.number() }),
  ),
  engine: maybe(engineMoment),
});

export const recordSchema = z.strictObject({
  format: z.literal('flashdrop-spike/1'),
  scenario: z.strictObject({ name: z.string(), title: z.string(), real: maybe(realSale) }),
  parameters: figures,
  plan: z.strictObject({
    scale: z.number(),
    speed: z.number(),
    seed: z.number(),
    processes: z.number(),
    command: z.string(),
  }),
  engine: z.strictObject({
    url: z.string(),
    own: z.boolean(),
    redis: z.string(),
    ledger: z.enum(['embedded', 'server', 'unknown']),
    apiProcesses: maybe(z.number()),
  }),
  machine: z.strictObject({
    cpu: z.string(),
    cores: z.number(),
    memoryBytes: z.number(),
    platform: z.string(),
  }),
  versions: z.strictObject({ flashdrop: z.string(), node: z.string(), redis: z.string() }),
  startedAt: z.iso.datetime({ offset: true }),
  sale: z.strictObject({
    drop: z.string(),
    units: z.number(),
    appointments: z.number(),
    buyers: z.number(),
    importMs: maybe(z.number()),
  }),
  pacing: z.strictObject({
    valid: z.boolean(),
    reason: maybe(z.string()),
    scheduled: z.number(),
    sent: z.number(),
    behindMs: z.strictObject({ p50: z.number(), p99: z.number(), max: z.number() }),
  }),
  outcome: z.strictObject({
    requests: z.number(),
    followUps: z.number(),
    accepted: z.number(),
    replayed: z.number(),
    refused: figures,
    firstAcceptedAtMs: maybe(z.number()),
    allAcceptedAtMs: maybe(z.number()),
    acceptedPerSecondPeak: z.number(),
    settledAtMs: maybe(z.number()),
  }),
  timeline: z.array(moment),
  latency: z.partialRecord(z.enum(actions), latency),
  verdict: z.strictObject({
    clean: z.boolean(),
    points: z.array(
      z.strictObject({ point, promise: z.number(), title: z.string(), ok: z.boolean(), figures }),
    ),
    breaches: z.array(
      z.strictObject({ point, promise: z.number(), order: maybe(z.string()), text: z.string() }),
    ),
  }),
});

export function writeRecord(record: SpikeRecord, file: string): void {
  writeFileSync(file, `${JSON.stringify(record, undefinedAsNull, 1)}\n`);
}

/** @throws RecordFileError when the file cannot be read or is not a record of a run */
export function readRecord(file: string): SpikeRecord {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === undefined ? `it is not JSON (${message})` : message;
    throw new RecordFileError(`${file} cannot be read: ${why}`);
  }
  const format = (json as { format?: unknown } | null)?.format;
  if (format !== 'flashdrop-spike/1') {
    const told =
      format === undefined ? 'it names no format' : `its format is ${JSON.stringify(format)}`;
    throw new RecordFileError(
      `${file} is no record of a spike: ${told}, and flashdrop-spike/1 is wanted (npm run spike -- --json FILE writes one)`,
    );
  }
  const parsed = recordSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0] as z.core.$ZodIssue;
  throw new RecordFileError(`${file} is damaged: ${path.join('.')}: ${message}`);
}

function undefinedAsNull(_key: string, value: unknown): unknown {
  return value === undefined ? null : value;
}
