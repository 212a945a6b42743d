import { openSeededRandom, type SeededRandom } from './seeded-random.ts';

export const methods = ['wallet', 'stripe', 'alipay', 'wechat_pay'] as const;
export type Method = (typeof methods)[number];

/** What buyers do with an order, in percent. */
const courses = {
  /** Pays on the provider's page. */
  pays: 46,
  /** Presses Pay twice at once. */
  paysTwice: 4,
  /** Lets the payment fail there. */
  declines: 7,
  /** Leaves the page open until the hold is over, or never begins. */
  abandons: 8,
  /** Gives the unit back, from a page that is open. */
  cancels: 6,
  /** Gives the unit back and pays on the page all the same. */
  cancelsAndPays: 4,
  /** Changes to another method and pays by that. */
  changes: 10,
  /** Changes, and pays on both pages. */
  paysBoth: 6,
  /** Pays on the page once the hold is over. */
  paysLate: 6,
  /** Pays as the time to pay ends. */
  paysAtTheEnd: 3,
};
export type Course = keyof typeof courses;

/** The same for buyers who pay from the wallet. */
const walletCourses = { pays: 70, paysTwice: 10, cancels: 12, poor: 8 };

export type BuyerPlan = {
  number: number;
  name: string;
  /** Without money in the wallet. */
  isPoor: boolean;
  /** 0 or 1: which of the two drops. */
  drop: number;
  method: Method;
  course: Course;
  /** The method that a buyer changes to. */
  second: Method;
  /** From 0 to 1: when this buyer comes, as a part of the time in which all of them come. */
  comesAt: number;
  thinkMs: number;
  /** How long after the end of the hold one who pays late does so. */
  lateMs: number;
  /** What the merchant gives back once the order is paid: nothing, all, or these shares of it. */
  refund: 'none' | 'whole' | { shares: number[]; withRest: boolean };
};

export type KillPlan = { worker: number; at: number };

export type Plan = { buyers: BuyerPlan[]; kills: KillPlan[] };

/** How many buyers share a name prefix: see crowdsOf. */
export const crowdSize = 1_000;

const prefixOf = (number: number, isPoor: boolean) =>
  `${isPoor ? 'poor' : 'buyer'}-${Math.floor(number / crowdSize)}-`;

/** The first parts of everybody's names, each followed by a number below `crowdSize`. */
export function crowdsOf({ buyers }: Plan): { prefix: string; isPoor: boolean }[] {
  const crowds = new Map(buyers.map(({ number, isPoor }) => [prefixOf(number, isPoor), isPoor]));
  return [...crowds].map(([prefix, isPoor]) => ({ prefix, isPoor }));
}

/** The plan of every buyer. It depends on the seed alone. */
export function planOf(options: {
  seed: number;
  orders: number;
  kills: number;
  workers: number;
}): Plan {
  const random = openSeededRandom(options.seed);
  const buyers = Array.from({ length: options.orders }, (_, number) => buyerOf(number, random));
  const kills = Array.from({ length: options.kills }, (_, nth) => ({
    worker: random.whole({ least: 0, most: options.workers - 1 }, 'worker', nth),
    // One in each part of the run, so that a worker is back before the next is killed.
    at: (nth + 0.2 + 0.8 * random.share('kill', nth)) / options.kills,
  }));
  for (const buyer of buyers)
    buyer.comesAt = (buyer.number + random.share('comes', buyer.number)) / options.orders;
  return { buyers, kills };
}

function buyerOf(number: number, random: SeededRandom): BuyerPlan {
  const method = methods[random.whole({ least: 0, most: 3 }, 'method', number)] as Method;
  const drawn =
    method === 'wallet'
      ? random.oneOf(walletCourses, 'course', number)
      : random.oneOf(courses, 'course', number);
  const isPoor = drawn === 'poor';
  const others = methods.filter((other) => other !== method);
  return {
    number,
    method,
    isPoor,
    comesAt: 0,
    name: `${prefixOf(number, isPoor)}${number % crowdSize}`,
    course: drawn === 'poor' ? 'pays' : drawn,
    drop: random.whole({ least: 0, most: 1 }, 'drop', number),
    second: others[random.whole({ least: 0, most: 2 }, 'second', number)] as Method,
    thinkMs: random.whole({ least: 0, most: 2_000 }, 'think', number),
    lateMs: random.whole({ least: 100, most: 4_000 }, 'late', number),
    refund: refundOf(number, random),
  };
}

function refundOf(number: number, random: SeededRandom): BuyerPlan['refund'] {
  const kind = random.oneOf({ none: 80, whole: 8, parts: 12 }, 'refund', number);
  if (kind !== 'parts') return kind;
  const count = random.whole({ least: 1, most: 3 }, 'parts', number);
  const shares = Array.from({ length: count }, (_, nth) => {
    return 0.05 + 0.25 * random.share('part', number, nth);
  });
  return { shares, withRest: random.share('rest', number) < 0.25 };
}

/** Buyers who keep a unit if their plan works: the units a drop needs for them. */
export function unitsWanted({ buyers }: Plan, drop: number): number {
  const keeps = new Set<Course>(['pays', 'paysTwice', 'changes', 'paysBoth', 'paysAtTheEnd']);
  return buyers.filter((one) => {
    return one.drop === drop && keeps.has(one.course) && !one.isPoor && one.refund !== 'whole';
  }).length;
}
