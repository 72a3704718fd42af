//! Patterns that mean more, less or something else than whoever wrote them thinks.

use super::owner::Owner;
use super::roles::PATTERNS;
use super::rule::texts;
use super::{Entry, codes, items, value_at};
use crate::document::step;
use crate::findings::Finding;
use serde_json::Value;

pub(super) fn lint(entry: &Entry<'_>, owner: &Owner<'_>, found: &mut Vec<Finding>) {
    for key in PATTERNS.into_iter().chain(["actors"]) {
        let patterns = texts(value_at(owner.value, &format!("/match/{key}")));
        for (index, pattern) in patterns.iter().enumerate() {
            let pointer = || format!("{}/match/{key}/{index}", owner.pointer);
            if no_regular_expression(entry, pattern, &pointer, found) || no_such_name(entry, pattern, &pointer, found) {
                continue;
            }
            if let Some(stranger) = loose_domain(pattern) {
                let pointer = pointer();
                let message = format!("`{pattern}` also matches other domains, such as `{stranger}`");
                let help = "let no star stand inside of the domain or right before it: `*@example.com`";
                found.push(entry.finding(&codes::LOOSE_DOMAIN, &pointer, message).help(help));
            }
        }
    }
    literal_stars(entry, owner, found);
    cut_off_by_case(entry, owner, found);
    for list in ["allow", "deny"] {
        for (index, rule) in items(owner.value, list) {
            let pointer = format!("{}/{list}/{index}/resources", owner.pointer);
            parts_of_names(entry, rule, &pointer, found);
            for (kind, ids) in rule.get("resources").and_then(Value::as_object).into_iter().flatten() {
                for (index, id) in texts(Some(ids)).iter().enumerate() {
                    let pointer = || format!("{pointer}{}/{index}", step(kind));
                    if !no_regular_expression(entry, id, &pointer, found) && !no_such_name(entry, id, &pointer, found) {
                        no_such_number(entry, kind, id, &pointer, found);
                    }
                }
            }
        }
    }
}

/// Says of a regular expression that it is none; whether it did.
fn no_regular_expression(
    entry: &Entry<'_>,
    pattern: &str,
    pointer: &impl Fn() -> String,
    found: &mut Vec<Finding>,
) -> bool {
    let Some(plain) = regular_expression(pattern) else { return false };
    let message =
        format!("`{pattern}` is no regular expression here: it matches these very characters, and no name has them");
    let help = match plain {
        Some(plain) => format!("`*` matches any run of characters: `{plain}`"),
        None => "`*` matches any run of characters; write several patterns for several names".to_owned(),
    };
    found.push(entry.finding(&codes::REGULAR_EXPRESSION, &pointer(), message).help(help));
    true
}

/// Says of a text that no name is like it, since it was copied with what stood around it; whether it did.
fn no_such_name(entry: &Entry<'_>, pattern: &str, pointer: &impl Fn() -> String, found: &mut Vec<Finding>) -> bool {
    const QUOTES: [char; 8] = ['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}', '"'];
    let is_quoted = pattern.starts_with(QUOTES) && pattern.ends_with(QUOTES);
    let is_padded = pattern.trim() != pattern;
    if !is_quoted && !is_padded {
        return false;
    }
    let what =
        if is_quoted { "the quotes are a part of the name" } else { "the blank at its end is a part of the name" };
    let plain = pattern.trim().trim_matches(QUOTES);
    let message = format!("`{pattern}` matches no name: {what}");
    found.push(entry.finding(&codes::NO_SUCH_NAME, &pointer(), message).help(format!("write `{plain}`")));
    true
}

/// Says of the id of a job or a run that is no number that none is like it: they are known by numbers, not by names.
fn no_such_number(entry: &Entry<'_>, kind: &str, id: &str, pointer: &impl Fn() -> String, found: &mut Vec<Finding>) {
    let may_be_one = id.contains("${") || id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'*');
    if !matches!(kind, "job" | "run") || may_be_one {
        return;
    }
    let message = format!("`{id}` matches no {kind}: a {kind} is known by its number");
    found.push(
        entry
            .finding(&codes::NO_SUCH_NAME, &pointer(), message)
            .help(format!("write the number of the {kind}, in quotes")),
    );
}

