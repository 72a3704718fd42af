//! Which operation of Databricks a request asks for, what it is about, and what it takes.
//!
//! The table is operations.tsv, which tools/catalogue/generate makes from the published SDK and from what is written by hand
//! in additions.toml; `table.rs` is the same as a tree of path segments, packed. It is unpacked when a configuration is
//! read; after that nothing is parsed or allocated.
//!
//! Names are those of the Python SDK: `w.jobs.run_now` is `jobs.run_now`; whatever belongs to the account's client has
//! `account.` before it, so `a.workspaces.create` is `account.workspaces.create`.

mod find;
mod id;
mod near;
mod operation;
mod packed;
mod shape;
#[rustfmt::skip]
mod table;

pub use id::{Id, Place};
pub use operation::Operation;
pub use shape::{Leaf, Member, Named, Shape};
pub(super) use shape::{feature_names, kind_called, kind_collected, tells_of_a_feature};

/// All operations that the gateway knows.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue;

impl Catalogue {
    /// The operation of a request, by its method and its canonical path without the query.
    ///
    /// Both are compared exactly: in case, in the number of segments, in the trailing slash. A literal segment beats a
    /// placeholder, which beats a template's open end. HEAD is an operation of its own, known where the SDK sends it. Takes
    /// no longer the more operations there are, only the more segments a template has.
    #[must_use]
    pub fn find(method: &str, path: &str) -> Option<Operation> {
        find::find(method, path)
    }

    /// The operation that some server could take the request for, although it is none letter by letter: without case, with a slash at
    /// its end, with or without `/preview`, or of another version of the API.
    #[must_use]
    pub fn near(method: &str, path: &str) -> Option<Operation> {
        near::find(method, path)
    }

    /// Why a request is sensitive by its path alone, known or not: what Databricks may add below such a path is of the same sort.
    #[must_use]
    pub fn sensitivity_of_path(method: &str, path: &str) -> Option<&'static str> {
        near::sensitivity(method, path)
    }

    /// The operations that go by this name, in the SDK or here: several, where one name covers several paths.
    pub fn named(name: &str) -> impl Iterator<Item = Operation> {
        find::named(name)
    }

    /// All operations, sorted by name.
    pub fn operations() -> impl Iterator<Item = Operation> {
        packed::rows().by_name.iter().filter_map(|index| Operation::at(*index))
    }

    /// How many operations there are: one more than the highest [`Operation::index`].
    #[must_use]
    pub const fn len() -> usize {
        table::OPERATIONS
    }

    /// Unpacks the table now, so that no request waits for it.
    pub fn unpack() {
        packed::rows();
    }

    /// The types of resources that operations have ids of.
    #[must_use]
    pub const fn resource_types() -> &'static [&'static str] {
        &table::KINDS
    }
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, Operation};

    #[test]
    fn files_are_told_by_the_beginnings_of_their_templates() {
        let templates = Catalogue::operations().map(Operation::template);
        let open = templates.filter(|template| template.ends_with("...}") && !template.contains("/Volumes/"));
        let begins: std::collections::BTreeSet<_> = open.filter_map(|template| template.split('{').next()).collect();
        for begin in super::super::target::FILES {
            assert!(begins.contains(begin), "{begin}");
        }
        for begin in begins.iter().filter(|begin| begin.contains("files") || begin.contains("directories")) {
            assert!(super::super::target::FILES.contains(begin), "{begin}");
        }
    }
}
