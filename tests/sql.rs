//! The scanner of SQL texts: a corpus with what each text does, and `sqlparser`, Spark's own parser and a generator as oracles.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test may fail loudly, and measure time"
)]

#[path = "sql/corpus.rs"]
mod corpus;
#[path = "sql/fuzz.rs"]
mod fuzz;
#[path = "sql/generator.rs"]
mod generator;
#[path = "sql/mutants.rs"]
mod mutants;
#[path = "sql/oracle.rs"]
mod oracle;
#[path = "sql/properties.rs"]
mod properties;
#[path = "sql/spark.rs"]
mod spark;
