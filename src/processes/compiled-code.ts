import { flushCompileCache } from 'node:module';

/**
 * Writes the code that this process has compiled so far to Node's compile cache, where a folder for
 * it is set (NODE_COMPILE_CACHE); Node itself would do so at a clean exit only. A later start then
 * neither strips types nor compiles what has not changed.
 */
export function keepCompiledCode(): void {
  flushCompileCache();
}
