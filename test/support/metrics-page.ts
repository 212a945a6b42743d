/** One sample of a page of metrics: its name with labels as written, and its value. */
export type Sample = { name: string; labels: Record<string, string>; value: number };

const line = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/g;

/** The samples of a page in the Prometheus text format. */
export function samplesOf(page: string): Sample[] {
  return page.split('\n').flatMap((text) => {
    if (text === '' || text.startsWith('#')) return [];
    const [, name, labels = '', value] = line.exec(text) ?? [];
    if (name === undefined) throw new Error(`not a sample: ${text}`);
    const named = [...labels.matchAll(label)].map(([, key = '', text = '']) => [key, text]);
    return [{ name, labels: Object.fromEntries(named), value: Number(value) }];
  });
}

const units = ['milliseconds', 'minutes', 'hours', 'days', 'kilobytes', 'megabytes', 'percent'];
const abbreviations = ['ms', 's', 'sec', 'secs', 'b', 'kb', 'mb', 'pct'];
const suffixes = /_(?:bucket|sum|count)$/;

/**
 * What is wrong with a page by the rules of `promtool check metrics` (the linter of
 * prometheus/client_golang, promlint): help and type for each metric, names of counters, base units,
 * reserved suffixes and labels; and by the format: no series twice, each metric in one block.
 */
export function faultsOf(page: string): string[] {
  const { types, faults } = headsOf(page);
  return [
    ...faults,
    ...[...types].flatMap(([name, type]) => {
      return nameFaults(name, type).map((fault) => `${name} ${fault}`);
    }),
    ...sampleFaults(samplesOf(page), types),
  ];
}

/** The types of the metrics by name, and what is wrong with the HELP and TYPE lines. */
function headsOf(page: string): { types: Map<string, string>; faults: string[] } {
  const heads = [...page.matchAll(/^# (HELP|TYPE) (\S+) ?(.*)$/gm)].map(
    ([, what, name = '', rest = '']) => ({ what, name, rest }),
  );
  const typed = heads.filter(({ what }) => what === 'TYPE');
  const helped = heads.filter(({ what, rest }) => what === 'HELP' && rest.trim() !== '');
  const types = new Map(typed.map(({ name, rest }) => [name, rest]));
  const helps = new Set(helped.map(({ name }) => name));
  return {
    types,
    faults: [
      ...(types.size < typed.length ? ['a metric has two types'] : []),
      ...[...types.keys()].filter((name) => !helps.has(name)).map((name) => `${name} has no help`),
    ],
  };
}

function sampleFaults(samples: Sample[], types: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  const blocks: string[] = [];
  for (const { name, labels } of samples) {
    const metric = types.has(name) ? name : name.replace(suffixes, '');
    const type = types.get(metric);
    if (type === undefined) faults.push(`${name} has no type`);
    if ('le' in labels && type !== 'histogram') faults.push(`${name} has the label le`);
    if (Object.keys(labels).some((key) => /[A-Z]/.test(key))) {
      faults.push(`${name} has a label in camel case`);
    }
    const series = name + JSON.stringify(Object.entries(labels).sort());
    if (seen.has(series)) faults.push(`${series} is there twice`);
    seen.add(series);
    if (blocks.at(-1) !== metric) blocks.push(metric);
  }
  if (new Set(blocks).size < blocks.length) faults.push('a metric is in two blocks');
  return faults;
}

function nameFaults(name: string, type: string): string[] {
  const words = name.split('_');
  return [
    ...(type === 'counter' && !name.endsWith('_total') ? ['is a counter without _total'] : []),
    ...(type !== 'counter' && name.endsWith('_total')
      ? ['is no counter and ends with _total']
      : []),
    ...(type !== 'histogram' && /_bucket$/.test(name) ? ['ends with _bucket'] : []),
    ...(type === 'gauge' && /_(?:sum|count)$/.test(name)
      ? ['ends like a part of a histogram']
      : []),
    ...(/[A-Z]/.test(name) ? ['is in camel case'] : []),
    ...(/:/.test(name) ? ['has a colon'] : []),
    ...(words.some((word) => word === type) ? [`has its type ${type} in its name`] : []),
    ...(words.some((word) => units.includes(word)) ? ['is not in a base unit'] : []),
    ...(words.some((word) => abbreviations.includes(word)) ? ['abbreviates its unit'] : []),
  ];
}
