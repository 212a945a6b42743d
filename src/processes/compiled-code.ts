import { flushCompileCache } from 'node:module';

/**
 * Writes the code that this process has compiled so far to Node's compile cache, where a folder for
 * it is set (NODE_COMPILE_CACHE). Node itself does so only at a clean exit. A later start then neither
 * strips types from nor compiles a file that has not changed.
 */
export function keepCompiledCode(): void {
  flushCompileCache();
}
