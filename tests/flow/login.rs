//! Interactive sign-in: what a client asks for, what the provider is asked for in its place, and what of its answer comes back.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::config::Config;
use databricks_kong::databricks::read_form;
use databricks_kong::flow::{Capabilities, Follow, Metric};
use databricks_kong::sim::{Answer, Client, Purpose, Transcript};
use serde_json::{Value, json};
use std::rc::Rc;

const KONG: Capabilities =
    Capabilities { timers: false, after_body: Follow::Never, after_failure: false, waits_for_others: false };
/// Of RFC 7636, appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "http://localhost:8020";
const OTHER: &str = "https://other.example";

fn login(changes: Value) -> Value {
    let mut login = json!({"client_id": "gate way", "scope": "openid offline_access databricks"});
    login.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    login
}

fn with(login: Value, more: Value) -> Rc<Config> {
    let mut changes = more;
    changes["login"] = login;
    config(provider(changes))
}

/// A gateway at which people sign in, and a provider that is fine.
fn gateway(config: Rc<Config>) -> Stage {
    let mut stage = Stage::warm(config);
    let document = json!({
        "issuer": ISSUER, "jwks_uri": "https://idp.example/keys", "authorization_endpoint": "https://idp.example/auth",
        "token_endpoint": "https://idp.example/token",
    });
    stage.world.set(Purpose::Discovery, [ok(&document)]);
    for (secret, name) in [(VERIFIER, "verifier"), ("the-code", "code"), ("rt-1", "rt-1"), ("rt-2", "rt-2")] {
        stage.sim.name(secret, name);
    }
    stage
}

fn plain() -> Stage {
    gateway(with(login(json!({})), json!({})))
}

/// A request to sign in, as official clients send it; `changes` replace parameters, null takes one away.
fn authorize(changes: Value) -> Client {
    let mut parameters = json!({
        "response_type": "code", "client_id": "databricks-cli", "redirect_uri": REDIRECT, "scope": "all-apis offline_access",
        "state": "s t/a+te%", "code_challenge": CHALLENGE, "code_challenge_method": "S256", "access_type": "offline",
    });
    client("GET", &format!("/oidc/v1/authorize?{}", encoded(&mut parameters, changes)), &[])
}

fn encoded(parameters: &mut Value, changes: Value) -> String {
    parameters.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.as_object().unwrap() {
        value.as_str().map(|value| form.append_pair(name, value));
    }
    form.finish()
}

fn post(form: &str) -> Client {
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    Client { body: Some(Secret::new(form.into())), ..client("POST", "/oidc/v1/token", &kind) }
}

fn redeem(changes: Value) -> Client {
    let mut form = json!({
        "grant_type": "authorization_code", "code": "the-code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER,
        "client_id": "databricks-cli",
    });
    post(&encoded(&mut form, changes))
}

fn refresh(changes: Value) -> Client {
    let mut form = json!({"grant_type": "refresh_token", "refresh_token": "rt-1", "client_id": "databricks-cli"});
    post(&encoded(&mut form, changes))
}

fn granted(token: &str, changes: Value) -> Answer {
    let mut answer = json!({
        "access_token": token, "refresh_token": "rt-2", "id_token": "eyJ.canary.id", "token_type": "bearer",
        "expires_in": 300, "scope": "openid databricks", "not-before-policy": 0, "session_state": "canary-session",
    });
    answer.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    answer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    ok(&answer)
}

