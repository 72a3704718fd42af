use crate::bench::{Bench, Form, SP_ALL, refused, with};

fn form() -> Form {
    vec![("grant_type", "client_credentials".into()), ("scope", "all-apis".into())]
}

fn posted(id: &str, secret: &str) -> Form {
    with(with(form(), "client_id", Some(id)), "client_secret", Some(secret))
}

#[tokio::test]
async fn takes_the_secret_in_the_header_or_in_the_form() {
    let bench = Bench::start().await;
    let (status, body) = bench.token_with(&form(), &[SP_ALL]).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["expires_in"], 3600);
    bench.exchanged(&posted("sp-all", "s3cret")).await;
}

#[tokio::test]
async fn refuses_clients_that_it_cannot_tell() {
    let bench = Bench::start().await;
    let denied = "Client authentication failed";
    for (id, secret) in [("sp-all", "wrong"), ("sp-all", ""), ("sp-nosecret", ""), ("sp-other", "s3cret")] {
        refused(&bench.token(&posted(id, secret)).await, 401, "invalid_client", denied);
    }
    refused(&bench.token(&form()).await, 401, "invalid_client", denied);
    // sp-all:wrong; sp-all with no colon; not base64; another scheme
    for value in ["Basic c3AtYWxsOndyb25n", "Basic c3AtYWxs", "Basic %%%", "Bearer c3AtYWxsOnMzY3JldA=="] {
        refused(&bench.token_with(&form(), &[("authorization", value)]).await, 401, "invalid_client", denied);
    }
    let answer = bench
        .answer(
            reqwest::Method::POST,
            "/oidc/v1/token",
            &[("content-type", "application/x-www-form-urlencoded")],
            "grant_type=client_credentials&scope=sql",
        )
        .await
        .unwrap();
    assert_eq!(answer.headers()["www-authenticate"], "Basic realm=\"DatabricksRealm\"");
    assert_eq!(answer.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn refuses_two_ways_at_once_and_fields_of_the_exchange() {
    let bench = Bench::start().await;
    let both = bench.token_with(&posted("sp-all", "s3cret"), &[SP_ALL]).await;
    refused(&both, 400, "invalid_request", "more than one way");
    let twice = bench.token_with(&form(), &[SP_ALL, SP_ALL]).await;
    refused(&twice, 400, "invalid_request", "more than one way");
    let mixed = with(form(), "subject_token", Some("x"));
    refused(&bench.token_with(&mixed, &[SP_ALL]).await, 400, "invalid_request", "Unknown parameter");
    let scopeless = with(form(), "scope", None);
    refused(&bench.token_with(&scopeless, &[SP_ALL]).await, 400, "invalid_request", "'scope' is missing");
}

#[tokio::test]
async fn keeps_a_secret_to_its_scopes_and_groups() {
    let bench = Bench::start().await;
    let narrow = posted("sp-sql", "narrow");
    let denied = bench.token(&narrow).await;
    refused(&denied, 403, "access_denied", "Scopes 'all-apis' are not assigned");
    let some = bench.token(&with(narrow.clone(), "scope", Some("sql jobs"))).await;
    refused(&some, 403, "access_denied", "Scopes 'jobs' are not assigned");
    bench.exchanged(&with(narrow, "scope", Some("sql"))).await;

    let group = |id: &str| with(posted("sp-all", "s3cret"), "assume_group", Some(id));
    bench.exchanged(&group("777")).await;
    refused(&bench.token(&group("888")).await, 403, "access_denied", "888");
    refused(&bench.token(&group("x")).await, 400, "invalid_request", "numeric");
}
