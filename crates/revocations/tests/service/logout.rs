//! OpenID Connect Back-Channel Logout 1.0.

use crate::issuer::{Issuer, LOGOUT, SESSION_REVOKED, now, unique};
use crate::running::{RETENTION, Running, configuration, values};
use reqwest::Method;
use serde_json::{Value, json};

fn changed(mut claims: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

#[tokio::test]
async fn a_logout_cuts_off_the_users_tokens_of_before_and_the_session() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let claims = changed(issuer.logout("Anna@Example.com"), json!({"sid": "s1"}));
    assert_eq!(service.logout(&issuer.sign("logout+jwt", &claims)).await, (200, Value::Null));
    let feed = service.feed_when("the session", |feed| values(feed, "sessions") == ["s1"]).await;
    let before = claims["iat"].as_u64().unwrap() + 1;
    assert_eq!(feed["subjects"], json!([{"value": "Anna@Example.com", "before": before}]));
    let (_, listed) = service.admin(Method::GET, "/revocations", &json!({})).await;
    let entry = &listed["revocations"][0];
    assert_eq!((&entry["source"], &entry["why"]), (&json!("logout"), &json!("backchannel-logout")));
    let until = entry["until"].as_u64().unwrap();
    assert!((before + RETENTION - 2..=before + RETENTION + 60).contains(&until), "{until} of {before}");
}

#[tokio::test]
async fn a_session_alone_is_enough_where_access_tokens_have_it() {
    let issuer = Issuer::start().await;
    let mut config = configuration(&issuer, "revocations.db");
    config["sources"][0]["cut_off"] = json!("session");
    let service = Running::start_with(&config);
    let with_both = changed(issuer.logout("anna"), json!({"sid": "s1"}));
    assert_eq!(service.logout(&issuer.sign("logout+jwt", &with_both)).await.0, 200);
    let without_user = changed(issuer.logout("anna"), json!({"sid": "s2", "sub": null}));
    assert_eq!(service.logout(&issuer.sign("JWT", &without_user)).await.0, 200);
    let feed = service.feed_when("two sessions", |feed| values(feed, "sessions").len() == 2).await;
    assert_eq!(values(&feed, "subjects"), [""; 0]);
    // no session is named: all of the user's
    assert_eq!(service.logout(&issuer.sign("logout+jwt", &issuer.logout("bert"))).await.0, 200);
    service.feed_when("the user", |feed| values(feed, "subjects") == ["bert"]).await;
}