/// What the browser is sent to.
fn sent_to(transcript: &Transcript) -> (String, Vec<(String, String)>) {
    let location = header(transcript, "location").unwrap_or_else(|| panic!("{transcript}"));
    let (endpoint, query) = location.split_once('?').unwrap();
    let query = read_form(query).unwrap();
    (endpoint.to_owned(), query.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The OAuth error, and what is said of it.
fn oauth_error(transcript: &Transcript) -> (String, String) {
    let body = body(transcript);
    let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("{name} of {body}")).to_owned();
    (text("error"), text("error_description"))
}

/// Every test's log and record hold none of what is secret in a sign-in.
#[track_caller]
fn keeps_secrets(transcript: &Transcript) {
    let record = transcript.record.as_ref().map(|record| record.to_json()).unwrap_or_default();
    for secret in ["the-code", VERIFIER, "rt-1", "rt-2", "eyJ", CHALLENGE, "canary"] {
        assert!(!record.contains(secret), "{secret} in {record}");
        assert!(!transcript.log.iter().any(|line| line.contains(secret)), "{secret} in {:?}", transcript.log);
    }
}

fn counted(stage: &Stage, metric: Metric) -> usize {
    stage.sim.counts.iter().filter(|count| **count == metric).count()
}

#[test]
fn a_client_is_sent_to_the_provider_with_the_gateways_own_client_and_scopes() {
    let mut stage = plain();
    let transcript =
        stage.send(&authorize(json!({"nonce": "n-1", "prompt": "none", "login_hint": "x", "resource": "y"})));
    check(&transcript, "discovery", "302");
    let (endpoint, query) = sent_to(&transcript);
    assert_eq!(endpoint, "https://idp.example/auth");
    let expected = pairs(&[
        ("response_type", "code"),
        ("client_id", "gate way"),
        ("scope", "openid offline_access databricks"),
        ("redirect_uri", REDIRECT),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "s t/a+te%"),
        ("nonce", "n-1"),
    ]);
    assert_eq!(query, expected);
    assert_eq!(header(&transcript, "cache-control"), Some("no-store"));
    keeps_secrets(&transcript);
    let record = transcript.record.unwrap();
    assert_eq!((record.path_template, record.method.as_deref()), (Some("/oidc/v1/authorize"), Some("GET")));
    // the endpoints are known now
    check(&stage.send(&authorize(json!({"state": null}))), "", "302");
}

#[test]
fn a_query_of_the_providers_endpoint_is_kept() {
    let mut stage = plain();
    let document = json!({
        "issuer": ISSUER, "authorization_endpoint": "https://idp.example/auth?tenant=a%20b", "token_endpoint": "https://idp.example/t",
    });
    stage.world.set(Purpose::Discovery, [ok(&document)]);
    let (_, query) = sent_to(&stage.send(&authorize(json!({}))));
    assert_eq!(query[..2], pairs(&[("tenant", "a b"), ("response_type", "code")]));
}

#[test]
fn nobody_is_sent_anywhere_by_a_request_that_is_not_as_it_must_be() {
    let huge = "x".repeat(1025);
    let host = "must be http://localhost, http://127.0.0.1 or http://[::1], with any port and path";
    for (changes, error, said) in [
        (json!({"redirect_uri": "https://evil.example/"}), "invalid_request", host),
        (json!({"redirect_uri": "http://localhost@evil.example"}), "invalid_request", host),
        (json!({"redirect_uri": "http://localhost.evil.example"}), "invalid_request", host),
        (json!({"redirect_uri": "http://127.0.0.1:80#@evil.example"}), "invalid_request", host),
        (json!({"redirect_uri": "http://user@localhost:8020"}), "invalid_request", host),
        (json!({"redirect_uri": "HTTP://localhost:8020"}), "invalid_request", host),
        (json!({"redirect_uri": "https://localhost:8020"}), "invalid_request", host),
        (json!({"redirect_uri": "//evil.example"}), "invalid_request", host),
        (json!({"redirect_uri": "http%3A%2F%2Flocalhost"}), "invalid_request", host),
        (json!({"redirect_uri": "https://gw.example.com/oidc/v1/authorize"}), "invalid_request", host),
        (json!({"redirect_uri": null}), "invalid_request", host),
        (json!({"redirect_uri": ""}), "invalid_request", host),
        (json!({"redirect_uri": huge}), "invalid_request", host),
        (json!({"response_type": null}), "invalid_request", "`response_type` is missing"),
        (json!({"response_type": "token"}), "unsupported_response_type", "`response_type` must be `code`"),
        (json!({"response_type": "code id_token"}), "unsupported_response_type", "`response_type` must be `code`"),
        (json!({"code_challenge": null}), "invalid_request", "`code_challenge` is missing"),
        (json!({"code_challenge_method": null}), "invalid_request", "`code_challenge_method` is missing"),
        (json!({"code_challenge_method": "plain"}), "invalid_request", "`code_challenge_method` must be `S256`"),
        (json!({"code_challenge_method": "s256"}), "invalid_request", "`code_challenge_method` must be `S256`"),
        (
            json!({"code_challenge": CHALLENGE.trim_start_matches('E')}),
            "invalid_request",
            "`code_challenge` is none of `S256`",
        ),
        (
            json!({"code_challenge": format!("{}=", CHALLENGE.trim_start_matches('E'))}),
            "invalid_request",
            "`code_challenge` is none of `S256`",
        ),
        (json!({"state": huge}), "invalid_request", "`state` is too long, or holds what is not printable ascii"),
        (json!({"nonce": "\u{e9}"}), "invalid_request", "`nonce` is too long, or holds what is not printable ascii"),
    ] {
        let mut stage = plain();
        let transcript = stage.send(&authorize(changes.clone()));
        check(&transcript, "", "400 GRANT_REFUSED");
        let (seen, description) = oauth_error(&transcript);
        assert_eq!(seen, error, "{changes}");
        assert!(description.ends_with(said), "{changes}: {description}");
        assert_eq!(header(&transcript, "location"), None);
    }
}

