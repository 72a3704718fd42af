//! The kinds of resources: how Databricks compares their ids, and what they stand in.

use super::catalogue::Catalogue;
use std::borrow::Cow;

/// One kind of resource.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name in rules: `job`, `table`.
    pub name: &'static str,
    spelling: Spelling,
    /// What an id says of the resources around it.
    hierarchy: Hierarchy,
    /// The kinds of which an id of this one may be, or stand in, a resource without telling which.
    hides: &'static [&'static str],
    /// Where Databricks says how it compares these ids; `-` where it says nothing, and they are compared letter by letter.
    pub source: &'static str,
}

/// How ids of a kind are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// Letter by letter.
    Exact,
    /// Without case.
    Folded,
    /// Whole numbers in their shortest form; all else is refused.
    Number,
    /// The same, but there are ids that are no numbers.
    NumberOrName,
    /// UUIDs and other hexadecimal ids, in either case.
    Hexadecimal,
    /// Paths of workspace files: `/Workspace/x` is `/x`, and names below `/Volumes` are Unity Catalog's.
    Path,
    /// Paths of DBFS: `dbfs:/x` is `/x`.
    Dbfs,
}

/// What an id says of the resources around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hierarchy {
    /// Nothing.
    Alone,
    /// `catalog.schema.name`.
    Named,
    /// `catalog.schema.name`, but there are resources of the kind that stand in no catalog and have plain names.
    NamedOrPlain,
    /// `catalog.schema.name` of what a model service may be told to use, so that rules on model services are about it too.
    Provider,
    /// `catalog.schema`.
    Schema,
    /// `catalog.schema.table.column`.
    Column,
    /// A path, which may be one of a volume or of DBFS.
    Path,
    /// The path in the workspace at which it stands.
    Placed,
}

/// What an id says about resources of another kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Within<'a> {
    /// Nothing.
    No,
    /// It stands in this one, or is it.
    Is(Cow<'a, str>),
    /// It stands in one, or is one, and does not tell which.
    Unknown,
}

const UC: &str =
    "docs.databricks.com/sql/language-manual/sql-ref-names.html: names of Unity Catalog are stored in lower case";
const SCOPES: &str = "docs.databricks.com/security/secrets: scope names are case insensitive";
const SDK: &str = "databricks-sdk: the field is a number";
const UUIDS: &str = "RFC 9562 section 4: read without case";
const PATHS: &str =
    "docs.databricks.com/files: /Workspace/Users/x and /Users/x, dbfs:/Volumes/c and /Volumes/c are one";
const NONE: &str = "-";

use Hierarchy::{Alone, Column, Named, NamedOrPlain, Placed, Provider, Schema};
use Spelling::{Dbfs, Exact, Folded, Hexadecimal, Number, NumberOrName};

const UNITY: &[&str] = &["table", "schema", "catalog"];
/// Where what stands in a folder of the workspace does.
const TREE: &[&str] = &["path"];
/// What runs, models and traces of MLflow are of, and where that stands.
const EXPERIMENT: &[&str] = &["experiment", "experiment_name", "path"];
/// Where what stands at an address outside of Databricks does.
const LOCATION: &[&str] = &["external_location"];
/// What a number of the workspace's tree may be, or be a folder of.
const OF_TREE: &[&str] =
    &["path", "dashboard", "query", "alert", "genie_space", "experiment", "experiment_name", "repo"];
/// What SQL may name or reach by a function.
const OF_SQL: &[&str] = &[
    "table",
    "schema",
    "catalog",
    "volume",
    "path",
    "dbfs",
    "storage_url",
    "function",
    "model",
    "external_location",
    "connection",
    "credential",
    "secret",
    "secret_scope",
    "serving_endpoint",
    "model_service",
    "model_provider",
    "vector_index",
    "pipeline",
    "share",
    "recipient",
    "provider",
    "clean_room",
    "metastore",
];

const fn kind(name: &'static str, spelling: Spelling, hierarchy: Hierarchy, source: &'static str) -> Kind {
    Kind { name, spelling, hierarchy, hides: &[], source }
}

