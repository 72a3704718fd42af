//! Where the revocation service and a gateway that reads its feeds mean different things: then nobody is cut off, or nobody gets in.

use super::{Entry, codes, items};
use crate::document::Document;
use crate::findings::{Finding, Kind};
use databricks_kong::config::is_address_claim;
use serde_json::Value;

/// How far a provider's clock may be off, unless it says so.
const CLOCK_SKEW: u64 = 30;

/// The configuration of the revocation service, as it was written. `databricks-kong revocations check` says what is wrong with it.
#[derive(Debug)]
pub(crate) struct Service(Value);

impl Service {
    /// Reads the service's file.
    ///
    /// # Errors
    /// It is no YAML, or nothing that the service could read.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let value = Document::parse(text).map_err(|error| error.message)?.value;
        if value.get("database").is_none() {
            return Err("is no configuration of the revocation service: it has no `database`".to_owned());
        }
        Ok(Self(value))
    }

    /// The identity providers of its own; `None` where it takes over those of `kong.yml`.
    fn providers(&self) -> Option<&Vec<Value>> {
        self.0.get("identity_providers").and_then(Value::as_array)
    }

    /// The provider whose feed has this name.
    fn provider(&self, name: &str) -> Option<&Value> {
        self.providers()?.iter().find(|provider| text(provider, "/name") == Some(name))
    }

    fn sources<'s>(&'s self, provider: &'s str) -> impl Iterator<Item = &'s Value> {
        items(&self.0, "sources")
            .map(|(_, source)| source)
            .filter(move |source| text(source, "/provider") == Some(provider))
    }

    /// For how long it keeps what cuts off a token of the provider.
    fn retention(&self, provider: &Value) -> Option<u64> {
        let longest = number(provider, "max_lifetime")
            .map(|longest| longest.saturating_add(number(provider, "clock_skew").unwrap_or(CLOCK_SKEW)));
        longest.or_else(|| number(&self.0, "retention"))
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

fn subject(provider: &Value) -> &str {
    text(provider, "/claims/subject").unwrap_or("sub")
}

/// The feed that a URL names, if it is one of the service's: `https://revocations.example.com/feed/okta`.
fn feed_name(url: &str) -> Option<&str> {
    let (_, name) = url.split_once("/feed/")?;
    Some(name.split(['/', '?']).next().unwrap_or(name))
}

pub(super) fn lint(entry: &Entry<'_>, service: &Service, found: &mut Vec<Finding>) {
    for (index, provider) in items(entry.config, "identity_providers") {
        let pointer = format!("{}/identity_providers/{index}", entry.pointer);
        let name = text(provider, "/name").unwrap_or_default();
        let mut says = |kind: &'static Kind, below: &str, message: String, help: String| {
            found.push(entry.finding(kind, &format!("{pointer}{below}"), message).help(help));
        };
        let Some(feed) = provider.get("revocation").filter(|feed| !feed.is_null()) else {
            let is_known = match service.providers() {
                None => true,
                Some(known) => {
                    known.iter().any(|one| text(one, "/issuer") == text(provider, "/issuer"))
                        || service.provider(name).is_some()
                }
            };
            if is_known {
                says(
                    &codes::FEED_NOT_READ,
                    "",
                    format!(
                        "the revocation service keeps a feed of `{name}`, and this gateway does not read it: it cuts off nobody here"
                    ),
                    format!("set `revocation: {{url: https://…/feed/{name}}}`"),
                );
            }
            continue;
        };
        // a feed at an address of another form may be the service's behind something that rewrites it
        let feed_of = text(feed, "/url").and_then(feed_name).unwrap_or(name);
        let served = service.provider(feed_of);
        if let (Some(known), None) = (service.providers(), served) {
            let names: Vec<_> =
                known.iter().filter_map(|one| text(one, "/name")).map(|one| format!("`{one}`")).collect();
            says(
                &codes::FEED_NOT_READ,
                "/revocation/url",
                format!(
                    "the revocation service has no feed `{feed_of}`, so no request is let in: it has {}",
                    names.join(", ")
                ),
                "name the feed as the service names the provider".to_owned(),
            );
            continue;
        }
        if service.providers().is_none() && feed_of != name {
            says(
                &codes::FEED_NOT_READ,
                "/revocation/url",
                format!(
                    "the revocation service has the feed of this provider under its name, `{name}`, and this is `{feed_of}`"
                ),
                format!("write `/feed/{name}`"),
            );
        }
        if let Some(served) = served {
            differences(service, served, provider, feed_of, &mut says);
        }
        formats(service, provider, feed_of, &mut says);
        secrets(service, feed, &mut says);
    }
}

