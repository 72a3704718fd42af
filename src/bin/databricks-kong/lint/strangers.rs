//! Roles that let in people whom nobody at this company knows: all the world shares some issuers, and a pattern with a star in the wrong
//! place takes a stranger's name for one's own.

use super::owner::Owner;
use super::roles::PATTERNS;
use super::rule::texts;
use super::{Entry, codes, items, value_at};
use crate::findings::Finding;
use serde_json::{Map, Value};

/// An issuer whose tokens anybody in the world can get.
struct Shared {
    issuer: &'static str,
    /// Who gets its tokens.
    whose: &'static str,
    /// The claims that tell one owner from all others.
    binds: &'static [Bind],
    help: &'static str,
}

/// A claim, and what of a pattern on it must be literal for it to mean one owner's tokens only.
struct Bind(&'static str, Literal);

#[derive(Clone, Copy)]
enum Literal {
    /// All of it.
    Whole,
    /// The first name in it, with the `/` behind.
    Owner,
    /// The kind of thing, its first name, and what ends that: `repo:acme/`, `organization:acme:`.
    KindAndOwner,
    /// The domain of an address, with its `@`.
    Domain,
    /// One of its parts that names an owner, to the end of the owner's name. Everybody chooses of which claims the subjects of their own
    /// repository are made, so that `environment:prod` by itself is anybody's.
    GithubSubject,
}

use Literal::{Domain, GithubSubject, KindAndOwner, Owner as OwnerName, Whole};

const SHARED: [Shared; 7] = [
    Shared {
        issuer: "https://token.actions.githubusercontent.com",
        whose: "every workflow on GitHub",
        binds: &[
            Bind("sub", GithubSubject),
            Bind("repository", OwnerName),
            Bind("repository_id", Whole),
            Bind("repository_owner", Whole),
            Bind("repository_owner_id", Whole),
            Bind("enterprise", Whole),
            Bind("enterprise_id", Whole),
            // not `job_workflow_ref`: a stranger's workflow can call a public one of yours, and has its name there
            Bind("workflow_ref", OwnerName),
        ],
        help: "add `claims: {repository_owner_id: [<your organization's id>]}`",
    },
    Shared {
        issuer: "https://gitlab.com",
        whose: "every pipeline and user on gitlab.com",
        binds: &[
            Bind("sub", KindAndOwner),
            Bind("namespace_id", Whole),
            Bind("namespace_path", OwnerName),
            Bind("project_id", Whole),
            Bind("project_path", OwnerName),
            Bind("groups", OwnerName),
            Bind("groups_direct", OwnerName),
        ],
        help: "add `claims: {namespace_id: [<your group's id>]}`",
    },
    Shared {
        issuer: "https://accounts.google.com",
        whose: "everybody with a Google account",
        binds: &[Bind("sub", Whole), Bind("email", Domain), Bind("hd", Whole)],
        help: "add `claims: {hd: [<your domain>]}`, or `subjects`",
    },
    Shared {
        issuer: "https://app.terraform.io",
        whose: "every workspace of HCP Terraform",
        binds: &[
            Bind("sub", KindAndOwner),
            Bind("terraform_organization_id", Whole),
            Bind("terraform_organization_name", Whole),
            Bind("terraform_project_id", Whole),
            Bind("terraform_workspace_id", Whole),
            Bind("terraform_full_workspace", KindAndOwner),
        ],
        help: "add `claims: {terraform_organization_id: [<your organization's id>]}`",
    },
    Shared {
        issuer: "https://agent.buildkite.com",
        whose: "every pipeline of Buildkite",
        binds: &[
            Bind("sub", KindAndOwner),
            Bind("organization_id", Whole),
            Bind("organization_slug", Whole),
            Bind("pipeline_id", Whole),
        ],
        help: "add `claims: {organization_id: [<your organization's id>]}`",
    },
    Shared {
        issuer: "https://oidc.vercel.com",
        whose: "every deployment on Vercel",
        binds: &[Bind("sub", KindAndOwner), Bind("owner", Whole), Bind("owner_id", Whole), Bind("project_id", Whole)],
        help: "add `claims: {owner_id: [<your team's id>]}`",
    },
    Shared {
        issuer: "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        whose: "everybody with a private Microsoft account",
        binds: &[Bind("sub", Whole), Bind("oid", Whole)],
        help: "use the issuer of your own tenant",
    },
];

/// Domains in which everybody gets an address.
const MAILBOXES: [&str; 10] = [
    "gmail.com",
    "googlemail.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "msn.com",
    "yahoo.com",
    "icloud.com",
    "proton.me",
    "gmx.net",
];

/// What the gateway has by itself, so that Databricks cannot tell who asked.
const OWN_CREDENTIALS: [&str; 3] = ["service_principal_secret", "gateway_assertion", "none"];

pub(super) fn lint(entry: &Entry<'_>, roles: &[Owner<'_>], found: &mut Vec<Finding>) {
    let providers: Vec<_> = items(entry.config, "identity_providers").map(|(_, provider)| provider).collect();
    for role in roles.iter().filter(|role| !role.only_denies(entry)) {
        let before = found.len();
        for provider in providers.iter().filter(|provider| is_for(role, provider)) {
            shared(entry, provider, role, found);
        }
        if found.len() == before {
            everybody(entry, role, found);
        }
        if providers.len() > 1 {
            any_provider(entry, role, found);
        }
    }
}