/// All kinds, by name.
static KINDS: [Kind; 67] = [
    kind("alert", Exact, Alone, NONE).hiding(TREE),
    kind("app", Exact, Alone, NONE).hiding(&["app_space"]),
    kind("app_space", Exact, Alone, NONE),
    kind("authorization", Exact, Alone, NONE),
    kind("catalog", Folded, Alone, UC),
    kind("clean_room", Folded, Alone, UC),
    kind("cluster", Exact, Alone, NONE),
    kind("cluster_policy", Exact, Alone, NONE),
    kind("column", Folded, Column, UC),
    kind("connection", Folded, Alone, UC),
    kind("credential", Folded, Alone, UC),
    kind("dashboard", Exact, Alone, NONE).hiding(TREE),
    kind("data_source", Exact, Alone, NONE).hiding(&["warehouse"]),
    kind("database_instance", Exact, Alone, NONE),
    kind("database_project", Exact, Alone, NONE),
    kind("dbfs", Dbfs, Hierarchy::Path, PATHS),
    kind("experiment", NumberOrName, Alone, SDK).hiding(&["experiment_name", "path"]),
    kind("experiment_item", Exact, Alone, NONE).hiding(EXPERIMENT),
    kind("experiment_name", Spelling::Path, Placed, PATHS).hiding(&["experiment"]),
    kind("experiment_run", Hexadecimal, Alone, UUIDS).hiding(EXPERIMENT),
    kind("external_location", Folded, Alone, UC),
    kind("feature", Folded, NamedOrPlain, UC),
    kind("function", Folded, NamedOrPlain, UC),
    kind("genie_space", Exact, Alone, NONE).hiding(TREE),
    kind("git_credential", NumberOrName, Alone, SDK),
    kind("group", Exact, Alone, NONE),
    kind("instance_pool", Exact, Alone, NONE),
    kind("job", Number, Alone, SDK),
    kind("knowledge_assistant", Exact, Alone, NONE),
    kind("logged_model", Exact, Alone, NONE).hiding(EXPERIMENT),
    kind("mcp_method", Exact, Alone, NONE),
    kind("mcp_server", Folded, NamedOrPlain, UC),
    kind("mcp_tool", Exact, Alone, NONE),
    kind("metastore", Hexadecimal, Alone, UUIDS),
    kind("model", Folded, NamedOrPlain, UC),
    kind("model_provider", Folded, Provider, UC),
    kind("model_service", Folded, NamedOrPlain, UC),
    kind("object_id", NumberOrName, Alone, SDK).hiding(OF_TREE),
    kind("path", Spelling::Path, Hierarchy::Path, PATHS).hiding(LOCATION),
    kind("pipeline", Hexadecimal, Alone, UUIDS),
    kind("provider", Folded, Alone, UC),
    kind("query", Hexadecimal, Alone, UUIDS).hiding(TREE),
    kind("recipient", Folded, Alone, UC),
    kind("repo", Number, Alone, SDK).hiding(TREE),
    kind("run", Number, Alone, SDK).hiding(&["job"]),
    kind("sandbox", Exact, Alone, NONE),
    kind("schema", Folded, Schema, UC),
    kind("secret", Folded, Named, UC),
    kind("secret_scope", Folded, Alone, SCOPES),
    kind("service_principal", Exact, Alone, NONE),
    kind("serving_endpoint", Exact, Alone, NONE),
    kind("share", Folded, Alone, UC),
    kind("sql_text", Exact, Alone, NONE).hiding(OF_SQL),
    kind("statement", Hexadecimal, Alone, UUIDS),
    kind("storage_url", Exact, Hierarchy::Path, NONE).hiding(LOCATION),
    kind("stream", Folded, NamedOrPlain, UC),
    kind("supervisor_agent", Exact, Alone, NONE),
    kind("table", Folded, Named, UC),
    kind("table_id", Hexadecimal, Alone, UUIDS).hiding(UNITY),
    kind("user", Exact, Alone, NONE),
    kind("vector_endpoint", Exact, Alone, NONE),
    kind("vector_index", Folded, Named, UC).hiding(&["vector_endpoint"]),
    kind("visualization", Exact, Alone, NONE).hiding(&["query", "dashboard", "path"]),
    kind("volume", Folded, Named, UC),
    kind("volume_id", Hexadecimal, Alone, UUIDS).hiding(&["volume", "schema", "catalog"]),
    kind("warehouse", Exact, Alone, NONE),
    kind("workspace", Exact, Alone, NONE),
];

