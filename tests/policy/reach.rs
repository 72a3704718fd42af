//! What a request reaches that it does not name: what stands below a folder, what a schema holds, all jobs, the job of a run, what SQL that
//! is kept would touch. A rule that denies by these refuses it; a rule that allows by something else does not come to allow it.

use crate::answer::Answer;
use crate::caller::{NOW, config, verified};
use databricks_kong::databricks::Target;
use databricks_kong::policy::{Action, Ask, Body, authorize};
use serde_json::{Value, json};

/// What becomes of a request, `METHOD target` with a body, under these rules.
fn ends(rules: &Value, request: &str, body: &Value) -> String {
    let mut role = json!({
        "name": "user", "match": {}, "credential": {"type": "service_principal_secret", "client_id": "user", "client_secret": "x"},
    });
    for (key, value) in rules.as_object().unwrap() {
        role[key] = value.clone();
    }
    let config = config("enforce", &json!([role]), &json!([]));
    let caller = verified(&json!({"sub": "anna"}));
    let (method, target) = request.split_once(' ').unwrap();
    let target = Target::parse(target.as_bytes()).unwrap();
    let body = body.as_object().map_or(Body::Absent, Body::Json);
    let action = Action::new(method, &target, &[], body);
    let provider = &config.providers[0].name;
    let ask = Ask { caller: &caller, provider, requested_role: None, action: &action, now: NOW };
    Answer::of(&authorize(&config.policy, &ask)).to_string()
}

const PERMIT: [&str; 3] = ["run_as", "access_control_list", "owner"];
const SENSITIVE: [&str; 5] = [
    "grants.update",
    "serving_endpoints.update_permissions",
    "iceberg.write",
    "workspace_bindings.update",
    "shares.update",
];

/// Everything but what names this.
fn all_but(kind: &str, id: &str) -> Value {
    let mut operations = vec!["*"];
    operations.extend(SENSITIVE);
    json!({
        "allow": [{"operations": operations, "permit": PERMIT}],
        "deny": [{"operations": ["*"], "resources": {kind: [id]}}],
    })
}

/// Nothing but what names this.
fn only(kind: &str, id: &str) -> Value {
    json!({"allow": [{"operations": ["*"], "resources": {kind: [id]}, "permit": PERMIT}]})
}

#[track_caller]
fn assert_denied(kind: &str, id: &str, requests: &[(&str, Value)]) {
    for (request, body) in requests {
        assert_eq!(ends(&all_but(kind, id), request, body), "refused: RULE_DENIED", "{request} {body}");
    }
}

#[track_caller]
fn assert_goes_on(rules: &Value, requests: &[(&str, Value)]) {
    for (request, body) in requests {
        assert_eq!(ends(rules, request, body), "goes on as user", "{request} {body}");
    }
}

const DELETE: &str = "POST /api/2.0/workspace/delete";

#[test]
fn what_is_done_to_a_folder_is_done_to_what_stands_below_it() {
    let below = "/Shared/prod/*";
    assert_denied(
        "path",
        below,
        &[
            (DELETE, json!({"path": "/Shared", "recursive": true})),
            (DELETE, json!({"path": "/Shared/prod", "recursive": true})),
            (DELETE, json!({"path": "/Workspace/Shared/", "recursive": true})),
            (DELETE, json!({"path": "/", "recursive": true})),
            ("GET /api/2.0/workspace/export?path=/Shared&format=DBC", Value::Null),
            ("GET /api/2.0/workspace/export?path=/Shared/prod", Value::Null),
            ("POST /api/2.0/workspace/import", json!({"path": "/Shared", "format": "DBC"})),
            ("POST /api/2.0/apps/a/deployments", json!({"source_code_path": "/Workspace/Shared"})),
            ("DELETE /api/2.0/repos/7", Value::Null),
            ("PATCH /api/2.0/repos/7", json!({"branch": "main"})),
            ("POST /api/2.0/pipelines", json!({"libraries": [{"glob": {"include": "/Shared/**"}}]})),
        ],
    );
    assert_goes_on(
        &all_but("path", below),
        &[
            (DELETE, json!({"path": "/Shared/production", "recursive": true})),
            (DELETE, json!({"path": "/Shared/dev", "recursive": true})),
            ("GET /api/2.0/workspace/export?path=/Shared/dev/notebook", Value::Null),
            ("GET /api/2.0/workspace/list?path=/Shared", Value::Null),
            ("POST /api/2.0/workspace/mkdirs", json!({"path": "/Shared"})),
            ("POST /api/2.0/lakeview/dashboards", json!({"display_name": "x", "parent_path": "/Shared"})),
            ("POST /api/2.0/pipelines", json!({"libraries": [{"glob": {"include": "/Shared/dev/**"}}]})),
        ],
    );
    let move_it = "POST /api/2.0/dbfs/move";
    assert_denied(
        "dbfs",
        "dbfs:/mnt/prod/*",
        &[
            ("POST /api/2.0/dbfs/delete", json!({"path": "dbfs:/mnt", "recursive": true})),
            ("POST /api/2.0/dbfs/delete", json!({"path": "/mnt/prod", "recursive": true})),
            (move_it, json!({"source_path": "/mnt", "destination_path": "/x"})),
        ],
    );
    assert_goes_on(
        &all_but("dbfs", "dbfs:/mnt/prod/*"),
        &[(move_it, json!({"source_path": "/mnt/dev", "destination_path": "/x"}))],
    );
}