#[test]
fn a_parameter_that_stands_twice_means_nothing() {
    let good = String::from_utf8(authorize(json!({})).target).unwrap();
    for twice in
        ["state=x", "code_challenge=y", "code_challenge_method=S256", "response_type=code", "prompt=a&prompt=b"]
    {
        let transcript = plain().send(&client("GET", &format!("{good}&{twice}"), &[]));
        check(&transcript, "", "400 GRANT_REFUSED");
        assert_eq!(oauth_error(&transcript), ("invalid_request".to_owned(), "a parameter is repeated".to_owned()));
    }
    // a second place to go to is not said to be anything but wrong
    let transcript = plain().send(&client("GET", &format!("{good}&redirect_uri=http%3A%2F%2Fevil.example"), &[]));
    check(&transcript, "", "400 GRANT_REFUSED");
    // those that name something at a workspace are refused as in every request
    for twice in ["client_id=b", "scope=x"] {
        check(&plain().send(&client("GET", &format!("{good}&{twice}"), &[])), "", "400 REQUEST_AMBIGUOUS");
    }
    for odd in ["state=%0d%0aLocation:%20http://evil.example", "x=%00", "state=a;b", "state=%ff"] {
        check(&plain().send(&client("GET", &format!("{good}&{odd}"), &[])), "", "400 REQUEST_AMBIGUOUS");
    }
}

#[test]
fn other_methods_have_nothing_to_look_for_there() {
    for (method, target) in [
        ("POST", "/oidc/v1/authorize"),
        ("HEAD", "/oidc/v1/authorize"),
        ("PUT", "/oidc/v1/token"),
        ("GET", "/oidc/v1/token"),
        ("DELETE", "/oidc/v1/token?grant_type=refresh_token"),
    ] {
        check(&plain().send(&client(method, target, &[])), "", "404 NOT_FOUND");
    }
    // and where nobody signs in, they are what they were: the workspace's, and sensitive
    let mut stage = Stage::warm(config(json!({})));
    check(&stage.send(&authorize(json!({}))), "", "401 TOKEN_MISSING");
    let anna = stage.token("anna");
    let mut request = authorize(json!({"client_id": null, "scope": null}));
    request.headers.push(("Authorization".to_owned(), Secret::new(format!("Bearer {anna}"))));
    check(&stage.send(&request), "", "403 OPERATION_SENSITIVE");
}

#[test]
fn a_code_becomes_the_tokens_of_the_person_who_signed_in() {
    let mut stage = plain();
    let anna = stage.token("anna");
    stage.world.set(Purpose::Login, [granted(&anna, json!({}))]);
    let transcript = stage.send(&redeem(json!({"scope": "all-apis", "client_secret": "x", "audience": "y"})));
    check(&transcript, "discovery login", "200");
    let asked = &transcript.callouts[1];
    assert_eq!((asked.method, asked.url.as_str()), ("POST", "https://idp.example/token"));
    let expected = pairs(&[
        ("grant_type", "authorization_code"),
        ("code", "<code>"),
        ("redirect_uri", REDIRECT),
        ("code_verifier", "<verifier>"),
        ("client_id", "gate way"),
    ]);
    assert_eq!(asked.form, expected);
    assert!(!asked.headers.iter().any(|(name, _)| name == "authorization"));
    let expected = json!({
        "access_token": "<anna>", "refresh_token": "<rt-2>", "token_type": "Bearer", "expires_in": 300, "scope": "openid databricks",
    });
    assert_eq!(body(&transcript), expected);
    assert_eq!(header(&transcript, "cache-control"), Some("no-store"));
    keeps_secrets(&transcript);
    let record = transcript.record.unwrap();
    assert_eq!((record.subject.as_deref(), record.idp.as_deref()), (Some("anna"), Some("idp")));
    assert_eq!(record.path_template, Some("/oidc/v1/token"));
    assert_eq!([Metric::LoginOk, Metric::RequestsAllowed].map(|metric| counted(&stage, metric)), [1, 1]);
    // it is a caller's token like any other
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
}