#[tokio::test]
async fn each_logout_token_is_taken_once() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let token = issuer.sign("logout+jwt", &issuer.logout("anna"));
    assert_eq!(service.logout(&token).await.0, 200);
    let (status, answer) = service.logout(&token).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")));
    assert!(answer["error_description"].as_str().unwrap().contains("before"), "{answer}");
    assert_eq!(service.metric(r#"databricks_kong_revocations_events_total{source="logout",outcome="known",detail="backchannel-logout"}"#).await, Some(1.0));
}

#[tokio::test]
async fn rsa_is_taken_too_and_a_new_key_is_fetched() {
    let mut issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    assert_eq!(service.logout(&issuer.sign_rs256("logout+jwt", &issuer.logout("rsa"))).await.0, 200);
    // the keys were fetched a moment ago: for an unknown one, not again so soon
    issuer.rotate();
    let (status, answer) = service.logout(&issuer.sign("logout+jwt", &issuer.logout("rotated"))).await;
    assert_eq!(
        (status, answer["error_description"].as_str().unwrap()),
        (400, "the token was signed with a key that is not known")
    );
    assert_eq!(issuer.site.key_fetches.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn every_rule_refuses_with_its_reason() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let good = || issuer.logout("anna");
    for (changes, reason) in [
        (json!({"nonce": "n"}), "of a kind"),
        (json!({"events": null}), "`events` is missing"),
        (json!({"events": {}}), "`events` has a value"),
        (json!({"events": []}), "`events` has a value"),
        (json!({"events": {LOGOUT: null}}), "`events` has a value"),
        (json!({"events": {SESSION_REVOKED: {}}}), "lacks the member of a logout token"),
        (json!({"sub": null}), "needs `sub` or `sid`"),
        (json!({"sub": 7}), "needs `sub` or `sid`"),
        (json!({"sub": ""}), "needs `sub` or `sid`"),
        (json!({"sub": "a\u{0}b"}), "needs `sub` or `sid`"),
        (json!({"sub": "x".repeat(1025)}), "needs `sub` or `sid`"),
        (json!({"sid": ["s"]}), "needs `sub` or `sid`"),
        (json!({"jti": null}), "`jti` is missing"),
        (json!({"iat": null}), "`iat` is missing"),
        (json!({"iat": now() + 3600}), "not valid yet"),
        (json!({"iat": now() - 3600, "exp": null}), "expired"),
        (json!({"exp": now() - 60}), "expired"),
        (json!({"aud": "databricks"}), "another audience"),
        (json!({"aud": null}), "`aud` is missing"),
        (json!({"iss": "https://other.example"}), "no source is configured for this issuer"),
        (json!({"iss": null}), "no source is configured for this issuer"),
    ] {
        let token = issuer.sign("logout+jwt", &changed(good(), changes.clone()));
        let (status, answer) = service.logout(&token).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")), "{changes}");
        let said = answer["error_description"].as_str().unwrap();
        assert!(said.contains(reason), "{changes}: {said}");
    }
    for typ in ["secevent+jwt", "at+jwt", "id_token+jwt"] {
        let (status, answer) = service.logout(&issuer.sign(typ, &good())).await;
        assert_eq!(status, 400);
        assert!(answer["error_description"].as_str().unwrap().contains("type"), "{typ}: {answer}");
    }
    let token = issuer.sign("logout+jwt", &good());
    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(86));
    for bad in ["", "x", "a.b.c", &forged, &token[..token.len() - 1], &"x".repeat(40_000)] {
        assert_eq!(service.logout(bad).await.0, 400, "{bad:.20}");
    }
    assert_eq!(service.feed().await["subjects"], json!([]));
    let log = service.log_when("signature_invalid").await;
    assert!(!log.contains(signed), "{log}");
}

#[tokio::test]
async fn a_body_of_another_shape_is_refused() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let token = issuer.sign("logout+jwt", &issuer.logout(&unique("anna")));
    let form = "application/x-www-form-urlencoded";
    for (kind, body, status) in [
        ("application/json", format!("{{\"logout_token\":\"{token}\"}}"), 400),
        ("text/plain", format!("logout_token={token}"), 400),
        (form, String::new(), 400),
        (form, format!("token={token}"), 400),
        (form, format!("logout_token={token}&logout_token={token}"), 400),
        (form, format!("logout_token={}", "x".repeat(70_000)), 413),
        ("application/x-www-form-urlencoded; charset=utf-8", format!("state=1&logout_token={token}"), 200),
    ] {
        let answer = service.send(Method::POST, "/backchannel-logout", &[("content-type", kind)], &body).await;
        assert_eq!(answer.status(), status, "{kind} {body:.40}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
    assert_eq!(service.get("/backchannel-logout").await.status(), 405);
}

#[tokio::test]
async fn without_keys_the_provider_is_told_to_come_again() {
    let issuer = Issuer::start().await;
    *issuer.site.keys_fail.lock().unwrap() = true;
    let service = Running::start(&issuer);
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!("logout_token={}", issuer.sign("logout+jwt", &issuer.logout("anna")));
    let answer = service.send(Method::POST, "/backchannel-logout", &headers, &body).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    assert_eq!(
        service.metric(r#"databricks_kong_revocations_keys_fetches_total{source="logout",outcome="failed"}"#).await,
        Some(1.0)
    );
}
