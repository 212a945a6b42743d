/**
 * What a crowd does, by name. Where a real sale left no figure these are assumptions, and a report
 * shows them as such. `unit`: a count, a share from 0 to 1, milliseconds, or a plain number.
 */
export const parameterTable = {
  units: { unit: 'count', value: 1_000, why: 'units on sale, one a buyer' },
  people: { unit: 'count', value: 5_000, why: 'people who come and press Buy' },
  appointments: {
    unit: 'count',
    value: 0,
    why: 'made before, by the crowd and by others who never come; 0: none are needed',
  },
  uninvited: { unit: 'share', value: 0, why: 'of the people, those who press without having one' },
  leadMs: { unit: 'ms', value: 10_000, why: 'how long before the opening the crowd gathers' },
  crowdMs: { unit: 'ms', value: 45_000, why: 'how long after the opening people still come' },
  punctual: { unit: 'share', value: 0.1, why: 'of the people, those who press at the opening' },
  reactionMs: { unit: 'ms', value: 700, why: 'median time from the opening to a punctual press' },
  reactionSigma: { unit: 'number', value: 0.6, why: 'spread of that time, log-normal' },
  feedMs: { unit: 'ms', value: 60_000, why: 'mean delay of the rest, who meet the card in a feed' },
  looks: { unit: 'number', value: 2, why: 'mean looks at the card of a punctual buyer before' },
  waves: { unit: 'count', value: 0, why: 'reposts of the announcement after the opening' },
  waveShare: { unit: 'share', value: 0, why: 'of the people, those whom a repost brings' },
  waveMs: { unit: 'ms', value: 2_000, why: 'mean delay of people behind their repost' },
  restarts: {
    unit: 'count',
    value: 0,
    why: 'times that every connection breaks; who waited presses again with the same key',
  },
  doubleTap: { unit: 'share', value: 0.08, why: 'press twice at once, with the same key' },
  patienceMs: { unit: 'ms', value: 10_000, why: 'wait this long for an answer, then press again' },
  retries: { unit: 'count', value: 8, why: 'press again at most so often, then give up' },
  comeBack: {
    unit: 'share',
    value: 0.5,
    why: 'told that all units are held, try again when told to',
  },
  cancel: {
    unit: 'share',
    value: 0.01,
    why: 'give the unit back at once, if it is not paid by then',
  },
  short: {
    unit: 'share',
    value: 0.02,
    why: 'come with an empty wallet: declined, so their unit comes back',
  },
  stream: { unit: 'share', value: 0.02, why: 'follow their order live; the others poll it' },
  bots: { unit: 'count', value: 0, why: 'programs that press from before the opening on' },
  botMs: { unit: 'ms', value: 500, why: 'a bot presses so often, each time under a new key' },
  connections: { unit: 'count', value: 1_000, why: 'connections of each load process at most' },
} as const satisfies Record<string, { unit: string; value: number; why: string }>;

export type ParameterName = keyof typeof parameterTable;
export type Parameters = Record<ParameterName, number>;
export const parameterNames = Object.keys(parameterTable) as ParameterName[];

/** What grows and shrinks with `--scale`, and what `--speed` compresses. */
const scaled: ParameterName[] = ['units', 'people', 'appointments', 'bots'];
const timed: ParameterName[] = ['leadMs', 'crowdMs', 'reactionMs', 'feedMs', 'waveMs', 'botMs'];

/** A scenario's parameters over the defaults, then scale and speed, then what was set by hand. */
export function resolveParameters(options: {
  scenario: Partial<Parameters>;
  scale: number;
  speed: number;
  set: Partial<Parameters>;
}): Parameters {
  const entries = parameterNames.map((name) => {
    const given = options.scenario[name] ?? parameterTable[name].value;
    if (options.set[name] !== undefined) return [name, options.set[name]];
    if (scaled.includes(name) && given > 0) {
      return [name, Math.max(1, Math.round(given * options.scale))];
    }
    return [name, timed.includes(name) ? given / options.speed : given];
  });
  return Object.fromEntries(entries) as Parameters;
}

/**
 * The parameters for a drop whose units and rules are given: the crowd is as large for each unit as it
 * was, unless it was set by hand.
 */
export function fitted(
  parameters: Parameters,
  {
    units,
    byAppointment,
    set,
  }: { units: number; byAppointment: boolean; set: Partial<Parameters> },
): Parameters {
  const perUnit = (name: 'people' | 'bots' | 'appointments') => {
    if (set[name] !== undefined) return set[name];
    return Math.round((parameters[name] * units) / parameters.units);
  };
  const people = Math.max(1, perUnit('people'));
  const appointments = byAppointment ? Math.max(people, perUnit('appointments')) : 0;
  return { ...parameters, units, people, bots: perUnit('bots'), appointments };
}

/** Why a value cannot stand for a parameter, undefined when it can. */
export function refusedValue(name: ParameterName, value: number): string | undefined {
  const { unit } = parameterTable[name];
  if (!Number.isFinite(value) || value < 0) return `${name} must be a number of 0 or more`;
  const least: ParameterName[] = ['units', 'people', 'connections'];
  if (value < 1 && least.includes(name)) return `${name} must be at least 1`;
  if (unit === 'share' && value > 1) return `${name} is a share and must be at most 1`;
  if (unit === 'count' && !Number.isInteger(value)) return `${name} must be a whole number`;
  return undefined;
}
