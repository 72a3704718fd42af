//! `databricks-kong learn`: from what was asked for to the rules that would have allowed just that.
//!
//! Learnt is from requests that went on, allowed or only recorded as denied. What would open more than was meant is written as a comment,
//! for somebody to decide: sensitive operations, and what was only asked for by agents.

use crate::check::counted;
use crate::output::{Exit, Failure, Format, fail, print};
use crate::records::Records;
use crate::source::Source;
use clap::Args;
use databricks_kong::config::{SET_ELSEWHERE, Settings};
use databricks_kong::databricks::{Catalogue, Operation, has_statement};
use databricks_kong::exchange::secret_members;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Ids of these are new in each request, so that a rule cannot list them.
const PASSING: [&str; 5] = ["run", "statement", "trace", "experiment_run", "logged_model"];

/// What is learnt from.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Audit records, one a line, as they are in Kong's log, a host's log or Loki; or Loki's whole answer; `-` is standard input
    #[arg(required = true)]
    files: Vec<String>,
    /// The configuration that made the records: each role's `match` and `credential` are then written beside its rules
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which entry of that file is meant: a part of its service's or route's name
    #[arg(long, value_name = "NAME", requires = "config")]
    entry: Option<String>,
    /// With more ids of one type than this, write `*` instead of each of them
    #[arg(long, default_value_t = 50)]
    most_ids: usize,
}

pub(crate) fn run(arguments: &Arguments, format: Format) -> Exit {
    let mut learnt = Learnt::default();
    let mut others = 0_usize;
    for path in &arguments.files {
        let text = match crate::check::read(path) {
            Ok(text) => text,
            Err(message) => return fail(&message),
        };
        let read = Records::read(&text);
        others = others.saturating_add(read.others);
        read.records.iter().for_each(|record| learnt.add(record));
    }
    if learnt.roles.is_empty() && learnt.left_out.is_empty() {
        return fail("there is no audit record of a verified caller");
    }
    let known = arguments.config.as_deref().map(|path| known_roles(path, arguments.entry.as_deref())).transpose();
    let known = match known {
        Ok(known) => known.unwrap_or_default(),
        Err(failure) => return failure.say(),
    };
    let roles = learnt.proposals(arguments.most_ids, &known);
    match format {
        Format::Json => {
            let roles: Vec<_> = roles.iter().map(Proposal::json).collect();
            let summary = json!({"roles": roles, "left_out": learnt.left_out, "lines_without_record": others});
            print(&format!("{summary:#}\n"));
        }
        Format::Human | Format::Junit => {
            print("roles:\n");
            roles.iter().for_each(|role| print(&role.yaml()));
            print(&learnt.notes(others, roles.iter().all(|role| role.known.is_some())));
        }
    }
    Exit::Fine
}

/// What a configuration says of a role beside its rules.
#[derive(Clone, Debug)]
struct Known {
    /// Whom it is for.
    matches: Value,
    /// What it sends to Databricks, without secrets that were written out.
    credential: Value,
    /// The names of those secrets.
    left_out: Vec<&'static str>,
}

/// The roles of a valid configuration.
fn known_roles(path: &Path, entry: Option<&str>) -> Result<BTreeMap<String, Known>, Failure> {
    let source = Source::read(path)?;
    let entry = source.entry(entry)?;
    let config = source.config(&entry);
    if let Err(errors) = Settings::parse(config.to_string().as_bytes(), &|_| Some(SET_ELSEWHERE.to_owned())) {
        let errors: Vec<_> = errors.iter().map(|error| source.located(&entry, error)).collect();
        return Err(Failure::invalid(format!("the configuration is invalid:\n{}", errors.join("\n"))));
    }
    let inner = config.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let config = inner.as_ref().unwrap_or(config);
    let roles = config.get("roles").and_then(Value::as_array).into_iter().flatten();
    Ok(roles.filter_map(|role| Some((role.get("name")?.as_str()?.to_owned(), Known::new(role)))).collect())
}

