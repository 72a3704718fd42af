//! Sets of operations. Most rules of a file are made of the same few patterns, so each set is made once; without that, a file of many
//! roles would look through the whole catalogue for each.

use super::rule::is_within;
use databricks_kong::databricks::{Catalogue, Operation, has_statement};
use databricks_kong::policy::{OperationSet, PathPattern};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

const BITS: usize = 64;

/// A set of operations, by their places in the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(Vec<u64>);

impl Set {
    fn of(operations: impl Iterator<Item = Operation>) -> Self {
        let mut set = Self(vec![0; Catalogue::len().div_ceil(BITS)]);
        for operation in operations {
            if let Some((word, bit)) = set.word(operation) {
                *word |= bit;
            }
        }
        set
    }

    fn word(&mut self, operation: Operation) -> Option<(&mut u64, u64)> {
        let (word, bit) = place(operation);
        Some((self.0.get_mut(word)?, bit))
    }

    pub(super) fn contains(&self, operation: Operation) -> bool {
        let (word, bit) = place(operation);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one & other).collect())
    }

    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.iter().enumerate().all(|(index, word)| word & !other.0.get(index).copied().unwrap_or(0) == 0)
    }

    /// The operations, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = Operation> {
        Catalogue::operations().filter(|operation| self.contains(*operation))
    }
}

fn place(operation: Operation) -> (usize, u64) {
    let index = operation.index();
    (index / BITS, 1 << (index % BITS))
}

/// What a rule's patterns mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Meant {
    /// The operations that it names.
    pub(super) by_name: Rc<Set>,
    /// Those and the ones at its paths.
    pub(super) all: Rc<Set>,
    /// Whether each of these has a scope narrower than `all-apis`.
    pub(super) is_narrow: bool,
}

/// The patterns of operations and of paths, and whether a wildcard means what is sensitive, too.
type Patterns = (Vec<String>, Vec<String>, bool);

/// Everything that was found out about patterns so far.
#[derive(Debug)]
pub(crate) struct Sets {
    meant: RefCell<HashMap<Patterns, Meant>>,
    limitable: RefCell<HashMap<String, Rc<[&'static str]>>>,
    /// Operations whose requests carry SQL text that is read.
    pub(super) statements: Set,
    /// Operations whose requests carry SQL text that is not.
    pub(super) thrift: Set,
}

impl Default for Sets {
    fn default() -> Self {
        let is_thrift = |operation: &Operation| matches!(operation.name(), "sql_warehouses.thrift" | "clusters.thrift");
        Self {
            meant: RefCell::default(),
            limitable: RefCell::default(),
            statements: Set::of(Catalogue::operations().filter(|operation| has_statement(*operation))),
            thrift: Set::of(Catalogue::operations().filter(is_thrift)),
        }
    }
}

impl Sets {
    /// What these patterns mean.
    pub(super) fn meant(&self, patterns: &[&str], paths: &[&str], with_sensitive: bool) -> Meant {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let key = (owned(patterns), owned(paths), with_sensitive);
        if let Some(known) = self.meant.borrow().get(&key) {
            return known.clone();
        }
        let mut named = OperationSet::default();
        for pattern in patterns {
            named.add(pattern, with_sensitive);
        }
        let by_name = Set::of(Catalogue::operations().filter(|operation| named.contains(*operation)));
        let mut all = by_name.clone();
        for pattern in paths.iter().filter_map(|path| PathPattern::parse(path)) {
            let is_meant = |operation: &Operation| !operation.is_sensitive() && is_within(*operation, &pattern);
            all.add(&Set::of(Catalogue::operations().filter(is_meant)));
        }
        let is_narrow = all.iter().all(|operation| operation.scope() != "all-apis");
        let meant = Meant { by_name: Rc::new(by_name), all: Rc::new(all), is_narrow };
        self.meant.borrow_mut().insert(key, meant.clone());
        meant
    }

    /// The types of resources by which rules on a service can be limited.
    pub(super) fn limitable(&self, service: &str) -> Rc<[&'static str]> {
        if let Some(known) = self.limitable.borrow().get(service) {
            return Rc::clone(known);
        }
        let kinds: Rc<[_]> = limitable(service).into();
        self.limitable.borrow_mut().insert(service.to_owned(), Rc::clone(&kinds));
        kinds
    }
}

fn limitable(service: &str) -> Vec<&'static str> {
    let of_service = |operation: &Operation| {
        operation.name().strip_prefix(service).is_some_and(|rest| rest.starts_with('.')) && !operation.is_sensitive()
    };
    // what things stand in says less than what they are, if the service has some of its own
    let is_around = |kind: &&str| matches!(*kind, "catalog" | "schema") && !matches!(service, "catalogs" | "schemas");
    let kinds = Catalogue::operations().filter(of_service).flat_map(Operation::kinds).filter(|kind| !is_around(kind));
    // a service's own type is in many of its operations, others stand in a body or two
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for kind in kinds {
        match counts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => counts.push((kind, 1)),
        }
    }
    counts.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), *kind));
    counts.into_iter().map(|(kind, _)| kind).take(3).collect()
}
