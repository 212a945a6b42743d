// Prints the help, or with --version the version, before anything is installed. Plain JavaScript for
// Node 20.
import { readFileSync } from 'node:fs';
import { helpText } from '../src/config/help.mjs';

const packageFile = new URL('../package.json', import.meta.url);
const version = () => JSON.parse(readFileSync(packageFile, 'utf8')).version;

process.stdout.write(`${process.argv.includes('--help') ? helpText : version()}\n`);