/// What somebody wants who writes a regular expression, as a pattern where one can say it; nothing if the text is none.
fn regular_expression(pattern: &str) -> Option<Option<String>> {
    const ANY: [&str; 4] = [".*", ".+", "[^/]*", "[^/]+"];
    // no name has one of these; `CORP\data` is one
    const CLASSES: [&str; 7] = ["\\d+", "\\d{", "\\w+", "\\w{", "[a-z", "[A-Z", "[0-9"];
    // all of it that follows has one of these
    if !pattern.contains(['^', '$', '\\', '(', '[', '.', '+']) {
        return None;
    }
    let has_any = ANY.iter().any(|any| pattern.contains(any));
    let has_choice = pattern.contains('(') && pattern.contains('|');
    let has_class = CLASSES.iter().any(|class| pattern.contains(class));
    // `main.*` may be meant, `team-.*` and `.*@example.com` are not
    let has_odd_any = pattern.starts_with(".*") || ["-.*", "_.*", ".+"].iter().any(|any| pattern.contains(any));
    let is_one = pattern.starts_with('^')
        || (pattern.ends_with('$') && has_any)
        || pattern.contains("\\.")
        || has_choice
        || has_class
        || has_odd_any;
    if !is_one {
        return None;
    }
    if has_choice || has_class {
        return Some(None);
    }
    let inner = pattern.trim_start_matches('^').trim_end_matches('$').replace("\\.", "\u{0}");
    let plain = ANY.iter().fold(inner, |text, any| text.replace(any, "*"));
    Some(Some(plain.replace('\u{0}', ".")))
}

/// A name of a domain of somebody else's that an address's pattern matches.
fn loose_domain(pattern: &str) -> Option<String> {
    // `repo:acme@123/etl:*` is no address
    let (_, end) = pattern.rsplit_once('*').filter(|_| !pattern.contains(['/', ':']))?;
    if let Some((_, domain)) = pattern.split_once('@')
        && let Some((before, after)) = domain.split_once('*')
    {
        // `@*.example.com` is every subdomain
        let is_subdomain = before.is_empty() && after.starts_with('.') && after.matches('.').count() > 1;
        let is_any = domain == "*";
        return (!is_subdomain && !is_any).then(|| format!("{before}.evil.example{after}"));
    }
    let labels: Vec<_> = end.split('.').collect();
    let is_label =
        |label: &&str| !label.is_empty() && label.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    let top = labels.last().copied().unwrap_or_default();
    let is_domain = labels.len() > 1
        && labels.iter().all(is_label)
        && top.len() > 1
        && top.chars().all(|letter| letter.is_ascii_alphabetic());
    (is_domain && pattern.starts_with('*')).then(|| format!("evil-{end}"))
}

/// Values of claims, which are compared exactly.
fn literal_stars(entry: &Entry<'_>, owner: &Owner<'_>, found: &mut Vec<Finding>) {
    let claims = value_at(owner.value, "/match/claims").and_then(Value::as_object);
    for (claim, values) in claims.into_iter().flatten() {
        for (index, value) in values.as_array().into_iter().flatten().enumerate() {
            let Some(text) = value.as_str().filter(|text| text.contains('*')) else { continue };
            let pointer = format!("{}/match/claims{}/{index}", owner.pointer, step(claim));
            let message = format!("values of claims are compared exactly, so `{text}` matches only itself");
            let help =
                "write the values out, or read the claim as `claims.groups` or `claims.subject`, which take patterns";
            found.push(entry.finding(&codes::LITERAL_STAR, &pointer, message).help(help));
        }
    }
}

/// Somebody who is cut off by a name that a provider may write in other letters.
fn cut_off_by_case(entry: &Entry<'_>, owner: &Owner<'_>, found: &mut Vec<Finding>) {
    if !owner.only_denies(entry) {
        return;
    }
    let claims = value_at(owner.value, "/match/claims").and_then(Value::as_object).into_iter().flatten();
    let claims = claims.map(|(claim, values)| (format!("claims{}", step(claim)), texts(Some(values))));
    let subjects = ("subjects".to_owned(), texts(value_at(owner.value, "/match/subjects")));
    for (at, names) in claims.chain([subjects]) {
        for (index, name) in names.iter().enumerate() {
            let Some(other) = other_spelling(name).filter(|other| !names.contains(&other.as_str())) else { continue };
            let message = format!("names are compared exactly: a token of `{other}` is not cut off");
            found.push(
                entry
                    .finding(&codes::CUT_OFF_BY_CASE, &format!("{}/match/{at}/{index}", owner.pointer), message)
                    .help("cut off by an id that never changes, such as `claims: {oid: […]}`, or by both spellings"),
            );
        }
    }
}

/// The same address, as a provider may have kept it: with a capital at its begin, or without.
fn other_spelling(address: &str) -> Option<String> {
    let (name, domain) = address.split_once('@').filter(|(name, _)| !name.is_empty())?;
    let mut letters = name.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let other: String = first.chain(letters).collect();
    let other = if other == name { name.to_lowercase() } else { other };
    let spelling = format!("{other}@{domain}");
    (spelling != address).then_some(spelling)
}

