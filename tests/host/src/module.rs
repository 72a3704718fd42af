//! The built filter, compiled once for the process.

use crate::hostcalls;
use crate::world::World;
use std::path::Path;
use std::sync::LazyLock;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, OptLevel, PoolingAllocationConfig,
};

/// More memory than the filter may ever have.
pub(crate) const MOST_MEMORY: usize = 64 << 20;

pub(crate) static FILTER: LazyLock<InstancePre<World>> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../filters/databricks_kong.wasm");
    let Ok(bytes) = std::fs::read(&path) else {
        panic!("filters/databricks_kong.wasm is not there: build it with `scripts/build-wasm`");
    };
    let engine = engine();
    let module = Module::new(&engine, bytes).expect("the module is sound");
    let mut linker = Linker::new(&engine);
    hostcalls::define(&mut linker).expect("each call has its own name");
    // a call that neither host has is met only by a module that makes it
    linker.define_unknown_imports_as_traps(&module).expect("imports are functions");
    linker.instantiate_pre(&module).expect("the host has what the module imports")
});

fn engine() -> Engine {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(64).total_memories(64).total_tables(64).table_elements(20_000);
    pool.max_memory_size(MOST_MEMORY).linear_memory_keep_resident(1 << 20);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config.consume_fuel(true).cranelift_opt_level(OptLevel::Speed);
    Engine::new(&config).expect("the settings are sound")
}
