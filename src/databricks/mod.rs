//! What a request to Databricks is: its target and forms, read in the one way that all servers read them or refused.

mod catalogue;
mod form;
mod target;

pub use catalogue::{Catalogue, Id, Operation, Place};
pub use form::{Parameter, read_form};
pub use target::{Ambiguity, Target};
