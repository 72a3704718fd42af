//! One operation, as a view of its line in the table.

use super::packed::{Row, rows, text};
use super::{Id, Place, Shape, id, table};
use crate::databricks::kind::Kind;

/// What a row has in place of a shape where its body is nobody's to read.
const OPAQUE: u16 = u16::MAX;

/// One operation of Databricks: a method and a path template, and what is known of them.
#[derive(Clone, Copy)]
pub struct Operation {
    row: &'static Row,
    index: u16,
}

impl Operation {
    pub(super) fn at(index: u16) -> Option<Self> {
        rows().operations.get(usize::from(index)).map(|row| Self { row, index })
    }

    /// Its place in the table, below [`super::Catalogue::len`]; to be kept no longer than the program runs.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.index)
    }

    /// The name by which a user of the SDK calls it: `jobs.run_now`.
    #[must_use]
    pub fn name(self) -> &'static str {
        text(self.row.0)
    }

    /// All names by which the SDK sends this very request, [`Operation::name`] first: `w.permissions.get("jobs", id)` and
    /// `w.jobs.get_permissions(id)` are one. A rule that names any of them means this operation.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name()).chain(list(self.row.3).split_ascii_whitespace())
    }

    /// The method, or `*` for any.
    #[must_use]
    pub fn method(self) -> &'static str {
        entry(&table::METHODS, self.row.6)
    }

    /// The path with its placeholders: `{name}` is one segment, `{name...}` whatever follows. Jobs and clusters stand with
    /// the version that the SDK uses, and answer to 2.0, 2.1 and 2.2 all the same.
    #[must_use]
    pub fn template(self) -> &'static str {
        text(self.row.1)
    }

    /// The OAuth scope that it needs; `all-apis` where no narrower one is known.
    #[must_use]
    pub fn scope(self) -> &'static str {
        entry(&table::SCOPES, self.row.4)
    }

    /// Whether a rule has to name it in full.
    #[must_use]
    pub const fn is_sensitive(self) -> bool {
        self.row.5 != 0
    }

    /// Why it is sensitive: `mints_credentials`, `changes_acl`, ….
    #[must_use]
    pub fn sensitivity(self) -> Option<&'static str> {
        self.is_sensitive().then(|| entry(&table::REASONS, self.row.5))
    }

    /// The ids that a request of this operation may carry in its path, its query and its headers.
    pub fn ids(self) -> impl Iterator<Item = Id> {
        id::read(list(self.row.2))
    }

    /// What its body looks like; `None` if no rule can be about anything in it.
    #[must_use]
    pub fn body(self) -> Option<Shape> {
        Shape::at(self.row.7).filter(|_| !self.is_opaque())
    }

    /// Whether its body is no JSON object of Databricks' API, or one whose members are somebody else's: a file, frames of Thrift, what a
    /// model is asked.
    const fn is_opaque(self) -> bool {
        self.row.7 == OPAQUE
    }

    /// Whether the body may say again which resource of `kind` the path names. Servers that make one message of a whole request differ in
    /// which of the two they obey.
    #[must_use]
    #[inline(never)]
    pub fn may_say_again(self, kind: &str) -> bool {
        let is_in_path =
            |id: &Id| id.places().any(|place| matches!(place, Place::Segment(_) | Place::Rest(_) | Place::Absolute(_)));
        let mut in_path = self.ids().filter(is_in_path).flat_map(Id::kinds);
        self.takes_object()
            && !self.is_message()
            && in_path.any(|known| Kind::named(known).is_some_and(|known| known.concerns(kind)))
    }

    /// Whether requests of it may have a JSON object as their body.
    #[must_use]
    pub fn takes_object(self) -> bool {
        !self.is_opaque() && (self.body().is_some() || !matches!(self.method(), "GET" | "HEAD" | "*"))
    }

    /// Whether its body is a message of MCP, whose members say nothing again of what the path names.
    #[must_use]
    pub fn is_message(self) -> bool {
        self.marks().any(|mark| mark == "apart")
    }

    /// Whether its body brings with it what a model reads, and is as long as that.
    #[must_use]
    pub fn brings_a_prompt(self) -> bool {
        self.marks().any(|mark| mark == "prompt")
    }

    /// Whether it acts on all that stands in what it names: a folder with all below it, a schema with its tables.
    #[must_use]
    #[inline(never)]
    pub fn acts_below(self) -> bool {
        self.marks().any(|mark| mark == "below")
    }

    /// Whether it acts on resources of `kind` of which the request does not say which they are; with `named`, although it names some.
    #[must_use]
    #[inline(never)]
    pub fn acts_on_unnamed(self, kind: &str, named: bool) -> bool {
        self.marks().filter_map(|mark| mark.split_once(':')).any(|(how, of)| of == kind && (how == "any" || !named))
    }

    /// What is said of its reach among its ids.
    pub fn marks(self) -> impl Iterator<Item = &'static str> {
        list(self.row.2).split_ascii_whitespace().filter_map(|entry| entry.strip_prefix('!'))
    }

    /// The placeholders of its template, and where they stand.
    pub fn placeholders(self) -> impl Iterator<Item = (Place, &'static str)> {
        self.template().split('/').skip(1).enumerate().filter_map(|(index, segment)| {
            let name = segment.strip_prefix('{')?.split('}').next()?;
            Some(match name.strip_suffix("...") {
                Some(name) => (Place::Rest(index), name),
                None => (Place::Segment(index), name),
            })
        })
    }

    /// Whether a request of it may carry an id that concerns resources of `kind`.
    #[must_use]
    pub fn may_concern(self, kind: &str) -> bool {
        self.kinds().filter_map(Kind::named).any(|known| known.concerns(kind))
    }

    /// Whether a request of it may carry an id that tells which resource of `kind` it is about.
    #[must_use]
    pub fn may_tell(self, kind: &str) -> bool {
        self.kinds().filter_map(Kind::named).any(|known| known.tells(kind))
    }

    /// The types of resources of which a request of it may carry an id.
    pub fn kinds(self) -> impl Iterator<Item = &'static str> {
        self.ids().flat_map(|id| id.kinds()).chain(self.body().into_iter().flat_map(Shape::kinds))
    }
}

impl PartialEq for Operation {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl Eq for Operation {}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} {})", self.name(), self.method(), self.template())
    }
}

fn entry(entries: &'static [&'static str], index: u8) -> &'static str {
    entries.get(usize::from(index)).copied().unwrap_or_default()
}

pub(super) fn list(index: u16) -> &'static str {
    rows().lists.get(usize::from(index)).map(|span| text(*span)).unwrap_or_default()
}
