//! "Did you mean": what a word was meant to be that the configuration's reader does not know.

use crate::nearest::nearest;
use databricks_kong::config::ConfigError;
use databricks_kong::databricks::{Catalogue, Operation};
use databricks_kong::policy::Glob;
use std::collections::BTreeSet;

/// As many operations are offered.
const MOST: usize = 3;
/// As many are listed.
const MOST_NAMED: usize = 8;

/// What an error's unknown word was meant to be, as a question.
pub(crate) fn hint(error: &ConfigError) -> Option<String> {
    let words = backticked(&error.message);
    let first = words.first().copied().unwrap_or_default();
    if error.message.contains("is no operation") {
        return operation(first).map(|names| format!("did you mean {names}?"));
    }
    if error.message.contains("means sensitive operations only") {
        return sensitive(first).map(|names| format!("they are {names}"));
    }
    if is_rule_on_a_role(error) {
        return Some("a rule is an entry of the role's `allow` or `deny`: `allow: [{operations: […]}]`".to_owned());
    }
    let known = after(&error.message)?;
    let key = error.pointer.rsplit('/').next().unwrap_or_default();
    // the unknown word is a key, or else the message begins with it; of what is no word there is nothing to say
    let word = match error.message.starts_with("is not a known key") {
        true => key,
        false => Some(first).filter(|_| error.message.starts_with('`'))?,
    };
    nearest(word, known).map(|near| format!("did you mean `{near}`?"))
}

/// Whether what belongs into a rule stands one level too high.
fn is_rule_on_a_role(error: &ConfigError) -> bool {
    let mut steps = error.pointer.rsplit('/');
    let is_of_rule =
        steps.next().is_some_and(|key| ["operations", "paths", "resources", "lookup", "permit", "sql"].contains(&key));
    let is_role = steps.next().is_some() && steps.next().is_some_and(|list| list == "roles" || list == "agents");
    is_of_rule && is_role && error.message.starts_with("is not a known key")
}

/// The operations that a name is nearest to, or that end as it does.
pub(crate) fn operation(name: &str) -> Option<String> {
    let all = || Catalogue::operations().flat_map(Operation::names);
    let (service, method) = name.rsplit_once('.').unwrap_or(("", name));
    if method == "*" {
        let services = all().filter_map(|known| Some(known.rsplit_once('.')?.0));
        return nearest(service, services).map(|near| format!("`{near}.*`"));
    }
    if let Some(near) = nearest(name, all()) {
        return Some(format!("`{near}`"));
    }
    let mut same: Vec<_> = all().filter(|known| known.rsplit('.').next() == Some(method)).collect();
    same.sort_unstable();
    same.dedup();
    let is_few = !same.is_empty() && same.len() <= MOST;
    is_few.then(|| same.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(" or "))
}

/// The sensitive operations that a pattern would mean if patterns meant any.
fn sensitive(pattern: &str) -> Option<String> {
    let glob = Glob::new(pattern.to_owned());
    let meant = Catalogue::operations().filter(|operation| operation.is_sensitive());
    let names: BTreeSet<_> = meant.flat_map(Operation::names).filter(|name| glob.matches(name)).collect();
    let listed: Vec<_> = names.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(listed.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!listed.is_empty()).then(|| format!("{}{more}", listed.join(", ")))
}

fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The words that a message lists as known.
fn after(message: &str) -> Option<impl Iterator<Item = &str>> {
    let list =
        ["known are ", "is none of ", "one of "].iter().find_map(|phrase| Some(message.split_once(phrase)?.1))?;
    Some(list.split([',', ' ', '`']).filter(|word| !word.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pointer: &str, message: &str) -> Option<String> {
        hint(&ConfigError { pointer: pointer.to_owned(), message: message.to_owned() })
    }

    #[test]
    fn a_rule_on_the_wrong_level_is_told_where_rules_stand() {
        let unknown = "is not a known key; known are `name`, `match`, `allow`";
        assert!(said("/roles/0/operations", unknown).unwrap().contains("`allow`"));
        assert!(said("/agents/2/paths", unknown).unwrap().contains("`allow`"));
        assert_eq!(said("/roles/0/allow/1/operations/resources", unknown), None);
        assert_eq!(said("/identity_providers/0/paths", unknown), None);
    }

    #[test]
    fn a_pattern_of_sensitive_operations_is_told_which_they_are() {
        let said = said("/operations/0", "`tokens.*` means sensitive operations only, which must be named in full");
        assert!(said.unwrap().starts_with("they are `tokens.create`"));
    }

    #[test]
    fn an_unknown_word_is_told_the_one_that_was_meant() {
        for (pointer, message, meant) in [
            ("/audience", "is not a known key; known are `name`, `issuer`, `audiences`", "`audiences`"),
            ("/resources/tables", "`tables` is no type of resource; known are alert, app, table", "`table`"),
            ("/mode", "`obsreve` must be one of `enforce` `observe` `guard`", "`observe`"),
            ("/permit/0", "`runas` is none of run_as, new_cluster", "`run_as`"),
            ("/operations/0", "`jobs.run_nwo` is no operation that the gateway knows", "`jobs.run_now`"),
            (
                "/operations/0",
                "`sql.execute_statement` is no operation that the gateway knows",
                "`statement_execution.execute_statement`",
            ),
            ("/operations/0", "`job.*` is no operation that the gateway knows", "`jobs.*`"),
        ] {
            assert_eq!(said(pointer, message), Some(format!("did you mean {meant}?")), "{message}");
        }
        for (pointer, message) in [
            ("/x", "is missing; it must be a list"),
            ("/mode", "must be one of `enforce` `observe` `guard`"),
            ("/mode", "`off` must be one of `enforce` `observe` `guard`"),
            ("/zebra", "is not a known key; known are `name`, `issuer`"),
            ("/operations/0", "`zebra.list` is no operation that the gateway knows"),
        ] {
            assert_eq!(said(pointer, message), None, "{message}");
        }
    }
}
