//! `databricks-kong revocations` is another program, which takes over arguments, signals and exit code.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with the tool in it, and beside it what stands for the service.
fn installed(name: &str, service: Option<&str>) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let tool = folder.join("databricks-kong");
    std::fs::copy(env!("CARGO_BIN_EXE_databricks-kong"), &tool).unwrap();
    let beside = folder.join("databricks-kong-revocations");
    if let Some(script) = service {
        std::fs::write(&beside, script).unwrap();
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    tool
}

fn run(tool: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(tool).args(arguments).env("PATH", "/usr/bin:/bin").output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn arguments_and_exit_code_are_the_services() {
    let tool = installed("with-service", Some("#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 7\n"));
    for arguments in [
        &["serve", "--config", "a b.yml"][..],
        &["--help"],
        &["-h"],
        &["add", "--help"],
        &["list", "--format", "json"],
        &["add", "--", "-x"],
    ] {
        let all: Vec<_> = std::iter::once("revocations").chain(arguments.iter().copied()).collect();
        let handed_on: String = arguments.iter().map(|argument| format!("<{argument}>")).collect();
        assert_eq!(run(&tool, &all), (Some(7), handed_on), "{arguments:?}");
    }
}

#[test]
fn without_the_service_it_says_what_to_do() {
    let tool = installed("without-service", None);
    let (code, said) = run(&tool, &["revocations", "serve"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("`databricks-kong-revocations` cannot be run"), "{said}");
    assert!(said.contains("beside `databricks-kong` or on the PATH"), "{said}");
}