impl Known {
    fn new(role: &Value) -> Self {
        let of = |key: &str| role.get(key).cloned().unwrap_or_default();
        let mut credential = of("credential");
        let kind = credential.get("type").and_then(Value::as_str).unwrap_or_default();
        let written = |member: &&&str| credential.get(**member).is_some_and(Value::is_string);
        let left_out: Vec<_> = secret_members(kind).iter().filter(written).copied().collect();
        for member in &left_out {
            credential.as_object_mut().map(|members| members.remove(*member));
        }
        Self { matches: of("match"), credential, left_out }
    }

    fn yaml(&self) -> String {
        let mut text = format!("  match: {}\n  credential: {}\n", self.matches, self.credential);
        for member in &self.left_out {
            let _ = writeln!(text, "  # `credential.{member}` is a plain secret, which is not repeated here");
        }
        text
    }
}

/// What requests of one sort asked for: those of one operation that carried ids of the same types.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sort {
    operation: &'static str,
    types: Vec<String>,
    /// Whether the SQL text was read and understood.
    is_sql: bool,
    /// Whether agents sent them: what an agent needs is not what people need.
    by_agents: bool,
}

#[derive(Clone, Debug, Default)]
struct Asked {
    count: usize,
    ids: BTreeMap<String, BTreeSet<String>>,
    classes: BTreeSet<String>,
    agents: BTreeSet<String>,
    /// How many rules refused, and were only recorded.
    denied: usize,
}

#[derive(Debug, Default)]
struct Learnt {
    roles: BTreeMap<String, BTreeMap<Sort, Asked>>,
    /// How many requests taught nothing, by why.
    left_out: BTreeMap<&'static str, usize>,
}

impl Learnt {
    fn add(&mut self, record: &Map<String, Value>) {
        let text = |key: &str| record.get(key).and_then(Value::as_str);
        let mut leave_out = |why| {
            let count: &mut usize = self.left_out.entry(why).or_default();
            *count = count.saturating_add(1);
        };
        if !matches!(text("decision"), Some("allow" | "would_deny")) {
            return leave_out("refused");
        }
        let Some(role) = text("role") else { return leave_out("without a role") };
        let Some(operation) = text("operation").and_then(|name| Catalogue::named(name).next()) else {
            return leave_out("of an operation that the catalogue does not know: a `paths` rule can name it");
        };
        if record.get("truncated") == Some(&Value::Bool(true)) {
            return leave_out("with a record that was cut: its ids are not all there");
        }
        let ids = ids(record);
        if ids.values().flatten().any(|id| id.contains(['*', '$'])) {
            return leave_out("with an id that holds `*` or `$`, which in a rule means more than itself");
        }
        let sql = record.get("sql").and_then(Value::as_object);
        let parsed = sql.is_some_and(|sql| sql.get("parsed") == Some(&Value::Bool(true)));
        let types = ids.keys().cloned().collect();
        let agent = text("agent").or_else(|| text("act"));
        let sort = Sort { operation: operation.name(), types, is_sql: parsed, by_agents: agent.is_some() };
        let asked = self.roles.entry(role.to_owned()).or_default().entry(sort).or_default();
        asked.count = asked.count.saturating_add(1);
        asked.denied = asked.denied.saturating_add(usize::from(text("decision") == Some("would_deny")));
        asked.agents.extend(agent.map(str::to_owned));
        for (kind, ids) in ids {
            asked.ids.entry(kind).or_default().extend(ids);
        }
        let classes = sql.filter(|_| parsed).and_then(|sql| sql.get("class")?.as_str());
        asked
            .classes
            .extend(classes.into_iter().flat_map(|classes| classes.split(',')).map(|one| one.trim().to_owned()));
    }

    fn proposals(&self, most_ids: usize, known: &BTreeMap<String, Known>) -> Vec<Proposal> {
        let proposal = |(role, sorts): (&String, &BTreeMap<Sort, Asked>)| {
            let mut rules: Vec<Rule> = Vec::new();
            for (sort, asked) in &without_known(sorts) {
                let rule = Rule::new(sort, asked, most_ids);
                match rules.iter_mut().find(|known| known.is_like(&rule)) {
                    Some(known) => known.join(rule),
                    None => rules.push(rule),
                }
            }
            let count = sorts.values().map(|asked| asked.count).sum();
            Proposal { role: role.clone(), known: known.get(role).cloned(), count, rules }
        };
        self.roles.iter().map(proposal).collect()
    }

