use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// Starts the command with a state file of its own and reads the line that it prints.
fn start(name: &str, flags: &[&str]) -> (Child, Value) {
    let state = json!({ "workspace_id": "1", "account_id": "a", "host": "h" });
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    std::fs::write(&file, state.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-databricks"));
    command.arg("--state").arg(file).args(flags).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

#[test]
fn says_where_it_listens_and_ends_on_sigterm() {
    let (mut child, line) = start("sigterm", &[]);
    for name in ["url", "admin_url"] {
        assert!(line[name].as_str().unwrap().starts_with("http://127.0.0.1:"), "{line}");
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn ends_with_its_standard_input_if_asked_to() {
    let (mut child, _) = start("stdin", &["--exit-with-stdin"]);
    assert_eq!(child.try_wait().unwrap(), None);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn does_not_start_without_sense() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nonsense.json");
    std::fs::write(&file, r#"{ "workspace_id": "1", "account_id": "a", "host": "h", "userz": {} }"#).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_mock-databricks")).arg("--state").arg(file).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("unknown field `userz`"));
}
