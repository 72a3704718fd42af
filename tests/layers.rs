//! Which module may import which: `base <- jwt, databricks <- policy, revocation <- exchange <- audit <- config <- flow <- the shells`.
//!
//! A module imports only from the left, so that what decides can be read, tested and run without what runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules of one row do not know each other; every row may know those above it.
const LAYERS: [&[&str]; 8] = [
    &["base"],
    &["jwt", "databricks"],
    &["policy", "revocation"],
    &["exchange"],
    &["audit"],
    &["config"],
    &["flow"],
    &["sim", "wasm", "ffi"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules of this crate that a source names, tests at its end not among them.
fn imports(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let named = lines.flat_map(|line| line.split("crate::").skip(1));
    named
        .map(|rest| rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or(""))
        .collect()
}

/// What a file of `module` imports that it must not.
fn wrong(module: &str, source: &str) -> Vec<String> {
    let own = layer(module);
    let is_wrong = |name: &&str| *name != module && layer(name).is_none_or(|other| own.is_none_or(|own| own <= other));
    imports(source).into_iter().filter(is_wrong).map(|name| format!("{module} imports {name}")).collect()
}

#[test]
fn every_module_imports_from_the_left_only() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    let mut failures = Vec::new();
    let mut seen = 0;
    for path in found {
        let inner = path.strip_prefix(&source).unwrap();
        let first = inner.iter().next().unwrap().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        if matches!(module, "lib" | "bin") {
            continue;
        }
        seen += 1;
        let problems = wrong(module, &fs::read_to_string(&path).unwrap());
        failures.extend(problems.into_iter().map(|problem| format!("{}: {problem}", inner.display())));
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(seen > 80, "{seen} files");
}

#[test]
fn an_import_from_the_right_or_from_beside_is_noticed() {
    for (module, line) in [
        ("base", "use crate::jwt::Caller;"),
        ("jwt", "use crate::databricks::Target;"),
        ("policy", "    crate::flow::Flow"),
        ("odd", "use crate::base::Url;"),
    ] {
        assert_eq!(wrong(module, line).len(), 1, "{module} {line}");
    }
    for line in [
        "use crate::base::Url;",
        "use crate::policy::{Permit, Role};",
        "// crate::flow",
        "#[cfg(test)] use crate::sim::Sim;",
    ] {
        assert_eq!(wrong("policy", line), [""; 0], "{line}");
    }
}
