//! `databricks-kong check`: everything that is wrong or odd about files in which the filter is configured.

use crate::capacity::{self, Capacity};
use crate::document::Document;
use crate::entries::{Entry, Kind, entries};
use crate::explain::{now, point_in_time};
use crate::findings::{Finding, Report, Severity, mask};
use crate::handbook;
use crate::hints;
use crate::lint::{self, Service, codes};
use crate::load_model::Fleet;
use crate::markers;
use crate::output::{self, Exit, Failure, Format, Style};
use clap::Args;
use databricks_kong::base::UnixTime;
use databricks_kong::config::{SET_ELSEWHERE, Settings};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Which files are checked, and how.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Declarative configurations of Kong, or bare configurations of the filter, as YAML or JSON; `-` is standard input
    #[arg(required_unless_present_any = ["kong_conf", "explain"])]
    files: Vec<String>,
    /// Kong's settings: a kong.conf, or a file of variables (`KONG_NAME=value`, a line each); may be given again
    #[arg(long, value_name = "FILE")]
    kong_conf: Vec<String>,
    /// The configuration of the revocation service whose feeds FILES read: says where they disagree
    #[arg(long, value_name = "FILE")]
    revocations: Option<String>,
    /// Warnings count as failures
    #[arg(long)]
    strict: bool,
    /// Takes `{env: NAME}` secrets from this process's environment; without it they count as set, as the gateway's environment is not here
    #[arg(long)]
    env: bool,
    /// Does not report warnings of this code, e.g. W002; may be given again. For one place write `# databricks-kong: allow W002 because …`
    /// into the file
    #[arg(long, value_name = "CODE", value_parser = warning)]
    allow: Vec<&'static str>,
    /// Prints what a finding means and what to do, e.g. W013, or `all`
    #[arg(long, value_name = "CODE", conflicts_with_all = ["files", "kong_conf"])]
    explain: Option<String>,
    /// Prints how often a fleet with each configuration asks Databricks and the identity providers: callers who are busy, nodes, workers of a
    /// node, and seconds that the providers' tokens live if it is not an hour, e.g. users=5000,nodes=8,workers=8,token_life=3600
    #[arg(long, value_name = "FLEET", value_parser = capacity::fleet)]
    capacity: Option<Fleet>,
    /// Check time-bound grants as of this time, e.g. 2026-11-01T00:00:00Z; the default is now
    #[arg(long, value_name = "RFC3339", value_parser = point_in_time)]
    now: Option<UnixTime>,
}

/// The process's environment, or what stands for it.
type Environment<'a> = dyn Fn(&str) -> Option<String> + Sync + 'a;

/// The code of a warning.
fn warning(code: &str) -> Result<&'static str, String> {
    markers::allowable(code).map(|kind| kind.code).map_err(|(message, help)| format!("{message}: {help}"))
}

pub(crate) fn run(arguments: &Arguments, format: Format, style: Style) -> Exit {
    if let Some(code) = &arguments.explain {
        return handbook::print_entry(code, format);
    }
    let service = match arguments.revocations.as_deref().map(read_service).transpose() {
        Ok(service) => service,
        Err(failure) => return failure.say(),
    };
    let mut reports = Vec::new();
    let mut failures = Vec::new();
    let mut configurations = 0_usize;
    let mut capacities = Vec::new();
    for path in &arguments.files {
        match check_file(path, service.as_ref(), arguments) {
            Ok((report, count, found)) => {
                configurations = configurations.saturating_add(count);
                reports.push(report);
                capacities.extend(found);
            }
            Err(failure) => failures.push(failure),
        }
    }
    for path in &arguments.kong_conf {
        match check_settings(path, arguments) {
            Ok(report) => reports.push(report),
            Err(failure) => failures.push(failure),
        }
    }
    let count = |severity| reports.iter().map(|report: &Report| report.count(severity)).sum::<usize>();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match format {
        Format::Human | Format::Junit => {
            for report in &reports {
                output::print(&report.human(style));
            }
            for capacity in &capacities {
                output::print(&capacity.human(style));
            }
            if failures.is_empty() {
                let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
                let allowed: usize = reports.iter().map(|report| report.allowed.len()).sum();
                let allowed = if allowed == 0 { String::new() } else { format!(", {allowed} allowed by the file") };
                output::print(&format!(
                    "{}: {errors}, {warnings}{allowed}\n",
                    counted(configurations, "configuration")
                ));
            }
        }
        Format::Json => {
            let findings: Vec<_> = reports.iter().flat_map(Report::json).collect();
            let allowed: Vec<_> = reports.iter().flat_map(Report::allowed_json).collect();
            let mut summary = json!({
                "findings": findings, "allowed": allowed, "configurations": configurations, "errors": errors, "warnings": warnings, "failures": failures,
            });
            if let Some(members) = summary.as_object_mut().filter(|_| arguments.capacity.is_some()) {
                members.insert("capacity".to_owned(), capacities.iter().map(Capacity::json).collect());
            }
            output::print(&format!("{summary:#}\n"));
        }
    }
    for failure in &failures {
        output::fail(failure);
    }
    if !failures.is_empty() {
        Exit::Failure
    } else if errors > 0 {
        Exit::Invalid
    } else if arguments.strict && warnings > 0 {
        Exit::Failure
    } else {
        Exit::Fine
    }
}

