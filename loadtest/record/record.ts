/**
 * The record of one replayed sale: the machine-readable result, and the source of every report.
 * All times `atMs` are milliseconds of the run since the opening of the drop, negative before it.
 */
export type SpikeRecord = {
  format: 'flashdrop-spike/1';
  scenario: { name: string; title: string; real: RealSale | undefined };
  /** As run: after scale, speed and the overrides. Rates are 0 to 1, times in ms. */
  parameters: Record<string, number>;
  plan: { scale: number; speed: number; seed: number; processes: number; command: string };
  engine: {
    url: string;
    /** Started for this run, on a data folder of its own. */
    own: boolean;
    redis: string;
    ledger: 'embedded' | 'server' | 'unknown';
    apiProcesses: number | undefined;
  };
  machine: { cpu: string; cores: number; memoryBytes: number; platform: string };
  versions: { flashdrop: string; node: string; redis: string };
  startedAt: string;
  sale: {
    drop: string;
    units: number;
    appointments: number;
    buyers: number;
    /** How long the appointments took to import, and what they were. */
    importMs: number | undefined;
  };
  pacing: Pacing;
  outcome: Outcome;
  timeline: Moment[];
  latency: Partial<Record<Action, Latency>>;
  verdict: Verdict;
};

/** The sale of the past that a scenario replays; each figure with its source. */
export type RealSale = {
  title: string;
  date: string;
  units: number;
  appointments: number | undefined;
  soldOutMs: number | undefined;
  source: string;
};

/**
 * Whether the load followed its schedule. `behindMs` is how late requests left against
 * their schedule because the generator itself had no time.
 */
export type Pacing = {
  valid: boolean;
  /** Why not, with the figure. */
  reason: string | undefined;
  /** Acts that the schedule asks for, and those of them that were sent. */
  scheduled: number;
  sent: number;
  behindMs: { p50: number; p99: number; max: number };
};

export type Outcome = {
  /** Scheduled acts that were sent, and what followed from their answers. */
  requests: number;
  followUps: number;
  accepted: number;
  replayed: number;
  /** Refusals of Buy by their code, `no_answer` among them. */
  refused: Record<string, number>;
  /**
   * The instants at which the first order was acknowledged, and as many as there are units.
   * A unit that came back and was taken again counts each time.
   */
  firstAcceptedAtMs: number | undefined;
  allAcceptedAtMs: number | undefined;
  /** The most Buys accepted in any one second: as many whole steps as make one. */
  acceptedPerSecondPeak: number;
  /** Since when every read found that each order had ended in the ledger. */
  settledAtMs: number | undefined;
};

/** Requests of the crowd; every latency counts from the scheduled start. */
export const actions = ['look', 'buy_accepted', 'buy_refused', 'poll', 'cancel'] as const;
export type Action = (typeof actions)[number];

/** Milliseconds. */
export type Latency = {
  count: number;
  p50: number;
  p90: number;
  p99: number;
  p999: number;
  max: number;
};

/** One step of the timeline, `stepMs` wide, from `atMs` on. */
export type Moment = {
  atMs: number;
  stepMs: number;
  /** Acts that the schedule asked for in this step, and scheduled acts that were sent in it. */
  scheduled: number;
  sent: number;
  /** Double taps, retries, reads of an order, cancels: requests that are not in the schedule. */
  followUps: number;
  accepted: number;
  replayed: number;
  refused: Record<string, number>;
  looks: number;
  latency: Partial<Record<Action, { p50: number; p99: number; max: number }>>;
  /** As read within this step; undefined when nothing was read. */
  engine: EngineMoment | undefined;
};

/** What the engine reported within a step; reads pause, so not every step has each part. */
export type EngineMoment = {
  units: UnitsMoment | undefined;
  queues: QueuesMoment | undefined;
  /** `cpu` in cores (1 = one core busy), since the read before. */
  processes: { name: string; pid: number; cpu: number; memoryBytes: number }[];
};

export type UnitsMoment = {
  available: number;
  held: number;
  sold: number;
  /** Orders by state in the ledger. */
  ledger: { reserved: number; paid: number; released: number; refunded: number };
  /** Orders that a lane knows as sold and the ledger does not yet know as paid. */
  settlementLag: number;
};

/** Outbox entries that the ledger has not read yet, and settlement jobs by how far they are. */
export type QueuesMoment = {
  outboxBacklog: number;
  waiting: number;
  active: number;
  delayed: number;
};

export type Verdict = {
  clean: boolean;
  points: {
    /** (A) to (F), and the engine's own audit. */
    point: 'A' | 'B' | 'C' | 'D' | 'E' | 'F' | 'audit';
    promise: number;
    title: string;
    ok: boolean;
    figures: Record<string, number>;
  }[];
  breaches: Breach[];
};

/** A broken promise, with the order or the buyer where one can be named. */
export type Breach = {
  point: Verdict['points'][number]['point'];
  promise: number;
  order: string | undefined;
  text: string;
};
