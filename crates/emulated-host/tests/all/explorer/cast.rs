//! Who sends requests, for what, and what must become of them: written down once more, apart from the filter.

use crate::stage::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

pub(crate) const WORKSPACES: [&str; 2] = ["a.example.net", "b.example.net"];
/// The second identity provider, whose keys never change.
const SSO: &str = "https://sso.example";
/// Seconds by which clocks may differ.
pub(crate) const SKEW: u64 = 30;
/// Where the first provider's cut-offs are, and how old what is known of them may be.
pub(crate) const FEED: &str = "https://cuts.example/feed/idp";
pub(crate) const FEED_MAX_STALE: u64 = 40;
/// Longer than any schedule.
const FOR_EVER: u64 = NOW + 50_000;

static SSO_KEY: LazyLock<Key> = LazyLock::new(|| Key::new("sso"));
/// A key that nobody lists.
static STRAY: LazyLock<Key> = LazyLock::new(|| Key::new("stray"));

/// By whose key a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    /// The first provider's, until it changes keys.
    Old,
    /// The first provider's, once it changed keys.
    New,
    /// The second provider's.
    Sso,
    /// Nobody who may.
    Nobody,
}

/// Which keys the first provider lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    Old,
    Both,
    New,
}

impl Listed {
    /// Keys are added before others are taken away.
    pub(crate) const fn next(self, forth: bool) -> Self {
        match (self, forth) {
            (Self::Old | Self::New, _) => Self::Both,
            (Self::Both, true) => Self::New,
            (Self::Both, false) => Self::Old,
        }
    }

    pub(crate) const fn has(self, signer: Signer) -> bool {
        match signer {
            Signer::Old => matches!(self, Self::Old | Self::Both),
            Signer::New => matches!(self, Self::New | Self::Both),
            Signer::Sso | Signer::Nobody => false,
        }
    }

    /// The key set; with the stray key, if a test wants the filter deceived.
    pub(crate) fn key_set(self, and_stray: bool) -> Value {
        let mut keys = Vec::new();
        keys.extend(self.has(Signer::Old).then(|| &KEY.jwk));
        keys.extend(self.has(Signer::New).then(|| &NEW.jwk));
        keys.extend(and_stray.then(|| &STRAY.jwk));
        json!({ "keys": keys })
    }
}

pub(crate) fn sso_key_set() -> Value {
    json!({ "keys": [SSO_KEY.jwk] })
}

/// OpenID Connect Back-Channel Logout 1.0.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// OpenID Continuous Access Evaluation Profile 1.0.
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// Someone with a token.
pub(crate) struct Caller {
    pub(crate) token: String,
    pub(crate) signer: Signer,
    /// Provider and subject.
    pub(crate) who: &'static str,
    pub(crate) groups: &'static [&'static str],
    pub(crate) begins: u64,
    pub(crate) ends: u64,
}

