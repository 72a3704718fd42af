//! Rules that name the tools of MCP servers.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::sim::Client;
use serde_json::{Value, json};

const SERVER: &str = "/api/2.0/mcp/sql";

fn at_server(method: &str, token: &str) -> Client {
    Client { method: method.to_owned(), target: SERVER.as_bytes().to_vec(), ..get(token) }
}

fn post(token: &str, body: &str) -> Client {
    Client { body: Some(Secret::new(body.into())), ..at_server("POST", token) }
}

fn stage(rules: Value) -> (Stage, String) {
    let mut role = role(json!({"type": "passthrough"}));
    for (key, rules) in rules.as_object().unwrap() {
        role[key] = rules.clone();
    }
    let mut stage = Stage::warm(config(json!({"roles": [role], "limits": {"body_bytes": 1024}})));
    let anna = stage.token("anna");
    (stage, anna)
}

fn call(tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": {"query": "x"}}})
        .to_string()
}

fn message(method: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": {"name": "read", "uri": "x"}}).to_string()
}

/// What a client needs to find tools, and one tool to call.
fn one_tool() -> (Stage, String) {
    stage(json!({"allow": [
        {"operations": ["mcp.sql"], "resources": {"mcp_method": ["initialize", "notifications/*", "tools/list"]}},
        {"operations": ["mcp.sql"], "resources": {"mcp_server": ["sql"], "mcp_tool": ["read"]}},
    ]}))
}

#[test]
fn who_may_call_one_tool_calls_no_other_and_does_nothing_else_at_its_server() {
    for (body, end) in [
        (message("initialize"), "forward Bearer <anna>"),
        (message("notifications/initialized"), "forward Bearer <anna>"),
        (message("tools/list"), "forward Bearer <anna>"),
        (call("read"), "forward Bearer <anna>"),
        (call("write"), "403 NO_RULE"),
        (call("Read"), "403 NO_RULE"),
        (message("resources/read"), "403 NO_RULE"),
        (message("prompts/get"), "403 NO_RULE"),
        // an answer to a question of the server's
        (json!({"jsonrpc": "2.0", "id": 7, "result": {}}).to_string(), "403 NO_RULE"),
        ("{}".to_owned(), "403 NO_RULE"),
        (String::new(), "403 NO_RULE"),
    ] {
        let (mut stage, anna) = one_tool();
        check(&stage.send(&post(&anna, &body)), "", end);
    }
    for method in ["GET", "DELETE"] {
        let (mut stage, anna) = one_tool();
        check(&stage.send(&at_server(method, &anna)), "", "403 NO_RULE");
    }
}

/// Both where a rule allows by the tool and where one denies by it.
#[test]
fn a_message_that_two_servers_could_read_differently_is_refused() {
    let deny = || {
        let deny = json!([{"operations": ["mcp.*"], "resources": {"mcp_tool": ["write"]}}]);
        stage(json!({"allow": [{"operations": ["mcp.*"]}], "deny": deny}))
    };
    for (body, end) in [
        (format!("[{}]", call("read")), "400 BODY_UNREADABLE"),
        (format!("[{},{}]", call("read"), call("write")), "400 BODY_UNREADABLE"),
        (call("read").replacen('{', "", 1), "400 BODY_UNREADABLE"),
        (format!("{}{}", call("read"), call("write")), "400 BODY_UNREADABLE"),
        (call("read").replace(r#""id":7"#, r#""method":"tools/list""#), "400 BODY_UNREADABLE"),
        (call("read").replace(r#""name":"read""#, r#""name":"read","name":"write""#), "400 BODY_UNREADABLE"),
        (call("read").replace(r#""name":"read""#, r#""name":"read","NAME":"write""#), "400 REQUEST_AMBIGUOUS"),
        (call("read").replace(r#""id":7"#, r#""Method":"tools/call""#), "400 REQUEST_AMBIGUOUS"),
        (call("read").replace(r#""name":"read""#, r#""name":["read"]"#), "400 REQUEST_AMBIGUOUS"),
        (call("read").replace(r#""name":"read""#, r#""tool":"read""#), "400 REQUEST_AMBIGUOUS"),
        (call(&"x".repeat(1024)), "413 BODY_TOO_LARGE"),
    ] {
        for (mut stage, anna) in [one_tool(), deny()] {
            check(&stage.send(&post(&anna, &body)), "", end);
        }
    }
    for (body, end) in [
        (call("read"), "forward Bearer <anna>"),
        (call("write"), "403 RULE_DENIED"),
        (call("write").replace("tools/call", "Tools/Call"), "403 RULE_DENIED"),
        (message("tools/list"), "forward Bearer <anna>"),
    ] {
        let (mut stage, anna) = deny();
        check(&stage.send(&post(&anna, &body)), "", end);
    }
}

/// Clients say method and tool again in headers, for whoever does not read the message.
#[test]
fn headers_that_name_another_tool_than_the_message_are_refused() {
    for (headers, end) in [
        (&[("Mcp-Method", "tools/call"), ("Mcp-Name", "read")][..], "forward Bearer <anna>"),
        (&[("mcp-name", "=?base64?cmVhZA==?=")], "forward Bearer <anna>"),
        (&[("Mcp-Name", "write")], "400 REQUEST_AMBIGUOUS"),
        (&[("Mcp-Name", "READ")], "400 REQUEST_AMBIGUOUS"),
        (&[("Mcp-Name", "read"), ("Mcp-Name", "write")], "400 REQUEST_AMBIGUOUS"),
        (&[("Mcp-Name", "read, write")], "400 REQUEST_AMBIGUOUS"),
        (&[("Mcp-Name", "=?base64?d3JpdGU=?=")], "400 REQUEST_AMBIGUOUS"),
        (&[("Mcp-Name", "=?base64?cmVhZA?=")], "400 REQUEST_AMBIGUOUS"),
        (&[("Mcp-Name", "")], "400 REQUEST_AMBIGUOUS"),
        (&[("Mcp-Method", "tools/list")], "400 REQUEST_AMBIGUOUS"),
    ] {
        let (mut stage, anna) = one_tool();
        let mut client = post(&anna, &call("read"));
        client
            .headers
            .extend(headers.iter().map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned()))));
        check(&stage.send(&client), "", end);
    }
}

#[test]
fn a_member_that_no_message_of_json_rpc_has_is_refused_where_the_tool_decides() {
    let (mut stage, anna) = one_tool();
    let odd = call("read").replace(r#""id":7"#, r#""id":7,"batch":[]"#);
    check(&stage.send(&post(&anna, &odd)), "", "400 REQUEST_AMBIGUOUS");
}

#[test]
fn where_no_rule_names_a_tool_nothing_is_read() {
    let (mut stage, anna) =
        stage(json!({"allow": [{"operations": ["mcp.sql"], "resources": {"mcp_server": ["sql"]}}]}));
    check(&stage.send(&post(&anna, &format!("[{}]", call(&"x".repeat(4096))))), "", "forward Bearer <anna>");
}

#[test]
fn the_record_of_a_call_names_the_tool() {
    let (mut stage, anna) = one_tool();
    let transcript = stage.send(&post(&anna, &call("write")));
    let record: Value = serde_json::from_str(&transcript.record.unwrap().to_json()).unwrap();
    assert_eq!(
        record["resources"],
        json!({"mcp_server": ["sql"], "mcp_method": ["tools/call"], "mcp_tool": ["write"]})
    );
}
