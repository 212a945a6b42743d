import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** What a simulator knows of its merchant's payments: maps by name, kept in a file where there is one. */
export type Memory = {
  /** The map of this name, with what the file has of it; its values must be plain data. */
  map<T>(name: string): Map<string, T>;
  /** Says that something has changed: the file is written within a second. */
  touch(): void;
  /** Writes what has changed. */
  close(): void;
};

const writeEveryMs = 1_000;

/**
 * Opens a memory. Like a provider's books it outlives the process: an engine that starts again finds the
 * payments that it knows.
 * @param file absent for a memory that ends with the process
 * @throws Error when the file cannot be read as one of this kind
 */
export function openMemory(file: string | undefined): Memory {
  const maps = new Map<string, Map<string, unknown>>();
  let isChanged = false;
  for (const [name, entries] of file === undefined ? [] : readFile(file)) {
    maps.set(name, new Map(entries));
  }

  function write(): void {
    if (!isChanged || file === undefined) return;
    isChanged = false;
    const entries = [...maps].map(([name, map]) => [name, [...map]]);
    // A rename replaces the file as a whole: a process that is killed leaves no half of one.
    writeFileSync(`${file}.new`, JSON.stringify(entries), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }

  const writing = setInterval(write, writeEveryMs);
  writing.unref();

  return {
    map<T>(name: string) {
      const map = maps.get(name) ?? new Map<string, unknown>();
      maps.set(name, map);
      return map as Map<string, T>;
    },
    touch() {
      isChanged = true;
    },
    close() {
      clearInterval(writing);
      write();
    },
  };
}

function readFile(file: string): [name: string, entries: [string, unknown][]][] {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
  return JSON.parse(text);
}
