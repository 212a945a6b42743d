import fc from 'fast-check';
import type { Redis } from 'ioredis';
import type { Drop } from '../../src/domain/drop.ts';
import { newDropId, newMerchantId, orderRef } from '../../src/domain/ids.ts';
import type { ReleaseReason } from '../../src/domain/order.ts';
import { laneKeyNames } from '../../src/inventory/keys.ts';
import {
  type Adjustment,
  allotmentMax,
  type DropEdit,
  type HoldDeferral,
  type Lanes,
} from '../../src/inventory/lanes.ts';
import { scripts } from '../../src/inventory/scripts.ts';
import * as lane from './model.ts';
import { compareWhole, newReal, type Real, serverTime, sideBySide } from './side-by-side.ts';

type Command = fc.AsyncCommand<lane.Model, Real>;
type Sides = { model: lane.Model; real: Real };

const farMs = 1_000_000_000;
// Few of each, so that random commands meet one another. The names try the packing of records.
const buyers = ['ann', 'b|o|b:1', 'cé\n"0"'];
const reasons: ReleaseReason[] = ['expired', 'cancelled', 'declined', 'insufficient_funds', ''];

// What a key asks for by habit; the drops have two items, so 2 is one that they do not know.
const habits = [
  { key: 'k1', item: 0, quantity: 1, method: 'wallet' },
  { key: 'k2', item: 0, quantity: 1, method: 'wallet' },
  { key: 'k3', item: 0, quantity: 2, method: 'card' },
  { key: 'k4', item: 1, quantity: 1, method: 'wallet' },
  { key: 'k5', item: 1, quantity: 3, method: 'wallet' },
  { key: 'k6', item: 2, quantity: 1, method: 'wallet' },
];
const oddities = [{}, {}, {}, {}, {}, {}, { item: 1 }, { quantity: 2 }, { method: 'card' }];
const wish = fc
  .tuple(
    fc.constantFrom(...buyers),
    fc.constantFrom(...habits, ...habits.slice(0, 5)),
    fc.constantFrom(...oddities),
    fc.boolean(),
  )
  .map(([buyer, habit, odd, awaitsBuyer]) => ({ buyer, ...habit, ...odd, awaitsBuyer }));
type Wish = typeof wish extends fc.Arbitrary<infer T> ? T : never;

// Nobody of `buyers` at first, a crowd that makes many buckets, and one call with a name twice.
const appointed = [
  [buyers[0], buyers[1]],
  [buyers[2], 'dan', buyers[2]],
  ...[0, 30, 60].map((from) => Array.from({ length: 50 }, (_, n) => `one of many ${from + n}`)),
] as string[][];

const adjustments = [
  { id: 'e1', item: 0, delta: 3, reason: 'recount' },
  { id: 'e1', item: 0, delta: 3, reason: 'a|b' },
  { id: 'e2', item: 0, delta: -1, reason: 'a|b' },
  { id: 'e3', item: 1, delta: -2, reason: 'recount' },
  { id: 'e3', item: 0, delta: -2, reason: 'recount' },
  { id: 'e4', item: 1, delta: allotmentMax, reason: 'too much' },
  { id: 'e5', item: 0, delta: -9, reason: 'recount' },
  { id: 'e6', item: 2, delta: 1, reason: 'recount' },
];

const rules = fc.record({
  step: fc.constantFrom(1, 1, 1, 2, 0, -1),
  first: fc.boolean(),
  edit: fc.constantFrom('no', 'no', 'rules', 'stock'),
  // How many versions before this one were the first to carry the edit.
  carried: fc.constantFrom(0, 0, 1, 2),
  phase: fc.constantFrom('live', 'live', 'live', 'live', 'paused', 'ended', 'cancelled'),
  window: fc.constantFrom('open', 'open', 'open', 'open', 'open', 'before', 'before', 'over'),
  // Due at once, due while the sequence runs, never, or over long ago as after an outage.
  holdMs: fc.constantFrom(0, 2, farMs, -6_000),
  // The part of it until the buyer begins to pay.
  unpaid: fc.constantFrom({}, { share: 0 }, { share: 0.5 }, { share: 1 }),
  lapsing: fc.constantFrom({}, { lapsesMax: 1 }, { lapsesMax: 2 }),
  lateCapture: fc.constantFrom('retake', 'retake', 'refund'),
  appointment: fc.constantFrom({}, {}, { appointment: { from: 0, until: farMs } }),
  perBuyer: fc.constantFrom({}, {}, { perBuyer: 4 }, { perBuyer: 2 }),
  items: fc.tuple(...[0, 1].map(() => itemRules())),
});

