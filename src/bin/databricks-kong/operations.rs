//! `databricks-kong operations`: what rules can name.

use crate::hints;
use crate::lint::is_told_by_sql;
use crate::nearest::nearest;
use crate::output::{Exit, Format, Style, print, table};
use clap::Args;
use databricks_kong::databricks::{Catalogue, Operation, has_statement};
use databricks_kong::policy::Glob;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::io::IsTerminal as _;
use std::sync::LazyLock;

/// Which operations are shown.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// A name, in which `*` matches any run of characters (`jobs.*`); a method and path of a request (`GET /api/2.2/jobs/list`), or a part
    /// of a path; or words that stand in its name, path, types of resources or description (`stop warehouse`)
    #[arg(num_args = 0..)]
    pattern: Vec<String>,
    /// Only sensitive operations, which a rule must name in full
    #[arg(long)]
    sensitive: bool,
    /// Only operations that need this OAuth scope
    #[arg(long, value_parser = scope)]
    scope: Option<String>,
    /// Only operations whose requests name resources of this type, also in SQL text
    #[arg(long, value_name = "TYPE", value_parser = resource_type)]
    resource: Option<String>,
    /// Only operations that this official client sends: sdk-python, sdk-go, cli, terraform, jdbc, sql-python, sql-go, sql-nodejs, mlflow,
    /// dbt, airflow
    #[arg(long, value_name = "NAME", value_parser = client)]
    client: Option<String>,
}

fn resource_type(name: &str) -> Result<String, String> {
    known(name, "type of resource", Catalogue::resource_types().iter().copied())
}

fn scope(name: &str) -> Result<String, String> {
    known(name, "scope of an operation", Catalogue::operations().map(Operation::scope))
}

fn client(name: &str) -> Result<String, String> {
    let lines = CLIENTS.lines().filter(|line| !line.starts_with('#'));
    known(name, "client", lines.filter_map(|line| line.split('\t').nth(2)).flat_map(|names| names.split(',')))
}

/// A name that is one of those that are known.
fn known<'n>(name: &str, what: &str, names: impl Iterator<Item = &'n str>) -> Result<String, String> {
    let names: BTreeSet<_> = names.collect();
    if names.contains(name) {
        return Ok(name.to_owned());
    }
    let near = nearest(name, names).map(|near| format!("; did you mean `{near}`?"));
    Err(format!("is no {what}{}", near.unwrap_or_default()))
}

/// What is looked for.
enum Wanted {
    All,
    Name(Glob),
    /// A method, if one is given, and a path.
    Path(Option<String>, String),
    Words(Vec<String>),
}

impl Wanted {
    fn new(pattern: &[String]) -> Self {
        let text = pattern.join(" ");
        if text.is_empty() {
            return Self::All;
        }
        if let Some(at) = text.find('/') {
            let (method, path) = text.split_at_checked(at).unwrap_or_default();
            let method = Some(method.trim().to_uppercase()).filter(|method| !method.is_empty());
            let path = path.split('?').next().unwrap_or_default();
            return Self::Path(method, path.to_owned());
        }
        if text.contains('*') {
            return Self::Name(Glob::new(text));
        }
        let words = text.to_lowercase();
        Self::Words(words.split_whitespace().filter(|word| !SMALL_WORDS.contains(word)).map(str::to_owned).collect())
    }

    /// By what an operation is meant, if it is.
    fn means(&self, operation: Operation) -> Option<MeantBy> {
        let by_itself = match self {
            Self::All => true,
            Self::Name(glob) => operation.names().any(|name| glob.matches(name)),
            Self::Path(method, path) => {
                let is_method = method.as_deref().is_none_or(|method| [method, "*"].contains(&operation.method()));
                let answers = || {
                    let methods = [method.as_deref().unwrap_or(operation.method())];
                    methods.iter().any(|method| Catalogue::find(method, path) == Some(operation))
                };
                is_method && (without_version(operation.template()).contains(&without_version(path)) || answers())
            }
            Self::Words(words) => {
                let names: Vec<_> = operation.names().collect();
                let (names, kinds) = (names.join(" "), kinds(operation).join(" "));
                let text = format!("{names} {} {kinds}", operation.template()).to_lowercase();
                let summary = summary(operation).to_lowercase();
                let is_said = |word: &String| has_word(&text, word) || has_word(&summary, word);
                let all = words.iter().all(|word| has_word(&text, word));
                if !all && words.iter().all(is_said) {
                    return Some(MeantBy::Description);
                }
                all
            }
        };
        by_itself.then_some(MeantBy::Itself)
    }
}

