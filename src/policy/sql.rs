//! What a rule says about the SQL text of a request.

use super::own::Patterns;
use crate::databricks::sql::{Class, Kind, Object, Scan};
use crate::databricks::{self, Within};

/// The classes of statements that a rule means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqlClasses(u8);

impl SqlClasses {
    /// The set of these.
    #[must_use]
    pub fn new(classes: impl IntoIterator<Item = Class>) -> Self {
        Self(classes.into_iter().fold(0, |set, class| set | bit(class)))
    }

    /// Whether `class` is in the set.
    #[must_use]
    pub const fn contains(self, class: Class) -> bool {
        self.0 & bit(class) != 0
    }

    /// Whether every statement of the text is of one of these classes. Never for a text that was not parsed.
    pub(super) fn hold_all(self, scan: &Scan) -> bool {
        scan.parsed.is_ok() && scan.classes.iter().all(|class| self.contains(*class))
    }

    /// Whether a statement of the text is, or may be, of one of these classes. What was not parsed may be anything.
    pub(super) fn may_hold_one(self, scan: &Scan) -> bool {
        scan.parsed.is_err() || scan.classes.iter().any(|class| self.contains(*class))
    }
}

const fn bit(class: Class) -> u8 {
    match class {
        Class::Select => 1,
        Class::Dml => 2,
        Class::Ddl => 4,
        Class::Grant => 8,
        Class::Other => 16,
    }
}

/// Whether statements say something about resources of this type: the tables that they touch, and what these stand in.
pub(super) fn tells_of(kind: &str) -> bool {
    depth(kind) > 0 && kind != "volume"
}

/// Whether they say something to a rule that refuses: also the files that they name, what these are in, and what their functions reach.
pub(super) fn tells_denial_of(kind: &str) -> bool {
    databricks::Kind::named("sql_text").is_some_and(|any| any.concerns(kind))
}

/// How many names an id of the type has.
fn depth(kind: &str) -> usize {
    match kind {
        "catalog" => 1,
        "schema" => 2,
        "table" | "volume" => 3,
        _ => 0,
    }
}

/// Whether everything that the text touches is, or stands in, a resource of type `kind` that one of the patterns matches, or holds only
/// such. A text that touches nothing is within everything; one that was not parsed, within nothing.
pub(super) fn is_within(scan: &Scan, kind: &str, patterns: &Patterns<'_>) -> bool {
    scan.parsed.is_ok() && touched(scan).all(|object| covers(patterns, kind, object))
}

fn covers(patterns: &Patterns<'_>, kind: &str, object: &Object) -> bool {
    object.resolved
        && match beginning(object, kind) {
            Some(Named::Within(name)) => patterns.match_id(&name),
            Some(Named::Around(prefix)) => patterns.any(|glob| glob.matches_all_within(&prefix)),
            // files, functions and the like may reach any table; what a path is called is never asked, not even if it is ''
            Some(Named::Outside) | None => false,
        }
}

/// Whether the text touches, or may touch, a resource of type `kind` that one of the patterns matches.
pub(super) fn may_touch(scan: &Scan, kind: &str, patterns: &Patterns<'_>) -> bool {
    scan.parsed.is_err() || touched(scan).any(|object| may_match(patterns, kind, object))
}

fn may_match(patterns: &Patterns<'_>, kind: &str, object: &Object) -> bool {
    if depth(kind) == 0 {
        return may_reach(patterns, kind, object);
    }
    match beginning(object, kind) {
        Some(Named::Outside) => false,
        Some(Named::Within(name)) if object.resolved => patterns.match_id(&name),
        Some(Named::Around(prefix)) if object.resolved => patterns.match_some_within(&prefix),
        _ => true,
    }
}

/// Whether an object may be, or reach, something of a kind that is none of Unity Catalog's tables and volumes.
#[inline(never)]
fn may_reach(patterns: &Patterns<'_>, kind: &str, object: &Object) -> bool {
    let is_of_files = matches!(kind, "path" | "dbfs");
    match object.kind {
        Kind::Path if is_of_files => may_be_file(patterns, &object.name),
        Kind::Path => matches!(kind, "storage_url" | "external_location"),
        Kind::Function if kind == "function" && object.resolved => patterns.match_id(&object.name),
        Kind::Function => true,
        // a volume among others
        Kind::Other if kind == "path" && object.resolved && object.name.split('.').count() == 3 => {
            patterns.match_some_within(&files_of(object))
        }
        Kind::Other => true,
        Kind::Schema | Kind::Catalog if kind == "path" => {
            !object.resolved || patterns.match_some_within(&files_of(object))
        }
        Kind::Schema | Kind::Catalog => false,
        Kind::Table => false,
    }
}

