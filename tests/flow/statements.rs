//! Rules about SQL statements and tables.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::sim::{Client, Transcript};
use serde_json::{Value, json};

const WAREHOUSE: &str = "a7066a8ef796be84";

/// Engineers with these rules, and nothing kept from a request before.
fn stage(allow: Value, deny: Value) -> (Stage, String) {
    let mut role = role(json!({"type": "user_federation"}));
    role["allow"] = allow;
    role["deny"] = deny;
    let mut stage = Stage::warm(config(json!({"roles": [role]})));
    let anna = stage.token("anna");
    (stage, anna)
}

fn analysts() -> (Stage, String) {
    let execute = json!({
        "operations": ["statement_execution.execute_statement"],
        "resources": {"warehouse": [WAREHOUSE], "table": ["Main.Sales.*"]},
        "sql": ["select"],
    });
    stage(json!([execute]), json!([]))
}

fn execute(token: &str, body: Value) -> Client {
    let mut all = json!({"warehouse_id": WAREHOUSE, "catalog": "main", "schema": "sales"});
    for (name, value) in body.as_object().unwrap() {
        all[name] = value.clone();
    }
    let body = Some(Secret::new(all.to_string().into_bytes()));
    Client { method: "POST".to_owned(), target: b"/api/2.0/sql/statements".to_vec(), body, ..get(token) }
}

fn run(stage: &mut Stage, token: &str, statement: &str) -> Transcript {
    stage.send(&execute(token, json!({"statement": statement})))
}

#[test]
fn statements_of_the_class_on_the_tables_go_on() {
    let (mut stage, anna) = analysts();
    check(&run(&mut stage, &anna, "SELECT * FROM orders"), "token", "forward Bearer <dbx-1>");
    for statement in [
        "select count(*) from MAIN.sales.Orders o join `main`.`sales`.items using (id)",
        "WITH recent AS (SELECT * FROM orders) SELECT * FROM recent",
        "SELECT 1",
        "SELECT 1; SELECT * FROM orders;",
        "SELECT * FROM orders -- FROM main.hr.people",
        "SELECT 'DROP TABLE main.hr.people'",
    ] {
        check(&run(&mut stage, &anna, statement), "", "forward Bearer <dbx-1>");
    }
}

#[test]
fn other_classes_other_tables_and_what_is_not_understood_do_not() {
    let (mut stage, anna) = analysts();
    for statement in [
        "SELECT * FROM main.hr.people",
        "SELECT * FROM orders WHERE id IN (SELECT id FROM hr.people)",
        "WITH p AS (SELECT * FROM main.hr.people) SELECT * FROM p",
        "INSERT INTO orders VALUES (1)",
        "DROP TABLE orders",
        "GRANT SELECT ON TABLE orders TO `x`",
        "SELECT 1; DROP TABLE orders",
        "EXECUTE IMMEDIATE 'SELECT 1'",
        "SELECT * FROM IDENTIFIER(:t)",
        "SELECT * FROM read_files('/Volumes/x')",
        "SELECT * FROM delta.`abfss://x`",
        "SELECT secret('scope', 'key')",
        "SELECT ' FROM orders",
        "SELECT * FROM orders /* ",
        "USE main.hr; SELECT * FROM people",
        "",
        "nonsense",
    ] {
        check(&run(&mut stage, &anna, statement), "", "403 NO_RULE");
    }
}

#[test]
fn names_are_completed_by_the_request_and_not_in_a_session_that_lasts() {
    let (mut stage, anna) = analysts();
    let statement = "SELECT * FROM orders";
    let mut end = |more: Value| {
        let mut body = json!({ "statement": statement });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ended(&stage.send(&execute(&anna, body)))
    };
    assert_eq!(end(json!({"schema": "hr"})), "403 NO_RULE");
    assert_eq!(end(json!({"catalog": null})), "403 NO_RULE");
    assert_eq!(end(json!({"schema": null})), "403 NO_RULE");
    assert_eq!(end(json!({"session_id": "s"})), "403 NO_RULE");
    assert_eq!(end(json!({})), "forward Bearer <dbx-1>");
}

#[test]
fn a_second_spelling_of_the_statement_is_ambiguous() {
    let (mut stage, anna) = analysts();
    for name in ["Statement", "STATEMENT", "state_ment", "Schema"] {
        let body = json!({"statement": "SELECT 1", name: "DROP TABLE orders"});
        check(&stage.send(&execute(&anna, body)), "", "400 REQUEST_AMBIGUOUS");
    }
}

#[test]
fn a_deny_of_a_table_holds_for_whatever_may_touch_it() {
    let everything = json!([{"operations": ["*"]}]);
    let (mut stage, anna) = stage(everything, json!([{"operations": ["*"], "resources": {"table": ["main.hr.*"]}}]));
    for statement in [
        "SELECT * FROM hr.people",
        "DROP SCHEMA main.hr CASCADE",
        "SELECT * FROM read_files('/x')",
        "EXECUTE IMMEDIATE 'SELECT 1'",
        "nonsense",
    ] {
        check(&run(&mut stage, &anna, statement), "", "403 RULE_DENIED");
    }
    check(&run(&mut stage, &anna, "SELECT * FROM orders"), "token", "forward Bearer <dbx-1>");
    check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
}

#[test]
fn a_deny_of_a_class_holds_for_each_of_several_statements() {
    let everything = json!([{"operations": ["*"]}]);
    let deny = json!([{"operations": ["statement_execution.*"], "sql": ["ddl", "grant"]}]);
    let (mut stage, anna) = stage(everything, deny);
    for statement in ["DROP TABLE orders", "SELECT 1; DROP TABLE orders", "BEGIN DROP TABLE orders; END"] {
        check(&run(&mut stage, &anna, statement), "", "403 RULE_DENIED");
    }
    check(&run(&mut stage, &anna, "SELECT 1; DELETE FROM orders"), "token", "forward Bearer <dbx-1>");
    // without a text there is no class
    let status = client("GET", "/api/2.0/sql/statements/s-1", &[("Authorization", &format!("Bearer {anna}"))]);
    check(&stage.send(&status), "", "forward Bearer <dbx-1>");
}

#[test]
fn a_rule_about_sql_never_means_thrift() {
    let allow = json!([{"operations": ["*"], "sql": ["select", "dml", "ddl", "grant", "other"]}]);
    let (mut stage, anna) = stage(allow, json!([]));
    let target = format!("/sql/1.0/warehouses/{WAREHOUSE}");
    let thrift = Client {
        method: "POST".to_owned(),
        target: target.into_bytes(),
        body: Some(Secret::new(b"\x80\x01".to_vec())),
        ..get(&anna)
    };
    check(&stage.send(&thrift), "", "403 NO_RULE");
    check(&run(&mut stage, &anna, "SELECT 1"), "token", "forward Bearer <dbx-1>");
}
