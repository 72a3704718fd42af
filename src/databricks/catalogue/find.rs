//! The way down the tree of path segments.

use super::Operation;
use super::packed::{rows, text};
use super::table::METHODS;

/// The bit of a node by which its placeholder takes no colon: there are templates like `{id}:query` beside it.
pub(super) const NO_COLON: u16 = 0x8000;

pub(super) const ROOT: u16 = 0;

/// First edge, first operation, the placeholder's child, the open end's child. The next node tells where its own end.
pub(super) type Node = [u16; 4];

pub(super) fn find(method: &str, path: &str) -> Option<Operation> {
    below(ROOT, method, path.strip_prefix('/')?)
}

/// Looks among the children of a node for the rest of a path, the most exact child first. Goes at most as deep as the tree.
fn below(node: u16, method: &str, rest: &str) -> Option<Operation> {
    let (segment, after) = rest.split_once('/').map_or((rest, None), |(segment, after)| (segment, Some(after)));
    let go_on = |child: u16| match after {
        Some(after) => below(child, method, after),
        None => at(child, method),
    };
    let (here, next) = pair(node)?;
    let [_, _, one, open_end] = *here;
    let literal = || if segment.starts_with(':') { None } else { edge(here, next, segment) };
    let verb = || {
        let colon = segment.rfind(':').filter(|at| *at > 0)?;
        edge(here, next, segment.get(colon..)?)
    };
    let placeholder = || {
        let child = one & !NO_COLON;
        (child != 0 && !segment.is_empty() && (one & NO_COLON == 0 || !has_colon(segment))).then_some(child)
    };
    literal()
        .and_then(go_on)
        .or_else(|| verb().and_then(go_on))
        .or_else(|| placeholder().and_then(go_on))
        .or_else(|| if open_end == 0 { None } else { at(open_end, method) })
}

/// Also one that the server sees only after decoding.
fn has_colon(segment: &str) -> bool {
    segment.contains(':') || segment.as_bytes().windows(3).any(|bytes| bytes.eq_ignore_ascii_case(b"%3a"))
}

pub(super) fn pair(node: u16) -> Option<(&'static Node, &'static Node)> {
    let index = usize::from(node);
    let nodes = &rows().nodes;
    Some((nodes.get(index)?, nodes.get(index.checked_add(1)?)?))
}

/// The child behind the edge of this label.
fn edge(here: &Node, next: &Node, label: &str) -> Option<u16> {
    let (rows, first) = (rows(), usize::from(here[0]));
    let labels = rows.labels.get(first..usize::from(next[0]))?;
    let found = labels.binary_search_by(|span| rows.text(*span).cmp(label)).ok()?;
    rows.targets.get(first.checked_add(found)?).copied()
}

/// The operation of this method at a node.
pub(super) fn at(node: u16, method: &str) -> Option<Operation> {
    let (here, next) = pair(node)?;
    let operations = &rows().operations;
    let is_asked = |index: &u16| {
        let code = operations.get(usize::from(*index)).map_or(0, |row| row.6);
        code == 0 || METHODS.get(usize::from(code)).is_some_and(|known| *known == method)
    };
    (here[1]..next[1]).find(is_asked).and_then(Operation::at)
}

pub(super) fn named(name: &str) -> impl Iterator<Item = Operation> {
    let known_as = |index: &u16| Operation::at(*index).map_or("", Operation::name);
    let (by_name, aliases) = (&rows().by_name, &rows().aliases);
    let from = by_name.partition_point(|index| known_as(index) < name);
    let own = by_name.get(from..).unwrap_or_default().iter().copied();
    let alias_from = aliases.partition_point(|(span, _)| text(*span) < name);
    let aliases = aliases.get(alias_from..).unwrap_or_default().iter();
    own.take_while(move |index| known_as(index) == name)
        .chain(aliases.take_while(move |(span, _)| text(*span) == name).map(|(_, index)| *index))
        .filter_map(Operation::at)
}
