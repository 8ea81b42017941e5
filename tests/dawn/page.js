// A page without a browser: Node.js with Dawn, which is Chromium's WebGPU, from the npm package `webgpu`.
//
// Each line of the input is [source of a function, its argument] in JSON; each of the output what it resolved to, as
// {"value": …} or {"error": text}. Modules are imported from the folder that this file lies in.

import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const { create, globals } = await import(pathToFileURL(process.argv[2]).href);
Object.assign(globalThis, globals);
const gpu = create(process.argv.slice(3));
Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
globalThis.fetch = async (url) => new Response(await readFile(new URL(url)));

for await (const line of createInterface({ input: process.stdin })) {
  const [source, argument] = JSON.parse(line);
  let answer;
  try {
    // The tests' own text, and indirect eval would import from nowhere.
    // eslint-disable-next-line no-eval
    answer = { value: await eval(`(${source})`)(argument) ?? null };
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(`\n${JSON.stringify(answer)}\n`);
}
process.exit(0); // what a device still holds would keep Node waiting
