//! Folders and what is in them: the workspace's own tree, and the files of volumes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock;
use crate::refusal::Refusal;

const FIRST_ID: u64 = 1_000_001;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    /// With its language, as the workspace API names it.
    Notebook(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) content: Vec<u8>,
    pub(crate) modified_ms: u64,
}

#[derive(Default)]
struct Nodes {
    by_path: BTreeMap<String, Node>,
    added: u64,
}

impl Nodes {
    fn add(&mut self, path: &str, kind: Kind, content: Vec<u8>) {
        let id = self.by_path.get(path).map_or(FIRST_ID.saturating_add(self.added), |old| old.id);
        self.added = self.added.saturating_add(1);
        self.by_path.insert(path.to_owned(), Node { id, kind, content, modified_ms: clock::now_ms() });
    }

    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.by_path.get(path).is_some_and(|node| node.kind == Kind::Directory)
    }
}

/// Its paths begin with a slash and end without one; the root is the empty path.
pub(crate) struct Tree {
    nodes: Mutex<Nodes>,
    first: &'static [&'static str],
}

impl Tree {
    /// A tree with these folders.
    pub(crate) fn new(first: &'static [&'static str]) -> Self {
        let tree = Self { nodes: Mutex::default(), first };
        tree.forget();
        tree
    }

    pub(crate) fn forget(&self) {
        let mut nodes = self.nodes();
        *nodes = Nodes::default();
        for path in self.first {
            nodes.add(path, Kind::Directory, Vec::new());
        }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Node, Refusal> {
        if path.is_empty() {
            return Ok(Node { id: 0, kind: Kind::Directory, content: Vec::new(), modified_ms: 0 });
        }
        self.nodes().by_path.get(path).cloned().ok_or_else(|| absent(path))
    }

    /// The names of what is directly in a folder.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<(String, Node)>, Refusal> {
        let nodes = self.nodes();
        if !nodes.is_directory(path) {
            return Err(absent(path));
        }
        let within = |one: &str| Some(one.strip_prefix(path)?.strip_prefix('/')?.to_owned());
        let all = nodes.by_path.iter().filter_map(|(one, node)| Some((within(one)?, node.clone())));
        Ok(all.filter(|(name, _)| !name.contains('/')).collect())
    }

    /// Makes a folder and those that it is in.
    pub(crate) fn make_directory(&self, path: &str) -> Result<(), Refusal> {
        let mut nodes = self.nodes();
        for (at, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            let above = path.get(..at).unwrap_or_default();
            match nodes.by_path.get(above) {
                None => nodes.add(above, Kind::Directory, Vec::new()),
                Some(node) if node.kind == Kind::Directory => {}
                Some(_) => return Err(Refusal::conflict(format!("Path ({above}) already exists."))),
            }
        }
        Ok(())
    }

    /// Writes what the folder of `path`, which must be there, then has.
    pub(crate) fn write(&self, path: &str, kind: Kind, content: Vec<u8>, overwrite: bool) -> Result<(), Refusal> {
        let mut nodes = self.nodes();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !nodes.is_directory(folder) {
            return Err(Refusal::absent(format!("The parent folder ({folder}) does not exist.")));
        }
        if nodes.is_directory(path) || (!overwrite && nodes.by_path.contains_key(path)) {
            return Err(Refusal::conflict(format!("Path ({path}) already exists.")));
        }
        nodes.add(path, kind, content);
        Ok(())
    }

    pub(crate) fn remove(&self, path: &str, recursive: bool) -> Result<(), Refusal> {
        let mut nodes = self.nodes();
        let below = format!("{path}/");
        if !nodes.by_path.contains_key(path) {
            return Err(absent(path));
        }
        if !recursive && nodes.by_path.keys().any(|one| one.starts_with(&below)) {
            return Err(Refusal::not_empty(format!("Folder ({path}) is not empty")));
        }
        nodes.by_path.retain(|one, _| one != path && !one.starts_with(&below));
        Ok(())
    }

    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn absent(path: &str) -> Refusal {
    Refusal::absent(format!("Path ({path}) doesn't exist."))
}

/// A path as the tree has it. What is no plain path is refused: two readers could take it for different ones.
pub(crate) fn path(text: &str) -> Result<String, Refusal> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let odd = |segment: &str| segment.is_empty() || segment == "." || segment == "..";
    match path.strip_prefix('/') {
        None if path.is_empty() => Ok(String::new()),
        Some(rest) if !rest.split('/').any(odd) => Ok(path.to_owned()),
        _ => Err(Refusal::invalid_parameter(format!("Path ({text}) is not an absolute path."))),
    }
}
