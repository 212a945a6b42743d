#!/bin/sh
# npm start: installs what is missing, then runs the engine. `node src/main.ts` runs the engine alone.
set -e

for argument in "$@"; do
  case "$argument" in
    --help | --version) exec node scripts/help.mjs "$argument" ;;
  esac
done

node scripts/setup.mjs

# Node keeps compiled code here between starts; the first start of a version writes it.
export NODE_COMPILE_CACHE="${NODE_COMPILE_CACHE:-node_modules/.cache/flashdrop/compiled}"

# --wasm-tiering-budget (V8's default is 13000000): the embedded PostgreSQL is WebAssembly, of which
#   V8 optimises a function once it has run for long enough. Ten times as long saves 250 MB and a second
#   of CPU at the start, and costs nothing under load (docs/decisions/0014-start-up-and-memory.md).
exec env node --wasm-tiering-budget=130000000 src/main.ts "$@"