impl Kind {
    const fn hiding(self, hides: &'static [&'static str]) -> Self {
        Self { hides, ..self }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        let place = KINDS.binary_search_by(|kind| kind.name.cmp(name)).ok()?;
        KINDS.get(place)
    }

    /// All kinds that the catalogue knows ids of.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        KINDS.iter().filter(|kind| Catalogue::resource_types().contains(&kind.name))
    }

    /// Whether its ids are compared without case.
    #[must_use]
    pub fn folds_case(&self) -> bool {
        matches!(self.spelling, Folded | Hexadecimal)
    }

    /// Whether an id of this kind may stand for a resource of the kind `other`, whether or not it tells for which.
    #[must_use]
    pub fn concerns(&self, other: &str) -> bool {
        self.tells(other) || self.hides(other)
    }

    /// Whether an id of this kind may tell which resource of the kind `other` it is, or stands in.
    #[must_use]
    pub fn tells(&self, other: &str) -> bool {
        self.name == other
            || match self.hierarchy {
                Alone => false,
                Placed => other == "path",
                Named | NamedOrPlain => matches!(other, "schema" | "catalog"),
                Provider => matches!(other, "model_service" | "schema" | "catalog"),
                Schema => other == "catalog",
                Column => UNITY.contains(&other),
                Hierarchy::Path => matches!(other, "volume" | "schema" | "catalog" | "dbfs" | "storage_url"),
            }
    }

    /// Whether what an id of this kind names may be, or stand in, a resource of the kind `other`, of which the id never tells which. A rule
    /// that allows by the kind `other` is not about it; one that denies is.
    #[must_use]
    pub fn hides(&self, other: &str) -> bool {
        self.hides.contains(&other)
    }

    /// What a canonical id of this kind says about resources of the kind `other`.
    #[must_use]
    pub fn within<'a>(&self, id: &'a str, other: &str) -> Within<'a> {
        if self.name == other || (self.hierarchy == Provider && other == "model_service") {
            return if self.is_told_in_part(id) { Within::Unknown } else { Within::Is(Cow::Borrowed(id)) };
        }
        let depth = match other {
            "catalog" => 1_usize,
            "schema" => 2,
            "table" | "volume" => 3,
            _ => 0,
        };
        match self.hierarchy {
            Hierarchy::Path if self.hides(other) && !is_address(id) => Within::No,
            _ if self.hides(other) => Within::Unknown,
            _ if !self.tells(other) => Within::No,
            Placed => Within::Is(Cow::Borrowed(id)),
            Hierarchy::Path => below_a_path(id, other, depth),
            NamedOrPlain if !id.contains('.') => Within::No,
            Schema => beginning(id, depth, 2),
            Column => beginning(id, depth, 4),
            Alone | Named | NamedOrPlain | Provider => beginning(id, depth, 3),
        }
    }

    /// Whether the request leaves out the first names of an id, or its last: `orders` of a table may be one of any schema.
    fn is_told_in_part(&self, id: &str) -> bool {
        let names = match self.hierarchy {
            Named | Provider => 3,
            Schema => 2,
            Column => 4,
            NamedOrPlain => 1,
            _ => 0,
        };
        id.starts_with('.') || (names > 0 && (id.ends_with('.') || id.split('.').count() < names))
    }

    /// Whether resources of the kind `other` may stand in one of this kind.
    #[must_use]
    #[inline(never)]
    pub fn may_be_around(&self, other: &str) -> bool {
        (self.name == other && self.is_placed())
            || (self.name == "path" && other == "experiment_name")
            || Self::named(other).is_some_and(|other| {
                let depth = self.depth().filter(|_| matches!(self.name, "catalog" | "schema" | "table" | "volume"));
                depth.is_some_and(|depth| {
                    other.depth().is_some_and(|inner| inner > depth) || (other.name == "path" && self.name != "table")
                })
            })
    }

    /// What the ids of all resources of the kind `other` begin with that stand in the one of this kind and id.
    #[must_use]
    #[inline(never)]
    pub fn around(&self, id: &str, other: &str) -> Option<String> {
        if !self.may_be_around(other) {
            return None;
        }
        Some(if self.is_told_in_part(id) {
            String::new()
        } else if self.name != other && self.is_placed() {
            // the experiment itself too
            id.strip_suffix('/').unwrap_or(id).to_owned()
        } else if self.is_placed() {
            [id.strip_suffix('/').unwrap_or(id), "/"].concat()
        } else if other == "path" {
            ["/Volumes/", &id.replace('.', "/"), "/"].concat()
        } else {
            [id, "."].concat()
        })
    }

    /// Whether its ids are paths.
    const fn is_placed(&self) -> bool {
        matches!(self.hierarchy, Hierarchy::Path | Placed)
    }

    /// How many names an id has.
    fn depth(&self) -> Option<usize> {
        match self.hierarchy {
            Named | NamedOrPlain | Provider => Some(3),
            Schema => Some(2),
            Column => Some(4),
            Alone if self.name == "catalog" => Some(1),
            _ => None,
        }
    }

    /// An id in the one spelling in which ids of this kind are compared; a pattern of ids likewise.
    #[must_use]
    pub fn canonical(&self, id: &str) -> String {
        match self.spelling {
            Exact | Number | NumberOrName => id.to_owned(),
            Folded => id.to_lowercase(),
            Hexadecimal => id.to_ascii_lowercase(),
            Spelling::Path => canonical_path(id),
            Dbfs => with_folded_volume(without_prefix(id, "dbfs:")),
        }
    }

    /// Whether nothing more can be taken off: `/Workspace/Workspace/a` is `/Workspace/a` and then `/a` to those who take a prefix off twice.
    fn is_canonical(&self, id: &str) -> bool {
        self.canonical(id) == id
    }

    /// Whether an id can be read in one way only. Blanks around it are taken away by some readers.
    #[must_use]
    pub fn is_plain(&self, id: &str) -> bool {
        id.trim() == id && !id.contains(char::is_control) && self.is_spelled_plainly(id)
    }

    fn is_spelled_plainly(&self, id: &str) -> bool {
        match self.spelling {
            Exact => true,
            Spelling::Path | Dbfs => {
                let is_plain =
                    is_plain_path(id) && (!is_below_volumes(id) || folds_plainly(id)) && has_plain_scheme(id);
                is_plain && self.is_canonical(&self.canonical(id))
            }
            Folded => folds_plainly(id) && is_unquoted(id),
            Hexadecimal => folds_plainly(id),
            Number => is_plain_number(id),
            // `007` and `+7` are 7 to some readers
            NumberOrName => {
                let digits = id.strip_prefix(['+', '-']).unwrap_or(id);
                is_plain_number(id) || !digits.bytes().all(|byte| byte.is_ascii_digit())
            }
        }
    }
}

