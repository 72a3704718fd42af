//! The files that `init` writes.

use crate::lint::is_guid;
use clap::ValueEnum;
use serde_json::{Map, Value, json};

/// The shipped file, whose plugins a new one begins with.
const MINIMAL: &str = include_str!("../../../kong/minimal.yml");

/// An identity provider with ways of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Provider {
    /// Okta, a custom authorization server
    Okta,
    /// Microsoft Entra ID
    EntraId,
    /// Auth0
    Auth0,
    /// Keycloak
    Keycloak,
    /// Google
    Google,
    /// Amazon Cognito, a user pool whose access tokens name an audience
    Cognito,
    /// GitHub Actions
    GithubActions,
    /// Any other that has groups in a claim `groups`
    Other,
}

/// By what the first role knows its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Group,
    Domain,
    Repository,
}

/// How Kong loads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The plugin, in Kong 3.4 and later
    Plugin,
    /// The WebAssembly filter, in Kong 3.9 only
    Filter,
}

impl Kind {
    /// The document about it.
    pub(crate) const fn page(self) -> &'static str {
        match self {
            Self::Plugin => "docs/install-kong-plugin.md",
            Self::Filter => "docs/install-kong.md",
        }
    }
}

/// What the files are about.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) provider: Provider,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) workspace: String,
    pub(crate) workspace_id: String,
    pub(crate) gateway: String,
    pub(crate) who: String,
    pub(crate) owner_id: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) role: String,
    pub(crate) job: String,
}

impl Provider {
    /// # Errors
    /// There is none of this name.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        Self::from_str(name, true)
            .map_err(|_| format!("`{name}` is no identity provider that is known; `other` is any"))
    }

    pub(crate) const fn who(self) -> Who {
        match self {
            Self::Google => Who::Domain,
            Self::GithubActions => Who::Repository,
            _ => Who::Group,
        }
    }

    /// # Errors
    /// Nobody at this provider is known so.
    pub(crate) fn check_who(self, text: &str) -> Result<(), String> {
        let is_domain = || text.contains('.') && !text.contains(['@', '/', ' ', '*']);
        let is_repository = || {
            text.split_once('/').is_some_and(|(owner, name)| {
                !owner.is_empty() && !name.is_empty() && !name.contains('/') && !text.contains(['*', ' ', ':'])
            })
        };
        match self.who() {
            Who::Group if text.is_empty() => Err("a group has a name".to_owned()),
            Who::Group if self == Self::EntraId && !is_guid(&text.to_ascii_lowercase()) => Err(format!(
                "`{text}` is not the object id of a group: Entra ID puts ids into tokens, not names (Groups → the group → Object Id)"
            )),
            Who::Domain if !is_domain() => Err(format!("`{text}` is not a domain, such as `example.com`")),
            Who::Repository if !is_repository() => Err(format!("`{text}` is not a repository, as owner/name")),
            _ => Ok(()),
        }
    }

    /// What issuers of it look like.
    pub(crate) const fn issuer(self) -> &'static str {
        match self {
            Self::Okta => "https://<org>.okta.com/oauth2/default",
            Self::EntraId => "https://login.microsoftonline.com/<tenant>/v2.0",
            Self::Auth0 => "https://<tenant>.auth0.com/",
            Self::Keycloak => "https://<host>/realms/<realm>",
            Self::Google => "https://accounts.google.com",
            Self::Cognito => "https://cognito-idp.<region>.amazonaws.com/<user pool>",
            Self::GithubActions => "https://token.actions.githubusercontent.com",
            Self::Other => "`iss` of a token",
        }
    }

    /// The issuer of a provider that has but one.
    pub(crate) const fn only_issuer(self) -> Option<&'static str> {
        match self {
            Self::Google | Self::GithubActions => Some(self.issuer()),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Okta => "okta",
            Self::EntraId => "entra",
            Self::Auth0 => "auth0",
            Self::Keycloak => "keycloak",
            Self::Google => "google",
            Self::Cognito => "cognito",
            Self::GithubActions => "github",
            Self::Other => "idp",
        }
    }

    /// The claim that is the Databricks user name.
    const fn user_name(self) -> &'static str {
        match self {
            Self::EntraId | Self::Keycloak => "preferred_username",
            Self::Google => "email",
            // an Action and a trigger add it (docs/identity-providers.md): `sub` is an id that Databricks does not know
            Self::Auth0 | Self::Cognito => "databricks_user",
            _ => "sub",
        }
    }

    /// The claim by which records name a caller.
    const fn subject(self) -> &'static str {
        match self {
            Self::EntraId => "oid",
            other => other.user_name(),
        }
    }

    /// Where groups stand in a token.
    const fn groups(self) -> &'static str {
        match self {
            Self::Keycloak => "/realm_access/roles",
            Self::Auth0 => "/https:~1~1example.com~1roles",
            Self::Cognito => "cognito:groups",
            _ => "groups",
        }
    }
}

