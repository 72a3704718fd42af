//! What is odd about identity providers: issuers that no token has, audiences that everybody's tokens have, algorithms that Databricks
//! does not take.

use super::owner::Owner;
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
}

/// Why a provider never issues tokens under this issuer, and which one is meant.
fn no_token_has(issuer: &str) -> Option<(&'static str, String)> {
    let (host, path) = split(issuer)?;
    let without_slash = issuer.trim_end_matches('/');
    if let Some(at) = issuer.find("/.well-known/") {
        let before = issuer.get(..at).unwrap_or_default();
        return Some((
            "that is where its metadata is",
            format!("take `issuer` from that document, such as `{before}`"),
        ));
    }
    if is_entra(host) {
        let tenant = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        if matches!(tenant, "common" | "organizations" | "consumers") || tenant.starts_with('{') {
            return Some((
                "a token names the tenant that it is from",
                format!("use `https://{host}/<your tenant's id>/v2.0`"),
            ));
        }
        if !path.trim_end_matches('/').ends_with("/v2.0") {
            return Some((
                "tokens of version 2.0 end in `/v2.0`, those of version 1.0 come from sts.windows.net",
                format!(
                    "use `https://{host}/{tenant}/v2.0`, with `requestedAccessTokenVersion: 2` in the app registration"
                ),
            ));
        }
    }
    let wants_slash = host == "sts.windows.net" || host.ends_with(".auth0.com");
    if wants_slash && !issuer.ends_with('/') {
        return Some(("this provider writes a slash at its end", format!("write `{issuer}/`")));
    }
    let wants_none = is_entra(host)
        || host.ends_with(".okta.com")
        || host.ends_with(".oktapreview.com")
        || path.contains("/realms/")
        || matches!(host, "accounts.google.com" | "token.actions.githubusercontent.com" | "gitlab.com");
    if wants_none && issuer.ends_with('/') {
        return Some(("this provider writes no slash at its end", format!("write `{without_slash}`")));
    }
    if host.ends_with("-admin.okta.com") {
        return Some(("that is the address of the administrators' console", "take `-admin` out".to_owned()));
    }
    None
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
    )
}

fn is_org_server(issuer: &str) -> bool {
    let is_okta =
        |host: &str| [".okta.com", ".oktapreview.com", ".okta-emea.com"].iter().any(|end| host.ends_with(end));
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

/// Values that are compared letter by letter, and hold a star.
fn literal_stars(entry: &Entry<'_>, provider: &Value, pointer: &str, found: &mut Vec<Finding>) {
    for (index, audience) in items(provider, "audiences").filter_map(|(index, text)| Some((index, text.as_str()?))) {
        if audience.contains('*') {
            found.push(
                entry
                    .finding(
                        &codes::LITERAL_STAR,
                        &format!("{pointer}/audiences/{index}"),
                        format!("audiences are compared letter by letter, so `{audience}` is in no token"),
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
            "https://example.okta.com",
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
