//! How long `databricks-kong check` takes, and how that grows with the file: 2,000 roles and 20,000 roles of 2 to 5 rules each.
//!
//! `cargo bench --bench check --features cli`. Both files are checked in turns in one run, so that their ratio does not depend on the
//! machine: 10 is what a time that is linear comes to.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark may fail loudly, and prints its numbers"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;

/// A kong.yml of so many roles, each for a team.
fn kong(roles: usize) -> String {
    let mut text = String::from(
        "_format_version: \"3.0\"\nservices:\n- name: databricks\n  url: https://adb-7405619408829168.8.azuredatabricks.net\n  retries: 0\n  \
         routes:\n  - name: all\n    hosts: [databricks.gw.example.com]\n    paths: [\"/\"]\n    strip_path: false\n    filter_chains:\n    \
         - filters:\n      - name: databricks_kong\n        config:\n          workspace:\n            \
         url: https://adb-7405619408829168.8.azuredatabricks.net\n            id: \"7405619408829168\"\n          \
         identity_providers:\n          - {name: okta, issuer: https://example.okta.com/oauth2/default, audiences: [databricks]}\n          \
         roles:\n",
    );
    for number in 0..roles {
        let _ = write!(
            text,
            "          - name: team-{number}\n            match:\n              groups: [team-{number}-eng, \"team-{number}-ops\"]\n            \
             credential:\n              type: user_federation\n              scope: minimal\n            allow:\n            \
             - operations: [jobs.run_now, jobs.get, jobs.list_runs]\n              resources: {{job: [\"{number}\", \"{}\"]}}\n            \
             - operations: [jobs.list, clusters.list]\n",
            number + 100_000,
        );
        let more = [
            format!(
                "            - operations: [clusters.get, clusters.start]\n              resources: {{cluster: [\"0923-{number}-*\"]}}\n"
            ),
            format!(
                "            - operations: [statement_execution.execute_statement]\n              resources: {{warehouse: [w{number}], \
                 table: [\"main.team_{number}.*\"]}}\n              sql: [select]\n"
            ),
            "            deny:\n            - operations: [\"*.delete*\"]\n".to_owned(),
        ];
        more.iter().take(number % 4).for_each(|rule| text.push_str(rule));
    }
    text.push_str("      - {name: databricks_kong, config: {mode: guard}}\n");
    text
}

fn check(file: &Path) -> Duration {
    let start = Instant::now();
    let output =
        Command::new(env!("CARGO_BIN_EXE_databricks-kong")).arg("check").arg(file).output().expect("it is built");
    let time = start.elapsed();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 configuration") || said.contains("2 configurations: 0 errors"), "{said}");
    time
}

fn main() {
    let files: [PathBuf; 2] = [2_000, 20_000].map(|roles| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("roles-{roles}.yml"));
        std::fs::write(&file, kong(roles)).expect("the directory is there");
        file
    });
    // the fastest of several: nothing makes a program faster than it is
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (file, best) in files.iter().zip(&mut best) {
            *best = check(file).min(*best);
        }
    }
    let [small, large] = best.map(|time| time.as_secs_f64());
    println!("check   2,000 roles {small:.2} s   20,000 roles {large:.2} s   ratio {:.1}", large / small);
}
