use serde_json::{Value, json};

use crate::bench::{Bench, Form, encode, refused, with};

const TENANT: &str = "72f988bf-0000-4000-8000-000000000001";
const CLIENT: &str = "aaaa0000-0000-4000-8000-000000000001";

async fn bench() -> Bench {
    let bench = Bench::start().await;
    let tenant = json!({ TENANT: { "issuer": bench.idp.issuer, "clients": { CLIENT: "s3cret" } } });
    let (status, body) = bench.ask_admin(reqwest::Method::PATCH, "/state", json!({ "entra": tenant })).await;
    assert_eq!(status, 200, "{body}");
    bench
}

fn form(bench: &Bench, claims: Value) -> Form {
    let mut all = bench.idp.claims();
    all["aud"] = json!(CLIENT);
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
        ("client_id", CLIENT.to_owned()),
        ("client_secret", "s3cret".to_owned()),
        ("assertion", bench.idp.sign(&all)),
        ("scope", "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/.default".to_owned()),
        ("requested_token_use", "on_behalf_of".to_owned()),
    ]
    .into()
}

async fn ask(bench: &Bench, tenant: &str, form: &Form, headers: &[(&str, &str)]) -> (u16, Value) {
    let headers = [&[("content-type", "application/x-www-form-urlencoded")], headers].concat();
    bench.send(reqwest::Method::POST, &format!("/{tenant}/oauth2/v2.0/token"), &headers, encode(form)).await
}

#[tokio::test]
async fn gives_a_token_of_the_user_for_a_token_of_the_client() {
    let bench = bench().await;
    let (status, body) = ask(&bench, TENANT, &form(&bench, json!({})), &[]).await;
    assert_eq!((status, body["token_type"].as_str()), (200, Some("Bearer")), "{body}");
    let expires_in = body["expires_in"].as_u64().unwrap();
    assert!((3595..=3600).contains(&expires_in), "{expires_in}");
    let (_, me) = bench.get("/api/2.0/preview/scim/v2/Me", body["access_token"].as_str().unwrap()).await;
    assert_eq!(me["userName"], "alice@example.com");
}

#[tokio::test]
async fn refuses_what_is_not_exactly_right() {
    let bench = bench().await;
    let good = form(&bench, json!({}));
    for (name, value, status, error, why) in [
        ("grant_type", Some("client_credentials"), 400, "unsupported_grant_type", "AADSTS70003"),
        ("grant_type", None, 400, "invalid_request", "AADSTS900144"),
        ("client_id", Some("other"), 400, "unauthorized_client", "AADSTS700016"),
        ("client_secret", Some("wrong"), 401, "invalid_client", "AADSTS7000215"),
        ("client_secret", None, 400, "invalid_request", "'client_secret' is missing"),
        ("requested_token_use", None, 400, "invalid_request", "'requested_token_use' is missing"),
        ("requested_token_use", Some("other"), 400, "invalid_request", "must be on_behalf_of"),
        ("scope", Some("https://graph.microsoft.com/.default"), 400, "invalid_scope", "AADSTS70011"),
        ("assertion", Some("x"), 400, "invalid_grant", "AADSTS50013"),
        ("subject_token", Some("x"), 400, "invalid_request", "Unknown parameter 'subject_token'"),
    ] {
        refused(&ask(&bench, TENANT, &with(good.clone(), name, value), &[]).await, status, error, why);
    }
    refused(&ask(&bench, "other", &good, &[]).await, 400, "invalid_request", "Tenant 'other' not found");
    let basic = ask(&bench, TENANT, &good, &[("authorization", "Basic eDp5")]).await;
    refused(&basic, 400, "invalid_request", "more than one way");
}

#[tokio::test]
async fn refuses_an_assertion_that_is_not_for_the_client() {
    let bench = bench().await;
    for (claims, why) in [
        (json!({ "aud": "databricks" }), "audience"),
        (json!({ "exp": crate::idp::now() - 10 }), "expired"),
        (json!({ "iss": "https://elsewhere.example" }), "No federation policy"),
    ] {
        refused(&ask(&bench, TENANT, &form(&bench, claims), &[]).await, 400, "invalid_grant", why);
    }
    let forged = with(form(&bench, json!({})), "assertion", Some(&bench.idp.forge(&bench.idp.claims())));
    refused(&ask(&bench, TENANT, &forged, &[]).await, 400, "invalid_grant", "signature");
}
