//! What the types of the configuration do not say and its schema can: how many, which words, which form, and which of two shapes.
//!
//! Kong refuses a configuration that breaks the schema, with 400 and the place. What it lets through, only the filter can refuse, and
//! then every request is a 500. So the schema says whatever draft-04 can say.

use super::schema::SchemaFault;
use crate::databricks::{Catalogue, Features};
use crate::jwt::Algorithm;
use serde_json::{Map, Value, json};

/// An absolute address: `http` is for this machine, unless `callouts.allow_http` is set.
const ADDRESS: &str = "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\s]+(?:[/?][^#\\s]*)?$";
/// One without a query.
const DISCOVERABLE: &str = "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\s]+(?:/[^?#\\s]*)?$";
/// One without path and query.
const ORIGIN: &str = "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\s]+/?$";
/// One that a token may be sent to.
const SAFE: &str =
    "^(?:[Hh][Tt][Tt][Pp][Ss]://|[Hh][Tt][Tt][Pp]://(?:[Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt](?:[:/?]|$)|127\\.|\\[))";
/// A claim's name, or a JSON pointer (RFC 6901).
const CLAIM: &str = "^(?:[^/]|(?:/(?:[^~/]|~[01])*)+$)";
/// RFC 3339, in UTC.
const TIME: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\\.[0-9]+)?Z$";
/// An id or a pattern of ids, in which `${` begins a value of the caller.
const OWN: &str = "^(?:[^$]|\\$(?!\\{)|\\$\\{(?:subject|claim:[^}]+)\\})*$";
/// A header's name without `_`, which some servers take for `-`.
const HEADER: &str = "^[A-Za-z0-9-]+$";
/// A name in `kong.ctx.shared`.
const SHARED: &str = "^[A-Za-z0-9_]+$";
/// A tenant's id or domain.
const TENANT: &str = "^[A-Za-z0-9.-]+$";
/// `METHOD /a/*/b`, or `METHOD /a/*/**`.
const PATH: &str = "^(?:\\*|[A-Z]+) /(?:(?:[^*?#/ ]*|\\*)(?:/(?:[^*?#/ ]*|\\*))*|(?:(?:[^*?#/ ]+|\\*)/)*\\*\\*)$";
/// Scope tokens (RFC 6749 section 3.3), one blank between two; `minimal` alone.
const SCOPES: &str = "^(?:minimal|(?!(?:[^ ]+ )*minimal(?: |$))[!#-\\[\\]-~]+(?: [!#-\\[\\]-~]+)*)$";
/// The same where no word has a meaning of its own.
const LOGIN_SCOPES: &str = "^[!#-\\[\\]-~]+(?: [!#-\\[\\]-~]+)*$";
/// A client's id (RFC 6749 appendix A.1).
const CLIENT_ID: &str = "^[ -~]+$";
/// One of a list.
const SCOPE: &str = "^(?!minimal$)[!#-\\[\\]-~]+$";

/// Narrows the schema of a configuration, in draft-04.
pub(super) fn narrow(schema: &mut Value) -> Result<(), SchemaFault> {
    name_something(schema);
    for (path, narrower) in keys() {
        merge(at(schema, path)?, narrower);
    }
    for owner in ["roles", "agents"] {
        for rules in ["allow", "deny"] {
            let rule = at(schema, &format!("{owner}/*/{rules}/*"))?;
            narrow_rule(rule, rules == "allow", owner == "roles")?;
        }
    }
    merge(at(schema, "roles/*")?, json!({"allOf": [scopes_of_rules()]}));
    narrow_credentials(at(schema, "roles/*/credential")?);
    let all: Vec<_> =
        schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.clone()).collect();
    merge(schema, json!({"allOf": [shape(&all), safe_addresses(), sign_in()]}));
    Ok(())
}

/// No string of the configuration is empty.
fn name_something(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let is_text = object.get("type").is_some_and(|kind| {
                kind == "string" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "string"))
            });
            if is_text && !object.contains_key("enum") && !object.contains_key("pattern") {
                object.entry("minLength").or_insert(json!(1));
            }
            object.values_mut().for_each(name_something);
        }
        Value::Array(items) => items.iter_mut().for_each(name_something),
        _ => {}
    }
}

/// The schema at a path of keys, `*` for the items of a list.
fn at<'s>(schema: &'s mut Value, path: &str) -> Result<&'s mut Value, SchemaFault> {
    path.split('/').try_fold(schema, |schema, step| {
        let found = match step {
            "*" => schema.get_mut("items"),
            key => schema.get_mut("properties").and_then(|properties| properties.get_mut(key)),
        };
        found.ok_or_else(|| SchemaFault::NoSuchKey(path.to_owned()))
    })
}