impl Kind {
    /// # Errors
    /// There is none of this name.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        Self::from_str(name, true).map_err(|_| format!("`{name}` is neither `plugin` nor `filter`"))
    }
}

/// A text as YAML and JSON both have it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The kong.yml.
pub(crate) fn kong(plan: &Plan) -> String {
    let (workspace, gateway) = (quoted(&plan.workspace), quoted(&plan.gateway));
    let config = config(plan);
    let (plugins, entry) = match plan.kind {
        Kind::Plugin => (
            "\nplugins:\n# the second half of the plugin, which sets the Databricks token last; once for all routes\n\
             - name: databricks-kong-late\n"
                .to_owned(),
            format!("    plugins:\n    - name: databricks-kong\n      config:\n{}", indented(&config, 8)),
        ),
        Kind::Filter => (
            before_the_filter(),
            format!(
                "    filter_chains:\n    - filters:\n      - name: databricks_kong\n        config:\n{}      \
                 # lets a request pass only if the entry above said so, even if that one traps\n      \
                 - name: databricks_kong\n        config: {{mode: guard}}\n",
                indented(&config, 10)
            ),
        ),
    };
    format!(
        "# Written by `databricks-kong init`. Check it with `databricks-kong check --strict`, and test it with policy-tests.yaml.\n\
         _format_version: \"3.0\"\n\
         {plugins}\n\
         services:\n\
         - name: databricks\n  url: {workspace}\n  # a retried run-now would be a second run\n  retries: 0\n  read_timeout: 120000\n  \
         tls_verify: true\n  routes:\n  - name: databricks\n    hosts: [{gateway}]\n    paths: [\"/\"]\n    protocols: [https]\n    \
         strip_path: false\n    preserve_host: false\n    \
         # what a model says goes on word by word; else TLS holds it back\n    response_buffering: false\n{entry}"
    )
}

