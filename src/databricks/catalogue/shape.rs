//! What the body of an operation looks like: its members, which of them are ids, and which are features.

use super::packed::{rows, text};
use super::table;
use crate::base::folded;
use std::cmp::Ordering;

/// An object that may stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(u16);

/// A member of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    name: u16,
    shape: u16,
    code: u8,
    form: u8,
}

/// What a member without members of its own is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Nothing that a rule could be about.
    Data,
    /// The id of a resource of this type.
    Id(&'static str),
    /// A resource name, whose beginning tells the type: `projects/p/branches/b`.
    ResourceName,
    /// Text in which `{{secrets/SCOPE/KEY}}` names a secret.
    SecretReferences,
    /// Where MLflow keeps traces: the number of an experiment, a schema, which a beginning of tables' names may follow, or an id that
    /// stands for one of these.
    TraceLocation,
    /// Text in which files may be named: a line of pip's requirements, a parameter of `spark-submit`.
    Files,
    /// Whether tables of Unity Catalog are meant by names that are the source's own otherwise.
    ForeignCatalog,
}

/// What an object has under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// This member.
    Member(Member),
    /// No member of this name, but this one by another spelling.
    Twin(Member),
    /// Nothing.
    Nothing,
}

/// The kinds of which an id may stand in a shape, a bit for each.
pub(super) type Kinds = [u32; 3];

/// The bit of a shape that takes members of any name.
const OPEN: u16 = 0x8000;

impl Shape {
    pub(super) fn at(place_and_one: u16) -> Option<Self> {
        place_and_one.checked_sub(1).map(Self)
    }

    fn row(self) -> (u16, u16, u8) {
        rows().shapes.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// The kinds and the features that may stand in it, as bits.
    fn below(self) -> (Kinds, u16) {
        rows().below.get(usize::from(self.row().2)).copied().unwrap_or_default()
    }

    /// All members, sorted by their names without case and underscores.
    pub fn members(self) -> impl Iterator<Item = Member> {
        self.rows().iter().map(Member::of)
    }

    fn rows(self) -> &'static [(u16, u16)] {
        let first = usize::from(self.row().0);
        let next = self.0.checked_add(1).and_then(|next| rows().shapes.get(usize::from(next)));
        next.and_then(|next| rows().members.get(first..usize::from(next.0))).unwrap_or_default()
    }

    /// What `name` stands for. Costs a search among the members' names, and no memory.
    #[must_use]
    pub fn named(self, name: &str) -> Named {
        let rows = self.rows();
        let found = rows.binary_search_by(|row| compare(name_at(row.0), name)).ok().and_then(|place| rows.get(place));
        let Some(member) = found.map(Member::of) else { return Named::Nothing };
        if member.name() == name { Named::Member(member) } else { Named::Twin(member) }
    }

    /// Ids that several members make together, as `table=catalog_name+schema_name+name`, and members of which one may stand in for
    /// others, as `!=tasks|existing_cluster_id,notebook_task`.
    pub fn composites(self) -> impl Iterator<Item = &'static str> {
        super::operation::list(self.row().1).split_ascii_whitespace()
    }

    /// Whether an id of `kind` may stand in it, however deep.
    #[must_use]
    pub fn may_hold(self, kind: &str) -> bool {
        let place = table::KINDS.iter().position(|known| *known == kind);
        place.is_some_and(|place| has(&self.below().0, place))
    }

    /// The types of which an id may stand in it, however deep.
    pub fn kinds(self) -> impl Iterator<Item = &'static str> {
        // bit by bit: to look each kind up by its name would cost more than all else of a decision
        let (kinds, _) = self.below();
        table::KINDS.iter().enumerate().filter(move |(place, _)| has(&kinds, *place)).map(|(_, kind)| *kind)
    }

    /// The features that may stand in it, however deep, as bits in their order.
    #[must_use]
    pub fn features(self) -> u16 {
        self.below().1 & !OPEN
    }

    /// Whether anything in it matters to a rule.
    #[must_use]
    pub fn matters(self) -> bool {
        self.below().0 != Kinds::default() || self.features() != 0
    }

    /// Whether it takes members of any name.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.below().1 & OPEN != 0
    }

    /// Every id that may stand in it, and where, as operations.tsv writes it. An object is gone into once in itself.
    #[must_use]
    pub fn places(self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        self.list_places("", &mut vec![self], &mut found);
        found
    }

    fn list_places(self, path: &str, above: &mut Vec<Self>, found: &mut Vec<(&'static str, String)>) {
        for (kind, parts) in
            self.composites().filter_map(|entry| entry.split_once('=')).filter(|(kind, _)| *kind != "!")
        {
            let parts: Vec<_> = parts.split('+').map(|part| format!("body:{path}{part}")).collect();
            found.push((kind, parts.join("+")));
        }
        for member in self.members() {
            let repeated = if member.is_list() {
                "[*]"
            } else if member.is_map() {
                ".*"
            } else {
                ""
            };
            let here = format!("{path}{}{repeated}", member.name());
            if let Some(kind) = member.written_kind() {
                found.push((kind, format!("body:{here}")));
            }
            if let Some(shape) = member.shape()
                && above.iter().filter(|other| **other == shape).count() < 2
            {
                above.push(shape);
                shape.list_places(&format!("{here}."), above, found);
                above.pop();
            }
        }
    }
}

