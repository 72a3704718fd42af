//! Security event tokens by push (RFC 8935): CAEP, RISC, and the formats of subjects.

use crate::issuer::{
    CLAIMS_CHANGE, CREDENTIAL_CHANGE, DISABLED, ENABLED, Issuer, PURGED, SESSION_REVOKED, VERIFICATION, now, unique,
};
use crate::running::{Running, configuration, values};
use reqwest::Method;
use serde_json::{Value, json};

fn at(mut claims: Value, timestamp: u64) -> Value {
    for event in claims["events"].as_object_mut().unwrap().values_mut() {
        event["event_timestamp"] = json!(timestamp);
    }
    claims
}

#[tokio::test]
async fn events_that_ask_for_a_new_sign_in_cut_off_what_was_issued_before() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let happened = now() - 100;
    for (uri, sub) in [(SESSION_REVOKED, "a"), (CREDENTIAL_CHANGE, "b"), (CLAIMS_CHANGE, "c")] {
        let claims = at(issuer.event(uri, issuer.iss_sub(sub)), happened);
        assert_eq!(service.push(&issuer.sign_event(&claims)).await, (202, Value::Null));
    }
    let feed = service.feed_when("three subjects", |feed| values(feed, "subjects").len() == 3).await;
    let before = happened + 1;
    let expected: Vec<_> = ["a", "b", "c"].map(|sub| json!({"value": sub, "before": before})).into();
    assert_eq!(feed["subjects"], json!(expected));
}

#[tokio::test]
async fn an_account_is_off_until_it_is_enabled_and_older_news_changes_nothing() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let news = |uri, sub: &str, ago| issuer.sign_event(&at(issuer.event(uri, issuer.iss_sub(sub)), now() - ago));
    for (uri, sub, ago) in [
        (DISABLED, "off", 100),
        (DISABLED, "on-again", 100),
        (ENABLED, "on-again", 50),
        // comes late, and is older than what is known
        (DISABLED, "on-again", 80),
        (DISABLED, "off-again", 50),
        (ENABLED, "off-again", 80),
        (PURGED, "gone", 10),
    ] {
        assert_eq!(service.push(&news(uri, sub, ago)).await.0, 202);
    }
    let feed = service.feed_when("three accounts", |feed| values(feed, "subjects").len() == 3).await;
    assert_eq!(feed["subjects"], json!(["gone", "off", "off-again"]));
    let (_, listed) = service.admin(Method::GET, "/revocations", &json!({})).await;
    let until = |index: usize| &listed["revocations"][index]["until"];
    assert!(until(0).is_u64() && until(1).is_null() && until(2).is_null(), "{listed}");
    assert_eq!(service.push(&news(ENABLED, "OFF", 1)).await.0, 202);
    service.feed_when("one less", |feed| feed["subjects"] == json!(["gone", "off-again"])).await;
}

#[tokio::test]
async fn an_event_that_no_living_token_could_be_cut_off_by_is_acknowledged_and_not_kept() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let claims = at(issuer.event(SESSION_REVOKED, issuer.iss_sub("a")), now() - 7200);
    assert_eq!(service.push(&issuer.sign_event(&claims)).await.0, 202);
    // a clock in the future must not keep out who signs in again
    let claims = at(issuer.event(SESSION_REVOKED, issuer.iss_sub("b")), now() + 86_400);
    assert_eq!(service.push(&issuer.sign_event(&claims)).await.0, 202);
    let feed = service.feed_when("one subject", |feed| values(feed, "subjects") == ["b"]).await;
    assert!(feed["subjects"][0]["before"].as_u64().unwrap() <= now() + 1, "{feed}");
}

