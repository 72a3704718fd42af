//! What the user typed: the configuration's keys, their types, and their descriptions, which are the schema's.
//!
//! Nothing here has a meaning yet; `check` gives it one.

use super::read::{FromConfig, Node, object, word};
use crate::base::{Secret, SortedMap};
use serde_json::Value;

word! {
    /// What an entry of the filter does with requests.
    RawMode {
        /// Verify, decide, exchange, rewrite; refuse what is not allowed.
        Enforce = "enforce",
        /// As `enforce`, but denials of authorization are only recorded: as if each role had `observe: true`, and agents' limits too.
        Observe = "observe",
        /// A second entry, last in the chain: refuses every request that an entry before it did not mark as allowed.
        Guard = "guard",
    }
}

word! {
    /// The cloud that a workspace runs in.
    RawCloud {
        /// Amazon Web Services.
        Aws = "aws",
        /// Microsoft Azure.
        Azure = "azure",
        /// Google Cloud.
        Gcp = "gcp",
    }
}

word! {
    /// Which callers must show a TLS client certificate.
    RawClientCertificate {
        /// None.
        Off = "off",
        /// Those whose token has `cnf.x5t#S256`: it must match the certificate (RFC 8705).
        Bound = "bound",
        /// All.
        Required = "required",
    }
}

word! {
    /// Whose requests are counted together.
    RawQuotaPer {
        /// Those of one subject of one identity provider.
        Subject = "subject",
        /// Those that one role lets on.
        Role = "role",
        /// Those of one entry of `agents`, whoever it acts for; callers that are no agent are not counted.
        Agent = "agent",
    }
}

word! {
    /// Which tokens are introspected.
    RawIntrospectionWhen {
        /// Those that are not JWTs: whose they are, only the provider knows.
        Opaque = "opaque",
        /// All; JWTs once they were verified.
        Always = "always",
    }
}

word! {
    /// How a caller's subject is written to audit records.
    RawAuditSubject {
        /// As it is.
        Plain = "plain",
        /// `sha256:` and the first 32 hex digits of SHA-256 over provider name, NUL, subject.
        Sha256 = "sha256",
    }
}

word! {
    /// A class of SQL statements.
    RawSqlClass {
        /// Reads.
        Select = "select",
        /// Changes rows.
        Dml = "dml",
        /// Changes objects.
        Ddl = "ddl",
        /// Changes permissions.
        Grant = "grant",
        /// Anything else.
        Other = "other",
    }
}

object! {
    /// The configuration of one databricks_kong entry.
    RawConfig {
        /// `enforce` (default), `observe` or `guard`.
        mode: Option<RawMode>,
        /// The Databricks workspace behind the route. Required unless `mode` is `guard`.
        workspace: Option<RawWorkspace>,
        /// The identity providers whose tokens are accepted; at least one unless `mode` is `guard`.
        identity_providers: Option<Vec<RawIdentityProvider>>,
        /// Which callers get which Databricks credential, and what they may do; ordered, at least one unless `mode` is `guard`.
        roles: Option<Vec<RawRole>>,
        /// What an AI agent may do at most, whoever it acts for.
        agents: Option<Vec<RawAgent>>,
        /// Whether callers must show a TLS client certificate. Default `off`.
        client_certificate: Option<RawClientCertificate>,
        /// The header in which a trusted TLS terminator before the gateway hands on the client's certificate, as RFC 9440 says (`Client-Cert`).
        /// With it, a certificate of the connection itself counts for nothing; clients must not reach the gateway but through the terminator.
        client_certificate_header: Option<String>,
        /// A signed assertion of the caller for the upstream.
        identity_header: Option<RawIdentityHeader>,
        /// How many requests a caller may send; counted after authentication, by each worker for itself.
        quota: Option<RawQuota>,
        /// Bounds on requests of the gateway's own to identity providers and token endpoints.
        callouts: Option<RawCallouts>,
        /// Bounds on sizes and memory.
        limits: Option<RawLimits>,
        /// What audit records hold and where they go.
        audit: Option<RawAudit>,
    }
}

object! {
    /// The identity providers of a configuration and nothing else: what programs beside the filter take over from it.
    RawProviders {
        /// As [`RawConfig`] has them.
        identity_providers: Vec<RawIdentityProvider>,
    }
}

