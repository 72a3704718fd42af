// Makes of the built filter one that traps, to see what the host does then:
//   node trapping.mjs BINARYEN IN OUT PLACE        PLACE: headers | decided | answer | body
// It traps for requests with more than 40 headers, in entries whose configuration is longer than that of a guard: as it is called
// (headers), once it has decided (decided), in the callback of a callout (answer), or as the body arrives (body).

import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [library, from, to, place] = process.argv.slice(2);
const { default: binaryen } = await import(pathToFileURL(library));
const MANY_HEADERS = 40;
const LONG_CONFIGURATION = 100;
const { i32, none, createType } = binaryen;

const module = binaryen.readBinary(readFileSync(from));
// those that scripts/build-wasm names, and no newer ones: the host's wasmtime is of 2024
const { BulkMemory, BulkMemoryOpt, SignExt, MutableGlobals, NontrappingFPToInt, ReferenceTypes, Multivalue, SIMD128 } = binaryen.Features;
module.setFeatures(
  BulkMemory | BulkMemoryOpt | SignExt | MutableGlobals | NontrappingFPToInt | ReferenceTypes | Multivalue | SIMD128,
);
const get = (name) => module.global.get(name, i32);
const arg = (index) => module.local.get(index, i32);
for (const name of ['armed', 'root', 'context']) {
  module.addGlobal(`trap_${name}`, i32, true, module.i32.const(name === 'armed' ? 0 : -1));
}

// Replaces an export by `before`, the export's own work, and `after`.
function wrap(name, params, result, before, after = []) {
  let inner;
  for (let index = 0; index < module.getNumExports(); index += 1) {
    const info = binaryen.getExportInfo(module.getExportByIndex(index));
    if (info.name === name) inner = info.value;
  }
  if (inner === undefined) throw new Error(`${name} is not exported`);
  module.removeExport(name);
  const args = params.map((_, index) => arg(index));
  const call = module.call(inner, args, result);
  const body = result === none
    ? module.block(null, [...before, call, ...after], none)
    : module.block(null, [...before, module.local.set(params.length, call), ...after, arg(params.length)], result);
  module.addFunction(`trapping_${name}`, createType(params), result, result === none ? [] : [result], body);
  module.addFunctionExport(`trapping_${name}`, name);
}

const when = (condition, then) => module.if(condition, then);
const both = (a, b) => module.i32.and(a, b);
const isOurs = () => module.i32.eq(arg(0), get('trap_context'));
const trapIf = (condition) => when(condition, module.unreachable());
const armed = () => both(isOurs(), get('trap_armed'));

wrap('proxy_on_configure', [i32, i32], i32, [
  when(module.i32.gt_s(arg(1), module.i32.const(LONG_CONFIGURATION)), module.global.set('trap_root', arg(0))),
]);
wrap('proxy_on_context_create', [i32, i32], none, [
  when(module.i32.eq(arg(1), get('trap_root')), module.global.set('trap_context', arg(0))),
]);
const arm = when(isOurs(),
  module.global.set('trap_armed', module.i32.gt_s(arg(1), module.i32.const(MANY_HEADERS))));
wrap('proxy_on_request_headers', [i32, i32, i32], i32,
  place === 'headers' ? [arm, trapIf(armed())] : [arm], place === 'decided' ? [trapIf(armed())] : []);
if (place === 'answer') wrap('proxy_on_http_call_response', [i32, i32, i32, i32, i32], none, [trapIf(get('trap_armed'))]);
if (place === 'body') wrap('proxy_on_request_body', [i32, i32, i32], i32, [trapIf(armed())]);

if (!module.validate()) throw new Error('the changed module is not valid');
writeFileSync(to, module.emitBinary());