#[tokio::test]
async fn every_format_of_subjects_is_read_where_it_stands() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let mut in_event = issuer.event(SESSION_REVOKED, json!({}));
    in_event.as_object_mut().unwrap().remove("sub_id");
    in_event["events"][SESSION_REVOKED]["subject"] =
        json!({"subject_type": "iss-sub", "iss": issuer.url(), "sub": "u5"});
    for (claims, user) in [
        (issuer.event(CREDENTIAL_CHANGE, json!({"format": "email", "email": "u1@example.com"})), "u1@example.com"),
        (issuer.event(CREDENTIAL_CHANGE, json!({"format": "opaque", "id": "u2"})), "u2"),
        (issuer.event(CREDENTIAL_CHANGE, json!({"format": "account", "uri": "acct:u3@example.com"})), "u3@example.com"),
        (
            issuer.event(
                SESSION_REVOKED,
                json!({"format": "complex", "user": issuer.iss_sub("u4"), "tenant": {"format": "opaque", "id": "t"}}),
            ),
            "u4",
        ),
        (in_event, "u5"),
        (
            issuer.event(
                SESSION_REVOKED,
                json!({"format": "aliases", "identifiers": [issuer.iss_sub("u6"), {"format": "did", "url": "did:x"}]}),
            ),
            "u6",
        ),
    ] {
        assert_eq!(service.push(&issuer.sign_event(&claims)).await, (202, Value::Null), "{user}");
        service.feed_when(user, |feed| values(feed, "subjects").contains(&user)).await;
    }
    let session = json!({"user": issuer.iss_sub("u7"), "session": {"format": "opaque", "id": "s7"}});
    assert_eq!(service.push(&issuer.sign_event(&issuer.event(SESSION_REVOKED, session))).await.0, 202);
    service
        .feed_when("s7", |feed| values(feed, "sessions") == ["s7"] && values(feed, "subjects").contains(&"u7"))
        .await;
}

#[tokio::test]
async fn what_is_about_nobody_is_not_acknowledged() {
    let issuer = Issuer::start().await;
    let mut config = configuration(&issuer, "revocations.db");
    config["sources"][1]["subject_formats"] = json!(["iss_sub"]);
    let service = Running::start_with(&config);
    for (subject, has) in [
        (json!({"format": "email", "email": "a@example.com"}), "`email`"),
        (json!({"format": "iss_sub", "iss": "https://other.example", "sub": "a"}), "`iss_sub`"),
        (json!({"format": "phone_number", "phone_number": "+1"}), "`phone_number`"),
        (json!("a"), "none"),
    ] {
        let (status, answer) = service.push(&issuer.sign_event(&issuer.event(DISABLED, subject.clone()))).await;
        assert_eq!((status, &answer["err"]), (400, &json!("invalid_request")), "{subject}");
        let said = answer["description"].as_str().unwrap();
        assert!(said.contains(has) && said.contains("taken are `iss_sub`"), "{said}");
    }
    // a session alone says nothing of whose password changed
    let session = json!({"session": {"format": "opaque", "id": "s"}});
    assert_eq!(service.push(&issuer.sign_event(&issuer.event(CREDENTIAL_CHANGE, session))).await.0, 400);
    assert_eq!(service.feed().await["subjects"], json!([]));
}

#[tokio::test]
async fn what_asks_for_nothing_is_acknowledged() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    for uri in [
        VERIFICATION,
        "https://schemas.openid.net/secevent/caep/event-type/device-compliance-change",
        "https://schemas.openid.net/secevent/risc/event-type/identifier-changed",
        "https://example.com/what-is-this",
        "https://schemas.openid.net/secevent/caep/event-type/session-revoked2",
    ] {
        let claims = issuer.event(uri, json!({"format": "opaque", "id": "stream"}));
        assert_eq!(service.push(&issuer.sign_event(&claims)).await, (202, Value::Null), "{uri}");
    }
    assert_eq!(service.feed().await["subjects"], json!([]));
    let ignored = r#"databricks_kong_revocations_events_total{source="events",outcome="ignored",detail="other"}"#;
    assert_eq!(service.metric(ignored).await, Some(2.0));
}

#[tokio::test]
async fn an_event_that_comes_again_is_acknowledged_and_done_once() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let token = issuer.sign_event(&issuer.event(DISABLED, issuer.iss_sub("anna")));
    assert_eq!(service.push(&token).await.0, 202);
    service.feed_when("anna", |feed| feed["subjects"] == json!(["anna"])).await;
    let removed = service.admin(Method::DELETE, "/revocations?provider=idp&kind=subject&value=ANNA", &json!({})).await;
    assert_eq!(removed, (200, json!({"removed": 1})));
    assert_eq!(service.push(&token).await.0, 202);
    service.feed_when("nobody", |feed| feed["subjects"] == json!([])).await;
    let known =
        r#"databricks_kong_revocations_events_total{source="events",outcome="known",detail="account-disabled"}"#;
    assert_eq!(service.metric(known).await, Some(1.0));
}

