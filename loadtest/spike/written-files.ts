import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';

/**
 * Why the files of a run cannot be written, a line for each; checked before the run, which takes
 * minutes.
 */
export function unwritable(files: readonly string[]): string[] {
  const paths = files.map((file) => resolve(file));
  const twice = files.filter((_, n) => paths.indexOf(paths[n] as string) < n);
  return [
    ...twice.map((file) => `${file} is to be both report and json: name two files`),
    ...files.flatMap((file) => refusal(file) ?? []),
  ];
}

function refusal(file: string): string | undefined {
  const existed = existsSync(file);
  try {
    closeSync(openSync(file, 'a'));
    if (!existed) rmSync(file);
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: 'its folder does not exist',
      ENOTDIR: 'its folder does not exist',
      EISDIR: 'it is a folder',
      EACCES: 'you may not write there',
      EROFS: 'the file system is read-only',
    };
    return `${file} cannot be written: ${reasons[code ?? ''] ?? message}`;
  }
}