impl Caller {
    fn new(key: &Key, signer: Signer, who: &'static str, groups: &'static [&'static str], changes: Value) -> Self {
        let (provider, subject) = who.split_once('/').unwrap();
        let issuer = if provider == "sso" { SSO } else { ISSUER };
        let mut claims = json!({"iss": issuer, "groups": groups, "exp": FOR_EVER});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let (begins, ends) = (claims["nbf"].as_u64().unwrap_or(0), claims["exp"].as_u64().unwrap());
        Self { token: key.token(subject, &claims), signer, who, groups, begins, ends }
    }

    fn of_idp(subject: &'static str, groups: &'static [&'static str]) -> Self {
        Self::new(&KEY, Signer::Old, subject, groups, json!({}))
    }

    /// Whether the first provider's feed can cut the caller off.
    pub(crate) const fn may_be_cut_off(&self) -> bool {
        !matches!(self.signer, Signer::Sso)
    }

    /// Whether the token is good at `now`, if its key is.
    pub(crate) const fn is_in_time(&self, now: u64) -> bool {
        self.begins <= now + SKEW && now < self.ends + SKEW
    }
}

pub(crate) static CALLERS: LazyLock<Vec<Caller>> = LazyLock::new(|| {
    vec![
        Caller::of_idp("idp/anna", &["eng"]),
        Caller::of_idp("idp/bob", &["eng"]),
        Caller::of_idp("idp/carol", &["adm"]),
        Caller::of_idp("idp/dora", &["eng", "ops"]),
        Caller::of_idp("idp/nina", &["narrow"]),
        Caller::of_idp("idp/rita", &["runs"]),
        Caller::of_idp("idp/wendy", &["wl"]),
        Caller::of_idp("idp/pat", &["pass"]),
        Caller::of_idp("idp/eve", &["egress"]),
        Caller::new(&NEW, Signer::New, "idp/anna", &["eng"], json!({})),
        Caller::new(&NEW, Signer::New, "idp/rita", &["runs"], json!({})),
        // of another provider, so somebody else
        Caller::new(&SSO_KEY, Signer::Sso, "sso/anna", &["eng"], json!({})),
        Caller::new(&KEY, Signer::Old, "idp/brief", &["eng"], json!({"exp": NOW + 20})),
        Caller::new(&KEY, Signer::Old, "idp/brief", &["pass"], json!({"exp": NOW + 20})),
        Caller::new(&KEY, Signer::Old, "idp/early", &["eng"], json!({"nbf": NOW + 100})),
        // of a role that observes, beside others and alone
        Caller::of_idp("idp/olga", &["eng", "trial"]),
        Caller::of_idp("idp/otto", &["trial"]),
        Caller::of_idp("idp/oscar", &["narrow", "trial"]),
        Caller::of_idp("idp/nobody", &[]),
        Caller::new(&KEY, Signer::Old, "idp/past", &["eng"], json!({"exp": NOW - 60})),
        Caller::new(&KEY, Signer::Nobody, "idp/elsewhere", &["eng"], json!({"aud": "other"})),
        Caller::new(&STRAY, Signer::Nobody, "idp/stray", &["eng"], json!({})),
        // what the provider signs with the same key for the same audience, and is no access token
        Caller::new(&KEY, Signer::Nobody, "idp/anna", &["eng"], json!({"events": {LOGOUT: {}}, "sid": "s-1"})),
        Caller::new(&KEY, Signer::Nobody, "idp/anna", &["eng"], json!({"events": {REVOKED: {"event_timestamp": NOW}}})),
        Caller::new(&KEY, Signer::Nobody, "idp/anna", &["eng"], json!({"nonce": "n-0S6_WzA2Mj"})),
        Caller::new(&KEY, Signer::Nobody, "idp/anna", &["eng"], json!({"typ": "Refresh"})),
        Caller { token: forged(), signer: Signer::Nobody, ..Caller::of_idp("idp/anna", &["eng"]) },
    ]
});

/// The one that is always served in the end.
pub(crate) static LAST: LazyLock<usize> =
    LazyLock::new(|| CALLERS.iter().position(|caller| caller.who == "sso/anna").unwrap());

/// Anna's claims under the signature of another token.
fn forged() -> String {
    let (anna, bob) = (KEY.token("anna", &json!({"exp": FOR_EVER})), KEY.token("bob", &json!({})));
    format!("{}.{}", anna.rsplit_once('.').unwrap().0, bob.rsplit_once('.').unwrap().1)
}

/// Which of two configurations a route has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Engineers may not run job 202.
    Lenient,
    /// Engineers may not list jobs either.
    Strict,
}

/// What is sent to Databricks for a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    Caller { group: &'static str },
    Workload,
    Secret,
    Passthrough,
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    pub(crate) credential: Credential,
    minimal: bool,
    observes: bool,
}

const fn role(name: &'static str, group: &'static str, credential: Credential, minimal: bool) -> Role {
    Role { name, group, credential, minimal, observes: false }
}

/// In the order of the configuration.
pub(crate) static ROLES: [Role; 9] = [
    Role { observes: true, ..role("trial", "trial", Credential::Workload, false) },
    role("engineer", "eng", Credential::Caller { group: "" }, false),
    role("operator", "ops", Credential::Caller { group: "777" }, false),
    role("admin", "adm", Credential::Secret, false),
    role("narrow", "narrow", Credential::Caller { group: "" }, true),
    role("runner", "runs", Credential::Caller { group: "" }, true),
    role("workload", "wl", Credential::Workload, false),
    role("native", "pass", Credential::Passthrough, false),
    role("egress", "egress", Credential::Nothing, false),
];