fn merge(schema: &mut Value, narrower: Value) {
    if let (Value::Object(schema), Value::Object(narrower)) = (schema, narrower) {
        schema.extend(narrower);
    }
}

fn keys() -> Vec<(&'static str, Value)> {
    let some = || json!({"minItems": 1});
    let address = || json!({"pattern": ADDRESS});
    let claim = || json!({"pattern": CLAIM});
    let algorithms: Vec<_> = Algorithm::ALL.into_iter().map(Algorithm::name).collect();
    let value = json!({"anyOf": [{"type": ["string", "number", "boolean", "null"]}, {"type": "array", "minItems": 1}]});
    let values = json!({"type": "array", "minItems": 1});
    let by_claim = |value: Value| json!({"patternProperties": {CLAIM: value}, "additionalProperties": false});
    let keys = [
        ("workspace/url", json!({"pattern": ORIGIN})),
        ("workspace/token_url", address()),
        ("workspace/public_url", address()),
        ("identity_providers", some()),
        ("identity_providers/*/audiences", some()),
        ("identity_providers/*/jwks_url", address()),
        ("identity_providers/*/introspection/url", address()),
        ("identity_providers/*/login/client_id", json!({"pattern": CLIENT_ID})),
        ("identity_providers/*/login/scope", json!({"pattern": LOGIN_SCOPES})),
        ("identity_providers/*/revocation/url", address()),
        ("identity_providers/*/algorithms", some()),
        ("identity_providers/*/algorithms/*", json!({"enum": algorithms})),
        ("identity_providers/*/claims/subject", claim()),
        ("identity_providers/*/claims/groups", claim()),
        ("identity_providers/*/claims/client", claim()),
        ("identity_providers/*/require", by_claim(value)),
        ("roles", some()),
        ("roles/*/match/groups", some()),
        ("roles/*/match/identity_providers", some()),
        ("roles/*/match/subjects", some()),
        ("roles/*/match/clients", some()),
        ("roles/*/match/claims", by_claim(values)),
        ("roles/*/valid/from", json!({"pattern": TIME})),
        ("roles/*/valid/until", json!({"pattern": TIME})),
        ("agents/*/match/clients", some()),
        ("agents/*/match/actors", some()),
        ("agents/*/match", json!({"allOf": [has_list(&["clients", "actors"])]})),
        ("client_certificate_header", json!({"pattern": HEADER})),
        ("identity_header/name", json!({"pattern": HEADER})),
        ("identity_header/keys", json!({"minItems": 1, "maxItems": 8})),
    ];
    keys.into()
}

/// One of these keys is there, and is a list.
fn has_list(keys: &[&str]) -> Value {
    let one = |key: &&str| json!({"required": [key], "properties": {*key: {"type": "array"}}});
    json!({"anyOf": keys.iter().map(one).collect::<Vec<_>>()})
}

