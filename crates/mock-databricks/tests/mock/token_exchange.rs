use serde_json::{Value, json};

use crate::bench::{Bench, JWT, SP_ALL, encode, refused, with};
use crate::idp::now;

#[tokio::test]
async fn gives_a_user_a_token_that_lives_as_long_as_the_subject_token() {
    let bench = Bench::start().await;
    let (status, body) = bench.token(&with(bench.exchange_form(), "scope", Some("jobs sql"))).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((body["token_type"].as_str(), body["scope"].as_str()), (Some("Bearer"), Some("jobs sql")));
    let expires_in = body["expires_in"].as_u64().unwrap();
    assert!((595..=600).contains(&expires_in), "{expires_in}");
    assert!(body.get("refresh_token").is_none());
    let (header, claims) = decoded(body["access_token"].as_str().unwrap());
    assert_eq!((header["typ"].as_str(), header["alg"].as_str()), (Some("at+jwt"), Some("RS256")));
    assert_eq!(claims["sub"], "alice@example.com");
    assert_eq!(claims["aud"], "7405619408829168");
    assert_eq!(claims["iss"], "https://adb-7405619408829168.8.azuredatabricks.net/oidc");
    assert_eq!(claims["scope"], "jobs sql");
}

#[tokio::test]
async fn copies_the_expiry_to_the_second() {
    let bench = Bench::start().await;
    let mut claims = bench.idp.claims();
    claims["exp"] = json!(now() + 77);
    let token = bench.exchanged(&bench.exchange_form_of(&claims)).await;
    assert_eq!(decoded(&token).1["exp"], claims["exp"]);
}

#[tokio::test]
async fn maps_a_service_principal_by_its_own_policy() {
    let bench = Bench::start().await;
    let mut claims = bench.idp.claims();
    claims["sub"] = json!("robot");
    let form = with(bench.exchange_form_of(&claims), "client_id", Some("sp-all"));
    let token = bench.exchanged(&form).await;
    assert_eq!(decoded(&token).1["sub"], "sp-all");
    let (_, me) = bench.get("/api/2.0/preview/scim/v2/Me", &token).await;
    assert_eq!(me["userName"], "sp-all");

    let alice = with(bench.exchange_form(), "client_id", Some("sp-all"));
    refused(&bench.token(&alice).await, 401, "invalid_grant", "subject of the subject token does not match");
    let robot_without = bench.exchange_form_of(&claims);
    refused(&bench.token(&robot_without).await, 401, "invalid_grant", "no user");
    let unknown = with(bench.exchange_form_of(&claims), "client_id", Some("sp-other"));
    refused(&bench.token(&unknown).await, 401, "invalid_grant", "Unknown service principal");
}