#[test]
fn who_may_do_something_below_a_folder_may_not_do_it_to_the_folder() {
    for body in [
        json!({"path": "/Shared", "recursive": true}),
        json!({"path": "/Shared/team", "recursive": true}),
        json!({"path": "/", "recursive": true}),
        json!({"path": "/Shared/team*", "recursive": true}),
    ] {
        assert_eq!(ends(&only("path", "/Shared/team/*"), DELETE, &body), "refused: NO_RULE", "{body}");
    }
    assert_goes_on(&only("path", "/Shared/team/*"), &[(DELETE, json!({"path": "/Shared/team/x", "recursive": true}))]);
}

#[test]
fn what_is_done_to_a_catalog_a_schema_or_a_volume_is_done_to_what_it_holds() {
    let grant = json!({"changes": [{"principal": "x", "add": ["SELECT"]}]});
    for (kind, id) in
        [("table", "main.hr.people"), ("volume", "main.hr.*"), ("function", "main.hr.f"), ("model", "main.*")]
    {
        assert_denied(
            kind,
            id,
            &[
                ("DELETE /api/2.1/unity-catalog/schemas/main.hr?force=true", Value::Null),
                ("DELETE /api/2.1/unity-catalog/catalogs/Main?force=true", Value::Null),
                ("PATCH /api/2.1/unity-catalog/schemas/main.hr", json!({"new_name": "x"})),
                ("PATCH /api/2.1/unity-catalog/permissions/schema/main.hr", grant.clone()),
                ("PATCH /api/2.1/unity-catalog/permissions/CATALOG/main", grant.clone()),
                ("PATCH /api/2.1/unity-catalog/workspace-bindings/catalogs/main", json!({})),
                ("DELETE /api/2.1/unity-catalog/iceberg-rest/v1/catalogs/main/namespaces/hr", Value::Null),
            ],
        );
        assert_goes_on(
            &all_but(kind, id),
            &[
                ("DELETE /api/2.1/unity-catalog/catalogs/dev?force=true", Value::Null),
                ("DELETE /api/2.1/unity-catalog/schemas/dev.hr?force=true", Value::Null),
                ("GET /api/2.1/unity-catalog/schemas/main.hr", Value::Null),
                ("POST /api/2.1/unity-catalog/schemas", json!({"catalog_name": "main", "name": "new"})),
            ],
        );
    }
    assert_goes_on(
        &all_but("table", "main.hr.people"),
        &[("DELETE /api/2.1/unity-catalog/schemas/main.sales?force=true", Value::Null)],
    );
    assert_denied(
        "path",
        "/Volumes/main/hr/raw/*",
        &[
            ("DELETE /api/2.1/unity-catalog/volumes/main.hr.raw", Value::Null),
            ("DELETE /api/2.1/unity-catalog/schemas/main.hr?force=true", Value::Null),
        ],
    );
    assert_goes_on(
        &all_but("path", "/Volumes/main/hr/raw/*"),
        &[("DELETE /api/2.1/unity-catalog/volumes/main.hr.other", Value::Null)],
    );
}

#[test]
fn a_schema_is_shared_with_its_tables() {
    let share = |name: &str| json!({"updates": [{"action": "ADD", "data_object": {"name": name, "data_object_type": "SCHEMA"}}]});
    let update = "PATCH /api/2.1/unity-catalog/shares/s";
    assert_denied("table", "main.hr.people", &[(update, share("main.hr"))]);
    assert_goes_on(&all_but("table", "main.hr.people"), &[(update, share("main.sales"))]);
}

#[test]
fn what_a_list_is_narrowed_to_is_written_out_in_the_query() {
    let list = "GET /api/2.0/sql/history/queries";
    let two = format!("{list}?filter_by.warehouse_ids=dev&filter_by.warehouse_ids=prod");
    let other = format!("{list}?filter_by.warehouse_ids=dev");
    assert_denied("warehouse", "prod", &[(&format!("{list}?filter_by.warehouse_ids=prod"), Value::Null)]);
    assert_goes_on(&all_but("warehouse", "prod"), &[(&other, Value::Null), (list, Value::Null)]);
    assert_goes_on(&only("warehouse", "dev"), &[(&other, Value::Null)]);
    for rules in [only("warehouse", "dev"), all_but("warehouse", "prod")] {
        assert_ne!(ends(&rules, &two, &Value::Null), "goes on as user");
    }
}