impl Role {
    fn config(&self, variant: Variant, without_denials: bool) -> Value {
        let scope = if self.minimal { "minimal" } else { "all-apis" };
        let mut credential = match self.credential {
            Credential::Caller { .. } => json!({"type": "user_federation", "scope": scope}),
            Credential::Workload => json!({"type": "service_principal_federation", "client_id": "wif"}),
            Credential::Secret => service_principal(),
            Credential::Passthrough => json!({"type": "passthrough"}),
            Credential::Nothing => json!({"type": "none"}),
        };
        if let Credential::Caller { group: group @ "777" } = self.credential {
            credential["assume_group"] = json!(group);
        }
        let mut role = json!({"name": self.name, "match": {"groups": [self.group]}, "credential": credential});
        if self.observes {
            role["observe"] = json!(true);
        }
        match self.name {
            "trial" => {
                role["allow"] = json!([{"operations": ["clusters.get"]}]);
                role["deny"] = json!([{"operations": ["jobs.list"]}]);
            }
            "engineer" if !without_denials => {
                let mut deny = vec![json!({"operations": ["jobs.run_now"], "resources": {"job": ["202"]}})];
                deny.extend((variant == Variant::Strict).then(|| json!({"operations": ["jobs.list"]})));
                role["deny"] = json!(deny);
            }
            "narrow" => {
                role["allow"] = json!([
                    {"operations": ["jobs.list"]},
                    {"operations": ["jobs.run_now"], "resources": {"job": ["101"]}},
                ]);
            }
            "runner" => {
                let operations = ["jobs.get_run", "jobs.cancel_run"];
                role["allow"] = json!([{"operations": operations, "resources": {"job": ["101"]}, "lookup": true}]);
            }
            _ => {}
        }
        role
    }

    /// What a token for this role says of its scope.
    pub(crate) const fn scope(&self) -> &'static str {
        if self.minimal { "jobs" } else { "all-apis" }
    }

    fn denies(&self, want: Want, variant: Variant) -> bool {
        let engineer = self.name == "engineer";
        engineer && (want == Want::Run(202) || (want.lists() && variant == Variant::Strict))
    }

    fn allows(&self, want: Want) -> bool {
        match self.name {
            "narrow" => want.lists() || want == Want::Run(101),
            "runner" => matches!(want, Want::GetRun(RUN_OF_101) | Want::CancelRun(RUN_OF_101)),
            "trial" => false,
            _ => true,
        }
    }
}

/// A route's configuration.
pub(crate) fn route(
    workspace: &str,
    variant: Variant,
    cached_tokens: usize,
    has_feed: bool,
    without_denials: bool,
) -> String {
    let roles: Vec<_> = ROLES.iter().map(|role| role.config(variant, without_denials)).collect();
    let sso = json!({
        "name": "sso", "issuer": SSO, "audiences": ["databricks"], "algorithms": ["EdDSA"],
        "jwks_url": format!("{SSO}/keys"),
    });
    let mut idp = idp();
    idp["login"] = json!({"client_id": "login", "client_secret": "canary-login", "scope": "openid"});
    if has_feed {
        idp["revocation"] =
            json!({"url": FEED, "authorization": "canary-feed", "refresh": 10, "max_stale": FEED_MAX_STALE});
    }
    let workspace = json!({
        "url": format!("https://{workspace}"), "id": WORKSPACE_ID, "public_url": "https://gw.example.com",
    });
    let limits = json!({ "cached_tokens": cached_tokens });
    config(&json!({"workspace": workspace, "identity_providers": [idp, sso], "roles": roles, "limits": limits}))
        .to_string()
}

/// By which the first provider gives out a token again, whosever it is.
pub(crate) fn refresh_token(token: &str) -> String {
    let at = CALLERS.iter().position(|caller| caller.token == token).unwrap();
    format!("refresh-{at}")
}

/// The token that is given out for it.
pub(crate) fn refreshed(refresh_token: &str) -> &'static str {
    let at: usize = refresh_token.strip_prefix("refresh-").unwrap().parse().unwrap();
    &CALLERS[at].token
}

