//! What is odd about identity providers: issuers that no token has, audiences that everybody's tokens have, algorithms that Databricks
//! does not take.

use super::owner::Owner;
use super::rule::texts;
use super::{Entry, codes, items};
use crate::findings::Finding;
use serde_json::Value;

pub(super) fn lint(entry: &Entry<'_>, roles: &[Owner<'_>], found: &mut Vec<Finding>) {
    for (index, provider) in items(entry.config, "identity_providers") {
        let pointer = format!("{}/identity_providers/{index}", entry.pointer);
        let issuer = provider.get("issuer").and_then(Value::as_str).unwrap_or_default();
        if let Some((why, help)) = no_token_has(issuer) {
            let message = format!("no token has the issuer `{issuer}`: {why}");
            found.push(entry.finding(&codes::ISSUER_OF_NO_TOKEN, &format!("{pointer}/issuer"), message).help(help));
        } else if is_org_server(issuer) {
            let message = "access tokens of Okta's org authorization server are for Okta alone: they hold no groups and cannot be verified";
            found.push(
                entry
                    .finding(&codes::ORG_SERVER, &format!("{pointer}/issuer"), message)
                    .help(format!("use a custom authorization server: `{issuer}/oauth2/default`")),
            );
        }
        audiences(entry, provider, issuer, &pointer, found);
        literal_stars(entry, provider, &pointer, found);
        algorithms(entry, provider, roles, &pointer, found);
    }
    group_names(entry, roles, found);
}

/// Groups that are written by their names, where Entra ID writes their ids.
fn group_names(entry: &Entry<'_>, roles: &[Owner<'_>], found: &mut Vec<Finding>) {
    let providers: Vec<_> = items(entry.config, "identity_providers").map(|(_, provider)| provider).collect();
    let writes_ids = |provider: &&Value| -> bool {
        let issuer = provider.get("issuer").and_then(Value::as_str).and_then(split);
        let claim = provider.pointer("/claims/groups").and_then(Value::as_str).unwrap_or("groups");
        issuer.is_some_and(|(host, _)| is_entra(host) || host == "sts.windows.net")
            && claim.trim_matches('/') == "groups"
    };
    if !providers.iter().any(writes_ids) {
        return;
    }
    for role in roles {
        let names = role.value.pointer("/match/identity_providers").and_then(Value::as_array);
        let is_meant = |provider: &&&Value| {
            names.is_none_or(|names| provider.get("name").is_some_and(|name| names.contains(name)))
        };
        // at another provider a name may be one
        if !providers.iter().filter(is_meant).all(writes_ids) {
            continue;
        }
        for (index, group) in texts(role.value.pointer("/match/groups")).iter().enumerate() {
            let Some((message, help)) = no_id(group) else { continue };
            let pointer = format!("{}/match/groups/{index}", role.pointer);
            found.push(entry.finding(&codes::GROUP_NAME, &pointer, message).help(help));
        }
    }
}

/// Why no id of a group at Entra ID is like this, and what to do.
fn no_id(group: &str) -> Option<(String, String)> {
    let may_be_one = match group.contains('*') {
        true => group.bytes().all(|byte| matches!(byte, b'*' | b'-' | b'0'..=b'9' | b'a'..=b'f')),
        false => is_guid(group) && !group.contains(|letter: char| letter.is_ascii_uppercase()),
    };
    if may_be_one {
        return None;
    }
    if is_guid(group) {
        let help = format!("write `{}`", group.to_ascii_lowercase());
        return Some((format!("`{group}` matches nobody: Entra ID writes ids in small letters"), help));
    }
    let message = format!(
        "`{group}` matches nobody, unless the app registration says otherwise: `groups` in tokens of Entra ID has the object ids of groups, not their names"
    );
    let help = "write the group's object id; or give an app role to the group and set `claims: {groups: roles}`; if the app registration emits names of groups (`sam_account_name`, `cloud_displayname`), allow this in the file";
    Some((message, help.to_owned()))
}