object! {
    /// The Databricks workspace behind the route.
    RawWorkspace {
        /// The workspace's url: https, no path.
        url: String,
        /// The numeric workspace (org) id; sent as `X-Databricks-Org-Id`.
        id: Option<RawNumericId>,
        /// The Databricks account's id, shown to clients.
        account_id: Option<String>,
        /// The cloud that the workspace runs in, shown to clients.
        cloud: Option<RawCloud>,
        /// How clients reach this gateway; may end in a path prefix that the route strips.
        public_url: Option<String>,
        /// The token endpoint. Default: `<url>/oidc/v1/token`.
        token_url: Option<String>,
        /// The cluster of the token endpoint, on hosts that dispatch by cluster name (Envoy).
        upstream: Option<String>,
    }
}

object! {
    /// An identity provider whose tokens are accepted.
    RawIdentityProvider {
        /// The name shown in audit records.
        name: String,
        /// Compared byte for byte with the token's `iss`.
        issuer: String,
        /// The accepted audiences; a token must have one of them in `aud`.
        audiences: Vec<String>,
        /// Where the provider's keys are. Default: `jwks_uri` of `<issuer>/.well-known/openid-configuration`.
        jwks_url: Option<String>,
        /// The provider's cluster, on hosts that dispatch by cluster name (Envoy).
        upstream: Option<String>,
        /// The accepted signature algorithms: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA. Default RS256 and ES256.
        algorithms: Option<Vec<String>>,
        /// Seconds that the provider's clock may differ from the gateway's, at most 300. Default 30.
        #[cfg_attr(feature = "schema", schemars(range(max = 300)))]
        clock_skew: Option<u64>,
        /// Seconds that known keys serve, once they should have been refreshed, while the provider is down. Default 86400.
        keys_max_stale: Option<u64>,
        /// Refuses tokens whose `exp` - `iat` is longer than this many seconds, and tokens without `iat`.
        max_lifetime: Option<u64>,
        /// Where the caller's attributes stand in the token.
        claims: Option<RawClaims>,
        /// Further claims, each with the value or the list of values that it must have one of.
        require: Option<SortedMap<String, Value>>,
        /// Asks the provider whether a token is active (RFC 7662).
        introspection: Option<RawIntrospection>,
        /// Signs people in at this provider; at most one provider may have it. The provider must be discoverable by its `issuer`.
        login: Option<RawLogin>,
        /// A feed of revoked identities.
        revocation: Option<RawRevocation>,
    }
}

object! {
    /// Where the caller's attributes stand in the token: claim names, or JSON pointers.
    RawClaims {
        /// The caller's identity. Default `sub`.
        subject: Option<String>,
        /// The caller's groups: a list of strings, or one string, which is one group whatever it contains. Default `groups`.
        groups: Option<String>,
        /// One character, at which one string is several groups: a blank for a claim like `scope`.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1)))]
        groups_separator: Option<String>,
        /// The client that the token was issued to. Default: the first present of azp, client_id, cid, appid.
        client: Option<String>,
    }
}

object! {
    /// Token introspection (RFC 7662).
    RawIntrospection {
        /// The introspection endpoint.
        url: String,
        /// The gateway's client id at the provider.
        client_id: String,
        /// Its secret.
        client_secret: RawSecret,
        /// The endpoint's cluster, on hosts that dispatch by cluster name (Envoy). Default: the provider's `upstream`.
        upstream: Option<String>,
        /// `opaque` (default) or `always`.
        when: Option<RawIntrospectionWhen>,
        /// Seconds that a positive answer is kept, never past `exp`. Default 30.
        #[cfg_attr(feature = "schema", schemars(range(max = 3600)))]
        cache: Option<u64>,
    }
}

object! {
    /// Interactive sign-in of the official Databricks clients at an identity provider.
    RawLogin {
        /// The gateway's client id at the provider, in the place of the one that clients bring.
        client_id: String,
        /// The scopes to ask for, separated by blanks, in the place of those that clients ask for.
        scope: String,
        /// The client's secret, where it is a confidential one; sent as HTTP Basic authentication.
        client_secret: Option<RawSecret>,
    }
}

object! {
    /// A feed of revoked identities.
    RawRevocation {
        /// Where the feed is.
        url: String,
        /// What is sent to it as `Authorization: Bearer`.
        authorization: Option<RawSecret>,
        /// The feed's cluster, on hosts that dispatch by cluster name (Envoy). Default: host and port of `url`.
        upstream: Option<String>,
        /// Seconds after which the feed is read again: a cut-off counts that much later at most. Default 15.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 3600)))]
        refresh: Option<u64>,
        /// Requests are refused once the last good answer is older than this many seconds; no less than `refresh`. Default 60.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86400)))]
        max_stale: Option<u64>,
    }
}