impl Member {
    fn of(row: &(u16, u16)) -> Self {
        let (shape, code, form) = rows().what.get(usize::from(row.1)).copied().unwrap_or_default();
        Self { name: row.0, shape, code, form }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        name_at(self.name)
    }

    /// The object that it is, or that it is a list or a map of.
    #[must_use]
    pub fn shape(self) -> Option<Shape> {
        Shape::at(self.shape)
    }

    /// What it is, if it is no object.
    #[must_use]
    pub fn leaf(self) -> Leaf {
        match self.code {
            250 => Leaf::ResourceName,
            251 => Leaf::SecretReferences,
            252 => Leaf::TraceLocation,
            253 => Leaf::Files,
            254 => Leaf::ForeignCatalog,
            code => code
                .checked_sub(1)
                .and_then(|place| table::KINDS.get(usize::from(place)))
                .map_or(Leaf::Data, |kind| Leaf::Id(kind)),
        }
    }

    fn written_kind(self) -> Option<&'static str> {
        Some(match self.leaf() {
            Leaf::Data => return None,
            Leaf::Id(kind) => kind,
            Leaf::ResourceName => "@resource",
            Leaf::SecretReferences => "@secret",
            Leaf::TraceLocation => "@trace_location",
            Leaf::Files => "@files",
            Leaf::ForeignCatalog => "@foreign_catalog",
        })
    }

    /// Whether it is a list.
    #[must_use]
    pub const fn is_list(self) -> bool {
        self.form & 1 != 0
    }

    /// Whether its keys are free.
    #[must_use]
    pub const fn is_map(self) -> bool {
        self.form & 2 != 0
    }

    /// Whether nothing is said of what stands in it.
    #[must_use]
    pub const fn is_any(self) -> bool {
        self.form & 4 != 0
    }

    /// The feature that it is, as a place among all features.
    #[must_use]
    pub fn feature(self) -> Option<usize> {
        usize::from(self.form >> 3).checked_sub(1)
    }

    /// Whether it, or anything in it, matters to a rule.
    #[must_use]
    pub fn matters(self) -> bool {
        self.leaf() != Leaf::Data || self.feature().is_some() || self.shape().is_some_and(Shape::matters)
    }
}

fn has(kinds: &Kinds, place: usize) -> bool {
    let bit = u32::try_from(place & 31).ok().and_then(|bit| 1_u32.checked_shl(bit));
    kinds.get(place >> 5).zip(bit).is_some_and(|(word, bit)| word & bit != 0)
}

fn name_at(place: u16) -> &'static str {
    rows().names.get(usize::from(place)).map(|span| text(*span)).unwrap_or_default()
}

/// The kind of resource that `name` calls, where a request says the type by a name: `TABLE`, `clusters`, `cluster-policies`.
#[must_use]
pub(in crate::databricks) fn kind_called(name: &str) -> Option<&'static str> {
    looked_up(&table::TYPES, |known| compare(known, name))
}

/// The kind of resource whose resource names begin with `collection`.
#[must_use]
pub(in crate::databricks) fn kind_collected(collection: &str) -> Option<&'static str> {
    looked_up(&table::COLLECTIONS, |known| known.cmp(collection))
}

/// Whether a member of this name, in lower case and without underscores, is a feature of any operation.
#[must_use]
pub(in crate::databricks) fn tells_of_a_feature(field: &str) -> bool {
    table::TELLING.binary_search(&field).is_ok()
}

/// The names of all features, in the order of their bits.
#[must_use]
pub(in crate::databricks) const fn feature_names() -> &'static [&'static str] {
    &table::FEATURES
}

fn looked_up(entries: &[(&'static str, u8)], order: impl Fn(&str) -> Ordering) -> Option<&'static str> {
    let place = entries.binary_search_by(|(known, _)| order(known)).ok()?;
    entries.get(place).and_then(|(_, kind)| table::KINDS.get(usize::from(*kind))).copied()
}

/// As strings without underscores and case.
fn compare(known: &str, name: &str) -> Ordering {
    folded(known).cmp(folded(name))
}
