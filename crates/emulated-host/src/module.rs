//! Modules, compiled once for the process.

use crate::hostcalls;
use crate::world::World;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, OptLevel, PoolingAllocationConfig,
};

/// More memory than the filter may ever have.
const MOST_MEMORY: usize = 64 << 20;

/// A compiled module, with the hosts' calls beside it.
#[derive(Clone)]
pub struct Filter(pub(crate) InstancePre<World>);

/// Counts seconds, by which a callback that does not end is noticed.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let engine = engine();
    let clock = engine.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            clock.increment_epoch();
        }
    });
    engine
});

static BUILT: LazyLock<Filter> = LazyLock::new(|| {
    let place = |folder: &Path| folder.join("filters/databricks_kong.wasm");
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(place).find_map(|path| std::fs::read(path).ok());
    Filter::of_module(&built.expect("filters/databricks_kong.wasm is not there: build it with `scripts/build-wasm`"))
});

impl Filter {
    /// `filters/databricks_kong.wasm`
    #[must_use]
    pub fn built() -> &'static Self {
        &BUILT
    }

    /// Any module, as bytes or as text.
    #[must_use]
    pub fn of_module(module: &[u8]) -> Self {
        let module = Module::new(&ENGINE, module).expect("the module is sound");
        let mut linker = Linker::new(&ENGINE);
        hostcalls::define(&mut linker).expect("each call has its own name");
        // a call that neither host has is met only by a module that makes it
        linker.define_unknown_imports_as_traps(&module).expect("imports are functions");
        Self(linker.instantiate_pre(&module).expect("the host has what the module imports"))
    }
}

fn engine() -> Engine {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(64).total_memories(64).total_tables(64).table_elements(20_000);
    pool.max_memory_size(MOST_MEMORY).linear_memory_keep_resident(1 << 20);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    // not fuel, which would cost a third more time
    config.epoch_interruption(true).cranelift_opt_level(OptLevel::Speed);
    Engine::new(&config).expect("the settings are sound")
}