/// What of an operation is meant; the first is the surer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MeantBy {
    Itself,
    Description,
}

/// As many types of resources are listed for an operation.
const MOST_KINDS: usize = 12;
/// Words of a question that tell nothing of an operation.
const SMALL_WORDS: [&str; 10] = ["a", "all", "an", "for", "from", "in", "my", "of", "the", "to"];

/// Whether a text has a word that begins so; a part of a name (`run_now`) may stand anywhere.
fn has_word(text: &str, word: &str) -> bool {
    if !word.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return text.contains(word);
    }
    text.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|known| known.starts_with(word))
}

/// A path with one version for all: rules and the catalogue take them for the same.
fn without_version(path: &str) -> String {
    ["/api/2.0", "/api/2.1", "/api/2.2"].iter().fold(path.to_owned(), |path, version| path.replace(version, "/api/2"))
}

/// Which official client sends which request: method, template, clients with commas between them. Its head says of what versions.
const CLIENTS: &str = include_str!("../../../tools/catalogue/clients.tsv");

/// The official clients that send an operation.
fn clients(operation: Operation) -> impl Iterator<Item = &'static str> {
    let is_it = move |line: &&str| {
        let mut columns = line.split('\t');
        let is_method = columns.next().is_some_and(|method| [method, "*"].contains(&operation.method()));
        is_method && columns.next() == Some(operation.template())
    };
    CLIENTS.lines().filter(is_it).filter_map(|line| line.split('\t').nth(2)).flat_map(|names| names.split(','))
}

/// What each operation does, in a sentence; made by tools/catalogue/generate.
const SUMMARIES: &str = include_str!("../../databricks/catalogue/summaries.tsv");

/// What an operation does.
fn summary(operation: Operation) -> &'static str {
    static BY_NAME: LazyLock<HashMap<&str, &str>> =
        LazyLock::new(|| SUMMARIES.lines().filter_map(|line| line.split_once('\t')).collect());
    BY_NAME.get(operation.name()).copied().unwrap_or_default()
}

pub(crate) fn run(arguments: &Arguments, format: Format, style: Style) -> Exit {
    let wanted = Wanted::new(&arguments.pattern);
    let tells_of = |operation: &Operation, kind: &str| {
        operation.may_tell(kind) || is_told_by_sql(kind) && has_statement(*operation)
    };
    let is_wanted = |operation: &Operation| {
        (!arguments.sensitive || operation.is_sensitive())
            && arguments.scope.as_deref().is_none_or(|scope| operation.scope() == scope)
            && arguments.resource.as_deref().is_none_or(|kind| tells_of(operation, kind))
            && arguments.client.as_deref().is_none_or(|client| clients(*operation).any(|known| known == client))
    };
    let mut found: Vec<_> = Catalogue::operations()
        .filter(is_wanted)
        .filter_map(|operation| wanted.means(operation).map(|by| (by, operation)))
        .collect();
    found.sort_by_key(|(by, operation)| (*by, operation.name(), operation.template(), operation.method()));
    let found: Vec<_> = found.into_iter().map(|(_, operation)| operation).collect();
    match format {
        Format::Json => print(&format!("{:#}\n", Value::Array(found.iter().map(as_json).collect()))),
        _ if found.is_empty() => print(&format!("no operation matches{}\n", suggestion(&arguments.pattern))),
        _ => print(&listed(&found, style, width())),
    }
    if found.is_empty() { Exit::Failure } else { Exit::Fine }
}

fn suggestion(pattern: &[String]) -> String {
    let near = match pattern {
        [name] => hints::operation(name),
        _ => None,
    };
    near.map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

/// How wide lines may be: as wide as the terminal, and as long as they are where there is none.
fn width() -> Option<usize> {
    std::io::stdout()
        .is_terminal()
        .then(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)))
        .flatten()
}