#[test]
fn a_refresh_token_becomes_new_tokens_of_the_configured_scopes_at_most() {
    let mut stage = plain();
    let anna = stage.token("anna");
    stage
        .world
        .set(Purpose::Login, [granted(&anna, json!({"refresh_token": null, "scope": null, "expires_in": null}))]);
    let transcript = stage.send(&refresh(json!({})));
    check(&transcript, "discovery login", "200");
    let expected = [("grant_type", "refresh_token"), ("refresh_token", "<rt-1>"), ("client_id", "gate way")];
    assert_eq!(transcript.callouts[1].form, pairs(&expected));
    // without a word of the provider's: what is left of the token
    assert_eq!(body(&transcript), json!({"access_token": "<anna>", "token_type": "Bearer", "expires_in": 3600}));
    keeps_secrets(&transcript);
    // whatever is asked for
    let transcript = stage.send(&refresh(json!({"scope": "all-apis admin offline_access"})));
    assert_eq!(
        transcript.callouts[0].form[2..],
        pairs(&[("scope", "openid offline_access databricks"), ("client_id", "gate way")])
    );
}

#[test]
fn a_client_with_a_secret_shows_it_and_no_other() {
    for (secret, shared) in [(json!("canary-secret"), None), (json!({"shared": "okta"}), Some("canary-secret"))] {
        let mut stage = gateway(with(login(json!({"client_secret": secret})), json!({})));
        stage.sim.name("canary-secret", "secret");
        let anna = stage.token("anna");
        stage.world.set(Purpose::Login, [granted(&anna, json!({}))]);
        let mut request = redeem(json!({"client_secret": "of-the-client"}));
        request.headers.push(("Authorization".to_owned(), Secret::new("Basic ZGI6eA==".to_owned())));
        request.shared = shared.map(|text| ("okta".to_owned(), Secret::new(text.to_owned()))).into_iter().collect();
        let transcript = stage.send(&request);
        check(&transcript, "discovery login", "200");
        let asked = &transcript.callouts[1];
        let shown: Vec<_> = asked.headers.iter().filter(|(name, _)| name == "authorization").collect();
        assert_eq!(shown, [&("authorization".to_owned(), "Basic gate+way:<secret>".to_owned())]);
        assert!(!asked.form.iter().any(|(name, _)| name.starts_with("client_")), "{asked:?}");
        keeps_secrets(&transcript);
    }
    let mut stage = gateway(with(login(json!({"client_secret": {"shared": "okta"}})), json!({})));
    check(&stage.send(&redeem(json!({}))), "discovery", "503 SECRET_UNAVAILABLE");
}

#[test]
fn what_is_no_grant_reaches_no_provider() {
    let huge = "x".repeat(64 * 1024 + 1);
    for (form, error, said) in [
        (redeem(json!({"code_verifier": null})), "invalid_request", "`code_verifier` is missing"),
        (
            redeem(json!({"code_verifier": VERIFIER.trim_start_matches('d')})),
            "invalid_request",
            "`code_verifier` is none",
        ),
        (redeem(json!({"code_verifier": "x".repeat(129)})), "invalid_request", "`code_verifier` is too long"),
        (redeem(json!({"code_verifier": VERIFIER.replace('-', "+")})), "invalid_request", "`code_verifier` is none"),
        (redeem(json!({"code": null})), "invalid_request", "`code` is missing"),
        (redeem(json!({"code": ""})), "invalid_request", "`code` is missing"),
        (redeem(json!({"redirect_uri": null})), "invalid_request", "`redirect_uri` is missing"),
        (redeem(json!({"redirect_uri": "https://evil.example"})), "invalid_request", "`redirect_uri` is not the one"),
        (refresh(json!({"refresh_token": null})), "invalid_request", "`refresh_token` is missing"),
        (refresh(json!({"grant_type": "password"})), "unsupported_grant_type", "only the authorization_code"),
        (refresh(json!({"grant_type": "client_credentials"})), "unsupported_grant_type", "only the authorization_code"),
        (refresh(json!({"grant_type": null})), "unsupported_grant_type", "only the authorization_code"),
        (post(&format!("{}&code=b", body_of(&redeem(json!({}))))), "invalid_request", "a parameter is repeated"),
        (post(&format!("{}&client_id=b", body_of(&redeem(json!({}))))), "invalid_request", "a parameter is repeated"),
        (
            post(&format!("{}&scope=a&scope=b", body_of(&refresh(json!({}))))),
            "invalid_request",
            "a parameter is repeated",
        ),
        (post(&format!("{}&grant_type=x", body_of(&refresh(json!({}))))), "invalid_request", "a parameter is repeated"),
    ] {
        let transcript = plain().send(&form);
        check(&transcript, "", "400 GRANT_REFUSED");
        let (seen, description) = oauth_error(&transcript);
        assert!(seen == error && description.starts_with(said), "{seen}: {description}, not {said}");
    }
    check(&plain().send(&redeem(json!({"code": huge}))), "", "413 BODY_TOO_LARGE");
    for odd in ["code=%00", "code=%ff", "a;b"] {
        check(&plain().send(&post(odd)), "", "400 BODY_UNREADABLE");
    }
    let mut json = redeem(json!({}));
    json.headers = vec![("Content-Type".to_owned(), Secret::new("application/json".to_owned()))];
    check(&plain().send(&json), "", "400 BODY_UNREADABLE");
    let mut queried = redeem(json!({}));
    queried.target.extend_from_slice(b"?state=x");
    let transcript = plain().send(&queried);
    check(&transcript, "", "400 GRANT_REFUSED");
    assert!(oauth_error(&transcript).1.starts_with("the address must not have a query"));
    // where nobody signs in there are no such grants
    let transcript = Stage::warm(config(json!({}))).send(&redeem(json!({})));
    check(&transcript, "", "400 GRANT_REFUSED");
    assert_eq!(oauth_error(&transcript).0, "unsupported_grant_type");
}