#[test]
fn a_rule_set_of_an_account_names_whose_it_is() {
    let set = |principal: &str| format!("accounts/a/servicePrincipals/{principal}/ruleSets/default");
    let read = "GET /api/2.0/preview/accounts/access-control/rule-sets?etag=x&name=";
    assert_denied("service_principal", "9", &[(&format!("{read}{}", set("9")), Value::Null)]);
    assert_goes_on(&all_but("service_principal", "9"), &[(&format!("{read}{}", set("8")), Value::Null)]);
}

#[test]
fn all_queued_runs_are_those_of_every_job() {
    let cancel = "POST /api/2.2/jobs/runs/cancel-all";
    let all = [
        (cancel, json!({"all_queued_runs": true})),
        (cancel, json!({})),
        (cancel, json!({"job_id": null, "all_queued_runs": true})),
        (cancel, Value::Null),
    ];
    assert_denied("job", "101", &all);
    assert_denied("run", "7", &[(cancel, json!({"job_id": 101}))]);
    assert_goes_on(&all_but("job", "101"), &[(cancel, json!({"job_id": 102, "all_queued_runs": true}))]);
    for (request, body) in &all {
        for id in ["101", "*"] {
            assert_eq!(ends(&only("job", id), request, body), "refused: NO_RULE", "{body}");
        }
    }
    assert_goes_on(&only("job", "101"), &[(cancel, json!({"job_id": 101, "all_queued_runs": true}))]);
}

#[test]
fn a_run_may_be_of_any_job_and_of_any_experiment() {
    assert_denied(
        "job",
        "101",
        &[
            ("GET /api/2.2/jobs/runs/get?run_id=7", Value::Null),
            ("GET /api/2.2/jobs/runs/get-output?run_id=7", Value::Null),
            ("GET /api/2.2/jobs/runs/export?run_id=7", Value::Null),
            ("POST /api/2.2/jobs/runs/cancel", json!({"run_id": 7})),
            ("POST /api/2.2/jobs/runs/delete", json!({"run_id": 7})),
            ("POST /api/2.2/jobs/runs/repair", json!({"run_id": 7})),
        ],
    );
    let other = [("POST /api/2.2/jobs/run-now", json!({"job_id": 102})), ("GET /api/2.2/jobs/list", Value::Null)];
    assert_goes_on(&all_but("job", "101"), &other);
    assert_denied(
        "experiment",
        "17",
        &[
            ("POST /api/2.0/mlflow/runs/log-metric", json!({"run_id": "a0", "key": "k", "value": 1})),
            ("POST /api/2.0/mlflow/runs/delete", json!({"run_id": "a0"})),
            ("GET /api/2.0/mlflow/runs/get?run_id=a0", Value::Null),
            ("GET /api/2.0/mlflow/experiments/get-by-name?experiment_name=/Users/x/e", Value::Null),
            ("DELETE /api/2.0/mlflow/logged-models/m-1", Value::Null),
        ],
    );
    let create = "POST /api/2.0/mlflow/runs/create";
    assert_goes_on(&all_but("experiment", "17"), &[(create, json!({"experiment_id": "18"}))]);
    assert_denied(
        "experiment_name",
        "/Users/ceo/*",
        &[("POST /api/2.0/mlflow/experiments/delete", json!({"experiment_id": "18"}))],
    );
}

#[test]
fn permissions_that_go_by_another_id_than_the_name_may_be_anybodys() {
    let update = "PATCH /api/2.0/permissions/serving-endpoints/0123abcd";
    let body = json!({"access_control_list": []});
    assert_denied("serving_endpoint", "prod", &[(update, body.clone())]);
    assert_goes_on(&all_but("job", "101"), &[(update, body)]);
}

