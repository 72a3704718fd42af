// Runs a program for wasm32-wasip1 in node, as cargo asks its runner to: `node run-wasi.mjs PROGRAM ARGUMENT…`.
// It sees no files, and of the environment only what says how tests are to be run.

import { readFile } from "node:fs/promises";
import { argv, env } from "node:process";
import { WASI } from "node:wasi";

const [program, ...rest] = argv.slice(2);
const kept = Object.entries(env).filter(([name]) => /^(RUST_BACKTRACE|PROPTEST_.*)$/.test(name));
const wasi = new WASI({ version: "preview1", args: [program, ...rest], env: Object.fromEntries(kept), returnOnExit: true });
const module = await WebAssembly.compile(await readFile(program));

// the library names the calls of a proxy to its filters; a unit test that makes one fails
const proxy = {};
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
  if (from === "env") {
    proxy[name] = () => {
      throw new Error(`${name}: there is no proxy here`);
    };
  }
}

const { exports } = await WebAssembly.instantiate(module, { ...wasi.getImportObject(), env: proxy });
// the library's `_initialize`, which filters have and programs must not, is left out
process.exitCode = wasi.start({ exports: { memory: exports.memory, _start: exports._start } });