/// What the paths of files in the volumes of a schema or a catalog, or of a volume, begin with.
fn files_of(object: &Object) -> String {
    ["/Volumes/", &object.name.replace('.', "/"), "/"].concat()
}

/// Whether a path, or one below it, may be of the workspace or of DBFS and match. Spark takes `/x` for `dbfs:/x`; where an address outside
/// leads is not known, to the root of DBFS too, nor where a path does that has patterns.
#[inline(never)]
fn may_be_file(patterns: &Patterns<'_>, path: &str) -> bool {
    let Some(kind) = databricks::Kind::named("path").filter(|kind| kind.is_plain(path)) else { return true };
    let inside = ["file:", "dbfs:", "workspace:"].iter().find_map(|scheme| path.strip_prefix(scheme)).unwrap_or(path);
    let inside = inside.strip_prefix("/dbfs").filter(|rest| rest.starts_with('/')).unwrap_or(inside);
    if !inside.starts_with('/') || inside.contains(['*', '?', '[', '{', ',', '\\']) {
        return true;
    }
    let plain = kind.canonical(inside);
    ["", "dbfs:", "/dbfs"].iter().any(|before| {
        let spelling = [before, plain.as_str()].concat();
        let below = [spelling.strip_suffix('/').unwrap_or(&spelling), "/"].concat();
        patterns.match_id(&spelling) || patterns.match_some_within(&below)
    })
}

/// An object, seen from a level of the hierarchy.
enum Named {
    /// It is, or stands in, the resource of this name.
    Within(String),
    /// It holds all resources whose names begin so.
    Around(String),
    /// It stands in none and holds none.
    Outside,
}

/// The object's first names, as many as an id of type `kind` has. `None` for what has no such names.
fn beginning(object: &Object, kind: &str) -> Option<Named> {
    let depth = depth(kind);
    if kind == "volume" && object.kind == Kind::Table {
        return Some(Named::Outside);
    }
    if kind == "volume" && object.kind == Kind::Other {
        return (object.name.split('.').count() == depth).then(|| Named::Within(object.name.clone()));
    }
    if kind == "volume" && object.kind == Kind::Path {
        return volume_of(&object.name);
    }
    let own = match object.kind {
        Kind::Catalog => 1,
        Kind::Schema => 2,
        Kind::Table => 3,
        Kind::Path | Kind::Function | Kind::Other => return None,
    };
    if own < depth {
        return Some(Named::Around(format!("{}.", object.name)));
    }
    if own == depth {
        return Some(Named::Within(object.name.clone()));
    }
    let names: Vec<_> = object.name.splitn(own, '.').take(depth).collect();
    (names.len() == depth).then(|| Named::Within(names.join(".")))
}

/// The volume of a path. Where another path leads is not known, to the storage of a volume too, nor where one does that has patterns.
fn volume_of(path: &str) -> Option<Named> {
    let kind = databricks::Kind::named("path").filter(|kind| kind.is_plain(path))?;
    match kind.within(&kind.canonical(path), "volume") {
        Within::Is(name)
            if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) =>
        {
            Some(Named::Within(name.into_owned()))
        }
        _ => None,
    }
}