#[test]
fn sql_that_is_kept_touches_what_it_names() {
    let query =
        |text: &str| json!({"query": {"query_text": text, "catalog": "main", "schema": "sales", "warehouse_id": "w"}});
    let create = "POST /api/2.0/sql/queries";
    let alert = |text: &str| json!({"query_text": text, "warehouse_id": "w", "display_name": "x"});
    let function = |text: &str| json!({"function_info": {"catalog_name": "main", "schema_name": "sales", "name": "f", "routine_definition": text}});
    let monitor = |text: &str| json!({"assets_dir": "/x", "output_schema_name": "main.out", "slicing_exprs": [text]});
    assert_denied(
        "table",
        "main.hr.*",
        &[
            (create, query("SELECT * FROM main.hr.people")),
            (create, query("SELECT * FROM hr.people")),
            (create, query("SELECT f()")),
            (create, query("SELECT ' FROM x")),
            (create, query("SELECT * FROM read_files('s3://x')")),
            ("PATCH /api/2.0/sql/queries/0a", query("DROP SCHEMA main.hr")),
            ("POST /api/2.0/alerts", alert("SELECT * FROM main.hr.people")),
            ("POST /api/2.0/alerts", alert("SELECT * FROM people")),
            ("POST /api/2.1/unity-catalog/functions", function("SELECT * FROM main.hr.people")),
            ("POST /api/2.1/unity-catalog/functions", function("(SELECT max(id) FROM main.hr.people)")),
            ("POST /api/2.0/lakeview/dashboards", json!({"serialized_dashboard": "{}"})),
            ("POST /api/2.0/genie/spaces", json!({"serialized_space": "{}", "warehouse_id": "w"})),
            ("POST /api/2.1/unity-catalog/tables/main.out.t/monitor", monitor("id IN (SELECT id FROM main.hr.people)")),
        ],
    );
    assert_goes_on(
        &all_but("table", "main.hr.*"),
        &[
            (create, query("SELECT * FROM main.sales.orders")),
            (create, query("SELECT * FROM orders")),
            (create, query("")),
            ("POST /api/2.0/alerts", alert("SELECT * FROM main.sales.orders")),
            ("POST /api/2.1/unity-catalog/functions", function("x + 1")),
            ("POST /api/2.0/lakeview/dashboards", json!({"display_name": "x"})),
            ("POST /api/2.1/unity-catalog/tables/main.out.t/monitor", monitor("price > 7")),
        ],
    );
    assert_denied("secret_scope", "prod", &[(create, query("SELECT secret('prod', 'k')"))]);
    assert_denied("path", "/Volumes/a/b/c/*", &[(create, query("SELECT * FROM csv.`/Volumes/a/b/c/x`"))]);
    assert_denied("path", "/Volumes/a/b/c/*", &[(create, query("SELECT * FROM csv.`/Volumes/a/b/c/*`"))]);
}

#[test]
fn sql_that_is_kept_is_allowed_by_what_it_names_and_by_nothing_else() {
    let query = |text: &str| json!({"query": {"query_text": text, "catalog": "main", "schema": "sales"}});
    let create = "POST /api/2.0/sql/queries";
    for (text, allowed) in [
        ("SELECT * FROM main.sales.t", true),
        ("SELECT * FROM t", true),
        ("SELECT * FROM main.sales.t JOIN main.hr.people", false),
        ("SELECT secret('a', 'b') FROM main.sales.t", false),
        ("SELECT f() FROM main.sales.t", false),
        ("SELECT ' FROM x", false),
        ("SELECT 1", false),
        ("", false),
    ] {
        let expected = if allowed { "goes on as user" } else { "refused: NO_RULE" };
        assert_eq!(ends(&only("table", "main.sales.*"), create, &query(text)), expected, "{text}");
    }
}

#[test]
fn a_path_and_a_body_name_the_same() {
    for (request, kind, id, body) in [
        ("POST /api/2.0/pipelines/dev/stop", "pipeline", "dev", json!({"pipeline_id": "prod"})),
        ("POST /api/2.0/pipelines/dev/stop", "pipeline", "dev", json!({"pipelineId": "prod"})),
        ("DELETE /api/2.0/pipelines/dev", "pipeline", "dev", json!({"pipeline_id": "prod"})),
        ("POST /api/2.0/sql/warehouses/dev/start", "warehouse", "dev", json!({"id": "prod"})),
        ("DELETE /api/2.1/unity-catalog/tables/a.b.c", "table", "a.b.c", json!({"full_name": "a.b.d"})),
        ("DELETE /api/2.1/unity-catalog/tables/a.b.c", "schema", "a.b", json!({"full_name": "x.b.d"})),
        ("POST /api/2.0/apps/dev/stop", "app", "dev", json!({"name": "prod"})),
        ("PUT /api/2.0/serving-endpoints/dev/config", "serving_endpoint", "dev", json!({"name": "prod"})),
        ("DELETE /api/2.0/lakeview/dashboards/dev", "dashboard", "dev", json!({"dashboard_id": ["prod"]})),
    ] {
        for rules in [only(kind, id), all_but(kind, "prod")] {
            assert_eq!(ends(&rules, request, &body), "unclear", "{request} {body}");
        }
    }
    assert_goes_on(
        &only("pipeline", "dev"),
        &[
            ("POST /api/2.0/pipelines/dev/stop", json!({"pipeline_id": "dev"})),
            ("POST /api/2.0/pipelines/dev/stop", json!({})),
            ("POST /api/2.0/pipelines/dev/stop", Value::Null),
        ],
    );
}
