//! `databricks-kong operations`: what rules can name.

use crate::output::{Exit, Format, Style, print, table};
use clap::Args;
use databricks_kong::databricks::{Catalogue, Operation};
use databricks_kong::policy::Glob;
use serde_json::{Value, json};

/// Which operations are shown.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Names to show; `*` matches any run of characters, and a text without `*` matches wherever it stands
    pattern: Option<String>,
    /// Only sensitive operations, which a rule must name in full
    #[arg(long)]
    sensitive: bool,
    /// Only operations that need this OAuth scope
    #[arg(long)]
    scope: Option<String>,
    /// Only operations whose requests carry ids of this type
    #[arg(long, value_name = "TYPE")]
    resource: Option<String>,
    /// Only operations that this official client sends: sdk-python, sdk-go, cli, terraform, jdbc, sql-python, sql-go, sql-nodejs, mlflow,
    /// dbt, airflow
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
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

pub(crate) fn run(arguments: &Arguments, format: Format, style: Style) -> Exit {
    let glob = arguments
        .pattern
        .as_deref()
        .map(|pattern| Glob::new(if pattern.contains('*') { pattern.to_owned() } else { format!("*{pattern}*") }));
    let wanted = |operation: &Operation| {
        glob.as_ref().is_none_or(|glob| operation.names().any(|name| glob.matches(name)))
            && (!arguments.sensitive || operation.is_sensitive())
            && arguments.scope.as_deref().is_none_or(|scope| operation.scope() == scope)
            && arguments.resource.as_deref().is_none_or(|kind| operation.may_carry(kind))
            && arguments.client.as_deref().is_none_or(|client| clients(*operation).any(|known| known == client))
    };
    let mut found: Vec<_> = Catalogue::operations().filter(wanted).collect();
    found.sort_by_key(|operation| (operation.name(), operation.template(), operation.method()));
    match format {
        Format::Json => print(&format!("{:#}\n", Value::Array(found.iter().map(as_json).collect()))),
        Format::Human if found.is_empty() => print("no operation is meant by that\n"),
        Format::Human => {
            let rows = found.iter().map(|operation| {
                vec![
                    operation.name().to_owned(),
                    operation.method().to_owned(),
                    operation.template().to_owned(),
                    operation.scope().to_owned(),
                    kinds(*operation).join(" "),
                    operation.sensitivity().unwrap_or_default().replace('_', " "),
                ]
            });
            let head = ["OPERATION", "METHOD", "PATH", "SCOPE", "RESOURCES", "SENSITIVE"];
            print(&table(&head, rows, style));
        }
    }
    if found.is_empty() { Exit::Failure } else { Exit::Fine }
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
        "clients": clients(*operation).collect::<Vec<_>>(),
    })
}
