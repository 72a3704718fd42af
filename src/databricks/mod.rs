//! What a request to Databricks is: its target and forms, read in the one way that all servers read them or refused.

mod body;
mod catalogue;
mod features;
mod files;
mod form;
mod kind;
mod multipart;
mod resources;
pub mod sql;
mod statement;
mod target;
mod twins;

pub use catalogue::{Catalogue, Id, Leaf, Member, Named, Operation, Place, Shape};
pub use features::Features;
pub use form::{Parameter, read_form};
pub use kind::{Kind, Within};
pub use multipart::{read_form_data, takes_form};
pub use resources::{
    Carried, IdFault, Origin, Resource, canonical, carried, may_name_resources, reaches_by_body, resources,
    stands_in_body, takes_body_on_get,
};
pub use statement::{has_statement, scan_body};
pub use target::{Ambiguity, Target};
pub use twins::has_twin;