/// A table, or where it does not fit a few short lines for each operation.
fn listed(found: &[Operation], style: Style, width: Option<usize>) -> String {
    let row = |operation: &Operation| {
        let sensitive = operation.sensitivity().unwrap_or_default().replace('_', " ");
        let texts = [operation.name(), operation.method(), operation.template(), operation.scope()];
        let mut row: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        row.extend([shown(&kinds(*operation)), sensitive, summary(*operation).to_owned()]);
        row
    };
    let head = ["OPERATION", "METHOD", "PATH", "SCOPE", "RESOURCES", "SENSITIVE", "DESCRIPTION"];
    let plain = table(&head, found.iter().map(row), Style { colored: false });
    if width.is_none_or(|width| plain.lines().all(|line| line.chars().count() <= width)) {
        return table(&head, found.iter().map(row), style);
    }
    let blocks = found.iter().map(|operation| {
        let sensitive = operation.sensitivity().map(|why| format!("  sensitive: {}", why.replace('_', " ")));
        let first = format!("{}{}", style.bold(operation.name()), sensitive.unwrap_or_default());
        let kinds = kinds(*operation);
        let carries = if kinds.is_empty() { String::new() } else { format!(", carries {}", shown(&kinds)) };
        let (method, template, scope) = (operation.method(), operation.template(), operation.scope());
        format!("{first}\n  {}\n  {method} {template}\n  scope {scope}{carries}\n", summary(*operation))
    });
    blocks.collect()
}

/// Types of resources in a table. Permissions, for one, can be those of nearly anything.
fn shown(kinds: &[&str]) -> String {
    if kinds.len() <= MOST_KINDS { kinds.join(" ") } else { format!("(any of {} types)", kinds.len()) }
}

fn kinds(operation: Operation) -> Vec<&'static str> {
    let mut kinds: Vec<_> = operation.kinds().collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn as_json(operation: &Operation) -> Value {
    json!({
        "name": operation.name(),
        "names": operation.names().collect::<Vec<_>>(),
        "method": operation.method(),
        "path": operation.template(),
        "scope": operation.scope(),
        "resources": kinds(*operation),
        "sensitive": operation.sensitivity(),
        "description": summary(*operation),
        "clients": clients(*operation).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pattern: &str) -> Vec<&'static str> {
        let mut names = [meant(pattern, MeantBy::Itself), meant(pattern, MeantBy::Description)].concat();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn meant(pattern: &str, by: MeantBy) -> Vec<&'static str> {
        let wanted = Wanted::new(&[pattern.to_owned()]);
        let mut names: Vec<_> = Catalogue::operations()
            .filter(|operation| wanted.means(*operation) == Some(by))
            .map(Operation::name)
            .collect();
        names.sort_unstable();
        // one name may cover several paths
        names.dedup();
        names
    }

    #[test]
    fn words_find_by_the_description_but_all_of_them_must_stand_somewhere() {
        assert!(meant("stop warehouse", MeantBy::Itself).contains(&"warehouses.stop"));
        assert!(named("permanently delete a cluster").contains(&"clusters.permanent_delete"));
        assert_eq!(named("jdbc warehouse"), ["sql_warehouses.thrift"], "nothing but the description says JDBC");
        assert_eq!(named("jdbc no-such-word"), [""; 0]);
    }

    #[test]
    fn operations_are_found_by_name_request_and_words() {
        assert_eq!(named("jobs.run_n*"), ["jobs.run_now"]);
        assert_eq!(named("POST /api/2.1/jobs/run-now"), ["jobs.run_now"]);
        assert_eq!(named("get /api/2.0/sql/statements/01ef-x?a=b"), ["statement_execution.get_statement"]);
        assert!(named("/jobs/runs/").contains(&"jobs.cancel_run"));
        assert_eq!(meant("execute sql", MeantBy::Itself), ["statement_execution.execute_statement"]);
        assert!(named("list all warehouses").contains(&"warehouses.list"));
        assert_eq!(meant("cancel a run", MeantBy::Itself), ["jobs.cancel_all_runs", "jobs.cancel_run"]);
        assert!(named("/api/2.0/clusters/start").contains(&"clusters.start"), "versions are aliases");
        assert!(!named("delete table").contains(&"account.disaster_recovery.delete_stable_url"));
        assert!(named("jobs").contains(&"jobs.list"));
        assert_eq!(named("no such thing"), [""; 0]);
    }

    #[test]
    fn every_operation_says_what_it_does() {
        let without: Vec<_> =
            Catalogue::operations().filter(|operation| summary(*operation).is_empty()).map(Operation::name).collect();
        assert_eq!(without, [""; 0]);
    }

    #[test]
    fn what_does_not_fit_is_broken_into_lines_that_do() {
        let found: Vec<_> = Catalogue::named("jobs.run_now").collect();
        let text = listed(&found, Style { colored: false }, Some(40));
        assert!(text.starts_with("jobs.run_now\n  Run a job and return the `run_id` of the triggered run\n  POST /api/2.2/jobs/run-now\n  scope jobs, carries "), "{text}");
        assert!(listed(&found, Style { colored: false }, Some(300)).starts_with("OPERATION"));
    }
}
