//! The command line: help, exit codes, what is wrong with arguments.

use crate::issuer::Issuer;
use crate::running::{binary, configuration, folder};
use serde_json::json;
use std::process::Output;

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = binary().args(arguments).current_dir(folder()).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn help_says_what_each_command_does() {
    let (code, help) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for part in [
        "Usage: databricks-kong revocations <COMMAND>",
        "serve",
        "check",
        "add",
        "remove",
        "list",
        "Examples:",
        "Exit codes:",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    let (code, help) = run(&["add", "--help"]);
    assert_eq!(code, Some(0));
    for part in ["--provider <NAME>", "--before <TIME>", "--until <TIME>", "subject, token, client, session, everyone"]
    {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn wrong_arguments_end_with_1_and_a_wrong_configuration_with_3() {
    for arguments in [
        &[][..],
        &["serv"],
        &["add"],
        &["add", "--provider", "idp", "subject"],
        &["add", "--provider", "idp", "user", "x"],
    ] {
        assert_eq!(run(arguments).0, Some(1), "{arguments:?}");
    }
    let (code, said) = run(&["serve"]);
    assert_eq!(code, Some(3));
    assert!(said.contains("revocations.yml: cannot be read"), "{said}");
}

#[tokio::test]
async fn an_administrators_arguments_are_checked() {
    let issuer = Issuer::start().await;
    let folder = folder();
    let path = folder.join("revocations.yml");
    std::fs::write(&path, configuration(&issuer, "x.db").to_string()).unwrap();
    let path = path.to_str().unwrap();
    let add = |rest: &[&str]| {
        let output = binary().args(["add", "--config", path]).args(rest).env("TEST_ADMIN", "x").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (rest, reason) in [
        (&["--provider", "other", "subject", "x"][..], "known are `idp`"),
        (&["--provider", "idp", "everyone", "x"], "`everyone` takes no value"),
        (&["--provider", "idp", "token", "x", "--before", "now"], "leave `before` out"),
        (&["--provider", "idp", "subject", "x", "--before", "yesterday"], "must be `now`, or a time like"),
        (&["--provider", "idp", "subject", "x", "--until", "2020-01-01T00:00:00Z"], "in the past"),
    ] {
        let (code, said) = add(rest);
        assert_eq!(code, Some(1), "{rest:?}");
        assert!(said.contains(reason), "{rest:?}: {said}");
    }
    assert_eq!(add(&["--provider", "idp", "everyone", "--before", "now"]).0, Some(0));
}

#[tokio::test]
async fn check_says_what_is_odd() {
    let issuer = Issuer::start().await;
    let folder = folder();
    let mut config = configuration(&issuer, "x.db");
    config["identity_providers"][0]["claims"] = json!({"subject": "sub"});
    config["identity_providers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "idle", "issuer": "https://idle.example", "audiences": ["d"]}));
    config["sources"][0]["cut_off"] = json!("session");
    config["sources"][1]["subject_formats"] = json!(["email"]);
    config["admin"]["secret"] = json!("plain");
    std::fs::write(folder.join("r.yml"), config.to_string()).unwrap();
    let output = binary().args(["check", "--config", "r.yml"]).current_dir(&folder).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for part in [
        "no source tells of revocations at `idle`",
        "`events` takes subjects as email, and gateways know the callers of `idp` by `sub`",
        "`logout` cuts off sessions only",
        "/admin/secret: is a secret in plain text",
        "identity providers: 2, sources: 2, warnings: 4",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