object! {
    /// Maps callers to a Databricks credential and to what they may do.
    RawRole {
        /// The role's name, unique, shown in audit records.
        name: String,
        /// Whom the role is for: every key given must hold; within a key any value will do.
        r#match: RawMatch,
        /// The time within which the role is granted.
        valid: Option<RawValid>,
        /// Why the role is granted; copied to audit records.
        grant: Option<RawGrant>,
        /// What replaces the caller's token.
        credential: RawCredential,
        /// What the role may do. Default: every operation that is not sensitive.
        allow: Option<Vec<RawRule>>,
        /// What the role may not do, whatever `allow` says.
        deny: Option<Vec<RawRule>>,
        /// Whether this role's denials are only recorded. It opens nothing that another role or an agent's entry refuses, and gives its own
        /// credential only. Default false.
        observe: Option<bool>,
    }
}

object! {
    /// Which callers a role is for. In patterns `*` matches any run of characters.
    RawMatch {
        /// Patterns of which one of the caller's groups must match one.
        groups: Option<Vec<String>>,
        /// Names of identity providers, one of which must have issued the token.
        identity_providers: Option<Vec<String>>,
        /// Patterns of which the caller's subject must match one.
        subjects: Option<Vec<String>>,
        /// Patterns of which the token's client must match one.
        clients: Option<Vec<String>>,
        /// Claims (names or JSON pointers) with the values of which each must have one.
        claims: Option<SortedMap<String, Vec<Value>>>,
    }
}

object! {
    /// The time within which a role is granted.
    RawValid {
        /// From this point on, e.g. 2026-11-01T00:00:00Z.
        from: Option<String>,
        /// Until just before this point.
        until: Option<String>,
    }
}

object! {
    /// Why a role is granted.
    RawGrant {
        /// Who approved it.
        approved_by: Option<String>,
        /// The ticket that asks for it.
        ticket: Option<String>,
        /// Whether it is an emergency access. Default false.
        break_glass: Option<bool>,
    }
}

object! {
    /// What a role may or may not do.
    RawRule {
        /// Databricks operations as the Python SDK names them, e.g. `jobs.run_now`; `*` matches any run of characters.
        operations: Option<Vec<String>>,
        /// Resource types with the ids, or patterns of ids, that a request must carry. `${subject}` and `${claim:NAME}` stand for the caller's
        /// own values.
        resources: Option<SortedMap<String, Vec<String>>>,
        /// Whether a run's job is looked up first. Default false.
        lookup: Option<bool>,
        /// The classes of SQL statements meant.
        sql: Option<Vec<RawSqlClass>>,
        /// Requests that the catalogue does not know: `METHOD /path/*/more/**`.
        paths: Option<Vec<String>>,
        /// Features of a request's body that the rule lets pass.
        permit: Option<Vec<String>>,
        /// The OAuth scope to ask for, where the role's credential says `minimal`.
        scope: Option<RawScope>,
    }
}

object! {
    /// An AI agent, and what it may do at most.
    RawAgent {
        /// The agent's name, shown in audit records.
        name: String,
        /// By what the agent is known.
        r#match: RawAgentMatch,
        /// What it may do. Default: every operation that is not sensitive.
        allow: Option<Vec<RawRule>>,
        /// What it may not do.
        deny: Option<Vec<RawRule>>,
    }
}

object! {
    /// By what an agent is known.
    RawAgentMatch {
        /// Patterns of the token's client.
        clients: Option<Vec<String>>,
        /// Patterns of the token's actor (`act.sub`).
        actors: Option<Vec<String>>,
    }
}

object! {
    /// A signed assertion of the caller for the upstream.
    RawIdentityHeader {
        /// The header's name. Default X-Databricks-Kong-Identity. A client's header of this name never passes.
        name: Option<String>,
        /// The signing key: PEM, PKCS#8, on P-256.
        key: Option<RawSecret>,
        /// In place of `key`, several: the first signs, the public halves of all are published.
        keys: Option<Vec<RawSecret>>,
        /// The assertion's `aud`.
        audience: Option<String>,
        /// Its life in seconds. Default 60.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 300)))]
        ttl: Option<u64>,
    }
}

object! {
    /// How many requests a caller may send: so many at once, which come back evenly over the window.
    RawQuota {
        /// Whose requests are counted together: `subject`, `role` or `agent`.
        per: RawQuotaPer,
        /// How many.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        requests: u64,
        /// The window in seconds. Default 60.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86_400)))]
        window: Option<u64>,
    }
}