fn touched(scan: &Scan) -> impl Iterator<Item = &Object> {
    scan.reads.iter().chain(&scan.writes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databricks::sql::scan;
    use crate::policy::Glob;

    fn globs(patterns: &[&str]) -> Vec<Glob> {
        patterns.iter().map(|pattern| Glob::new((*pattern).to_owned())).collect()
    }

    fn within(text: &str, patterns: &[&str]) -> bool {
        is_within(&scan(text, Some("main"), Some("sales")), "table", &globs(patterns).as_slice().into())
    }

    fn touches(text: &str, patterns: &[&str]) -> bool {
        may_touch(&scan(text, Some("main"), Some("sales")), "table", &globs(patterns).as_slice().into())
    }

    #[test]
    fn every_table_read_or_written_must_match() {
        assert!(within("SELECT * FROM orders JOIN main.sales.items USING (id)", &["main.sales.*"]));
        assert!(!within("SELECT * FROM orders JOIN main.hr.people USING (id)", &["main.sales.*"]));
        assert!(within("INSERT INTO orders SELECT * FROM main.hr.people", &["main.sales.*", "main.hr.people"]));
        assert!(!within("INSERT INTO main.hr.people SELECT * FROM orders", &["main.sales.*"]));
    }

    #[test]
    fn a_text_that_touches_nothing_is_within_and_one_that_is_not_understood_is_not() {
        assert!(within("SELECT 1", &["main.sales.*"]));
        assert!(!within("SELECT ' FROM main.sales.orders", &["*"]));
        assert!(!within("EXECUTE IMMEDIATE 'SELECT 1'", &["*"]));
        assert!(!within("", &["*"]));
    }

    #[test]
    fn what_may_reach_any_table_is_not_within_some() {
        for text in [
            "SELECT * FROM read_files('/x')",
            "SELECT main.sales.f()",
            "SELECT * FROM delta.`/mnt/x`",
            "GET '/Volumes/main/sales/v/x' TO 'file'",
            "GET ''",
            "LIST ''",
            "PUT 'file' INTO ''",
            "COPY INTO orders FROM ''",
        ] {
            assert_eq!(scan(text, Some("main"), Some("sales")).parsed, Ok(()), "{text}");
            assert!(!within(text, &["*"]), "{text}");
            assert!(touches(text, &["main.hr.people"]), "{text}");
        }
    }

    #[test]
    fn a_denied_volume_is_touched_by_files_in_it_and_by_what_may_be_in_it() {
        let touches = |text: &str| {
            may_touch(&scan(text, Some("main"), Some("sales")), "volume", &globs(&["prod.s.v"]).as_slice().into())
        };
        for text in [
            "LIST '/Volumes/prod/s/v'",
            "SELECT * FROM csv.`/Volumes/PROD/S/v/x`",
            "SELECT * FROM read_files('dbfs:/Volumes/prod/s/v/x')",
            "COPY INTO t FROM '/Volumes/prod/s/v/x' FILEFORMAT = CSV",
            "LIST '/Volumes/prod/s'",
            "SELECT * FROM read_files('/Volumes/prod/s/*/x')",
            "SELECT * FROM read_files('s3://bucket/x')",
            "DROP VOLUME prod.s.v",
            "DROP SCHEMA prod.s CASCADE",
            "SELECT f()",
            "EXECUTE IMMEDIATE 'SELECT 1'",
        ] {
            assert!(touches(text), "{text}");
        }
        for text in
            ["SELECT * FROM prod.s.v", "LIST '/Volumes/prod/s/w'", "DROP VOLUME prod.s.w", "SHOW TABLES IN dev.s"]
        {
            assert!(!touches(text), "{text}");
        }
    }

    #[test]
    fn denied_files_are_touched_by_their_paths_in_any_spelling_and_by_the_folders_above() {
        let touches = |kind: &str, pattern: &str, text: &str| {
            let pattern = databricks::canonical(kind, pattern);
            may_touch(&scan(text, Some("main"), Some("sales")), kind, &globs(&[&pattern]).as_slice().into())
        };
        for (kind, pattern, text, expected) in [
            ("path", "/Workspace/Users/ceo/*", "SELECT * FROM csv.`/Workspace/Users/ceo/x.csv`", true),
            ("path", "/Workspace/Users/ceo/*", "SELECT * FROM read_files('file:/Workspace/Users/ceo/x')", true),
            ("path", "/Users/ceo/*", "SELECT * FROM csv.`/Workspace/Users`", true),
            ("path", "/Users/ceo/*", "SELECT * FROM csv.`/Workspace/Users/cto/x.csv`", false),
            ("path", "/Volumes/prod/s/v/*", "COPY INTO t FROM '/Volumes/Prod/s/v/x' FILEFORMAT = CSV", true),
            ("path", "/Volumes/prod/s/v/*", "LIST '/Volumes/prod/s'", true),
            ("path", "/Volumes/prod/s/v/*", "DROP VOLUME prod.s.v", true),
            ("path", "/Volumes/prod/s/v/*", "DROP VOLUME prod.s.w", false),
            ("path", "/Volumes/prod/s/v/*", "DROP SCHEMA prod.s CASCADE", true),
            ("path", "/Volumes/prod/s/v/*", "DROP SCHEMA prod.t CASCADE", false),
            ("path", "/Volumes/prod/s/v/*", "SELECT * FROM prod.s.v", false),
            ("path", "dbfs:/mnt/prod/*", "SELECT * FROM delta.`/mnt/prod/t`", true),
            ("path", "/dbfs/mnt/prod/*", "SELECT * FROM delta.`dbfs:/mnt/prod/t`", true),
            ("dbfs", "/mnt/prod/*", "CREATE TABLE t LOCATION '/mnt/prod/t'", true),
            ("dbfs", "dbfs:/mnt/prod/*", "CREATE TABLE t LOCATION 'dbfs:/mnt'", true),
            ("dbfs", "/mnt/prod/*", "SELECT * FROM delta.`/mnt/dev/t`", false),
            ("dbfs", "/mnt/prod/*", "SELECT * FROM delta.`/mnt/*/t`", true),
            ("dbfs", "/mnt/prod/*", "SELECT * FROM delta.`s3://bucket/t`", true),
            ("dbfs", "/mnt/prod/*", "SELECT * FROM delta.`mnt/prod/t`", true),
            ("dbfs", "/mnt/prod/*", "SELECT * FROM t", false),
            ("dbfs", "/mnt/prod/*", "not sql", true),
            ("external_location", "lake", "SELECT * FROM delta.`s3://bucket/t`", true),
            ("external_location", "lake", "SELECT * FROM t", false),
        ] {
            assert_eq!(touches(kind, pattern, text), expected, "{kind} {pattern}: {text}");
        }
    }

    #[test]
    fn what_functions_reach_may_be_anything_but_a_function_of_another_name() {
        let touches = |kind: &str, text: &str| {
            may_touch(&scan(text, Some("main"), Some("sales")), kind, &globs(&["main.hr.f"]).as_slice().into())
        };
        for (kind, text, expected) in [
            ("secret_scope", "SELECT secret('prod', 'key')", true),
            ("serving_endpoint", "SELECT ai_query('prod', 'x')", true),
            ("connection", "SELECT * FROM remote_query('prod', query => 'SELECT 1')", true),
            ("connection", "SELECT http_request(conn => 'prod', method => 'GET', path => '/')", true),
            ("secret_scope", "SELECT upper(x) FROM t", false),
            ("share", "SHOW TABLES IN main.s", false),
            ("function", "SELECT main.hr.f(1)", true),
            ("function", "SELECT main.hr.g(1)", false),
        ] {
            assert_eq!(touches(kind, text), expected, "{kind}: {text}");
        }
    }

    #[test]
    fn a_name_that_is_not_complete_is_not_within_and_may_be_any() {
        let scan = scan("SELECT * FROM orders", None, None);
        assert!(!is_within(&scan, "table", &globs(&["*"]).as_slice().into()));
        assert!(may_touch(&scan, "table", &globs(&["main.hr.people"]).as_slice().into()));
    }

    #[test]
    fn a_schema_whose_catalog_is_not_known_may_be_any() {
        let scan = scan("SHOW TABLES IN hr", None, None);
        assert_eq!(scan.parsed, Ok(()));
        assert!(!is_within(&scan, "table", &globs(&["hr.*", "*"]).as_slice().into()));
        assert!(may_touch(&scan, "table", &globs(&["main.hr.people"]).as_slice().into()));
    }

    #[test]
    fn a_schema_is_within_patterns_that_hold_all_its_tables() {
        assert!(within("SHOW TABLES IN main.sales", &["main.sales.*"]));
        assert!(within("SHOW TABLES IN main.sales", &["main.*"]));
        assert!(!within("SHOW TABLES IN main.sales", &["main.sales.orders"]));
        assert!(!within("SHOW TABLES IN main.sales", &["main.sales.o*"]));
        assert!(!within("SHOW TABLES IN main.sales2", &["main.sales.*"]));
        assert!(!within("SHOW SCHEMAS IN main", &["main.sales.*"]));
    }

    #[test]
    fn a_pattern_is_touched_by_each_of_its_tables_and_by_what_holds_them() {
        for (text, expected) in [
            ("SELECT * FROM main.hr.people", true),
            ("SELECT * FROM orders", false),
            ("SELECT * FROM orders WHERE id IN (SELECT id FROM main.hr.people)", true),
            ("DROP SCHEMA main.hr CASCADE", true),
            ("DROP SCHEMA main.sales CASCADE", false),
            ("SHOW SCHEMAS IN main", true),
            ("SHOW SCHEMAS IN other", false),
            ("SELECT 1", false),
            ("not sql", true),
        ] {
            assert_eq!(touches(text, &["main.hr.*"]), expected, "{text}");
        }
    }

    #[test]
    fn classes_must_all_be_named_to_allow_and_one_is_enough_to_deny() {
        let select = SqlClasses::new([Class::Select]);
        let of = |text| scan(text, None, None);
        for (text, all, one) in [
            ("SELECT 1", true, true),
            ("SELECT 1; SELECT 2", true, true),
            ("SELECT 1; DROP TABLE a.b.c", false, true),
            ("DROP TABLE a.b.c", false, false),
            ("BEGIN DELETE FROM a.b.c; END", false, true),
        ] {
            assert_eq!((select.hold_all(&of(text)), select.may_hold_one(&of(text))), (all, one), "{text}");
        }
    }
}