/// The first `depth` of the `parts` names of an id. A name that is missing may be any.
fn beginning(id: &str, depth: usize, parts: usize) -> Within<'_> {
    let (names, length) =
        (id.split('.').count(), id.split('.').take(depth).map(|name| name.len().saturating_add(1)).sum::<usize>());
    let begin = id.get(..length.saturating_sub(1)).unwrap_or(id);
    let is_complete = names >= parts && begin.split('.').all(|name| !name.is_empty());
    if is_complete { Within::Is(Cow::Borrowed(begin)) } else { Within::Unknown }
}

fn below_a_path<'a>(path: &'a str, other: &str, depth: usize) -> Within<'a> {
    if other == "storage_url" {
        return if is_address(path) { Within::Is(Cow::Borrowed(path)) } else { Within::No };
    }
    let mounted = without_prefix(path, "/dbfs");
    if other == "dbfs" {
        let inside = path.strip_prefix("dbfs:").or((mounted.len() < path.len()).then_some(mounted));
        return inside.map_or(Within::No, |rest| Within::Is(Cow::Borrowed(rest)));
    }
    let path = mounted;
    if !is_below_volumes(path) {
        return Within::No;
    }
    let names: Vec<_> = path.split('/').skip(2).take(depth).filter(|name| !name.is_empty()).collect();
    // in lower case already, but for a URL
    if names.len() == depth { Within::Is(Cow::Owned(names.join(".").to_lowercase())) } else { Within::Unknown }
}