function itemRules() {
  return fc.record({
    // The large price makes amounts of 13 digits, which Lua must not print as 1e+12.
    unitAmount: fc.constantFrom(1999, 0, 333_333_333_333),
    perBuyer: fc.constantFrom(4, 3, 1),
    allotment: fc.constantFrom(3, 5, 8, 1, 0),
  });
}

type RulesDraw = typeof rules extends fc.Arbitrary<infer T> ? T : never;

const picks = fc.array(fc.nat(1000), { minLength: 1, maxLength: 4 });

/** Random sequences of calls to one lane, most of which begin with a first publish. */
function laneCommands(): fc.Arbitrary<[readonly Command[], Iterable<Command>]> {
  const reserve = fc
    .array(wish, { minLength: 1, maxLength: 6 })
    .map((wishes) => command('reserve', wishes, reserveWishes));
  const confirm = picks.map((drawn) => command('confirm', drawn, confirmOrders));
  const release = fc
    .array(fc.tuple(fc.nat(1000), fc.constantFrom(...reasons)), { minLength: 1, maxLength: 4 })
    .map((drawn) => command('release', drawn, releaseOrders));
  const refund = picks.map((drawn) => command('refund', drawn, refundOrders));
  const writeOff = picks.map((drawn) => command('writeoff', drawn, writeOffOrders));
  const defer = fc
    .array(
      fc.tuple(
        fc.nat(1000),
        fc.constantFrom<HoldDeferral['to'][]>(0, 1, 3, 3, 1_000, 1_000, 1_000, 'failed', 'payable'),
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map((drawn) => command('defer', drawn, deferHolds));
  const shorten = picks.map((drawn) => command('shorten', drawn, shortenHolds));
  const sweep = fc
    .tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom(false, false, true))
    .map((drawn) => command('sweep', drawn, sweepHolds));
  const adjust = fc.constantFrom(...adjustments).map((draw) => command('adjust', draw, adjustItem));
  const appoint = fc
    .constantFrom(...appointed)
    .map((draw) => command('appoint', draw, appointBuyers));
  const unappoint = fc
    .constantFrom(...appointed)
    .map((draw) => command('unappoint', draw, unappointBuyers));
  const publish = rules.map((draw) => command('publish', draw, publishRules));
  const inspect = fc.constant(command('inspect', '', inspectLane));
  const due = fc.nat(1).map((earlyMs) => command('due', earlyMs, sweepAtDue));
  const late = picks.map((drawn) => command('late', drawn, confirmLate));
  const known: fc.Arbitrary<Command>[] = [
    ...[reserve, reserve, reserve, reserve, confirm, confirm, release, refund, writeOff, defer],
    ...[shorten, shorten, sweep, sweep, due, due, late, adjust, appoint, appoint, unappoint],
    ...[publish, publish, inspect],
  ];
  const start = rules.map((draw) => {
    const window = draw.window === 'before' ? 'before' : 'open';
    const first = command('publish', { ...draw, first: true, phase: 'live', window }, publishRules);
    // An edit of the stock after an adjustment, before the opening, would be too rare by chance.
    if (window === 'open' || draw.first) return [first];
    const edit = { ...draw, step: 1, first: false, edit: 'stock', carried: 0 } as const;
    return [
      first,
      command('adjust', { id: 'e0', item: 0, delta: 1, reason: 'more' }, adjustItem),
      command('publish', edit, publishRules),
    ];
  });
  return fc.tuple(
    fc.oneof({ weight: 9, arbitrary: start }, { weight: 1, arbitrary: fc.constant([]) }),
    // Each sequence has some kinds of calls only: those meet each other far more often than among all.
    fc
      .subarray(known, { minLength: 6 })
      .chain((some) => fc.commands([reserve, ...some], { maxCommands: 60, size: 'max' })),
  );
}

export type Ground = {
  redis: Real['redis'];
  lanes: Lanes;
  namespace: string;
  words: Map<string, number>;
};

/**
 * How many sequences are tried. Bias would make most of them very short, and a lane has a past only
 * after some calls.
 */
export const sequences = { numRuns: 200, unbiased: true };

/**
 * Loads the scripts, so that each call is one command: a call that has to send a script's text first
 * would be overtaken by the read of the outbox that follows it.
 */
export async function loadScripts(redis: Redis, text: (name: string) => string): Promise<void> {
  for (const name of Object.keys(scripts)) await redis.script('LOAD', text(name));
}

/**
 * The property: a random sequence against a fresh lane, each answer as it comes and everything kept
 * at the end, is what the model says.
 */
export function laneAgreesWithModel(ground: Ground) {
  return fc.asyncProperty(laneCommands(), async ([start, rest]) => {
    const ref = { drop: newDropId(), lane: 0 };
    const real = newReal({ ...ground, ref });
    const model = lane.newModel(ref);
    try {
      for (const command of start) await command.run(model, real);
      await fc.asyncModelRun(() => ({ model, real }), rest);
      await compareWhole({ model, real });
    } finally {
      await ground.redis.del(...laneKeyNames.map(real.key));
    }
  });
}

function command<Draw>(
  name: string,
  draw: Draw,
  run: (sides: Sides, draw: Draw) => Promise<void>,
): Command {
  return {
    check: () => true,
    run: (model, real) => run({ model, real }, draw),
    toString: () => `${name}(${fc.stringify(draw)})`,
  };
}

/** The order a drawn number means: one that the lane knows or, one time in ten, none. */
function pick({ model }: Sides, drawn: number): string {
  const known = [...model.orders.keys()];
  if (known.length === 0 || drawn % 10 === 0) return 'unknown-0123456789abcd';
  return known[drawn % known.length] as string;
}

function reserveWishes(sides: Sides, wishes: Wish[]) {
  const { model, real } = sides;
  const batch = wishes.map(({ key, ...asked }) => ({
    ...asked,
    digest: orderRef(real.ref.drop, asked.buyer, key, 1).digest,
  }));
  return sideBySide(
    'reserve',
    sides,
    () => real.lanes.reserve(real.ref, batch),
    (now) => lane.reserve(model, batch, now),
  );
}

function confirmOrders(sides: Sides, drawn: number[]) {
  const digests = drawn.map((number) => pick(sides, number));
  return sideBySide(
    'confirm',
    sides,
    () => sides.real.lanes.confirm(sides.real.ref, digests),
    (now) => lane.confirm(sides.model, digests, now),
  );
}

function releaseOrders(sides: Sides, drawn: [number, ReleaseReason][]) {
  const orders = drawn.map(([number, reason]) => ({ digest: pick(sides, number), reason }));
  return sideBySide(
    'release',
    sides,
    () => sides.real.lanes.release(sides.real.ref, orders),
    (now) => lane.release(sides.model, orders, now),
  );
}

function refundOrders(sides: Sides, drawn: number[]) {
  const digests = drawn.map((number) => pick(sides, number));
  return sideBySide(
    'refund',
    sides,
    () => sides.real.lanes.refund(sides.real.ref, digests),
    (now) => lane.refund(sides.model, digests, now),
  );
}

function writeOffOrders(sides: Sides, drawn: number[]) {
  const digests = drawn.map((number) => pick(sides, number));
  return sideBySide(
    'writeoff',
    sides,
    () => sides.real.lanes.writeOff(sides.real.ref, digests),
    (now) => lane.writeOff(sides.model, digests, now),
  );
}

function deferHolds(sides: Sides, drawn: [number, HoldDeferral['to']][]) {
  const orders = drawn.map(([number, to]) => ({ digest: pick(sides, number), to }));
  return sideBySide(
    'defer',
    sides,
    () => sides.real.lanes.defer(sides.real.ref, orders),
    (now) => lane.defer(sides.model, orders, now),
  );
}

function shortenHolds(sides: Sides, drawn: number[]) {
  const digests = drawn.map((number) => pick(sides, number));
  return sideBySide(
    'shorten',
    sides,
    () => sides.real.lanes.shorten(sides.real.ref, digests),
    (now) => lane.shorten(sides.model, digests, now),
  );
}

function sweepHolds(sides: Sides, [limit, isAway]: [number, boolean]) {
  return sideBySide(
    'sweep',
    sides,
    () => sides.real.lanes.sweep(sides.real.ref, limit, isAway),
    (now) => lane.sweep(sides.model, { limit, isAway }, now),
  );
}

function adjustItem(sides: Sides, adjustment: Adjustment) {
  return sideBySide(
    'adjust',
    sides,
    () => sides.real.lanes.adjust(sides.real.ref, adjustment),
    (now) => lane.adjust(sides.model, adjustment, { now, allotmentMax }),
  );
}

function appointBuyers(sides: Sides, names: string[]) {
  return sideBySide(
    'appoint',
    sides,
    () => sides.real.lanes.appoint(sides.real.ref, names),
    () => lane.appoint(sides.model, names),
  );
}

function unappointBuyers(sides: Sides, names: string[]) {
  return sideBySide(
    'unappoint',
    sides,
    () => sides.real.lanes.unappoint(sides.real.ref, names),
    () => lane.unappoint(sides.model, names),
  );
}

async function publishRules(sides: Sides, draw: RulesDraw) {
  const { model, real } = sides;
  const now = await serverTime(real.redis);
  const windows = {
    open: { startsAt: now - farMs, endsAt: now + farMs },
    before: { startsAt: now + farMs, endsAt: now + 2 * farMs },
    over: { startsAt: now - 2 * farMs, endsAt: now - farMs },
  };
  const {
    step,
    first,
    edit: changes,
    carried,
    phase,
    window,
    items,
    appointment,
    perBuyer,
    ...others
  } = draw;
  const { unpaid: _, lapsing, ...plain } = others;
  const timed = {
    ...plain,
    ...appointment,
    ...perBuyer,
    ...lapsing,
    ...unpaidOf(draw),
    ...windows[window as keyof typeof windows],
  };
  const drop: Drop = {
    ...(timed as typeof timed & Pick<Drop, 'lateCapture'>),
    id: real.ref.drop,
    merchantId: newMerchantId(),
    title: 'a "drop" | é',
    currency: 'CNY',
    lanes: 1,
    // From 9 on, so that versions compared as text are found out.
    version: (model.rules?.version ?? 8) + step,
    decision: phase as Drop['decision'],
    items: items.map((item, i) => ({ sku: `sku-${i}`, title: 'an item', ...item })),
  };
  const { startsAt, endsAt, holdMs, lateCapture, version } = drop;
  const next = {
    version,
    phase: drop.decision,
    startsAt,
    endsAt,
    holdMs,
    lateCapture,
    items,
    appointment: drop.appointment ? 1 : 0,
    perBuyer: drop.perBuyer ?? ('' as const),
    unpaidHoldMs: drop.unpaidHoldMs ?? ('' as const),
    lapsesMax: drop.lapsesMax ?? ('' as const),
  };
  const edit =
    changes === 'no'
      ? undefined
      : { changes: changes as DropEdit['changes'], version: version - carried };
  await sideBySide(
    'publish',
    sides,
    () => real.lanes.publish(drop, 0, first, edit),
    (now) => {
      const answer = lane.publish(model, next, { first, edit, now });
      if (answer === 'published') real.drop = drop;
      return answer;
    },
  );
}

function unpaidOf({ holdMs, unpaid }: RulesDraw): Pick<Drop, 'unpaidHoldMs'> {
  const { share } = { share: undefined, ...unpaid };
  if (share === undefined) return {};
  return { unpaidHoldMs: holdMs - Math.ceil(Math.abs(holdMs) * (1 - share)) };
}

function inspectLane({ model, real }: Sides) {
  return sideBySide(
    'inspect',
    { model, real },
    () => real.lanes.inspect(real.ref),
    (now) => lane.inspect(model, { now, lastEvent: real.lastEvent }),
  );
}

/** Sweeps right before or right when the first of the short holds is due. */
async function sweepAtDue(sides: Sides, earlyMs: number): Promise<void> {
  const { model, real } = sides;
  const due = lane.holdsOf(model)[0]?.dueAt;
  if (due === undefined || due > (await serverTime(real.redis)) + 5) return;
  while ((await serverTime(real.redis)) < due - earlyMs);
  await sweepHolds(sides, [3, false]);
}

/** Confirms orders that were released: captures that come too late. */
async function confirmLate(sides: Sides, drawn: number[]): Promise<void> {
  const { model, real } = sides;
  const released = [...model.orders].filter(([, order]) => order.state === 'released');
  const digests = drawn.flatMap((number) => released[number % released.length]?.[0] ?? []);
  await sideBySide(
    'confirm',
    sides,
    () => real.lanes.confirm(real.ref, digests),
    (now) => lane.confirm(model, digests, now),
  );
}