type Says<'s> = dyn FnMut(&'static Kind, &str, String, String) + 's;

/// What the two say of one provider, and differently.
fn differences(service: &Service, served: &Value, provider: &Value, feed: &str, says: &mut Says<'_>) {
    let (theirs, ours) = (text(served, "/issuer").unwrap_or_default(), text(provider, "/issuer").unwrap_or_default());
    if theirs != ours {
        says(
            &codes::FEED_OF_ANOTHER,
            "/issuer",
            format!(
                "the feed `{feed}` is about callers of `{theirs}`, and these are callers of `{ours}`: it cuts off nobody here"
            ),
            "write the same issuer in both files".to_owned(),
        );
    }
    if subject(served) != subject(provider) {
        says(
            &codes::FEED_OF_ANOTHER,
            "/claims/subject",
            format!(
                "the feed `{feed}` has values of `{}`, and this gateway knows callers by `{}`: it cuts off nobody here",
                subject(served),
                subject(provider)
            ),
            "write the same `claims.subject` in both files".to_owned(),
        );
    }
    let Some(kept) = service.retention(served) else { return };
    let longest = number(provider, "max_lifetime");
    if longest.is_none_or(|longest| longest > kept) {
        let taken = longest.map_or("of any length".to_owned(), |longest| format!("of {longest} s"));
        says(
            &codes::FEED_OF_ANOTHER,
            "/max_lifetime",
            format!(
                "the revocation service forgets a cut-off after {kept} s, and this gateway takes tokens {taken}: they are good again then"
            ),
            format!("set `max_lifetime` to what it is there, {}", number(served, "max_lifetime").unwrap_or(kept)),
        );
    }
}

/// Whether events about the provider's users name them by what the gateway knows them by.
fn formats(service: &Service, provider: &Value, feed: &str, says: &mut Says<'_>) {
    let claim = subject(provider);
    let usual = if is_address_claim(claim) { ["email", "account"] } else { ["iss_sub", "opaque"] };
    for source in service.sources(feed) {
        let taken: Vec<_> = items(source, "subject_formats").filter_map(|(_, format)| format.as_str()).collect();
        if taken.is_empty() || taken.iter().any(|format| usual.contains(format)) {
            continue;
        }
        says(
            &codes::SUBJECTS_OF_EVENTS,
            "/claims/subject",
            format!(
                "events of `{}` name people by {}, and this gateway knows them by `{claim}`: see that these values are the same",
                text(source, "/name").unwrap_or_default(),
                taken.join(", "),
            ),
            format!(
                "let the provider send {}, or take another claim as `claims.subject`, here and there",
                usual.join(" or ")
            ),
        );
    }
}

/// Whether the gateway shows the secret that the service asks for, as far as files tell.
fn secrets(service: &Service, feed: &Value, says: &mut Says<'_>) {
    let Some(asked) = service.0.pointer("/feed/secret") else { return };
    let shown = feed.get("authorization").filter(|shown| !shown.is_null());
    let help = || "give both the same secret".to_owned();
    let Some(shown) = shown else {
        let message = "the revocation service asks for a secret, and this gateway shows none: no request is let in";
        says(&codes::FEED_SECRET, "/revocation", message.to_owned(), "set `authorization`".to_owned());
        return;
    };
    let differ = |name: &str| Some((text(asked, name)?, text(shown, name)?)).filter(|(theirs, ours)| theirs != ours);
    if let Some((theirs, ours)) = differ("/env") {
        let message = format!(
            "the secret is in `{ours}` here and in `{theirs}` at the revocation service: see that both hold the same"
        );
        says(&codes::FEED_SECRET, "/revocation/authorization", message, "call both variables the same".to_owned());
    } else if differ("").is_some() {
        let message = "this is not the secret that the revocation service asks for: no request is let in";
        says(&codes::FEED_SECRET, "/revocation/authorization", message.to_owned(), help());
    }
}