object! {
    /// Bounds on requests of the gateway's own.
    RawCallouts {
        /// Milliseconds for one try. Default 2000.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 60000)))]
        timeout: Option<u64>,
        /// Tries for one need. Default 2.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 5)))]
        attempts: Option<u64>,
        /// Whether plain http is allowed to hosts that are not loopback. Default false.
        allow_http: Option<bool>,
    }
}

object! {
    /// Bounds on sizes and memory.
    RawLimits {
        /// The longest token that is looked at, in bytes. Default 16384.
        #[cfg_attr(feature = "schema", schemars(range(min = 256, max = 65536)))]
        token_bytes: Option<u64>,
        /// The longest body that is looked at, in bytes; unless it is set, 1000000 of prompts for models and of messages to MCP servers.
        /// Default 65536.
        #[cfg_attr(feature = "schema", schemars(range(min = 1024, max = 16_777_216)))]
        body_bytes: Option<u64>,
        /// How many Databricks tokens a worker keeps, and how many verified callers. Default 10000.
        #[cfg_attr(feature = "schema", schemars(range(max = 1_000_000)))]
        cached_tokens: Option<u64>,
    }
}

object! {
    /// What audit records hold and where they go.
    RawAudit {
        /// Whether each record is also written as a log line. Default true.
        log: Option<bool>,
        /// Whether the tables that SQL touches are recorded. Default true.
        sql_tables: Option<bool>,
        /// `plain` (default) or `sha256`.
        subject: Option<RawAuditSubject>,
    }
}

object! {
    /// The caller's JWT is exchanged (RFC 8693) for a token of that same user.
    RawUserFederation {
        /// `all-apis` (default), a list of scopes, or `minimal`.
        scope: Option<RawScope>,
        /// The numeric id of the group whose permissions the token carries.
        assume_group: Option<RawNumericId>,
    }
}

object! {
    /// The caller's JWT is exchanged (RFC 8693) under a service principal's federation policy.
    RawServicePrincipalFederation {
        /// The service principal's application id.
        client_id: String,
        /// `all-apis` (default), a list of scopes, or `minimal`.
        scope: Option<RawScope>,
    }
}

object! {
    /// A token of a service principal by its secret (RFC 6749, client credentials grant).
    RawServicePrincipalSecret {
        /// The service principal's application id.
        client_id: String,
        /// Its OAuth secret.
        client_secret: RawSecret,
        /// `all-apis` (default), a list of scopes, or `minimal`.
        scope: Option<RawScope>,
    }
}

object! {
    /// The gateway signs an assertion of at most 300 seconds, always with ES256, and exchanges it under a service principal's federation policy.
    RawGatewayAssertion {
        /// The service principal's application id.
        client_id: String,
        /// The assertion's `iss`.
        issuer: String,
        /// Its `aud`.
        audience: String,
        /// Its `sub`.
        subject: String,
        /// The signing key: PEM, PKCS#8, on P-256.
        key: RawSecret,
        /// The key's id in the assertion's header. Default: the key's thumbprint (RFC 7638).
        kid: Option<String>,
        /// `all-apis` (default), a list of scopes, or `minimal`.
        scope: Option<RawScope>,
    }
}

object! {
    /// Microsoft's on-behalf-of grant, with a client secret.
    RawEntraOnBehalfOf {
        /// The Entra tenant: its id, or one of its domains.
        tenant_id: String,
        /// The gateway's application id; callers' tokens must be for it.
        client_id: String,
        /// Its secret.
        client_secret: RawSecret,
        /// Where tokens come from. Default https://login.microsoftonline.com.
        authority: Option<String>,
        /// The authority's cluster, on hosts that dispatch by cluster name (Envoy).
        upstream: Option<String>,
    }
}

object! {
    /// The verified token itself.
    RawPassthrough {}
}

object! {
    /// No `Authorization` at all.
    RawNone {}
}

/// What replaces the caller's token: exactly one `type`, with its fields.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type", rename_all = "snake_case"))]
pub(super) enum RawCredential {
    /// The caller's JWT is exchanged (RFC 8693) for a token of that same user.
    UserFederation(RawUserFederation),
    /// The caller's JWT is exchanged (RFC 8693) under a service principal's federation policy.
    ServicePrincipalFederation(RawServicePrincipalFederation),
    /// A token of a service principal by its secret (RFC 6749, client credentials grant).
    ServicePrincipalSecret(RawServicePrincipalSecret),
    /// The gateway signs an assertion and exchanges it (RFC 8693) under a service principal's federation policy.
    GatewayAssertion(RawGatewayAssertion),
    /// A token of that same user from Entra ID, by Microsoft's on-behalf-of grant; for Azure Databricks.
    EntraOnBehalfOf(RawEntraOnBehalfOf),
    /// The verified token itself; for tokens that Databricks accepts as they are.
    Passthrough(RawPassthrough),
    /// No `Authorization` at all; for services behind the gateway that Databricks calls.
    None(RawNone),
}