/// A number of things.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// What there is to say about a file, how many configurations of the filter it has, and what they come to in a fleet, if that is asked.
fn check_file(
    path: &str,
    service: Option<&Service>,
    arguments: &Arguments,
) -> Result<(Report, usize, Vec<Capacity>), String> {
    let text = read(path)?;
    let now = arguments.now.unwrap_or_else(now);
    let environment =
        |name: &str| if arguments.env { std::env::var(name).ok() } else { Some(SET_ELSEWHERE.to_owned()) };
    let capacities = arguments.capacity.map(|fleet| capacities(&text, &environment, fleet)).unwrap_or_default();
    let (mut report, count) = check_text(path, text, service, &environment, now);
    if count == 0 && report.findings.is_empty() {
        return Err(format!(
            "`{path}` has no filter `databricks_kong` and no plugin `databricks-kong`: is it the file that Kong loads?"
        ));
    }
    arguments.leave_out_what_is_allowed(&mut report);
    Ok((report, count, capacities))
}

/// What the valid configurations of a text come to in a fleet; of the others the report says what is wrong.
fn capacities(text: &str, environment: &Environment<'_>, fleet: Fleet) -> Vec<Capacity> {
    let Ok(document) = Document::parse(text) else { return Vec::new() };
    let found = entries(&document).into_iter().filter_map(|entry| {
        let config = configuration(&entry, &document).to_string();
        match Settings::parse(config.as_bytes(), &|name| environment(name)) {
            Ok(Settings::Enforce(config)) => Some(Capacity::new(&entry, &config, fleet)),
            Ok(Settings::Guard) | Err(_) => None,
        }
    });
    found.collect()
}

/// What there is to say about a file of Kong's settings.
fn check_settings(path: &str, arguments: &Arguments) -> Result<Report, String> {
    let text = read(path)?;
    let mut findings = lint::kong_conf::lint(&text);
    let allowed = markers::apply(&text, None, &mut findings);
    let mut report = Report { path: path.to_owned(), findings, text, allowed };
    arguments.leave_out_what_is_allowed(&mut report);
    Ok(report)
}

fn read_service(path: &str) -> Result<Service, Failure> {
    Service::parse(&read(path)?).map_err(|why| Failure::invalid(format!("`{path}` {why}")))
}

/// The text of a file, or of standard input.
pub(crate) fn read(path: &str) -> Result<String, String> {
    if path == "-" {
        return std::io::read_to_string(std::io::stdin()).map_err(|error| format!("standard input: {error}"));
    }
    std::fs::read_to_string(path).map_err(|error| format!("`{path}` cannot be read: {error}"))
}

impl Arguments {
    fn leave_out_what_is_allowed(&self, report: &mut Report) {
        let is_allowed =
            |finding: &Finding| finding.kind.severity == Severity::Warning && self.allow.contains(&finding.kind.code);
        report.findings.retain(|finding| !is_allowed(finding));
    }
}

/// What there is to say about a text, and how many configurations of the filter it has.
pub(crate) fn check_text(
    path: &str,
    text: String,
    revocations: Option<&Service>,
    environment: &Environment<'_>,
    now: UnixTime,
) -> (Report, usize) {
    let path = path.to_owned();
    let document = match Document::parse(&text) {
        Ok(document) => document,
        Err(error) => {
            let finding = Finding {
                kind: &codes::UNREADABLE,
                pointer: String::new(),
                place: error.at..error.at,
                message: error.message,
                help: Some(error.help.to_owned()),
                related: None,
            };
            return (Report { path, text, findings: vec![finding], allowed: Vec::new() }, 0);
        }
    };
    let entries = entries(&document);
    let sets = lint::Sets::default();
    let mut findings = lint::mistyped(&document);
    if !entries.is_empty() {
        findings.extend(lint::kong::lint(&document));
    }
    let mut secrets = Vec::new();
    for entry in &entries {
        let config = configuration(entry, &document);
        let is_native = entry.kind == Kind::Native;
        let place = lint::Entry {
            document: &document,
            pointer: &entry.config,
            config: &config,
            is_native,
            now,
            sets: &sets,
            revocations,
        };
        // at the same time, for a file of many roles: as the gateway reads it, and what else is odd
        let (read, odd) = std::thread::scope(|scope| {
            let read = scope.spawn(|| as_it_is_read(entry, &document, &config, environment));
            let odd = place.lint();
            (read.join(), odd)
        });
        findings.extend(read.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        findings.extend(odd);
        secrets.extend(lint::secrets(&config).iter().map(|pointer| entry.in_file(pointer)));
    }
    let allowed = markers::apply(&text, Some(&document), &mut findings);
    findings.sort_by_key(|finding| (finding.place.start, finding.kind.code));
    let text = mask(&text, &document, &secrets);
    // the process ends soon: to give back a million small pieces would take a tenth of its time
    std::mem::forget(document);
    (Report { path, text, findings, allowed }, entries.len())
}

/// The configuration itself, also where it is JSON in a string.
fn configuration<'d>(entry: &Entry, document: &'d Document) -> Cow<'d, Value> {
    match document.value.pointer(&entry.config) {
        Some(Value::String(text)) => Cow::Owned(serde_json::from_str(text).unwrap_or_default()),
        Some(value) => Cow::Borrowed(value),
        None => Cow::Owned(Value::Null),
    }
}