/// A rule names operations or paths, and looks up jobs only where it is about some. One that denies permits nothing, and only one that
/// allows a role something has a scope.
fn narrow_rule(rule: &mut Value, allows: bool, of_role: bool) -> Result<(), SchemaFault> {
    let ids = json!({"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1, "pattern": OWN}});
    let types = format!("^(?:{})$", Catalogue::resource_types().join("|"));
    let features: Vec<_> = Features::all_names().collect();
    merge(at(rule, "paths/*")?, json!({"pattern": PATH}));
    merge(at(rule, "sql")?, json!({"minItems": 1}));
    merge(at(rule, "resources")?, json!({"patternProperties": {types: ids}, "additionalProperties": false}));
    merge(at(rule, "permit/*")?, json!({"enum": features}));
    merge(at(rule, "scope")?, scope());
    if !allows {
        must_be_absent(at(rule, "permit")?);
    }
    if !allows || !of_role {
        must_be_absent(at(rule, "scope")?);
    }
    let no_lookup = json!({"properties": {"lookup": {"anyOf": [{"enum": [false]}, {"type": "null"}]}}});
    let of_jobs = json!({"required": ["resources"], "properties": {"resources": {"required": ["job"]}}});
    merge(rule, json!({"allOf": [has_list(&["operations", "paths"]), {"anyOf": [no_lookup, of_jobs]}]}));
    Ok(())
}

/// Lets the key be there without a value only, which is as if it were not.
fn must_be_absent(schema: &mut Value) {
    if let Value::Object(schema) = schema {
        schema.remove("anyOf");
        schema.insert("type".to_owned(), json!("null"));
    }
}

fn scope() -> Value {
    json!({"anyOf": [
        {"type": "string", "pattern": SCOPES},
        {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": SCOPE}},
        {"type": "null"},
    ]})
}

/// Where the credential asks for the least scope, a rule with paths says which that is; elsewhere no rule does.
fn scopes_of_rules() -> Value {
    let minimal = json!({"required": ["scope"], "properties": {"scope": {"enum": ["minimal"]}}});
    let named = json!({"required": ["scope"], "properties": {"scope": {"type": ["string", "array"]}}});
    json!({"anyOf": [
        {"properties": {
            "credential": minimal.clone(),
            "allow": {"items": {"anyOf": [{"properties": {"paths": {"type": "null"}}}, named]}},
        }},
        {"properties": {
            "credential": {"not": minimal},
            "allow": {"items": {"properties": {"scope": {"type": "null"}}}},
        }},
    ]})
}

fn narrow_credentials(credential: &mut Value) {
    let Some(Value::Array(types)) = credential.get_mut("oneOf") else { return };
    for one in types {
        if let Some(Value::Object(properties)) = one.get_mut("properties") {
            narrow_credential(properties);
        }
    }
}

fn narrow_credential(properties: &mut Map<String, Value>) {
    if let Some(property) = properties.get_mut("scope") {
        merge(property, scope());
    }
    for secret in ["client_secret", "key"] {
        let shared = properties.get_mut(secret).and_then(|secret| secret.pointer_mut("/anyOf/2/properties/shared"));
        if let Some(shared) = shared {
            merge(shared, json!({"pattern": SHARED}));
        }
    }
    if let Some(tenant) = properties.get_mut("tenant_id") {
        merge(tenant, json!({"pattern": TENANT}));
    }
    if let Some(authority) = properties.get_mut("authority") {
        merge(authority, json!({"pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\s]+(?:/[^?#\\s]*)?$"}));
    }
}

/// A string that holds the same JSON, a guard, or an entry that decides.
fn shape(keys: &[String]) -> Value {
    let mut guard: Map<_, _> = keys.iter().map(|key| (key.clone(), json!({"type": "null"}))).collect();
    guard.insert("mode".to_owned(), json!({"enum": ["guard"]}));
    json!({"anyOf": [
        {"type": "string"},
        {"required": ["mode"], "properties": guard},
        {
            "required": ["workspace", "identity_providers", "roles"],
            "properties": {
                "mode": {"not": {"enum": ["guard"]}},
                "workspace": {"type": "object"},
                "identity_providers": {"type": "array"},
                "roles": {"type": "array"},
            },
        },
    ]})
}

/// Where people sign in, clients are told so by `public_url`, and the provider's discovery document says where.
fn sign_in() -> Value {
    let discoverable = json!({"type": "string", "pattern": DISCOVERABLE});
    json!({"anyOf": [
        {"properties": {"identity_providers": {"items": {"properties": {"login": {"type": "null"}}}}}},
        {"properties": {
            "workspace": {"required": ["public_url"], "properties": {"public_url": {"type": "string"}}},
            "identity_providers": {"items": {"anyOf": [
                {"properties": {"login": {"type": "null"}}},
                {"properties": {"issuer": discoverable}},
            ]}},
        }},
    ]})
}

/// Plain http goes to this machine only, unless `callouts.allow_http` is set.
fn safe_addresses() -> Value {
    let safe = || json!({"pattern": SAFE});
    json!({"anyOf": [
        {
            "required": ["callouts"],
            "properties": {"callouts": {"required": ["allow_http"], "properties": {"allow_http": {"enum": [true]}}}},
        },
        {"properties": {
            "workspace": {"properties": {"url": safe(), "token_url": safe()}},
            "roles": {"items": {"properties": {"credential": {"properties": {"authority": safe()}}}}},
            "identity_providers": {"items": {
                "properties": {
                    "introspection": {"properties": {"url": safe()}},
                    "revocation": {"properties": {"url": safe()}},
                },
                "anyOf": [
                    {"required": ["jwks_url"], "properties": {"jwks_url": {"type": "string", "pattern": SAFE}}},
                    {"properties": {"jwks_url": {"type": "null"}, "issuer": safe()}},
                ],
            }},
        }},
    ]})
}
