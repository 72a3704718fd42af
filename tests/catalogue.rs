//! The catalogue against its own text, against requests chosen by hand, and against a survey that is not the generator's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::string_slice,
    reason = "a test fails loudly, and prints its numbers"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use databricks_kong::databricks::{Catalogue, Id, Operation, Place, Shape};

const TABLE: &str = include_str!("../src/databricks/catalogue/operations.tsv");
const REQUESTS: &str = include_str!("../tools/catalogue/requests.tsv");
const CLIENTS: &str = include_str!("../tools/catalogue/clients.tsv");
const SENSITIVE: &str = include_str!("../tools/catalogue/must_be_sensitive.tsv");

fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

/// A path of a template: its placeholders filled with `x`, open ends with `y/z`.
fn path_of(template: &str) -> String {
    let fill = |segment: &str| match segment.split_once('}') {
        Some((open, _)) if open.ends_with("...") => "y/z".to_string(),
        Some((_, verb)) => format!("x{verb}"),
        None => segment.to_string(),
    };
    template.split('/').map(fill).collect::<Vec<_>>().join("/")
}

fn written(id: Id, template: &str) -> String {
    let segments: Vec<&str> = template.split('/').skip(1).collect();
    let place = |place| match place {
        Place::Segment(at) => {
            let name = segments[at].strip_prefix('{').unwrap().split_once('}').unwrap().0;
            format!("path:{name}")
        }
        Place::Rest(from) => format!("rest:{from}"),
        Place::Absolute(from) => format!("absolute:{from}"),
        Place::Query(name) => format!("query:{name}"),
        Place::Header(name) => format!("header:{name}"),
        Place::Unsaid => "unsaid:".to_string(),
    };
    format!("{}={}", id.kind(), id.places().map(place).collect::<Vec<_>>().join("+"))
}

/// All ids of an operation, those of its body too, as operations.tsv writes them.
fn ids_of(operation: Operation) -> Vec<String> {
    let outside = operation.ids().map(|id| written(id, operation.template()));
    let marks = operation.marks().map(|mark| format!("!{mark}"));
    let inside = operation.body().map(Shape::places).unwrap_or_default();
    outside.chain(marks).chain(inside.into_iter().map(|(kind, place)| format!("{kind}={place}"))).collect()
}

fn line_of(operation: Operation) -> String {
    let or_dash = |text: String| if text.is_empty() { "-".to_string() } else { text };
    let ids = ids_of(operation).join(" ");
    let also = operation.names().skip(1).collect::<Vec<_>>().join(" ");
    [
        operation.name().to_string(),
        operation.method().to_string(),
        operation.template().to_string(),
        operation.scope().to_string(),
        or_dash(operation.sensitivity().unwrap_or_default().to_string()),
        or_dash(ids),
        or_dash(also),
    ]
    .join("\t")
}

#[test]
fn the_tree_says_what_the_text_says() {
    let text: Vec<&str> = TABLE.lines().filter(|line| !line.starts_with('#')).collect();
    let tree: Vec<String> = Catalogue::operations().map(line_of).collect();
    assert_eq!(tree.len(), Catalogue::len());
    assert_eq!(tree.len(), text.len());
    for (tree, text) in tree.iter().zip(text) {
        assert_eq!(tree, text);
    }
}

#[test]
fn a_request_made_from_a_template_finds_it() {
    for operation in Catalogue::operations() {
        let path = path_of(operation.template());
        let method = if operation.method() == "*" { "PROPFIND" } else { operation.method() };
        assert_eq!(Catalogue::find(method, &path), Some(operation), "{method} {path}");
        for version in ["2.0", "2.1", "2.2"] {
            for family in ["jobs", "clusters"] {
                let marker = format!("/{family}/");
                let Some((_, end)) = path.split_once(&marker).filter(|(api, _)| api.starts_with("/api/2.")) else {
                    continue;
                };
                if path.len() == "/api/2.x".len() + marker.len() + end.len() {
                    let path = format!("/api/{version}{marker}{end}");
                    assert_eq!(Catalogue::find(method, &path), Some(operation), "{method} {path}");
                }
            }
        }
    }
}