#[tokio::test]
async fn refuses_forms_that_are_not_exactly_right() {
    let bench = Bench::start().await;
    let good = bench.exchange_form();
    bench.exchanged(&good).await;
    let cases: &[(&'static str, Option<&str>, &str)] = &[
        ("grant_type", None, "'grant_type' is missing"),
        ("subject_token", None, "'subject_token' is missing"),
        ("subject_token", Some(""), "'subject_token' is missing"),
        ("subject_token_type", None, "'subject_token_type' is missing"),
        ("subject_token_type", Some("urn:ietf:params:oauth:token-type:access_token"), "must be urn"),
        ("scope", None, "'scope' is missing"),
        ("actor_token", Some("x"), "Unknown parameter 'actor_token'"),
        ("Scope", Some("sql"), "Unknown parameter 'Scope'"),
        ("audience", Some("x"), "Unknown parameter"),
        ("requested_token_type", Some(JWT), "must be urn"),
        ("client_secret", Some("s3cret"), "Client authentication is not allowed"),
        ("return_original_token_if_authenticated", Some("yes"), "must be true or false"),
        ("assume_group", Some("data-eng"), "numeric"),
        ("assume_group", Some(""), "numeric"),
    ];
    for (name, value, why) in cases {
        refused(&bench.token(&with(good.clone(), name, *value)).await, 400, "invalid_request", why);
    }
    let mut twice = good.clone();
    twice.push(("scope", "sql".into()));
    refused(&bench.token(&twice).await, 400, "invalid_request", "'scope' is repeated");
    let implicit = with(good.clone(), "grant_type", Some("password"));
    refused(&bench.token(&implicit).await, 400, "unsupported_grant_type", "password");
    let requested = "urn:ietf:params:oauth:token-type:access_token";
    bench.exchanged(&with(good, "requested_token_type", Some(requested))).await;
}

#[tokio::test]
async fn refuses_the_wrong_transport() {
    let bench = Bench::start().await;
    let form = bench.exchange_form();
    refused(&bench.token_with(&form, &[SP_ALL]).await, 400, "invalid_request", "Client authentication");
    let bearer = [("authorization", "Bearer abc")];
    refused(&bench.token_with(&form, &bearer).await, 400, "invalid_request", "Client authentication");
    let elsewhere = [("x-databricks-org-id", "1")];
    refused(&bench.token_with(&form, &elsewhere).await, 400, "invalid_request", "another workspace");
    let post = async |path: &str, kind: &str| {
        bench.send(reqwest::Method::POST, path, &[("content-type", kind)], encode(&form)).await
    };
    let form_type = "application/x-www-form-urlencoded";
    assert_eq!(post("/oidc/v1/token", "application/x-www-form-urlencoded; charset=utf-8").await.0, 200);
    refused(&post("/oidc/v1/token", "application/json").await, 400, "invalid_request", "Content-Type");
    refused(&post("/oidc/v1/token", "").await, 400, "invalid_request", "Content-Type");
    refused(&post("/oidc/v1/token?scope=sql", form_type).await, 400, "invalid_request", "in the body");
    assert_eq!(post("/oidc/v1/token/", form_type).await.0, 404);
    assert_eq!(bench.send(reqwest::Method::GET, "/oidc/v1/token", &[], String::new()).await.0, 404);
}

#[tokio::test]
async fn refuses_subject_tokens_that_prove_nothing() {
    let bench = Bench::start().await;
    let good = bench.idp.claims();
    let cases: &[(&str, Option<Value>, u16, &str)] = &[
        ("aud", Some(json!("other")), 400, "audience"),
        ("aud", Some(json!([])), 400, "audience"),
        ("aud", None, 400, "audience"),
        ("exp", None, 400, "no exp"),
        ("exp", Some(json!(now() - 1)), 401, "expired"),
        ("nbf", Some(json!(now() + 300)), 400, "not valid yet"),
        ("iat", Some(json!(now() + 300)), 400, "not valid yet"),
        ("sub", None, 400, "'sub'"),
        ("sub", Some(json!("")), 400, "'sub'"),
        ("sub", Some(json!("Alice@example.com")), 401, "no user"),
        ("iss", Some(json!("http://127.0.0.1:1")), 401, "No federation policy"),
        ("iss", Some(json!(format!("{}/", bench.idp.issuer))), 401, "No federation policy"),
    ];
    for (claim, value, status, why) in cases {
        let mut claims = good.clone();
        let object = claims.as_object_mut().unwrap();
        match value {
            Some(value) => object.insert((*claim).into(), value.clone()),
            None => object.remove(*claim),
        };
        refused(&bench.token(&bench.exchange_form_of(&claims)).await, *status, "invalid_grant", why);
    }
    let mut several = good.clone();
    several["aud"] = json!(["other", "databricks"]);
    several["nbf"] = json!(now());
    bench.exchanged(&bench.exchange_form_of(&several)).await;
}

#[tokio::test]
async fn refuses_signatures_that_are_not_the_issuers() {
    let bench = Bench::start().await;
    let claims = bench.idp.claims();
    let good = bench.idp.sign(&claims);
    let form = |token: &str| with(bench.exchange_form(), "subject_token", Some(token));
    bench.exchanged(&form(&good)).await;
    bench.exchanged(&form(&bench.idp.sign_rs256(&claims))).await;

    let (payload, signature) = good.rsplit_once('.').unwrap();
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", payload.split_once('.').unwrap().1);
    let hmac = format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{}.{signature}", payload.split_once('.').unwrap().1);
    let mut edited = claims.clone();
    edited["sub"] = json!("robot");
    let other = bench.idp.sign(&edited);
    let swapped = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    for (token, why) in [
        (bench.idp.forge(&claims), "signature"),
        (swapped, "signature"),
        (format!("{payload}."), "signature"),
        (none, "Algorithm 'none'"),
        (hmac, "Algorithm 'HS256'"),
        ("abc".into(), "not a JWT"),
        (payload.to_owned(), "not a JWT"),
        (format!("{good}.x"), "not a JWT"),
    ] {
        refused(&bench.token(&form(&token)).await, 400, "invalid_grant", why);
    }
}

#[tokio::test]
async fn fetches_the_keys_itself_and_again_for_an_unknown_key() {
    let mut bench = Bench::start().await;
    let old = bench.exchange_form();
    bench.exchanged(&old).await;
    bench.idp.rotate();
    bench.exchanged(&bench.exchange_form()).await;
    refused(&bench.token(&old).await, 400, "invalid_grant", "signature");
}

#[tokio::test]
async fn takes_keys_from_a_jwks_url_or_from_the_policy() {
    let bench = Bench::start().await;
    let mut claims = bench.idp.claims();
    claims["iss"] = json!("https://issuer.example");
    let form = bench.exchange_form_of(&claims);
    let policy = json!({ "issuer": "https://issuer.example", "audiences": ["databricks"] });
    let patch = async |patch: Value| {
        let (status, body) = bench.ask_admin(reqwest::Method::PATCH, "/state", patch).await;
        assert_eq!(status, 200, "{body}");
    };

    patch(json!({ "account_policies": [policy] })).await;
    refused(&bench.token(&form).await, 400, "invalid_grant", "Cannot get the keys");
    let jwks_url = format!("{}/keys", bench.idp.issuer);
    patch(json!({ "issuers": { "https://issuer.example": { "jwks_url": jwks_url } } })).await;
    bench.exchanged(&form).await;

    let mut inline = policy;
    inline["jwks_json"] = json!(bench.idp.jwks().to_string());
    patch(json!({ "issuers": {}, "account_policies": [inline] })).await;
    bench.exchanged(&form).await;
}

#[tokio::test]
async fn uses_the_account_id_where_a_policy_names_no_audience() {
    let bench = Bench::start().await;
    let policies = json!({ "account_policies": [{ "issuer": bench.idp.issuer, "subject_claim": "email" }] });
    assert_eq!(bench.ask_admin(reqwest::Method::PATCH, "/state", policies).await.0, 200);
    let mut claims = bench.idp.claims();
    claims["email"] = json!("alice@example.com");
    refused(&bench.token(&bench.exchange_form_of(&claims)).await, 400, "invalid_grant", "audience");
    claims["aud"] = json!("6f4a0000-0000-4000-8000-000000000001");
    bench.exchanged(&bench.exchange_form_of(&claims)).await;
}

#[tokio::test]
async fn checks_scopes() {
    let bench = Bench::start().await;
    let form = |scope: &str| with(bench.exchange_form(), "scope", Some(scope));
    for scope in ["all-apis", "sql", "jobs clusters unity-catalog"] {
        bench.exchanged(&form(scope)).await;
    }
    for scope in ["everything", "sql everything", "sql  jobs", " sql", "sql sql", "SQL"] {
        refused(&bench.token(&form(scope)).await, 400, "invalid_scope", "cope");
    }
    let mut claims = bench.idp.claims();
    claims["sub"] = json!("robot");
    let narrow = with(bench.exchange_form_of(&claims), "client_id", Some("sp-sql"));
    let answer = bench.token(&narrow).await;
    refused(&answer, 403, "access_denied", "Scopes 'all-apis' are not assigned");
    bench.exchanged(&with(narrow, "scope", Some("sql"))).await;
}

#[tokio::test]
async fn bakes_an_assumed_group_into_the_token() {
    let bench = Bench::start().await;
    let form = |group: &str| with(bench.exchange_form(), "assume_group", Some(group));
    let token = bench.exchanged(&form("777")).await;
    let (_, me) = bench.get("/api/2.0/preview/scim/v2/Me", &token).await;
    assert_eq!(me["groups"].as_array().unwrap().len(), 1);
    assert_eq!(me["groups"][0]["value"], "777");
    for group in ["888", "999"] {
        refused(&bench.token(&form(group)).await, 403, "access_denied", group);
    }
}

#[tokio::test]
async fn hands_back_a_token_of_its_own_when_asked_to() {
    let bench = Bench::start().await;
    let own = bench.exchanged(&bench.exchange_form()).await;
    let form = with(bench.exchange_form(), "subject_token", Some(&own));
    refused(&bench.token(&form).await, 401, "invalid_grant", "No federation policy");
    let name = "return_original_token_if_authenticated";
    assert_eq!(bench.exchanged(&with(form.clone(), name, Some("true"))).await, own);
    refused(&bench.token(&with(form, name, Some("false"))).await, 401, "invalid_grant", "No federation policy");
    let foreign = bench.exchanged(&with(bench.exchange_form(), name, Some("true"))).await;
    assert_ne!(foreign, own);
}

fn decoded(token: &str) -> (Value, Value) {
    use base64::Engine;
    let part = |at: usize| {
        let text = token.split('.').nth(at).unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    (part(0), part(1))
}

#[tokio::test]
async fn a_policy_may_bound_how_long_assertions_live() {
    let bench = Bench::start().await;
    let policy = |longest: u64| json!({ "issuer": bench.idp.issuer, "audiences": ["databricks"], "subject": "gateway", "max_lifetime": longest });
    let principals = json!({ "service_principals": { "sp-short": { "policies": [policy(600)] }, "sp-shorter": { "policies": [policy(599)] } } });
    bench.ask_admin(reqwest::Method::PATCH, "/state", principals).await;
    let mut claims = bench.idp.claims();
    claims["sub"] = json!("gateway");
    let form = bench.exchange_form_of(&claims);
    bench.exchanged(&with(form.clone(), "client_id", Some("sp-short"))).await;
    let refusal = bench.token(&with(form, "client_id", Some("sp-shorter"))).await;
    refused(&refusal, 400, "invalid_grant", "lives longer than 599 seconds");
    claims.as_object_mut().unwrap().remove("iat");
    let form = with(bench.exchange_form_of(&claims), "client_id", Some("sp-short"));
    refused(&bench.token(&form).await, 400, "invalid_grant", "no iat");
}
