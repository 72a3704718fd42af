//! The examples are what users copy: each is accepted, has tests, and passes them.

use crate::run;
use std::path::Path;

fn directories() -> Vec<std::path::PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let paths = std::fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path());
    let mut directories: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    directories.sort();
    directories
}

#[test]
fn all_examples_pass_their_tests() {
    let ran = run(&["test", "examples", "--format", "json"]);
    let summary = ran.json();
    assert_eq!((ran.exit, &summary["failed"]), (0, &0.into()), "{summary:#}");
    for directory in directories() {
        let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(directory.join("kong.yml").is_file(), "{name} has a kong.yml");
        let tests = summary["tests"].as_array().unwrap().iter();
        let own = tests.filter(|test| test["file"].as_str().unwrap().contains(&format!("/{name}/"))).count();
        assert!(own >= 9, "{name} has {own} tests");
    }
}

#[test]
fn every_example_has_requests_that_are_allowed_and_requests_that_are_refused() {
    for directory in directories() {
        let text = std::fs::read_to_string(directory.join("policy-tests.yaml")).unwrap();
        for decision in ["decision: allow", "decision: deny"] {
            assert!(text.matches(decision).count() >= 3, "{decision} in {}", directory.display());
        }
        // a refusal without its reason could be for another one than was meant
        for refused in text.lines().filter(|line| line.contains("decision: deny")) {
            assert!(refused.contains("reason: "), "{refused}");
        }
    }
}