/// A run of job 101, and one of job 202.
pub(crate) const RUN_OF_101: u32 = 7;
pub(crate) const RUN_OF_202: u32 = 9;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    List,
    /// The same, with the token in further places from which it must be taken off.
    ListAndSmuggle,
    Run(u32),
    GetRun(u32),
    CancelRun(u32),
    /// The gateway's own token endpoint.
    Echo,
    /// The same, for tokens of the first provider.
    Refresh,
    /// A document for clients.
    Document,
    /// A second credential.
    Twice,
    /// A token in the query.
    Query,
}

impl Want {
    pub(crate) const ALL: [Self; 16] = [
        Self::List,
        Self::List,
        Self::List,
        Self::ListAndSmuggle,
        Self::Run(101),
        Self::Run(101),
        Self::Run(202),
        Self::GetRun(RUN_OF_101),
        Self::GetRun(RUN_OF_202),
        Self::CancelRun(RUN_OF_101),
        Self::CancelRun(RUN_OF_202),
        Self::Echo,
        Self::Refresh,
        Self::Document,
        Self::Twice,
        Self::Query,
    ];

    const fn lists(self) -> bool {
        matches!(self, Self::List | Self::ListAndSmuggle)
    }

    /// Whether it is for Databricks at all.
    pub(crate) const fn is_proxied(self) -> bool {
        !matches!(self, Self::Echo | Self::Refresh | Self::Document | Self::Twice | Self::Query)
    }

    pub(crate) fn request(self, token: &str, role: Option<&str>) -> host::HttpRequest {
        let mut request = match self {
            Self::List | Self::ListAndSmuggle | Self::Twice => get(token),
            Self::Run(job) => post("/api/2.1/jobs/run-now", token, &json!({ "job_id": job })),
            Self::GetRun(run) => get_at(&format!("/api/2.2/jobs/runs/get?run_id={run}"), token),
            Self::CancelRun(run) => post("/api/2.2/jobs/runs/cancel", token, &json!({ "run_id": run })),
            Self::Echo => {
                let form = format!(
                    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&\
                     subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token={token}"
                );
                let headers = [("Content-Type", "application/x-www-form-urlencoded")];
                host::HttpRequest { body: Some(form.into_bytes()), ..client("POST", "/oidc/v1/token", &headers) }
            }
            Self::Refresh => {
                let form = format!("grant_type=refresh_token&client_id=x&refresh_token={}", refresh_token(token));
                let headers = [("Content-Type", "application/x-www-form-urlencoded")];
                host::HttpRequest { body: Some(form.into_bytes()), ..client("POST", "/oidc/v1/token", &headers) }
            }
            Self::Document => client("GET", "/.well-known/databricks-config", &[]),
            Self::Query => get_at(&format!("/api/2.1/jobs/list?access_token={token}"), token),
        };
        let mut add = |name: &str, value: &str| request.headers.push((name.to_owned(), value.to_owned()));
        if self == Self::ListAndSmuggle {
            for name in ["Cookie", "X-Forwarded-Access-Token", "x_databricks_azure_sp_management_token"] {
                add(name, token);
            }
        }
        if self == Self::Twice {
            add("authorization", &format!("Bearer {token}"));
        }
        if let Some(role) = role {
            add("X-Databricks-Role", role);
        }
        request
    }
}

/// The role by which a caller gets what is wanted, if they may have it. `asked` is the role that they ask for.
///
/// As section 5 of the contract has it, word by word: a deny of a role that does not observe refuses; the first role with an allow gives
/// its credential; if none allows, the first that observes gives its own. What observing roles deny is not asked for.
pub(crate) fn decide(caller: &Caller, asked: Option<&str>, want: Want, variant: Variant) -> Option<&'static Role> {
    let own = || ROLES.iter().filter(|role| caller.groups.contains(&role.group));
    if own().any(|role| !role.observes && role.denies(want, variant)) {
        return None;
    }
    let able = || own().filter(|role| asked.is_none_or(|asked| asked == role.name));
    able().find(|role| role.allows(want)).or_else(|| able().find(|role| role.observes))
}

/// The role whose credential may be used to find out which job a run belongs to.
pub(crate) fn looks_up(caller: &Caller, asked: Option<&str>, want: Want) -> Option<&'static Role> {
    let run = matches!(want, Want::GetRun(_) | Want::CancelRun(_));
    let runner = ROLES.iter().find(|role| role.name == "runner").unwrap();
    (run && caller.groups.contains(&"runs") && asked.is_none_or(|asked| asked == runner.name)).then_some(runner)
}
