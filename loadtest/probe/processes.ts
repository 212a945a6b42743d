import { readdirSync, readFileSync } from 'node:fs';

export type ProcessMoment = { name: string; pid: number; cpu: number; memoryBytes: number };
export type Named = { name: string; pid: number };

/** Linux reports CPU time in these ticks, whatever the kernel's own. */
const ticksPerSecond = 100;
const lookAgainMs = 5_000;

/**
 * CPU and memory of the processes given and of the engine's whole tree, from /proc. Where there is
 * none (not Linux) the list is empty.
 */
export function openProcesses(options: { engine: number | undefined; others: readonly Named[] }) {
  const { engine, others } = options;
  let watched: readonly Named[] = [];
  let lookedAt = Number.NEGATIVE_INFINITY;
  const before = new Map<number, { seconds: number; at: number }>();

  return function sample(now = performance.now()): ProcessMoment[] {
    if (now - lookedAt > lookAgainMs || watched.length === 0) {
      watched = [...(engine === undefined ? [] : engineTree(engine)), ...others];
      lookedAt = now;
    }
    return watched.flatMap(({ name, pid }) => {
      const stat = readStat(pid);
      if (!stat) return [];
      const last = before.get(pid);
      before.set(pid, { seconds: stat.cpuSeconds, at: now });
      const wall = last ? (now - last.at) / 1_000 : 0;
      const cpu = last && wall > 0 ? (stat.cpuSeconds - last.seconds) / wall : 0;
      // A zombie process has no memory.
      const memoryBytes = memoryOf(pid);
      return memoryBytes > 0 ? [{ name, pid, cpu, memoryBytes }] : [];
    });
  };
}

/** The engine's processes, named by role. */
function engineTree(root: number): Named[] {
  const parents = new Map(everyPid().map((pid) => [pid, readStat(pid)?.parent]));
  const below = (pid: number): number[] => {
    const children = [...parents].filter(([, parent]) => parent === pid).map(([child]) => child);
    return children.flatMap((child) => [child, ...below(child)]);
  };
  const children = below(root)
    .sort((a, b) => a - b)
    .map((pid) => ({ pid, program: programOf(pid) }));
  const apis = children.filter(({ program }) => program === 'node').map(({ pid }) => pid);
  // Either one process does everything, or the primary settles and each child serves the api.
  const first = { name: apis.length > 0 ? 'settlement' : 'engine', pid: root };
  const named = children.map(({ pid, program }) => {
    if (program === 'node') return { name: `api ${apis.indexOf(pid) + 1}`, pid };
    return { name: program.replace(/^(redis|valkey)-server$/, 'redis'), pid };
  });
  return [first, ...named];
}

function everyPid(): number[] {
  try {
    return readdirSync('/proc')
      .filter((entry) => /^\d+$/.test(entry))
      .map(Number);
  } catch {
    return [];
  }
}

/** The program's name without its path and arguments; Redis rewrites its own to `path host:port`. */
function programOf(pid: number): string {
  const [command = ''] = (read(`/proc/${pid}/cmdline`) ?? '').split(/[\0 ]/);
  return command.slice(command.lastIndexOf('/') + 1) || 'unknown';
}

function readStat(pid: number): { parent: number; cpuSeconds: number } | undefined {
  const text = read(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The second field, the program's name in brackets, may hold spaces and brackets itself.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    parent: Number(fields[1]),
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
  };
}

function memoryOf(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return Number(kibibytes ?? 0) * 1_024;
}

/** Undefined when the process is gone, or there is no /proc. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
