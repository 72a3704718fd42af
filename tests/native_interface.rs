//! The C header and the Lua declarations of the native plugin's library are those that its functions are made from.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use databricks_kong::ffi::interface;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const HEADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kong/plugins/databricks_kong.h");
const LUA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kong/plugins/databricks-kong/interface.lua");

#[test]
fn the_committed_files_are_the_generated_ones() {
    for (path, generated) in [(LUA, interface::lua()), (HEADER, interface::header())] {
        if std::env::var_os("DATABRICKS_KONG_WRITE_SCHEMA").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == generated, "{path} is out of date: run `make schema`");
    }
}

/// What a C compiler makes of the header, without comments and with each declaration on a line.
fn declarations(text: &str) -> BTreeSet<String> {
    let is_declaration =
        |line: &&str| line.starts_with(|first: char| first.is_ascii_lowercase()) && line.ends_with(';');
    text.lines()
        .map(str::trim)
        .filter(is_declaration)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn lua_declares_what_the_header_declares() {
    let header = declarations(&std::fs::read_to_string(HEADER).unwrap());
    let lua = std::fs::read_to_string(LUA).unwrap();
    let cdef = lua.split_once("interface.cdef = [[").and_then(|(_, rest)| rest.split_once("]]")).unwrap().0;
    assert_eq!(declarations(cdef), header);
    assert!(header.iter().any(|line| line.starts_with("int32_t dk_on_headers(uint64_t request, const dk_head *head")));
}

#[test]
fn the_header_is_c() {
    let status = Command::new("cc")
        .args(["-std=c99", "-pedantic", "-Wall", "-Werror", "-fsyntax-only", "-x", "c"])
        .arg(Path::new(HEADER))
        .status();
    assert!(status.unwrap().success());
}