/// Whether the role can be a caller's of this provider.
fn is_for(role: &Owner<'_>, provider: &Value) -> bool {
    let names = value_at(role.value, "/match/identity_providers").and_then(Value::as_array);
    names.is_none_or(|names| provider.get("name").is_some_and(|name| names.contains(name)))
}

fn shared(entry: &Entry<'_>, provider: &Value, role: &Owner<'_>, found: &mut Vec<Finding>) {
    let issuer = provider.get("issuer").and_then(Value::as_str).unwrap_or_default();
    let Some(shared) = SHARED.iter().find(|shared| shared.issuer == issuer.trim_end_matches('/')) else { return };
    let required = provider.get("require").and_then(Value::as_object);
    if required.is_some_and(|claims| claims.iter().any(|(claim, values)| shared.is_bound(claim, &all_texts(values)))) {
        return;
    }
    let wanted = wanted(role, provider);
    if wanted.iter().any(|(_, claim, values)| shared.is_bound(claim, values)) {
        return;
    }
    let kind = if OWN_CREDENTIALS.contains(&role.credential()) { &codes::OPEN_TO_STRANGERS } else { &codes::STRANGERS };
    let loose = wanted.iter().find_map(|(pointer, claim, values)| {
        let bind = shared.binds.iter().find(|bind| bind.0 == *claim)?;
        let index = values.iter().position(|value| !bind.1.is_bound(value))?;
        Some((format!("{pointer}/{index}"), values.get(index)?))
    });
    let (whose, title) = (shared.whose, &role.title);
    found.push(match loose {
        Some((at, pattern)) => {
            let message = format!(
                "{whose} can have a token of this issuer, and `{pattern}` also matches names of other owners: {title} is open to them"
            );
            let help = format!("let no star stand before the end of the owner's name; or {}", shared.help);
            entry.finding(kind, &format!("{}/match{at}", role.pointer), message).help(help)
        }
        None => {
            let message = format!(
                "{whose} can have a token of this issuer, and nothing in `match` says whose are meant: {title} is open to them all"
            );
            entry.finding(kind, &format!("{}/match", role.pointer), message).help(shared.help)
        }
    });
}

impl Shared {
    /// Whether values of a claim are all of one's own.
    fn is_bound(&self, claim: &str, values: &[String]) -> bool {
        let Some(bind) = self.binds.iter().find(|bind| bind.0 == claim.trim_start_matches('/')) else { return false };
        !values.is_empty() && values.iter().all(|value| bind.1.is_bound(value))
    }
}

impl Literal {
    /// Whether no stranger's value matches a pattern, as far as the literal part of it tells.
    fn is_bound(self, pattern: &str) -> bool {
        let (start, is_whole) = pattern.split_once('*').map_or((pattern, true), |(start, _)| (start, false));
        if is_whole && !matches!(self, Self::GithubSubject) {
            return !pattern.is_empty();
        }
        let has_owner = |rest: &str| rest.find(['/', ':']).is_some_and(|at| at > 0);
        match self {
            Self::Whole => false,
            Self::Owner => has_owner(start),
            Self::KindAndOwner => start.split_once(':').is_some_and(|(_, rest)| has_owner(rest)),
            Self::Domain => pattern.rsplit('*').next().is_some_and(|end| {
                end.split_once('@')
                    .is_some_and(|(_, domain)| !MAILBOXES.contains(&domain.to_ascii_lowercase().as_str()))
            }),
            Self::GithubSubject => is_of_one_owner(start, is_whole),
        }
    }
}