    fn notes(&self, others: usize, is_whole: bool) -> String {
        let mut text = String::new();
        for (why, count) in &self.left_out {
            let _ = writeln!(text, "# left out: {} {why}", counted(*count, "request"));
        }
        if others > 0 {
            let _ = writeln!(text, "# left out: {} without a record", counted(others, "line"));
        }
        text.push_str("# Records do not say what needs `permit`. ");
        text.push_str(match is_whole {
            true => "Try it with `observe: true` first.\n",
            false => {
                "Put `match` and `credential` of each role beside `allow`, and try it with `observe: true` first.\n"
            }
        });
        text
    }
}

/// What was asked for, where agents' requests that people sent, too, count as theirs.
fn without_known(sorts: &BTreeMap<Sort, Asked>) -> BTreeMap<Sort, Asked> {
    let mut all = sorts.clone();
    for (sort, asked) in sorts.iter().filter(|(sort, _)| sort.by_agents) {
        let peoples = Sort { by_agents: false, ..sort.clone() };
        let Some(known) = all.get_mut(&peoples).filter(|known| known.covers(asked)) else { continue };
        known.count = known.count.saturating_add(asked.count);
        known.denied = known.denied.saturating_add(asked.denied);
        all.remove(sort);
    }
    all
}

impl Asked {
    /// Whether a rule for these requests allows all of the others.
    fn covers(&self, other: &Self) -> bool {
        let has =
            |(kind, ids): (&String, &BTreeSet<String>)| self.ids.get(kind).is_some_and(|known| ids.is_subset(known));
        other.ids.iter().all(has) && other.classes.is_subset(&self.classes)
    }
}

/// The ids of a record that a rule can name, by type; tables of SQL texts that were understood are among them.
fn ids(record: &Map<String, Value>) -> BTreeMap<String, BTreeSet<String>> {
    let texts = |list: &Value| -> BTreeSet<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let resources = record.get("resources").and_then(Value::as_object).into_iter().flatten();
    let known = Catalogue::resource_types();
    let mut ids: BTreeMap<_, _> = resources
        .filter(|(kind, _)| known.contains(&kind.as_str()) && !PASSING.contains(&kind.as_str()))
        .map(|(kind, list)| (kind.clone(), texts(list)))
        .filter(|(_, list)| !list.is_empty())
        .collect();
    let sql = record.get("sql").filter(|sql| sql.get("parsed") == Some(&Value::Bool(true)));
    let tables = sql.and_then(|sql| sql.get("tables")).map(texts).unwrap_or_default();
    // a rule on `table` says no to files and to names that are not complete
    if !tables.is_empty() && tables.iter().all(|name| name.split('.').count() == 3 && !name.contains('/')) {
        ids.insert("table".to_owned(), tables);
    }
    ids
}

/// A role's rules that would have allowed what was asked for.
#[derive(Debug)]
struct Proposal {
    role: String,
    /// What its configuration says of it, where that was given and has it.
    known: Option<Known>,
    count: usize,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    operations: BTreeSet<&'static str>,
    resources: BTreeMap<String, BTreeSet<String>>,
    sql: BTreeSet<String>,
    count: usize,
    denied: usize,
    /// Why it is not proposed, only shown.
    held_back: Option<String>,
    /// What is to be known of it.
    note: Option<String>,
}

