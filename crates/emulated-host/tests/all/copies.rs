//! `scripts/copy.wat`, through which each copy of memory in the built filter goes.

use wasmtime::{Engine, Instance, Memory, Module, Store, TypedFunc};

/// More than is copied there without `memory.copy`.
const LONGEST: usize = 160;
const END: u32 = 65_536;

/// By where to, where from and how many bytes.
type Copies = TypedFunc<(u32, u32, u32), ()>;

/// A page of memory, and the function.
fn instance() -> (Store<()>, Memory, Copies) {
    let function = include_str!("../../../../scripts/copy.wat");
    let text = format!("(module (memory (export \"memory\") 1) {function} (export \"copy\" (func $copy)))");
    let engine = Engine::default();
    let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    let copy = instance.get_typed_func(&mut store, "copy").unwrap();
    (store, memory, copy)
}

#[test]
fn a_copy_of_any_length_and_overlap_is_what_memory_copy_makes() {
    let (mut store, memory, copy) = instance();
    let before: Vec<u8> = (0..3 * LONGEST).map(|place| (place * 7 % 251) as u8).collect();
    for length in 0..=LONGEST {
        for to in 0..=2 * LONGEST {
            memory.data_mut(&mut store)[..before.len()].copy_from_slice(&before);
            copy.call(&mut store, (to as u32, LONGEST as u32, length as u32)).unwrap();
            let mut expected = before.clone();
            expected.copy_within(LONGEST..LONGEST + length, to);
            assert!(memory.data(&store)[..before.len()] == expected, "{length} bytes to {to} from {LONGEST}");
        }
    }
}

#[test]
fn a_copy_from_or_to_beyond_the_memory_writes_nothing() {
    for length in [1, 2, 3, 4, 8, 16, 17, 32, 33, 64, 65, 128, 129] {
        for (to, from) in [(0, END - length + 1), (END - length + 1, 0)] {
            let (mut store, memory, copy) = instance();
            memory.data_mut(&mut store)[..256].fill(2);
            memory.data_mut(&mut store)[256..].fill(1);
            let before = memory.data(&store).to_vec();
            copy.call(&mut store, (to, from, length)).unwrap_err();
            assert!(memory.data(&store) == before, "{length} bytes to {to} from {from}");
        }
    }
}