#[test]
fn what_is_almost_a_template_finds_nothing_or_something_else() {
    for operation in Catalogue::operations().filter(|operation| !operation.template().ends_with("...}")) {
        let path = path_of(operation.template());
        let method = operation.method();
        for other in [
            format!("{path}/"),
            format!("{path}/x/x"),
            format!("/{path}"),
            path.to_ascii_uppercase(),
            path.replacen("/api/", "/api/v", 1).replacen("/sql/1", "/sql/2", 1).replacen("/serving", "/Serving", 1),
        ] {
            let found = Catalogue::find(method, &other);
            // the driver's proxy goes on below the port
            assert!(found != Some(operation) || other == path, "{method} {other} found {found:?}");
        }
        for other in ["PROPFIND", &method.to_ascii_lowercase()] {
            let found = Catalogue::find(other, &path);
            assert!(found.is_none_or(|found| found.method() == "*"), "{other} {path} found {found:?}");
        }
    }
}

#[test]
fn requests_chosen_by_hand_are_what_they_are() {
    let all = rows(REQUESTS).collect::<Vec<_>>();
    assert!(all.len() > 80);
    let name = |operation: Option<Operation>| operation.map_or("-", Operation::name);
    let wrong = all.iter().filter(|row| name(Catalogue::find(row[0], row[1])) != row[2]);
    let wrong: Vec<_> = wrong.map(|row| (row, Catalogue::find(row[0], row[1]))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_the_survey_found_sensitive_is_sensitive() {
    assert!(rows(SENSITIVE).count() > 280);
    let harmless = |row: &Vec<&str>| !Catalogue::find(row[0], row[1]).is_some_and(Operation::is_sensitive);
    assert_eq!(rows(SENSITIVE).filter(harmless).collect::<Vec<_>>(), Vec::<Vec<&str>>::new());
}

#[test]
fn everyday_operations_are_not_sensitive() {
    for name in [
        "jobs.run_now",
        "jobs.create",
        "clusters.start",
        "clusters.list",
        "statement_execution.execute_statement",
        "sql_warehouses.thrift",
        "files.upload",
        "workspace.import_",
        "tables.list",
        "current_user.me",
        "serving_endpoints.query",
        "mcp.genie",
        "permissions.get",
        "tokens.list",
        "telemetry.send",
    ] {
        let operations: Vec<_> = Catalogue::named(name).filter(|operation| operation.name() == name).collect();
        assert!(!operations.is_empty() && operations.iter().all(|one| !one.is_sensitive()), "{name}: {operations:?}");
    }
}

#[test]
fn twins_of_a_path_agree_on_being_sensitive() {
    let mut by_name: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for operation in Catalogue::operations() {
        by_name.entry(operation.name()).or_default().insert(operation.is_sensitive());
    }
    let mixed: Vec<_> = by_name.iter().filter(|(_, both)| both.len() > 1).map(|(name, _)| name).collect();
    assert!(mixed.is_empty(), "{mixed:?}");
}

#[test]
fn ids_stand_where_a_request_carries_them() {
    let ids = |name: &str| ids_of(Catalogue::named(name).next().unwrap());
    let has = |name: &str, id: &str| assert!(ids(name).iter().any(|found| found == id), "{name}: {:?}", ids(name));
    for (name, id) in [
        ("jobs.run_now", "job=body:job_id"),
        ("jobs.get", "job=query:job_id"),
        ("jobs.cancel_run", "run=body:run_id"),
        ("jobs.reset", "job=body:job_id"),
        ("jobs.reset", "cluster=body:new_settings.tasks[*].existing_cluster_id"),
        ("jobs.submit", "cluster=body:tasks[*].existing_cluster_id"),
        ("jobs.submit", "warehouse=body:tasks[*].sql_task.warehouse_id"),
        ("jobs.create", "cluster=body:tasks[*].for_each_task.task.existing_cluster_id"),
        ("jobs.create", "path=body:tasks[*].notebook_task.notebook_path"),
        ("jobs.create", "pipeline=body:tasks[*].pipeline_task.pipeline_id"),
        ("jobs.create", "job=body:tasks[*].run_job_task.job_id"),
        ("jobs.create", "cluster_policy=body:job_clusters[*].new_cluster.policy_id"),
        ("clusters.update", "cluster=body:cluster_id"),
        ("command_execution.execute", "cluster=body:clusterId"),
        ("command_execution.command_status", "cluster=query:clusterId"),
        ("libraries.install", "cluster=body:cluster_id"),
        ("statement_execution.execute_statement", "warehouse=body:warehouse_id"),
        ("statement_execution.get_statement", "statement=path:statement_id"),
        ("pipelines.start_update", "pipeline=path:pipeline_id"),
        ("workspace.export", "path=query:path"),
        ("workspace.import_", "path=body:path"),
        ("dbfs.put", "dbfs=body:path"),
        ("dbfs.move", "dbfs=body:destination_path"),
        ("files.download", "path=absolute:4"),
        ("tables.get", "table=path:full_name"),
        ("tables.list", "schema=query:catalog_name+query:schema_name"),
        ("tables.create", "table=body:catalog_name+body:schema_name+body:name"),
        ("secrets.put_secret", "secret_scope=body:scope"),
        ("secrets.get_secret", "secret_scope=query:scope"),
        ("serving_endpoints.query", "serving_endpoint=path:name"),
        ("serving_endpoints.chat_completions", "serving_endpoint=body:model"),
        ("vector_search_indexes.query_index", "vector_index=path:index_name"),
        ("genie.start_conversation", "genie_space=path:space_id"),
        ("lakeview.get", "dashboard=path:dashboard_id"),
        ("apps.deploy", "app=path:app_name"),
        ("apps.create", "job=body:resources[*].job.id"),
        ("experiments.get_run", "experiment_run=query:run_id"),
        ("mcp.functions", "schema=path:catalog+path:schema"),
        ("mcp.functions", "mcp_server=rest:3"),
        ("spark_connect.execute_plan", "cluster=header:x-databricks-cluster-id"),
        ("database.generate_database_credential", "database_instance=body:instance_names[*]"),
        ("repos.update", "repo=path:repo_id"),
    ] {
        has(name, id);
    }
}

#[test]
fn every_type_of_the_contract_has_an_operation() {
    for kind in
        "job run cluster warehouse statement pipeline path dbfs volume repo catalog schema table function model \
                 serving_endpoint vector_index genie_space dashboard app secret_scope experiment connection mcp_server"
            .split_whitespace()
    {
        assert!(Catalogue::resource_types().contains(&kind), "{kind}");
    }
}

#[test]
fn a_name_finds_all_its_paths_and_its_twins() {
    let templates = |name| Catalogue::named(name).map(Operation::template).collect::<Vec<_>>();
    assert_eq!(templates("jobs.run_now"), ["/api/2.2/jobs/run-now"]);
    assert_eq!(templates("sql_warehouses.thrift").len(), 2);
    assert_eq!(templates("groups_v2.list"), templates("groups.list"));
    assert!(templates("permissions.update").contains(&"/api/2.0/permissions/jobs/{job_id}"));
    for nothing in ["", "jobs", "jobs.", "jobs.run_no", "jobs.run_now2", "zzz", "*"] {
        assert_eq!(templates(nothing), Vec::<&str>::new(), "{nothing}");
    }
    for operation in Catalogue::operations() {
        assert!(operation.names().all(|name| Catalogue::named(name).any(|found| found == operation)), "{operation:?}");
    }
}

/// Runs a script of tools/catalogue; its exit code and all that it wrote. None without Python.
fn python(arguments: &[&str]) -> Option<(Option<i32>, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/catalogue");
    // no __pycache__ in the clone
    let run = Command::new("python3").arg("-B").args(arguments).current_dir(folder).output();
    let output = run.map_err(|error| println!("skipped: python3 does not start: {error}")).ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.code(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn the_generator_refuses_what_it_must() {
    let Some((code, text)) = python(&["test_generate.py"]) else { return };
    assert_eq!(code, Some(0), "{text}");
}

/// Prints how many of its requests are known for each client (`--nocapture`).
#[test]
fn what_official_clients_send_is_known() {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows(CLIENTS) {
        let is_in_table =
            Catalogue::operations().any(|one| ["*", row[0]].contains(&one.method()) && one.template() == row[1]);
        assert!(is_in_table, "{row:?} is not known");
        for client in row[2].split(',') {
            *known.entry(client).or_default() += 1;
        }
    }
    for (client, known) in &known {
        println!("{client}: {known} requests, all known");
    }
    assert!(known.len() >= 11, "{known:?}");
}

#[test]
fn the_committed_table_gives_the_committed_attempts() {
    let Some((code, text)) = python(&["bypass.py", "--check"]) else { return };
    assert_eq!(code, Some(0), "{text}");
}

/// Prints how much of the SDK the table covers (`--nocapture`).
#[test]
fn the_pinned_sdk_gives_the_committed_table() {
    match python(&["generate", "--install", "--check"]) {
        Some((Some(2), why)) => println!("skipped, the SDK could not be fetched: {why}"),
        Some((code, text)) => {
            println!("{text}");
            assert_eq!(code, Some(0), "{text}");
        }
        None => {}
    }
}