/// What is wrong with a configuration for Kong's reader of YAML, and for the gateway.
fn as_it_is_read(entry: &Entry, document: &Document, config: &Value, environment: &Environment<'_>) -> Vec<Finding> {
    let mut found = lint::kong_reads::lint(document, &entry.config, config);
    let mut errors = errors(entry, document, environment);
    // what is wrong with a value that Kong does not read is no news
    errors.retain(|error| !found.iter().any(|one| one.pointer == error.pointer));
    found.extend(errors);
    found
}

fn errors(entry: &Entry, document: &Document, environment: &Environment<'_>) -> Vec<Finding> {
    let config = document.value.pointer(&entry.config).unwrap_or(&Value::Null);
    let Err(errors) = Settings::parse_value(config, &|name| environment(name)) else { return Vec::new() };
    let finding = |error: databricks_kong::config::ConfigError| {
        let place = if error.pointer.is_empty() { "the configuration" } else { error.pointer.as_str() };
        let message = format!("{place}: {}", error.message);
        let finding = Finding::new(&codes::INVALID_SETTING, document, &entry.in_file(&error.pointer), message);
        Finding { help: hints::hint(&error), ..finding }
    };
    errors.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes found in a bare configuration with this role, without those of every role that allows too much.
    fn codes(role: &str) -> Vec<&'static str> {
        let text = format!(
            "workspace: {{url: https://x.example}}\nidentity_providers: [{{name: a, issuer: https://i.example, audiences: [d]}}]\n\
             roles:\n- {{name: r, match: {{groups: [g]}}, credential: {{type: user_federation, scope: minimal}}, {role}}}\n"
        );
        let (report, _) = check_text("f.yml", text, None, &|_| None, UnixTime::from_secs(1_800_000_000));
        report.findings.iter().map(|finding| finding.kind.code).collect()
    }

    #[test]
    fn each_mistake_in_a_role_is_found_and_its_cure_is_clean() {
        let clean = "allow: [{operations: [jobs.get], resources: {job: ['1']}}]";
        assert_eq!(codes(clean), [""; 0]);
        let table = "{operations: [statement_execution.execute_statement], resources: {table: [a.b.*]}}";
        for (role, code) in [
            ("observe: false".to_owned(), "W002"),
            ("allow: []".to_owned(), "W014"),
            ("allow: [{operations: ['*']}]".to_owned(), "W001"),
            ("allow: [{operations: ['jobs.*']}]".to_owned(), "W001"),
            (format!("allow: [{table}, {{operations: [statement_execution.execute_statement]}}]"), "W010"),
            ("allow: [{operations: [jobs.get]}, {operations: [jobs.get], resources: {job: ['1']}}]".to_owned(), "W011"),
            (format!("{clean}, deny: [{{operations: ['jobs.*']}}]"), "W011"),
            (format!("allow: [{table}, {{operations: [sql_warehouses.thrift]}}]"), "W012"),
            ("allow: [{operations: [jobs.submit], permit: [unknown_fields]}]".to_owned(), "W015"),
            ("allow: [{operations: [jobs.get, jobs.list], resources: {job: ['1']}}]".to_owned(), "W013"),
            ("allow: [{operations: [jobs.get], resources: {job: ['nightly']}}]".to_owned(), "W019"),
            ("allow: [{operations: [jobs.get], resources: {job: ['101 ']}}]".to_owned(), "W019"),
            ("allow: [{operations: [jobs.get], resources: {job: ['\u{201c}101\u{201d}']}}]".to_owned(), "W019"),
            (format!("{clean}, valid: {{until: 2020-01-01T00:00:00Z}}"), "W040"),
            (format!("{clean}, observe: true"), "W042"),
            ("allow: [{operations: [no.such]}]".to_owned(), "E002"),
        ] {
            assert!(codes(&role).contains(&code), "{role}: {:?}", codes(&role));
        }
        let mistyped = "allow: [{operations: [jobs.get], resources: {jobs: ['1']}}]";
        assert_eq!(codes(mistyped), ["E002"], "one fault, one finding");
        assert_eq!(codes(&format!("allow: [{table}]")), [""; 0]);
        assert_eq!(codes(&format!("{clean}, valid: {{until: 2090-01-01T00:00:00Z}}")), [""; 0]);
    }
}
