import { parseArgs } from 'node:util';
import { shown, suggestion } from './settings.ts';

/** Flags and the setting that each overrides. */
const settingFlags = {
  port: 'FLASHDROP_PORT',
  host: 'FLASHDROP_HOST',
  role: 'FLASHDROP_ROLE',
  data: 'FLASHDROP_DATA',
  'api-processes': 'FLASHDROP_API_PROCESSES',
} as const;

const switches = ['fresh', 'help', 'version'] as const;

export type Flags = {
  /** Values given by flags, by the name of the setting that they override. */
  settings: Record<string, string>;
  fresh: boolean;
  help: boolean;
  version: boolean;
  problems: string[];
};

/** Reads the command line; each unknown or incomplete argument becomes one problem. */
export function readFlags(args: string[]): Flags {
  const flags: Flags = { settings: {}, fresh: false, help: false, version: false, problems: [] };
  const known = [...Object.keys(settingFlags), ...switches];
  const { tokens } = parseArgs({
    args,
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      Object.keys(settingFlags).map((name) => [name, { type: 'string' }]),
    ),
  });
  let unknownAt: number | undefined;
  for (const token of tokens) {
    if (token.kind === 'positional') {
      // The argument after an unknown flag is taken as its value, not as a second problem.
      if (unknownAt === token.index - 1) continue;
      // For `npm start --port 8080` without the `--`, npm takes the flag and passes on only the 8080.
      flags.problems.push(
        `${shown(token.value)} is not understood; flags follow "--", as in: npm start -- --port 8080`,
      );
    } else if (token.kind === 'option') {
      if (!known.includes(token.name)) unknownAt = token.index;
      readFlag(token);
    }
  }
  return flags;

  function readFlag(token: { name: string; rawName: string; value?: string | undefined }): void {
    const { name, rawName, value } = token;
    if (isSettingFlag(name)) {
      if (value) flags.settings[settingFlags[name]] = value;
      else flags.problems.push(`${rawName} needs a value`);
    } else if (isSwitch(name)) {
      flags[name] = true;
      if (value !== undefined) flags.problems.push(`${rawName} takes no value`);
    } else {
      flags.problems.push(
        `${rawName} is no flag${suggestion(name, known).replace('mean ', 'mean --')}`,
      );
    }
  }
}

function isSettingFlag(name: string): name is keyof typeof settingFlags {
  return Object.hasOwn(settingFlags, name);
}

function isSwitch(name: string): name is (typeof switches)[number] {
  return switches.some((known) => known === name);
}