/// Why no token has an issuer, and what to do.
pub(crate) type Wrong = (&'static str, String);

/// Why a provider never issues tokens under this issuer, and which one is meant.
pub(crate) fn no_token_has(issuer: &str) -> Option<Wrong> {
    let (written, path) = split(issuer)?;
    for (inner, what) in [
        ("/.well-known/", "that is where its metadata is"),
        ("/protocol/openid-connect", "that is where its endpoints are"),
    ] {
        if let Some((before, _)) = issuer.split_once(inner) {
            return Some((what, format!("take `issuer` from its discovery document, such as `{before}`")));
        }
    }
    let host = written.to_ascii_lowercase();
    if host != written && is_known(&host) {
        return Some(("this provider writes its host in small letters", format!("write `https://{host}{path}`")));
    }
    let wrong = if is_entra(&host) || host == "sts.windows.net" {
        entra(&host, path)
    } else if is_okta(&host) {
        okta(&host, path)
    } else if host.ends_with(".amazoncognito.com") {
        Some((
            "that is the address of the sign-in page",
            "use `https://cognito-idp.<region>.amazonaws.com/<user pool's id>`".to_owned(),
        ))
    } else {
        None
    };
    wrong.or_else(|| slash(&host, path, issuer))
}

fn entra(host: &str, path: &str) -> Option<Wrong> {
    let tenant = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let is_v1 = host == "sts.windows.net";
    let named = if is_v1 { host } else { v2_host(host) };
    if !is_guid(tenant) {
        let end = if is_v1 { "/" } else { "/v2.0" };
        return Some((
            "a token names the tenant that it is from, by its id",
            format!("use `https://{named}/<your tenant's id>{end}`"),
        ));
    }
    if named != host {
        return Some(("tokens name another host", format!("write `https://{named}/{tenant}/v2.0`")));
    }
    if !is_v1 && !path.trim_end_matches('/').ends_with("/v2.0") {
        return Some((
            "tokens of version 2.0 end in `/v2.0`, those of version 1.0 come from sts.windows.net",
            format!(
                "use `https://{host}/{tenant}/v2.0`, with `requestedAccessTokenVersion: 2` in the app registration"
            ),
        ));
    }
    None
}

fn okta(host: &str, path: &str) -> Option<Wrong> {
    if host.ends_with("-admin.okta.com") {
        return Some(("that is the address of the administrators' console", "take `-admin` out".to_owned()));
    }
    let server = match path.trim_end_matches('/') {
        "" => return None,
        path => path.strip_prefix("/oauth2/").unwrap_or_default(),
    };
    // `/oauth2/v1` is where the org's own server has its endpoints
    let is_server = !server.is_empty() && server != "v1" && !server.contains('/');
    (!is_server).then(|| {
        (
            "an authorization server is at `/oauth2/<its id>`",
            format!("use `https://{host}/oauth2/default`, or your own"),
        )
    })
}

/// A slash at the end that the provider writes and the configuration does not, or the other way round.
fn slash(host: &str, path: &str, issuer: &str) -> Option<Wrong> {
    let wants_slash = host == "sts.windows.net" || host.ends_with(".auth0.com");
    let wants_none = path.contains("/realms/") || is_known(host) && !wants_slash;
    match issuer.strip_suffix('/') {
        None if wants_slash => Some(("this provider writes a slash at its end", format!("write `{issuer}/`"))),
        Some(without) if wants_none => {
            Some(("this provider writes no slash at its end", format!("write `{}`", without.trim_end_matches('/'))))
        }
        _ => None,
    }
}

fn split(issuer: &str) -> Option<(&str, &str)> {
    let (_, rest) = issuer.split_once("://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    Some((rest.get(..at)?, rest.get(at..)?))
}

fn is_entra(host: &str) -> bool {
    matches!(
        host,
        "login.microsoftonline.com"
            | "login.microsoftonline.us"
            | "login.partner.microsoftonline.cn"
            | "login.windows.net"
            | "login.microsoft.com"
    )
}

/// The host that tokens of Entra ID name, whichever of its names their clients used.
fn v2_host(host: &str) -> &str {
    if matches!(host, "login.windows.net" | "login.microsoft.com") { "login.microsoftonline.com" } else { host }
}

pub(crate) fn is_guid(text: &str) -> bool {
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn is_okta(host: &str) -> bool {
    [".okta.com", ".oktapreview.com", ".okta-emea.com", ".okta-gov.com"].iter().any(|end| host.ends_with(end))
}

/// Whether it is known how the provider at this host writes its issuers.
fn is_known(host: &str) -> bool {
    is_entra(host)
        || is_okta(host)
        || host.ends_with(".auth0.com")
        || host.starts_with("cognito-idp.")
        || matches!(
            host,
            "sts.windows.net" | "accounts.google.com" | "token.actions.githubusercontent.com" | "gitlab.com"
        )
}

fn is_org_server(issuer: &str) -> bool {
    split(issuer).is_some_and(|(host, path)| is_okta(host) && path.is_empty())
}

/// Audiences that tokens have which were meant for something else.
fn audiences(entry: &Entry<'_>, provider: &Value, issuer: &str, pointer: &str, found: &mut Vec<Finding>) {
    for (index, audience) in items(provider, "audiences").filter_map(|(index, text)| Some((index, text.as_str()?))) {
        let Some(whose) = shared_by(audience, issuer) else { continue };
        found.push(
            entry
                .finding(
                    &codes::SHARED_AUDIENCE,
                    &format!("{pointer}/audiences/{index}"),
                    format!(
                        "the audience `{audience}` is in {whose}: a token that was meant for something else is let in"
                    ),
                )
                .help("let the provider issue tokens for this gateway alone, with an audience such as `databricks`"),
        );
    }
}

/// Whose tokens all have this audience.
fn shared_by(audience: &str, issuer: &str) -> Option<&'static str> {
    let host = split(issuer).map(|(host, _)| host).unwrap_or_default();
    if host == "token.actions.githubusercontent.com" && audience.starts_with("https://github.com/") {
        return Some("every token of the owner's workflows that asks for no other");
    }
    if issuer.contains("/realms/") && matches!(audience, "account" | "realm-management" | "broker") {
        return Some("nearly every token of a Keycloak realm");
    }
    if host.ends_with(".auth0.com") && (audience.ends_with("/userinfo") || audience.ends_with("/api/v2/")) {
        return Some("tokens for Auth0 itself");
    }
    Some(match audience {
        "api://default" => "every token of Okta's default authorization server",
        "api://AzureADTokenExchange" | "sts.amazonaws.com" => "tokens with which workloads sign in at a cloud",
        "https://gitlab.com" => "tokens that pipelines get by default",
        "https://kubernetes.default.svc" | "https://kubernetes.default.svc.cluster.local" => "every pod's own token",
        "32555940559.apps.googleusercontent.com" => "tokens of everybody who uses gcloud",
        "https://graph.microsoft.com" | "00000003-0000-0000-c000-000000000000" => "tokens for Microsoft Graph",
        "https://management.azure.com" | "https://management.core.windows.net/" => "tokens for Azure itself",
        _ => return None,
    })
}

/// Values that are compared exactly, and hold a star.
fn literal_stars(entry: &Entry<'_>, provider: &Value, pointer: &str, found: &mut Vec<Finding>) {
    for (index, audience) in items(provider, "audiences").filter_map(|(index, text)| Some((index, text.as_str()?))) {
        if audience.contains('*') {
            found.push(
                entry
                    .finding(
                        &codes::LITERAL_STAR,
                        &format!("{pointer}/audiences/{index}"),
                        format!("audiences are compared exactly, so no token has `{audience}`"),
                    )
                    .help("write the audience that the provider puts into tokens for this gateway"),
            );
        }
    }
}

/// Algorithms with which Databricks takes no token for another one.
fn algorithms(entry: &Entry<'_>, provider: &Value, roles: &[Owner<'_>], pointer: &str, found: &mut Vec<Finding>) {
    let is_federated = |role: &&Owner<'_>| {
        let names = role.value.pointer("/match/identity_providers").and_then(Value::as_array);
        let is_its_own = names.is_none_or(|names| provider.get("name").is_some_and(|name| names.contains(name)));
        is_its_own && matches!(role.credential(), "user_federation" | "service_principal_federation")
    };
    let Some(role) = roles.iter().find(is_federated) else { return };
    for (index, name) in items(provider, "algorithms").filter_map(|(index, text)| Some((index, text.as_str()?))) {
        if matches!(name, "RS256" | "ES256") {
            continue;
        }
        let message =
            format!("Databricks takes no token that is signed with `{name}`, and {} sends it there", role.title);
        found.push(
            entry
                .finding(&codes::ALGORITHM, &format!("{pointer}/algorithms/{index}"), message)
                .related(
                    entry.document,
                    &format!("{}/credential", role.pointer),
                    "its credential is the caller's own token",
                )
                .help("let the provider sign with RS256 or ES256, or use another type of credential"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_that_no_token_has_is_told_from_the_one_that_is_meant() {
        for wrong in [
            "https://login.microsoftonline.com/common/v2.0",
            "https://login.microsoftonline.com/organizations/v2.0",
            "https://login.microsoftonline.com/{tenantid}/v2.0",
            "https://login.microsoftonline.com/6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21",
            "https://login.microsoftonline.com/6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21/v2.0/",
            "https://sts.windows.net/6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21",
            "https://example.eu.auth0.com",
            "https://example.okta.com/oauth2/default/",
            "https://example-admin.okta.com/oauth2/default",
            "https://sso.example.com/realms/data/",
            "https://accounts.google.com/",
            "https://token.actions.githubusercontent.com/",
            "https://sso.example.com/realms/data/.well-known/openid-configuration",
            "https://sso.example.com/realms/data/protocol/openid-connect",
            "https://login.microsoftonline.com/acme.onmicrosoft.com/v2.0",
            "https://login.microsoftonline.com/Common/v2.0",
            "https://Login.MicrosoftOnline.com/6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21/v2.0",
            "https://login.windows.net/6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21/v2.0",
            "https://sts.windows.net/common/",
            "https://example.okta.com/oauth2",
            "https://example.okta.com/oauth2/v1",
            "https://example.okta.com/oauth2/default/v1/authorize",
            "https://example.auth.eu-west-1.amazoncognito.com",
            "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf/",
            "https://Token.actions.githubusercontent.com",
        ] {
            assert!(no_token_has(wrong).is_some(), "{wrong}");
        }
        for right in [
            "https://login.microsoftonline.com/6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21/v2.0",
            "https://sts.windows.net/6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21/",
            "https://example.eu.auth0.com/",
            "https://login.example.com",
            "https://login.example.com/",
            "https://example.okta.com/oauth2/default",
            "https://example.okta.com/oauth2/aus1a2b3c4d5e6f7g8h9",
            "https://example.okta.com",
            "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf",
            "https://SSO.example.com/realms/data",
            "https://sso.example.com/realms/data",
            "https://accounts.google.com",
            "https://token.actions.githubusercontent.com",
            "https://token.actions.githubusercontent.com/example",
            "not a url",
            "",
        ] {
            assert_eq!(no_token_has(right), None, "{right}");
        }
    }

    #[test]
    fn a_group_of_entra_id_is_known_by_its_id() {
        for id in ["6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21", "*", "6f4a1c0e-*"] {
            assert_eq!(no_id(id), None, "{id}");
        }
        for name in ["data-engineers", "team-*", "6F4A1C0E-2A75-4D5D-9A5E-0B8A3F1C7D21", "6f4a1c0e", "beef"] {
            assert!(no_id(name).is_some(), "{name}");
        }
    }

    #[test]
    fn an_audience_is_shared_at_the_provider_that_gives_it_to_all() {
        let (github, keycloak) = ("https://token.actions.githubusercontent.com", "https://sso.example.com/realms/data");
        let (okta, auth0) = ("https://example.okta.com/oauth2/default", "https://example.eu.auth0.com/");
        for (audience, issuer) in [
            ("account", keycloak),
            ("https://github.com/acme", github),
            ("api://default", okta),
            ("https://example.eu.auth0.com/userinfo", auth0),
            ("sts.amazonaws.com", github),
        ] {
            assert!(shared_by(audience, issuer).is_some(), "{audience}");
        }
        for (audience, issuer) in [
            ("account", okta),
            ("databricks", keycloak),
            ("https://databricks.gw.example.com", auth0),
            ("https://github.com/acme", okta),
        ] {
            assert_eq!(shared_by(audience, issuer), None, "{audience} {issuer}");
        }
    }
}