/// Whether a subject of GitHub's (`repo:acme/etl:ref:refs/heads/main`) that begins so names an owner to the end.
fn is_of_one_owner(start: &str, is_whole: bool) -> bool {
    let parts: Vec<_> = start.split(':').collect();
    (1_usize..).zip(parts.iter().zip(parts.iter().skip(1))).any(|(place, (claim, value))| match *claim {
        "repo" | "repository" | "workflow_ref" => value.find('/').is_some_and(|at| at > 0),
        "repository_id" | "repository_owner" | "repository_owner_id" | "enterprise" | "enterprise_id" => {
            // before a star the last value may go on
            !value.is_empty() && (is_whole || place.saturating_add(1) < parts.len())
        }
        _ => false,
    })
}

/// What a role wants of tokens of this provider: where in `match` it says so, of which claim, and which values.
fn wanted<'a>(role: &Owner<'a>, provider: &'a Value) -> Vec<(String, &'a str, Vec<String>)> {
    let read_from = |key: &str, default: &'static str| {
        value_at(provider, &format!("/claims/{key}")).and_then(Value::as_str).unwrap_or(default).trim_start_matches('/')
    };
    let lists = [("groups", read_from("groups", "groups")), ("subjects", read_from("subject", "sub"))];
    let lists = lists.into_iter().chain([("clients", read_from("client", "azp"))]);
    let lists = lists.map(|(key, claim)| {
        let pointer = format!("/{key}");
        let values = texts(value_at(role.value, &format!("/match{pointer}")));
        let values = values.into_iter().map(str::to_owned).collect();
        (pointer, claim, values)
    });
    let claims = claims(role).into_iter().flatten().map(|(claim, values)| {
        let pointer = format!("/claims{}", crate::document::step(claim));
        (pointer, claim.trim_start_matches('/'), literal_texts(values))
    });
    lists.chain(claims).collect()
}

fn claims<'a>(role: &Owner<'a>) -> Option<&'a Map<String, Value>> {
    value_at(role.value, "/match/claims").and_then(Value::as_object)
}

/// The texts of one value or of several.
fn all_texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        list => literal_texts(list),
    }
}

/// Values that are compared exactly, in which a star stands for itself.
fn literal_texts(list: &Value) -> Vec<String> {
    let values = list.as_array().into_iter().flatten();
    let texts = values.filter_map(|value| match value {
        Value::String(text) => Some(text.replace('*', "\u{2217}")),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    texts.collect()
}

/// A role that a provider's every user has, with a credential that makes one of them all.
fn everybody(entry: &Entry<'_>, role: &Owner<'_>, found: &mut Vec<Finding>) {
    let kind = role.credential();
    let narrows = |key: &str| {
        let patterns = texts(value_at(role.value, &format!("/match/{key}")));
        !patterns.is_empty() && !patterns.iter().any(|pattern| pattern.chars().all(|letter| letter == '*'))
    };
    let has_claims = claims(role).is_some_and(|claims| !claims.is_empty());
    let is_own = OWN_CREDENTIALS.contains(&kind) || kind == "service_principal_federation";
    if !is_own || has_claims || PATTERNS.iter().any(|key| narrows(key)) {
        return;
    }
    let does = if kind == "none" { "reaches what is behind this route" } else { "acts as this service principal" };
    let message = format!("whoever has a token of the provider {does}: `match` of {} leaves nobody out", role.title);
    found.push(
        entry
            .finding(&codes::EVERYBODY, &format!("{}/match", role.pointer), message)
            .help("name `groups`, `subjects`, `clients` or `claims` in `match`"),
    );
}

/// A name means whoever has it at any of several providers.
fn any_provider(entry: &Entry<'_>, role: &Owner<'_>, found: &mut Vec<Finding>) {
    let is_set = |key: &&str| value_at(role.value, &format!("/match/{key}")).is_some_and(|value| !value.is_null());
    if is_set(&"identity_providers") {
        return;
    }
    let Some(key) = PATTERNS.iter().chain(&["claims"]).copied().find(is_set) else { return };
    let message = format!("`{key}` match at every provider: two providers may give the same name to different people");
    found.push(
        entry
            .finding(&codes::ANY_PROVIDER, &format!("{}/match/{key}", role.pointer), message)
            .help("add `identity_providers` with the one that is meant"),
    );
}
