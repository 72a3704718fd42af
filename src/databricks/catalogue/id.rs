//! Where in its path, query and headers a request carries the ids of the resources that it is about.

use super::{Leaf, table};
use crate::databricks::resources::Origin;

/// An id that a request may carry: the type of the resource, and where the parts of the id stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    kind: &'static str,
    places: &'static str,
}

/// Where a part of an id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This segment of the path, percent-encoded as the path is; `api` of `/api/2.0` is segment 0. Where the template goes
    /// on with a verb after a colon (`{index_id}:query`), the id is what stands before the last colon.
    Segment(usize),
    /// Everything from this segment on: `a/b`.
    Rest(usize),
    /// The same with the slash before it: `/Volumes/main`.
    Absolute(usize),
    /// The query parameter of this name.
    Query(&'static str),
    /// The header of this name, in lower case.
    Header(&'static str),
    /// Nowhere: this part may be any.
    Unsaid,
}

impl Place {
    /// The place, as far as a request's reader cares.
    #[must_use]
    pub const fn origin(self) -> Origin {
        match self {
            Self::Segment(_) | Self::Rest(_) | Self::Absolute(_) | Self::Unsaid => Origin::Path,
            Self::Query(name) => Origin::Query(name),
            Self::Header(name) => Origin::Header(name),
        }
    }
}

impl Id {
    /// The type of the resource: `job`, `table`, …; with `@` where what stands there tells the type.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        self.kind
    }

    /// The types that it may be of.
    pub fn kinds(self) -> impl Iterator<Item = &'static str> {
        let table: &[(&str, u8)] = match self.kind {
            "@typed" => &table::TYPES,
            "@resource" => &table::COLLECTIONS,
            _ => &[],
        };
        let told = table.iter().filter_map(|(_, kind)| table::KINDS.get(usize::from(*kind)).copied());
        let own: &[&'static str] = match self.kind {
            "@trace_location" => &["experiment", "schema", "table_id"],
            "@secret" => &["secret_scope"],
            _ => &[],
        };
        told.chain(own.iter().copied()).chain((!self.kind.starts_with('@')).then_some(self.kind))
    }

    /// What its text is.
    #[must_use]
    pub fn leaf(self) -> Leaf {
        match self.kind {
            "@resource" => Leaf::ResourceName,
            "@secret" => Leaf::SecretReferences,
            "@trace_location" => Leaf::TraceLocation,
            kind => Leaf::Id(kind),
        }
    }

    /// The parts of the id in order, to be joined with dots: the catalogue, the schema, and the name of a table, say. An id
    /// of which a part is absent is not there.
    pub fn places(self) -> impl Iterator<Item = Place> {
        self.places.split('+').filter_map(place)
    }
}

/// Reads `job=qjob_id schema=qcatalog_name+qschema_name`, as tools/catalogue/emit.py writes it.
pub(super) fn read(list: &'static str) -> impl Iterator<Item = Id> {
    let id = |entry: &'static str| entry.split_once('=').map(|(kind, places)| Id { kind, places });
    list.split_ascii_whitespace().filter_map(id)
}

fn place(text: &'static str) -> Option<Place> {
    let (letter, value) = text.split_at_checked(1)?;
    Some(match letter {
        "p" => Place::Segment(value.parse().ok()?),
        "r" => Place::Rest(value.parse().ok()?),
        "a" => Place::Absolute(value.parse().ok()?),
        "q" => Place::Query(value),
        "h" => Place::Header(value),
        "n" => Place::Unsaid,
        _ => return None,
    })
}