/// The plugins of the shipped file, which do what is too late for a filter.
fn before_the_filter() -> String {
    let at = MINIMAL.find("\nplugins:").unwrap_or_default();
    let end = MINIMAL.find("\nservices:").unwrap_or(MINIMAL.len());
    MINIMAL.get(at..end).unwrap_or_default().to_owned()
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

/// The configuration, which is the same for both.
fn config(plan: &Plan) -> String {
    format!(
        "workspace:\n  url: {}\n  id: {}\n  public_url: {}\nidentity_providers:\n{}roles:\n{}",
        quoted(&plan.workspace),
        quoted(&plan.workspace_id),
        quoted(&format!("https://{}", plan.gateway)),
        provider(plan),
        role(plan),
    )
}

fn provider(plan: &Plan) -> String {
    let of = plan.provider;
    let mut claims = Vec::new();
    if of.subject() != "sub" {
        claims.push(format!("subject: {}", of.subject()));
    }
    if of.who() == Who::Group && of.groups() != "groups" {
        claims.push(format!("groups: {}", quoted(of.groups())));
    }
    let claims = if claims.is_empty() { String::new() } else { format!("  claims: {{{}}}\n", claims.join(", ")) };
    let require = match of {
        // an address that nobody has verified is nobody's
        Provider::Google => "  require: {email_verified: true}\n",
        // its ID tokens are signed with the same keys
        Provider::Cognito => "  require: {token_use: access}\n",
        _ => "",
    };
    format!(
        "- name: {}\n  issuer: {}\n  audiences: [{}]\n  algorithms: [RS256, ES256]\n  max_lifetime: 86400\n{claims}{require}",
        of.name(),
        quoted(&plan.issuer),
        quoted(&plan.audience),
    )
}

fn role(plan: &Plan) -> String {
    let who = quoted(&plan.who);
    let matches = match plan.provider.who() {
        Who::Group => format!("{{groups: [{who}]}}"),
        Who::Domain => format!("{{claims: {{hd: [{who}]}}}}"),
        Who::Repository => format!(
            "{{claims: {{repository: [{who}], repository_owner_id: [{}], ref: [refs/heads/main]}}}}",
            quoted(plan.owner_id.as_deref().unwrap_or_default())
        ),
    };
    let credential = plan.client_id.as_ref().map_or_else(
        || "{type: user_federation, scope: minimal}".to_owned(),
        |id| format!("{{type: service_principal_federation, client_id: {}, scope: minimal}}", quoted(id)),
    );
    let job = quoted(&plan.job);
    format!(
        "- name: {}\n  match: {matches}\n  credential: {credential}\n  allow:\n  \
         - operations: [jobs.run_now, jobs.get]\n    resources: {{job: [{job}]}}\n  \
         # a run's own request does not say whose run it is: the gateway asks once\n  \
         - operations: [jobs.get_run, jobs.get_run_output]\n    resources: {{job: [{job}]}}\n    lookup: true\n  \
         - operations: [jobs.list, current_user.me]\n",
        quoted(&plan.role),
    )
}

/// The claims of a caller whom the role is for, or of another one.
fn claims(plan: &Plan, is_meant: bool) -> Value {
    let other = "somebody-else".to_owned();
    let who = if is_meant { &plan.who } else { &other };
    let mut claims = Map::new();
    claims.insert(plan.provider.subject().to_owned(), json!("anna@example.com"));
    if plan.provider == Provider::Cognito {
        claims.insert("token_use".to_owned(), json!("access"));
    }
    match plan.provider.who() {
        Who::Group => {
            let groups = json!([who]);
            match plan.provider.groups().strip_prefix('/') {
                None => drop(claims.insert(plan.provider.groups().to_owned(), groups)),
                Some(pointer) => {
                    let mut steps = pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
                    let first = steps.next().unwrap_or_default();
                    let inner = steps.rev().fold(groups, |inner, step| json!({ step: inner }));
                    claims.insert(first, inner);
                }
            }
        }
        Who::Domain => {
            claims.insert("hd".to_owned(), json!(who));
            claims.insert("email_verified".to_owned(), json!(true));
        }
        Who::Repository => {
            claims.insert("repository".to_owned(), json!(who));
            claims.insert("repository_owner_id".to_owned(), json!(plan.owner_id));
            claims.insert("ref".to_owned(), json!("refs/heads/main"));
        }
    }
    Value::Object(claims)
}

/// Kong's settings for the kong.yml in `directory`.
pub(crate) fn settings(kind: Kind, directory: &str, name_server: Option<&str>) -> String {
    let head = format!(
        "# What this kong.yml needs of Kong, each with its reason in {}.\n\
         database = off\ndeclarative_config = {directory}/kong.yml\n",
        kind.page()
    );
    let own = match kind {
        Kind::Plugin => "plugins = bundled,databricks-kong,databricks-kong-late\n\
             lua_ssl_trusted_certificate = system\nlua_ssl_verify_depth = 3\n\
             nginx_proxy_set = $databricks_audit $databricks_audit\n\
             nginx_http_lua_shared_dict = prometheus_metrics 16m; lua_shared_dict databricks_kong 16m\n"
            .to_owned(),
        Kind::Filter => format!(
            "wasm = on\n# the directory of databricks_kong.wasm and databricks_kong.meta.json\nwasm_filters_path = /etc/kong/filters\n\
             wasm_filters = databricks_kong\nnginx_http_proxy_wasm_lua_resolver = off\n\
             # the DNS server of the machine that Kong runs on\nnginx_wasm_resolver = {}\n\
             nginx_http_client_body_buffer_size = 1m\nnginx_proxy_set = $databricks_audit $databricks_audit\n\
             nginx_proxy_lingering_close = off\nnginx_proxy_underscores_in_headers = off\n\
             untrusted_lua_sandbox_requires = resty.wasmx.proxy_wasm\n",
            name_server.unwrap_or("10.0.0.53")
        ),
    };
    head + &own
}

/// The policy tests.
pub(crate) fn tests(plan: &Plan) -> String {
    let (meant, other) = (claims(plan, true), claims(plan, false));
    let (job, role) = (&plan.job, quoted(&plan.role));
    let run_now = |job: &str| format!("{{method: POST, path: /api/2.2/jobs/run-now, body: {{job_id: {job}}}}}");
    let mut text = String::from(
        "# Written by `databricks-kong init`. Run with `databricks-kong test`.\nconfig: kong.yml\ntests:\n",
    );
    let mut add = |name: &str, claims: Option<&Value>, request: &str, expect: &str| {
        let claims = claims.map(|claims| format!("  claims: {claims}\n")).unwrap_or_default();
        text.push_str(&format!("- name: {name}\n{claims}  request: {request}\n  expect: {{{expect}}}\n"));
    };
    add(
        "the job is run by whom the role is for",
        Some(&meant),
        &run_now(job),
        &format!("decision: allow, role: {role}"),
    );
    add("another job is not", Some(&meant), &run_now(&format!("{job}0")), "decision: deny, reason: NO_RULE");
    add("nobody else runs it", Some(&other), &run_now(job), "decision: deny, reason: NO_ROLE");
    add("jobs are listed", Some(&meant), "GET /api/2.2/jobs/list", &format!("decision: allow, role: {role}"));
    add("nothing else is done", Some(&meant), "GET /api/2.1/clusters/list", "decision: deny, reason: NO_RULE");
    add(
        "a request without a token is refused",
        None,
        "GET /api/2.2/jobs/list",
        "decision: deny, status: 401, reason: TOKEN_MISSING",
    );
    text
}

/// The command that makes Databricks trust the issuer.
pub(crate) fn federation(plan: &Plan) -> String {
    let mut policy = Map::new();
    let mut add = |key: &str, value: Value| drop(policy.insert(key.to_owned(), value));
    add("issuer", json!(plan.issuer));
    add("audiences", json!([plan.audience]));
    let command = if plan.client_id.is_some() {
        add("subject", json!(format!("repo:{}:ref:refs/heads/main", plan.who)));
        "service-principal-federation-policy create \"$id\""
    } else {
        add("subject_claim", json!(plan.provider.user_name()));
        "federation-policy create"
    };
    let json = format!("{:#}", json!({ "oidc_policy": policy })).replace('\'', "'\\''");
    let before = match &plan.client_id {
        // the policy wants the service principal's numeric id, which is not its application id
        Some(client_id) => format!(
            "# `subject` is `sub` of a workflow's token: look at one, as repositories can write it in another way.\n\
             set -eu\n\
             id=$(databricks account service-principals list --filter 'applicationId eq \"{client_id}\"' --output json |\n  \
             sed -n 's/^.*\"id\": *\"\\([0-9][0-9]*\\)\".*$/\\1/p' | head -n 1)\n\
             [ -n \"$id\" ] || {{ echo 'the account has no service principal {client_id}' >&2; exit 1; }}\n"
        ),
        None => "# The claim `subject_claim` must hold the name of a user that exists in the Databricks account.\n"
            .to_owned(),
    };
    format!(
        "#!/bin/sh\n# Written by `databricks-kong init`. Run once, as an account admin of Databricks.\n{before}\
         databricks account {command} --json '{json}'\n"
    )
}