#[tokio::test]
async fn refusals_have_the_codes_of_rfc_8935() {
    let issuer = Issuer::start().await;
    let other = Issuer::start().await;
    let service = Running::start(&issuer);
    let good = || issuer.event(SESSION_REVOKED, issuer.iss_sub("anna"));
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        issuer.sign_event(&claims)
    };
    for (token, code) in [
        (with("iss", json!("https://other.example")), "invalid_issuer"),
        (with("aud", json!("other")), "invalid_audience"),
        (with("aud", json!([])), "invalid_audience"),
        (with("aud", json!(7)), "invalid_request"),
        (other.sign_event(&good()), "invalid_key"),
        (issuer.sign("logout+jwt", &good()), "invalid_request"),
        (issuer.sign("at+jwt", &good()), "invalid_request"),
        (with("iat", json!(now() - 8 * 86_400)), "invalid_request"),
        (with("iat", json!(null)), "invalid_request"),
        (with("events", json!({})), "invalid_request"),
        (with("nonce", json!("n")), "invalid_request"),
        (with("jti", json!("")), "invalid_request"),
        (String::new(), "invalid_request"),
        ("a.b.c".to_owned(), "invalid_request"),
        ("{\"sets\":{}}".to_owned(), "invalid_request"),
        ("x".repeat(40_000), "invalid_request"),
    ] {
        let (status, answer) = service.push(&token).await;
        assert_eq!((status, answer["err"].as_str().unwrap()), (400, code), "{token:.60}: {answer}");
        let keys: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["description", "err"]);
    }
    let token = issuer.sign_event(&good());
    for kind in ["application/jwt", "application/json", "text/plain", "application/secevent+jwt2"] {
        let answer = service.send(Method::POST, "/events", &[("content-type", kind)], &token).await;
        assert_eq!(answer.status(), 400, "{kind}");
        assert_eq!(answer.headers()["content-language"], "en");
    }
    let large = "x".repeat(70_000);
    assert_eq!(service.push(&large).await.0, 413);
    let parameters = [("content-type", "Application/SecEvent+JWT; charset=utf-8")];
    assert_eq!(service.send(Method::POST, "/events", &parameters, &token).await.status(), 202);
}

#[tokio::test]
async fn a_push_shows_the_secret_where_there_is_one() {
    let issuer = Issuer::start().await;
    let mut config = configuration(&issuer, "revocations.db");
    config["sources"][1]["push"] = json!({"secret": {"env": "TEST_ADMIN"}});
    let service = Running::start_with(&config);
    let token = issuer.sign_event(&issuer.event(SESSION_REVOKED, issuer.iss_sub(&unique("u"))));
    let kind = ("content-type", "application/secevent+jwt");
    for headers in
        [&[kind][..], &[kind, ("authorization", "Bearer wrong")], &[kind, ("authorization", crate::running::ADMIN)]]
    {
        let answer = service.send(Method::POST, "/events", headers, &token).await;
        assert_eq!(answer.status(), 400);
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(body["err"], "authentication_failed");
    }
    let shown = format!("Bearer {}", crate::running::ADMIN);
    assert_eq!(service.send(Method::POST, "/events", &[kind, ("authorization", &shown)], &token).await.status(), 202);
}

#[tokio::test]
async fn a_transmitter_that_is_not_the_provider_speaks_of_its_subjects() {
    let (issuer, vendor) = (Issuer::start().await, Issuer::start().await);
    let mut config = configuration(&issuer, "revocations.db");
    config["identity_providers"][0]["claims"] = json!({"subject": "email"});
    config["sources"] = json!([
        {"name": "vendor", "type": "security_events", "provider": "idp", "issuer": vendor.url(), "audiences": ["revocations"]},
    ]);
    let service = Running::start_with(&config);
    let email = json!({"format": "email", "email": "Mallory@example.com"});
    assert_eq!(service.push(&vendor.sign_event(&vendor.event(DISABLED, email.clone()))).await, (202, Value::Null));
    service.feed_when("mallory", |feed| feed["subjects"] == json!(["Mallory@example.com"])).await;
    assert_eq!(service.push(&issuer.sign_event(&issuer.event(DISABLED, email))).await.1["err"], "invalid_issuer");
}