fn body_of(client: &Client) -> String {
    String::from_utf8(client.body.as_ref().unwrap().expose().clone()).unwrap()
}

#[test]
fn what_the_provider_refuses_is_refused_by_its_code_and_nothing_else() {
    let described = "canary: the code was issued to anna";
    for (status, error, seen) in [
        (400, "invalid_grant", "invalid_grant"),
        (401, "invalid_client", "invalid_client"),
        (400, "invalid_scope", "invalid_scope"),
        (403, "unauthorized_client", "unauthorized_client"),
        (400, "interaction_required", "invalid_grant"),
        (400, "canary <b>", "invalid_grant"),
    ] {
        let mut stage = plain();
        let answer = json!({"error": error, "error_description": described, "error_uri": "https://canary.example"});
        stage.world.set(Purpose::Login, [Answer::new(status, answer.to_string())]);
        let transcript = stage.send(&redeem(json!({})));
        check(&transcript, "discovery login", "400 GRANT_REFUSED");
        assert_eq!(oauth_error(&transcript).0, seen);
        assert!(!body(&transcript).to_string().contains("canary"));
        keeps_secrets(&transcript);
        assert_eq!(counted(&stage, Metric::LoginRefused), 1);
    }
    // by these words the Databricks clients know that the person has to sign in again
    let mut stage = plain();
    stage.world.set(Purpose::Login, [Answer::new(400, json!({"error": "invalid_grant"}).to_string())]);
    let transcript = stage.send(&refresh(json!({})));
    assert_eq!(oauth_error(&transcript), ("invalid_grant".to_owned(), "Refresh token is invalid".to_owned()));
}