impl FromConfig for RawCredential {
    const EXPECTED: &'static str = "an object with the key `type`";

    fn read(node: &Node<'_>) -> Option<Self> {
        const TYPES: &str = "`user_federation`, `service_principal_federation`, `service_principal_secret`, \
                             `gateway_assertion`, `entra_on_behalf_of`, `passthrough`, `none`";
        let (name, rest) = node.tagged("type", TYPES)?;
        Some(match name {
            "user_federation" => Self::UserFederation(FromConfig::read(&rest)?),
            "service_principal_federation" => Self::ServicePrincipalFederation(FromConfig::read(&rest)?),
            "service_principal_secret" => Self::ServicePrincipalSecret(FromConfig::read(&rest)?),
            "gateway_assertion" => Self::GatewayAssertion(FromConfig::read(&rest)?),
            "entra_on_behalf_of" => Self::EntraOnBehalfOf(FromConfig::read(&rest)?),
            "passthrough" => Self::Passthrough(FromConfig::read(&rest)?),
            "none" => Self::None(FromConfig::read(&rest)?),
            other => return node.wrong(format!("has the type `{other}`, which is none of {TYPES}")),
        })
    }
}

object! {
    /// A secret from the environment of the gateway's process.
    RawEnvSecret {
        /// The variable's name.
        env: String,
    }
}

object! {
    /// A secret that a plugin before the filter puts into `kong.ctx.shared`.
    RawSharedSecret {
        /// The key in `kong.ctx.shared`.
        shared: String,
    }
}

/// A secret: a string, `{env: NAME}`, or `{shared: NAME}` for `kong.ctx.shared.NAME`.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(untagged))]
pub(super) enum RawSecret {
    /// The secret itself.
    Plain(#[cfg_attr(feature = "schema", schemars(with = "String"))] Secret<String>),
    /// From the environment.
    Env(RawEnvSecret),
    /// From `kong.ctx.shared`.
    Shared(RawSharedSecret),
}

impl FromConfig for RawSecret {
    const EXPECTED: &'static str = "a string, `{env: NAME}` or `{shared: NAME}`";

    fn read(node: &Node<'_>) -> Option<Self> {
        match node.value() {
            Value::String(_) => FromConfig::read(node).map(Self::Plain),
            Value::Object(map) if map.contains_key("env") => FromConfig::read(node).map(Self::Env),
            Value::Object(map) if map.contains_key("shared") => FromConfig::read(node).map(Self::Shared),
            _ => node.wrong(format!("must be {}", Self::EXPECTED)),
        }
    }
}

/// The OAuth scope to ask for: `all-apis`, `minimal`, or a list of scopes.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(untagged))]
pub(super) enum RawScope {
    /// `all-apis`, `minimal`, or one scope.
    One(String),
    /// Several scopes.
    List(Vec<String>),
}

impl FromConfig for RawScope {
    const EXPECTED: &'static str = "a scope or a list of scopes";

    fn read(node: &Node<'_>) -> Option<Self> {
        match node.value() {
            Value::String(_) => FromConfig::read(node).map(Self::One),
            Value::Array(_) => FromConfig::read(node).map(Self::List),
            _ => node.wrong(format!("must be {}", Self::EXPECTED)),
        }
    }
}

/// The largest number that Lua, and JSON in most programs, holds exactly: 2^53 - 1.
const LARGEST_EXACT: u64 = (1 << 53) - 1;

/// A numeric id, best written as a string: numbers beyond 2^53 lose digits on their way through Kong.
#[derive(Clone, Debug)]
pub(super) struct RawNumericId(pub(super) String);

impl FromConfig for RawNumericId {
    const EXPECTED: &'static str = "a numeric id, as a string";

    fn read(node: &Node<'_>) -> Option<Self> {
        let digits = match node.value() {
            Value::String(text) => text.clone(),
            Value::Number(_) => {
                let number = u64::read(node)?;
                if number > LARGEST_EXACT {
                    return node
                        .wrong("must be written in quotes: so long a number loses digits on its way through Kong");
                }
                number.to_string()
            }
            _ => String::new(),
        };
        let numeric = (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if numeric { Some(Self(digits)) } else { node.wrong(format!("must be {}", Self::EXPECTED)) }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for RawNumericId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NumericId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "integer"], "pattern": "^[0-9]{1,20}$", "minimum": 0 })
    }
}