impl Rule {
    fn new(sort: &Sort, asked: &Asked, most_ids: usize) -> Self {
        let operation = Catalogue::named(sort.operation).next();
        let sensitive = operation.and_then(Operation::sensitivity).map(|why| why.replace('_', " "));
        let only_agents = sort.by_agents.then(|| {
            let agents: Vec<_> = asked.agents.iter().map(|agent| format!("`{agent}`")).collect();
            format!("asked for by {} only; what an agent needs is not what people need", agents.join(", "))
        });
        let is_long = |ids: &BTreeSet<String>| ids.len() > most_ids;
        let shortened =
            |ids: &BTreeSet<String>| if is_long(ids) { BTreeSet::from(["*".to_owned()]) } else { ids.clone() };
        let long: Vec<_> = asked.ids.iter().filter(|(_, ids)| is_long(ids)).collect();
        let long = long.iter().map(|(kind, ids)| {
            format!("`*` stands for {} different ids of type `{kind}`, and allows all others", ids.len())
        });
        let notes = operation.and_then(|operation| note(operation, sort)).into_iter().chain(long);
        let notes = notes.collect::<Vec<_>>().join("; ");
        Self {
            operations: BTreeSet::from([sort.operation]),
            resources: asked.ids.iter().map(|(kind, ids)| (kind.clone(), shortened(ids))).collect(),
            sql: asked.classes.clone(),
            count: asked.count,
            denied: asked.denied,
            held_back: sensitive.map(|why| format!("sensitive: {why}")).or(only_agents),
            note: (!notes.is_empty()).then_some(notes),
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.resources == other.resources
            && self.sql == other.sql
            && self.held_back == other.held_back
            && self.note == other.note
    }

    fn join(&mut self, other: Self) {
        self.operations.extend(other.operations);
        self.count = self.count.saturating_add(other.count);
        self.denied = self.denied.saturating_add(other.denied);
    }

    fn yaml(&self) -> String {
        let start = if self.held_back.is_some() { "  # " } else { "  " };
        let mut text = format!("  # {}", counted(self.count, "request"));
        if self.denied > 0 {
            let _ = write!(text, ", {} of them denied so far", self.denied);
        }
        for said in self.held_back.iter().chain(&self.note) {
            let _ = write!(text, "; {said}");
        }
        let operations: Vec<_> = self.operations.iter().copied().collect();
        let _ = writeln!(text, "\n{start}- operations: [{}]", operations.join(", "));
        if !self.resources.is_empty() {
            let kinds = self.resources.iter().map(|(kind, ids)| format!("{kind}: {}", json!(ids)));
            let _ = writeln!(text, "{start}  resources: {{{}}}", kinds.collect::<Vec<_>>().join(", "));
        }
        if !self.sql.is_empty() {
            let classes: Vec<_> = self.sql.iter().map(String::as_str).collect();
            let _ = writeln!(text, "{start}  sql: [{}]", classes.join(", "));
        }
        text
    }

    fn json(&self) -> Value {
        json!({
            "operations": self.operations, "resources": self.resources, "sql": self.sql, "requests": self.count,
            "denied_so_far": self.denied, "held_back": self.held_back, "note": self.note,
        })
    }
}

/// What a rule cannot say of requests of an operation, and why.
fn note(operation: Operation, sort: &Sort) -> Option<String> {
    if has_statement(operation) && !sort.is_sql {
        return Some(
            "their sql was not read or not understood, so the rule limits no table: observe with a rule that has `sql`"
                .to_owned(),
        );
    }
    let has = |kind: &str| sort.types.iter().any(|known| known == kind);
    if operation.may_tell("run") && !operation.may_tell("job") && !has("job") {
        return Some(
            "whose job a run is was not recorded: `resources: {job: […]}` with `lookup: true` limits it".to_owned(),
        );
    }
    let own = operation.kinds().find(|kind| !PASSING.contains(kind))?;
    let is_new = operation.name().ends_with(".create") || operation.name().contains(".list");
    (sort.types.is_empty() && !is_new && !operation.may_tell("run")).then(|| {
        format!("no id was recorded, so the rule limits nothing: observe with a rule that has `resources: {{{own}: [\"*\"]}}` first")
    })
}

impl Proposal {
    fn yaml(&self) -> String {
        let mut text = format!("- name: {}  # {}\n", json!(self.role), counted(self.count, "request"));
        text.push_str(&self.known.as_ref().map(Known::yaml).unwrap_or_default());
        // a list of comments alone would be `null`, which allows nearly everything
        let is_empty = self.rules.iter().all(|rule| rule.held_back.is_some());
        text.push_str(if is_empty { "  allow: []\n" } else { "  allow:\n" });
        self.rules.iter().for_each(|rule| text.push_str(&rule.yaml()));
        text
    }

    fn json(&self) -> Value {
        let rules: Vec<_> = self.rules.iter().map(Rule::json).collect();
        let of = |value: fn(&Known) -> &Value| self.known.as_ref().map(value);
        json!({
            "name": self.role, "match": of(|known| &known.matches), "credential": of(|known| &known.credential),
            "requests": self.count, "rules": rules,
        })
    }
}
