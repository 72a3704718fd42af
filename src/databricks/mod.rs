//! What a request to Databricks is: its target and forms, read in the one way that all servers read them or refused.

mod catalogue;
mod features;
mod form;
mod resources;
pub mod sql;
mod statement;
mod target;
mod twins;

pub use catalogue::{Catalogue, Id, Operation, Place};
pub use features::Features;
pub use form::{Parameter, read_form};
pub use resources::{IdFault, Resource, canonical, resources, stands_in_body};
pub use statement::{has_statement, scan_body};
pub use target::{Ambiguity, Target};
pub use twins::has_twin;
