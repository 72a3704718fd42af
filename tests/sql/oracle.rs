//! What `sqlparser` sees in a text.

use databricks_kong::databricks::sql::{Class, Scan};
use sqlparser::ast::{ObjectName, Query, SetExpr, Statement, TableFactor, Visit, Visitor};
use sqlparser::dialect::DatabricksDialect;
use sqlparser::parser::Parser;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

pub(crate) enum Verdict {
    /// One of the two does not read the text.
    NotRead,
    Agrees,
    Differs(String),
}

/// Holds a scan against `sqlparser`: no table of theirs may be missing, and no write of theirs may be a read.
pub(crate) fn difference(text: &str, scan: &Scan, home: Option<(&str, &str)>) -> Verdict {
    if scan.parsed.is_err() {
        return Verdict::NotRead;
    }
    let Ok(statements) = Parser::parse_sql(&DatabricksDialect {}, text) else { return Verdict::NotRead };
    let theirs = tables(&statements, home);
    let ours: Vec<_> = scan.reads.iter().chain(&scan.writes).collect();
    let is_ours = |table: &&String| {
        ours.iter().any(|object| {
            let is_partial = !object.resolved && table.ends_with(&format!(".{}", object.name));
            object.name == **table || is_partial
        })
    };
    let missing: Vec<_> = theirs.iter().filter(|table| !is_ours(table)).collect();
    if !missing.is_empty() {
        return Verdict::Differs(format!("misses {missing:?}"));
    }
    let writes = statements.iter().any(writes);
    let only_reads = scan.classes.iter().all(|class| *class == Class::Select);
    if writes && only_reads {
        return Verdict::Differs("calls a write a read".to_owned());
    }
    Verdict::Agrees
}

fn writes(statement: &Statement) -> bool {
    match statement {
        Statement::Query(query) => query_writes(query),
        Statement::Explain { .. } | Statement::ExplainTable { .. } => false,
        _ => true,
    }
}

fn query_writes(query: &Query) -> bool {
    match query.body.as_ref() {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => true,
        SetExpr::Select(select) => select.into.is_some(),
        _ => false,
    }
}

/// The tables of `statements`, CTEs by their scope left out, and the names of new temporary tables and views.
fn tables(statements: &[Statement], home: Option<(&str, &str)>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for statement in statements {
        let mut tables = Tables { found: BTreeSet::new(), ctes: Vec::new(), is_function: false, home };
        let _ = statement.visit(&mut tables);
        let temporary = match statement {
            Statement::CreateView(view) if view.temporary => Some(&view.name),
            Statement::CreateTable(table) if table.temporary => Some(&table.name),
            // a name for what is cached
            Statement::Cache { table_name, query: Some(_), .. } => Some(table_name),
            _ => None,
        };
        if let Some(name) = temporary {
            tables.found.remove(&tables.resolved(&parts(name)));
        }
        found.append(&mut tables.found);
    }
    found
}

fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.clone()).collect()
}

struct Tables<'a> {
    found: BTreeSet<String>,
    /// For each query that is open, the names of its CTEs.
    ctes: Vec<Vec<String>>,
    /// The next name is a table function's.
    is_function: bool,
    home: Option<(&'a str, &'a str)>,
}

impl Visitor for Tables<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.ctes.push(ctes.map(|cte| cte.alias.name.value.to_lowercase()).collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.ctes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.is_function = matches!(factor, TableFactor::Table { args: Some(_), .. } | TableFactor::Function { .. });
        ControlFlow::Continue(())
    }

    /// What `SHOW … IN` and `DESCRIBE CATALOG` name is no table.
    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        let is_show = matches!(
            statement,
            Statement::ExplainTable { .. }
                | Statement::ShowTables { .. }
                | Statement::ShowViews { .. }
                | Statement::ShowSchemas { .. }
        );
        if is_show { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let parts = parts(relation);
        // `INSERT INTO IDENTIFIER('t') …`, which sqlparser takes for a table of that name with columns, and `FROM STREAM t`, for one with
        // an alias
        let is_clause = matches!(parts.as_slice(), [name] if ["identifier", "stream"].iter().any(|word| name.eq_ignore_ascii_case(word)));
        if std::mem::take(&mut self.is_function) || is_clause {
            return ControlFlow::Continue(());
        }
        let is_cte = parts.len() == 1 && self.ctes.iter().flatten().any(|cte| *cte == parts[0].to_lowercase());
        if !is_cte {
            self.found.insert(self.resolved(&parts));
        }
        ControlFlow::Continue(())
    }
}

impl Tables<'_> {
    fn resolved(&self, parts: &[String]) -> String {
        let written = parts.join(".").to_lowercase();
        match (parts, self.home) {
            // a path
            ([_, path], _) if path.contains(['/', ':']) => path.clone(),
            ([_], Some((catalog, schema))) => format!("{catalog}.{schema}.{written}").to_lowercase(),
            ([_, _], Some((catalog, _))) => format!("{catalog}.{written}").to_lowercase(),
            _ => written,
        }
    }
}