/// Whether a path is an address outside of Databricks: `s3://bucket/a`.
fn is_address(path: &str) -> bool {
    path.contains("://")
}

fn is_below_volumes(path: &str) -> bool {
    let path = without_prefix(without_prefix(path, "dbfs:"), "/dbfs");
    let first = path.strip_prefix('/').and_then(|rest| rest.split('/').next());
    first.is_some_and(|first| first.eq_ignore_ascii_case("Volumes"))
}

fn without_prefix<'a>(path: &'a str, prefix: &str) -> &'a str {
    path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

fn canonical_path(path: &str) -> String {
    let path = without_prefix(without_prefix(without_prefix(path, "file:"), "workspace:"), "/Workspace");
    let path = if is_below_volumes(path) { without_prefix(without_prefix(path, "dbfs:"), "/dbfs") } else { path };
    with_folded_volume(path)
}

/// `/Volumes/Main/Sales/Raw/File` → `/Volumes/main/sales/raw/File`.
fn with_folded_volume(path: &str) -> String {
    if !is_below_volumes(path) {
        return path.to_owned();
    }
    let one = |(place, segment): (usize, &str)| match place {
        1 => "Volumes".to_owned(),
        2..=4 => segment.to_lowercase(),
        _ => segment.to_owned(),
    };
    path.split('/').enumerate().map(one).collect::<Vec<_>>().join("/")
}

/// Whether the path says one of Databricks' own schemes at its beginning only, in lower case and without a host: `DBFS:/a`, `dbfs:a`,
/// `dbfs://a` and `/dbfs:/a` are `dbfs:/a` to some readers.
fn has_plain_scheme(path: &str) -> bool {
    let is_own = |scheme: &str| ["dbfs", "file", "workspace"].iter().any(|own| scheme.eq_ignore_ascii_case(own));
    let begins_plainly = path.split_once(':').is_none_or(|(scheme, rest)| {
        !is_own(scheme)
            || !scheme.bytes().any(|byte| byte.is_ascii_uppercase()) && rest.starts_with('/') && !rest.starts_with("//")
    });
    begins_plainly && !path.split('/').skip(1).any(|segment| segment.strip_suffix(':').is_some_and(is_own))
}

/// Whether no part of a name has quotes or blanks around it, which some readers take away and others do not.
fn is_unquoted(id: &str) -> bool {
    !id.contains('`') && id.split('.').all(|name| name.trim() == name)
}

/// The Kelvin sign is no `k` to those who compare without folding.
fn folds_plainly(id: &str) -> bool {
    let becomes_ascii = |letter: char| !letter.is_ascii() && letter.to_lowercase().any(|lower| lower.is_ascii());
    !id.contains(becomes_ascii)
}