/// What the full names of a kind look like.
fn full_name(kind: &str) -> Option<&'static str> {
    match kind {
        "table" => Some("<catalog>.<schema>.<table>"),
        "function" => Some("<catalog>.<schema>.<function>"),
        "volume" => Some("<catalog>.<schema>.<volume>"),
        "vector_index" => Some("<catalog>.<schema>.<index>"),
        "model_provider" => Some("<catalog>.<schema>.<model provider service>"),
        "schema" => Some("<catalog>.<schema>"),
        "catalog" => Some("<catalog>"),
        _ => None,
    }
}

/// Names of Unity Catalog that have too few parts, or too many.
fn parts_of_names(entry: &Entry<'_>, rule: &Value, pointer: &str, found: &mut Vec<Finding>) {
    for (kind, ids) in rule.get("resources").and_then(Value::as_object).into_iter().flatten() {
        let Some(full) = full_name(kind) else { continue };
        for (index, id) in texts(Some(ids)).iter().enumerate().filter(|(_, id)| is_plain(id)) {
            if let Some((message, help)) = misread(kind, id, full) {
                let place = format!("{pointer}{}/{index}", step(kind));
                found.push(entry.finding(&codes::PARTS_OF_A_NAME, &place, message).help(help));
            }
        }
    }
}

/// What is wrong with a name of such a kind, and what to do.
fn misread(kind: &str, id: &str, full: &str) -> Option<(String, String)> {
    let (wanted, count) = (full.split('.').count(), id.split('.').count());
    let is_odd = id.split('.').any(str::is_empty);
    // a star stands for dots, too
    if is_odd || count > wanted || count < wanted && !id.contains('*') {
        let message = match is_odd {
            true => format!("no {kind} is named `{id}`: a part of the name is empty"),
            false => format!("no {kind} is named `{id}`: its name would have {wanted} parts, and this has {count}"),
        };
        return Some((message, format!("write `{full}`")));
    }
    let first = id.strip_suffix(".*").filter(|first| wanted == 3 && !first.contains(['*', '.']))?;
    let message =
        format!("`{id}` means every {kind} of a catalog named `{first}`, and nothing of a schema of that name");
    Some((message, format!("write `<catalog>.{id}` for a schema, or `{first}.*.*` for the catalog")))
}

/// Whether nothing of the name is quoted, a path, or taken from the caller.
fn is_plain(id: &str) -> bool {
    !id.contains(['`', '$', '/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_is_told_by_what_no_name_has() {
        for (text, plain) in [
            ("^data-.*$", "data-*"),
            ("^admins$", "admins"),
            ("team-.+$", "team-*"),
            (".*@example\\.com", "*@example.com"),
            (".*@example.com", "*@example.com"),
            ("team-.*", "team-*"),
        ] {
            assert_eq!(regular_expression(text), Some(Some(plain.to_owned())), "{text}");
        }
        for text in ["(admins|ops)", "^(a|b)$", "team-[0-9]+", "\\d+"] {
            assert_eq!(regular_expression(text), Some(None), "{text}");
        }
        for text in
            ["data-*", "HOST$", "CORP\\data", "*@example.com", "a.b", "main.*", "Team (EU)", "a|b", "main.sales.*"]
        {
            assert_eq!(regular_expression(text), None, "{text}");
        }
    }

    #[test]
    fn a_domain_is_loose_where_a_star_can_be_part_of_another_one() {
        for loose in ["*example.com", "*-example.com", "anna@example*", "*@example.*", "*@*example.com", "*@*.com"] {
            assert!(loose_domain(loose).is_some(), "{loose}");
        }
        for tight in [
            "*@example.com",
            "team-*",
            "*",
            "*.example.com",
            "*@*.example.com",
            "*-admins",
            "data-*@example.com",
            "*@*",
        ] {
            assert_eq!(loose_domain(tight), None, "{tight}");
        }
    }

    #[test]
    fn a_name_has_all_its_parts() {
        for (kind, id) in [
            ("table", "sales.*"),
            ("table", "sales.orders"),
            ("schema", "sales"),
            ("volume", "raw"),
            ("catalog", "main.sales"),
            ("table", "main.sales.*.*"),
            ("table", "main..orders"),
            ("function", "sales.tax"),
        ] {
            assert!(misread(kind, id, full_name(kind).unwrap()).is_some(), "{kind} {id}");
        }
        for (kind, id) in [
            ("table", "main.sales.*"),
            ("table", "main.*.*"),
            ("table", "*"),
            ("table", "*.sales.*"),
            ("table", "main.sales.orders"),
            ("schema", "main.*"),
            ("schema", "main.sales"),
            ("catalog", "main"),
            ("catalog", "dev_*"),
        ] {
            assert_eq!(misread(kind, id, full_name(kind).unwrap()), None, "{kind} {id}");
        }
    }
}