#[test]
fn an_answer_that_is_none_is_no_answer_and_the_code_is_shown_once() {
    let anna = RSA.token("anna", json!({}));
    for broken in [
        lost(),
        Answer::new(200, "<html>canary</html>"),
        Answer::new(200, "[]"),
        Answer::new(200, format!("{{\"access_token\":\"a\",\"access_token\":\"{anna}\",\"token_type\":\"Bearer\"}}")),
        Answer::new(302, ""),
        Answer::new(500, "canary"),
        Answer::new(404, "{}"),
        Answer::new(400, "<html>canary</html>"),
        Answer::new(400, r#"{"error_description":"canary"}"#),
        Answer::new(503, r#"{"error":"temporarily_unavailable"}"#),
        Answer::new(400, r#"{"error":"server_error"}"#),
        Answer::new(200, format!("{}{{}}", " ".repeat(65_536))),
        granted(&anna, json!({"access_token": null})),
        granted(&anna, json!({"access_token": ""})),
        granted(&anna, json!({"access_token": 7})),
        granted(&anna, json!({"token_type": null})),
        granted(&anna, json!({"token_type": "DPoP"})),
        granted(&anna, json!({"refresh_token": "a b"})),
        granted(&anna, json!({"refresh_token": 7})),
    ] {
        for grant in [redeem(json!({})), refresh(json!({}))] {
            let mut stage = plain();
            stage.world.set(Purpose::Login, [broken.clone()]);
            let transcript = stage.send(&grant);
            check(&transcript, "discovery login", "503 EXCHANGE_UNAVAILABLE");
            assert_eq!(oauth_error(&transcript).0, "temporarily_unavailable");
            assert!(header(&transcript, "retry-after").is_some());
            assert!(!body(&transcript).to_string().contains("canary"));
            keeps_secrets(&transcript);
            assert_eq!(counted(&stage, Metric::LoginFailed), 1, "{broken:?}");
        }
    }
}

#[test]
fn a_token_that_is_none_for_this_gateway_is_handed_to_nobody() {
    for (changes, end) in [
        (json!({"aud": "other"}), "401 TOKEN_INVALID audience_mismatch"),
        (json!({"iss": OTHER}), "401 TOKEN_INVALID issuer_mismatch"),
        (json!({"exp": NOW - 100}), "401 TOKEN_EXPIRED"),
        (json!({"nbf": NOW + 100}), "401 TOKEN_NOT_YET_VALID"),
        (json!({"nonce": "n", "at_hash": "x", "aud": "gate way"}), "401 TOKEN_INVALID audience_mismatch"),
        (json!({"department": "sales"}), "401 TOKEN_INVALID claim_required"),
    ] {
        let mut stage = gateway(with(login(json!({})), json!({"require": {"department": "data"}})));
        let mut claims = json!({"department": "data"});
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let token = stage.token_with("anna", claims);
        stage.world.set(Purpose::Login, [granted(&token, json!({}))]);
        let transcript = stage.send(&redeem(json!({})));
        check(&transcript, "discovery login", end);
        assert_eq!(oauth_error(&transcript).0, "invalid_grant");
        assert!(!body(&transcript).to_string().contains("rt-2"));
        keeps_secrets(&transcript);
        assert_eq!(transcript.record.unwrap().subject, None);
    }
    for (token, end) in [
        ("opaque-token", "401 TOKEN_INVALID malformed"),
        ("a.b.c", "401 TOKEN_INVALID malformed"),
        (&*NEW.token("anna", json!({})), "401 TOKEN_INVALID key_unknown"),
    ] {
        let mut stage = plain();
        stage.pass(60);
        stage.world.set(Purpose::Login, [granted(token, json!({}))]);
        let transcript = stage.send(&redeem(json!({})));
        assert_eq!(ended(&transcript), end);
        keeps_secrets(&transcript);
    }
}

/// Two providers, one of which signs people in.
fn two(of_other: Value) -> Rc<Config> {
    let mut other = json!({"name": "other", "issuer": OTHER, "audiences": ["databricks"], "jwks_url": "https://other.example/keys"});
    other.as_object_mut().unwrap().extend(of_other.as_object().unwrap().clone());
    config(json!({"identity_providers": [
        other,
        {"name": "idp", "issuer": ISSUER, "audiences": ["databricks"], "login": login(json!({}))},
    ]}))
}

#[test]
fn a_provider_hands_out_no_tokens_of_another() {
    let mut stage = gateway(two(json!({})));
    stage.tick();
    let anna = stage.token_with("anna", json!({"iss": OTHER}));
    // it is a good token, and known to be one
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.world.set(Purpose::Login, [granted(&anna, json!({}))]);
    check(&stage.send(&redeem(json!({}))), "discovery login", "401 TOKEN_INVALID issuer_mismatch");
    // nor one that only the other can vouch for
    let introspection = json!({"url": "https://other.example/i", "client_id": "g", "client_secret": "canary-secret"});
    let mut stage = gateway(two(json!({"introspection": introspection})));
    stage.world.set(Purpose::Login, [granted("opaque", json!({}))]);
    check(&stage.send(&redeem(json!({}))), "discovery login", "401 TOKEN_INVALID malformed");
}

#[test]
fn a_discovery_document_of_another_provider_sends_nobody_there() {
    for (document, log) in [
        (
            json!({"issuer": OTHER, "authorization_endpoint": "https://a/", "token_endpoint": "https://a/"}),
            "of another issuer",
        ),
        (json!({"issuer": ISSUER, "token_endpoint": "https://a/"}), "`authorization_endpoint` is missing"),
        (json!({"issuer": ISSUER, "authorization_endpoint": "https://a/"}), "`token_endpoint` is missing"),
        (
            json!({"issuer": ISSUER, "authorization_endpoint": "http://a/", "token_endpoint": "https://a/"}),
            "must begin with https://",
        ),
        (
            json!({"issuer": ISSUER, "authorization_endpoint": "https://a/", "token_endpoint": "http://a/"}),
            "must begin with https://",
        ),
        (
            json!({"issuer": ISSUER, "authorization_endpoint": "javascript:x", "token_endpoint": "https://a/"}),
            "`authorization_endpoint`",
        ),
        (
            json!({"issuer": ISSUER, "authorization_endpoint": "https://u@a/", "token_endpoint": "https://a/"}),
            "must not hold a user name",
        ),
    ] {
        let mut stage = plain();
        stage.world.set(Purpose::Discovery, [ok(&document)]);
        let transcript = stage.send(&authorize(json!({})));
        check(&transcript, "discovery discovery", "503 EXCHANGE_UNAVAILABLE");
        assert!(transcript.log[0].contains(log), "{:?}", transcript.log);
        // and it is left alone for a while
        check(&stage.send(&redeem(json!({}))), "", "503 EXCHANGE_UNAVAILABLE");
        stage.pass(5);
        assert_eq!(asked(&stage.send(&authorize(json!({})))), "discovery discovery");
    }
}

#[test]
fn the_endpoints_are_kept_for_an_hour_and_serve_for_a_day_while_the_provider_is_down() {
    let mut stage = plain();
    check(&stage.send(&authorize(json!({}))), "discovery", "302");
    stage.pass(3239);
    check(&stage.send(&authorize(json!({}))), "", "302");
    stage.world.set(Purpose::Discovery, [lost()]);
    stage.pass(1);
    check(&stage.send(&authorize(json!({}))), "discovery discovery", "302");
    stage.pass(360 + 86_400 - 1);
    check(&stage.send(&authorize(json!({}))), "discovery discovery", "302");
    stage.pass(5);
    check(&stage.send(&authorize(json!({}))), "discovery discovery", "503 EXCHANGE_UNAVAILABLE");
}

#[test]
fn a_provider_that_wants_a_pause_gets_it() {
    let mut stage = plain();
    stage.world.set(Purpose::Login, [Answer::new(429, "canary").retry_after("7")]);
    let transcript = stage.send(&redeem(json!({})));
    check(&transcript, "discovery login", "503 EXCHANGE_UNAVAILABLE");
    assert_eq!(header(&transcript, "retry-after"), Some("7"));
    stage.pass(6);
    let transcript = stage.send(&refresh(json!({})));
    check(&transcript, "", "503 EXCHANGE_UNAVAILABLE");
    assert_eq!(header(&transcript, "retry-after"), Some("1"));
    // who signs in asks nothing of that endpoint
    check(&stage.send(&authorize(json!({}))), "", "302");
    stage.pass(1);
    assert_eq!(asked(&stage.send(&refresh(json!({})))), "login");
}

#[test]
fn a_flood_reaches_the_provider_as_a_stream() {
    let mut stage = plain();
    stage.world.set(Purpose::Login, [Answer::new(400, r#"{"error":"invalid_grant"}"#)]);
    let attempts = (0..400).map(|number| asked(&stage.send(&redeem(json!({"code": format!("guess-{number}")})))));
    let sent: Vec<_> = attempts.filter(|asked| asked.ends_with("login")).collect();
    assert_eq!(sent.len(), 300);
    stage.pass(60);
    assert_eq!(asked(&stage.send(&redeem(json!({})))), "login");
}

#[test]
fn whoever_is_cut_off_gets_no_tokens() {
    let feed = json!({"url": "https://idp.example/feed"});
    let mut stage = gateway(with(login(json!({})), json!({"revocation": feed})));
    stage.tick();
    stage.pass(5);
    let anna = stage.token("anna");
    stage.world.set(Purpose::Login, [granted(&anna, json!({}))]);
    stage.world.set(Purpose::Feed, [ok(&json!({"subjects": ["anna"]}))]);
    let transcript = stage.send(&refresh(json!({})));
    check(&transcript, "discovery login feed", "401 TOKEN_REVOKED");
    assert_eq!(oauth_error(&transcript).0, "invalid_grant");
    keeps_secrets(&transcript);
    stage.world.set(Purpose::Feed, [Answer::new(500, "")]);
    stage.pass(61);
    check(&stage.send(&refresh(json!({}))), "login feed feed", "503 REVOCATION_STALE");
}

#[test]
fn a_provider_that_is_asked_of_every_token_is_asked_of_a_new_one() {
    let introspection = json!({
        "url": "https://idp.example/introspect", "client_id": "g", "client_secret": "canary-secret", "when": "always",
    });
    let mut stage = gateway(with(login(json!({})), json!({"introspection": introspection})));
    let anna = stage.token("anna");
    stage.world.set(Purpose::Login, [granted(&anna, json!({}))]);
    stage.world.set(Purpose::Introspection, [ok(&json!({"active": false}))]);
    let transcript = stage.send(&redeem(json!({})));
    check(&transcript, "discovery login introspection", "401 TOKEN_REVOKED");
    keeps_secrets(&transcript);
    stage.world.set(Purpose::Introspection, [ok(&json!({"active": true}))]);
    let bert = stage.token("bert");
    stage.world.set(Purpose::Login, [granted(&bert, json!({}))]);
    check(&stage.send(&redeem(json!({}))), "login introspection", "200");
    // an opaque token, too, is its caller's as the provider says
    stage.world.set(Purpose::Login, [granted("opaque", json!({}))]);
    let active = json!({"active": true, "sub": "anna", "aud": "databricks", "exp": NOW + 3600, "token_type": "Bearer"});
    stage.world.set(Purpose::Introspection, [ok(&active)]);
    check(&stage.send(&redeem(json!({}))), "login introspection", "200");
}

#[test]
fn where_one_body_must_not_follow_another_a_token_is_asked_about_when_it_is_used() {
    let introspection = json!({
        "url": "https://idp.example/introspect", "client_id": "g", "client_secret": "canary-secret", "when": "always",
    });
    let mut changes = provider(json!({"login": login(json!({})), "introspection": introspection}));
    changes["roles"] = json!([role(json!({"type": "passthrough"}))]);
    let mut stage = gateway(config(changes));
    stage.sim.can = KONG;
    let anna = stage.token("anna");
    stage.world.set(Purpose::Login, [granted(&anna, json!({}))]);
    stage.world.set(Purpose::Introspection, [ok(&json!({"active": false}))]);
    check(&stage.send(&redeem(json!({}))), "discovery login", "200");
    check(&stage.get(&anna), "introspection", "401 TOKEN_REVOKED");
    // keys come without a body, after the one with one
    let mut cold = gateway(with(login(json!({})), json!({})));
    cold.sim.can = KONG;
    cold.sim.memory = databricks_kong::flow::Memory::default();
    cold.world.set(Purpose::Login, [granted(&anna, json!({}))]);
    check(&cold.send(&redeem(json!({}))), "discovery login discovery keys", "200");
}

#[test]
fn the_documents_say_that_one_can_sign_in_where_one_can() {
    let of = |stage: &mut Stage, name: &str| {
        body(&stage.send(&client("GET", &format!("/oidc/.well-known/{name}"), &[("Host", "evil.example")])))
    };
    for name in ["oauth-authorization-server", "openid-configuration"] {
        let document = of(&mut plain(), name);
        assert_eq!(document["issuer"], "https://gw.example.com/oidc");
        assert_eq!(document["authorization_endpoint"], "https://gw.example.com/oidc/v1/authorize");
        assert_eq!(document["token_endpoint"], "https://gw.example.com/oidc/v1/token");
        assert_eq!(document["response_types_supported"], json!(["code"]));
        assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
        let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
        assert_eq!(document["grant_types_supported"], json!(["authorization_code", "refresh_token", exchange]));
        let document = of(&mut Stage::warm(config(json!({}))), name);
        assert_eq!(document["grant_types_supported"], json!([exchange]));
        assert_eq!(document["response_types_supported"], json!([]));
        for absent in ["authorization_endpoint", "code_challenge_methods_supported"] {
            assert_eq!(document.get(absent), None, "{name}");
        }
    }
}

#[test]
fn clients_that_want_the_same_refreshed_may_have_one_answer_and_a_code_is_never_shared() {
    let mut stage = plain();
    stage.send(&authorize(json!({})));
    let mark = |stage: &mut Stage, client: &Client| {
        let mut flow = databricks_kong::flow::Flow::default();
        let request = client.request(stage.sim.next_id(), &stage.sim.config).unwrap();
        let log = &mut Vec::new();
        stage.sim.on(&mut flow, databricks_kong::flow::Event::Request(request), log);
        let body = databricks_kong::flow::ReadBody::Whole(client.body.as_ref().unwrap().expose().clone());
        match stage.sim.on(&mut flow, databricks_kong::flow::Event::Body(body), log) {
            databricks_kong::flow::Step::Call(callout) => callout.share,
            other => panic!("{other:?}"),
        }
    };
    let first = mark(&mut stage, &refresh(json!({})));
    assert!(first.is_some());
    assert_eq!(mark(&mut stage, &refresh(json!({}))), first);
    assert_ne!(mark(&mut stage, &refresh(json!({"refresh_token": "rt-2"}))), first);
    assert_ne!(mark(&mut stage, &refresh(json!({"scope": "x"}))), first);
    assert_eq!(mark(&mut stage, &redeem(json!({}))), None);
}