/// Whether a path goes neither up nor round about, whatever it begins with: `/a/b`, `dbfs:/a`, `s3://a/b`, `a/b`.
pub(super) fn is_plain_path(path: &str) -> bool {
    let scheme = path.split_once(":/").filter(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let path = scheme.map_or(path, |(_, rest)| rest);
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    !path.contains('\\') && (path.is_empty() || !path.split('/').any(|segment| matches!(segment, "" | "." | "..")))
}

/// `007` and `+7` are 7 to some readers.
fn is_plain_number(text: &str) -> bool {
    text == "0" || (!text.starts_with('0') && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_catalogue_has_its_row_and_the_rows_are_sorted() {
        assert!(KINDS.is_sorted_by_key(|kind| kind.name));
        for name in Catalogue::resource_types() {
            assert!(Kind::named(name).is_some(), "{name}");
        }
        for kind in &KINDS {
            let compares_in_its_own_way = !matches!(kind.spelling, Exact);
            assert_eq!(kind.source != "-", compares_in_its_own_way, "{}: where is that said?", kind.name);
        }
    }

    #[test]
    fn ids_are_compared_as_databricks_compares_them() {
        for (kind, one, other) in [
            ("secret_scope", "Prod", "prod"),
            ("share", "S", "s"),
            ("external_location", "Lake", "lake"),
            ("clean_room", "R", "r"),
            ("credential", "C", "c"),
            ("recipient", "P", "p"),
            ("provider", "P", "p"),
            ("table", "Main.Sales.T", "main.sales.t"),
            ("path", "/Workspace/Users/x", "/Users/x"),
            ("path", "/Volumes/Main/Sales/Raw/F", "/Volumes/main/sales/raw/F"),
            ("path", "dbfs:/Volumes/Main/s/v", "/Volumes/main/s/v"),
            ("path", "/volumes/main/s/v", "/Volumes/main/s/v"),
            ("path", "workspace:/Users/x", "/Users/x"),
            ("path", "file:/Workspace/Users/x", "/Users/x"),
            ("path", "/dbfs/Volumes/Main/s/v", "/Volumes/main/s/v"),
            ("dbfs", "dbfs:/tmp/a", "/tmp/a"),
            ("dbfs", "dbfs:/Volumes/Main/s/v", "/Volumes/main/s/v"),
            ("pipeline", "ABCD-1", "abcd-1"),
        ] {
            let kind = Kind::named(kind).unwrap();
            assert_eq!(kind.canonical(one), kind.canonical(other), "{one}");
        }
        for (kind, one, other) in
            [("path", "/Users/X", "/Users/x"), ("cluster", "A", "a"), ("serving_endpoint", "A", "a")]
        {
            let kind = Kind::named(kind).unwrap();
            assert_ne!(kind.canonical(one), kind.canonical(other), "{one}");
        }
    }

    #[test]
    fn numbers_are_written_in_one_way() {
        for (kind, id, plain) in [
            ("job", "7", true),
            ("job", "007", false),
            ("job", "+7", false),
            ("job", "", false),
            ("experiment", "7", true),
            ("experiment", "007", false),
            ("experiment", "+7", false),
            ("experiment", "e-7", true),
        ] {
            assert_eq!(Kind::named(kind).unwrap().is_plain(id), plain, "{kind} {id}");
        }
    }

    #[test]
    fn what_some_readers_take_away_is_no_part_of_an_id() {
        for (kind, id, plain) in [
            ("table", "main.sales.t", true),
            ("table", "`main`.sales.t", false),
            ("table", "main.sales.t ", false),
            ("table", "main. sales.t", false),
            ("model", "my model", true),
            ("secret_scope", "\u{a0}prod", false),
            ("dbfs", "dbfs:/a", true),
            ("dbfs", "DBFS:/a", false),
            ("path", "Dbfs:/a", false),
            ("path", "dbfs:a", false),
            ("dbfs", "dbfs://a", false),
            ("path", "WORKSPACE:/a", false),
            ("path", "file:/Workspace/a", true),
            ("path", "s3://bucket/a", true),
            ("path", "/Users/x/file:y", true),
            ("path", "/dbfs:/Volumes/a/b/c", false),
            ("path", "/Workspace/Workspace/Users/a", false),
            ("path", "/Workspace/Users/Workspace/a", true),
            ("path", "/Workspace/file:/a", false),
            ("path", "dbfs:/DBFS:/a", false),
            ("dbfs", "/dbfs:/a", false),
            ("path", " /a", false),
            ("cluster", "c-1\n", false),
            ("cluster", "c-1\0", false),
            ("serving_endpoint", "a b", true),
            ("path", "/DBFS:/a", false),
        ] {
            assert_eq!(Kind::named(kind).unwrap().is_plain(id), plain, "{kind} {id}");
        }
    }

    #[test]
    fn an_id_tells_of_what_it_stands_in() {
        let is = |text: &'static str| Within::Is(Cow::Borrowed(text));
        for (kind, id, other, expected) in [
            ("table", "a.b.c", "catalog", is("a")),
            ("table", "a.b.c", "schema", is("a.b")),
            ("table", "a.b.c", "table", is("a.b.c")),
            ("table", "a.b.c", "volume", Within::No),
            ("table", "b.c", "catalog", Within::Unknown),
            ("table", ".b.c", "catalog", Within::Unknown),
            ("table", ".b.c", "table", Within::Unknown),
            ("table", "b.c", "table", Within::Unknown),
            ("schema", "b", "schema", Within::Unknown),
            ("vector_index", "c", "vector_index", Within::Unknown),
            ("model", "fraud", "model", is("fraud")),
            ("model_provider", "a.b.c", "model_provider", is("a.b.c")),
            ("model_provider", "a.b.c", "model_service", is("a.b.c")),
            ("model_provider", "a.b.c", "schema", is("a.b")),
            ("model_provider", "c", "model_provider", Within::Unknown),
            ("model_provider", "c", "model_service", Within::Unknown),
            ("model_provider", "a.b.c", "serving_endpoint", Within::No),
            ("model_service", "a.b.c", "model_provider", Within::No),
            ("table", "a.b.", "table", Within::Unknown),
            ("table", "a.b.", "schema", is("a.b")),
            ("table", "a..", "schema", Within::Unknown),
            ("table", "a..", "catalog", is("a")),
            ("table", "..", "catalog", Within::Unknown),
            ("schema", "a.", "schema", Within::Unknown),
            ("schema", "a.", "catalog", is("a")),
            ("path", "/a.", "path", is("/a.")),
            ("data_source", "x", "warehouse", Within::Unknown),
            ("schema", "a.b", "catalog", is("a")),
            ("schema", ".b", "catalog", Within::Unknown),
            ("schema", "b", "catalog", Within::Unknown),
            ("model", "fraud", "catalog", Within::No),
            ("model", "a.b.fraud", "schema", is("a.b")),
            ("volume", "a.b.c", "schema", is("a.b")),
            ("column", "a.b.c.d", "table", is("a.b.c")),
            ("path", "/Volumes/a/b/c/d", "volume", is("a.b.c")),
            ("path", "/Volumes/a/b/c/d", "schema", is("a.b")),
            ("path", "/Volumes/a", "schema", Within::Unknown),
            ("path", "/Users/a/b/c", "volume", Within::No),
            ("path", "dbfs:/tmp/x", "dbfs", is("/tmp/x")),
            ("path", "/dbfs/tmp/x", "dbfs", is("/tmp/x")),
            ("path", "/dbfsx/tmp", "dbfs", Within::No),
            ("dbfs", "/Volumes/a/b/c", "catalog", is("a")),
            ("experiment_name", "/Users/a/x", "path", is("/Users/a/x")),
            ("experiment_name", "/Users/a/x", "volume", Within::No),
            ("storage_url", "dbfs:/tmp/x", "dbfs", is("/tmp/x")),
            ("storage_url", "dbfs:/Volumes/A/b/c/d", "volume", is("a.b.c")),
            ("storage_url", "s3://a/Volumes/b", "catalog", Within::No),
            ("table_id", "x", "table", Within::Unknown),
            ("table_id", "x", "cluster", Within::No),
            ("cluster", "x", "catalog", Within::No),
            ("storage_url", "s3://a/b", "external_location", Within::Unknown),
            ("storage_url", "dbfs:/a", "external_location", Within::No),
            ("path", "s3://a/b", "external_location", Within::Unknown),
            ("path", "s3://a/b", "storage_url", is("s3://a/b")),
            ("path", "/Users/a", "storage_url", Within::No),
            ("dashboard", "x", "dashboard", is("x")),
            ("dashboard", "x", "path", Within::Unknown),
            ("query", "x", "path", Within::Unknown),
            ("alert", "x", "path", Within::Unknown),
            ("genie_space", "x", "path", Within::Unknown),
            ("repo", "7", "path", Within::Unknown),
            ("experiment", "7", "path", Within::Unknown),
            ("experiment", "7", "experiment_name", Within::Unknown),
            ("experiment_name", "/a", "experiment", Within::Unknown),
            ("experiment_run", "x", "path", Within::Unknown),
            ("logged_model", "x", "experiment", Within::Unknown),
            ("experiment_item", "x", "experiment", Within::Unknown),
            ("visualization", "x", "query", Within::Unknown),
            ("object_id", "7", "dashboard", Within::Unknown),
            ("run", "7", "job", Within::Unknown),
            ("app", "x", "app_space", Within::Unknown),
            ("vector_index", "a.b.c", "vector_endpoint", Within::Unknown),
        ] {
            assert_eq!(Kind::named(kind).unwrap().within(id, other), expected, "{kind} {id} {other}");
        }
    }
}
