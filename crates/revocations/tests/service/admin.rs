//! An administrator's word over HTTP.

use crate::issuer::{DISABLED, Issuer, now};
use crate::running::{Running, configuration, values};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn what_an_administrator_adds_is_in_the_feed_until_it_is_removed() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    for wish in [
        json!({"provider": "idp", "kind": "subject", "value": "Mallory@example.com", "note": "INC-7"}),
        json!({"provider": "idp", "kind": "subject", "value": "anna", "before": 1_700_000_000}),
        json!({"provider": "idp", "kind": "token", "value": "t1", "until": now() + 600}),
        json!({"provider": "idp", "kind": "client", "value": "app"}),
        json!({"provider": "idp", "kind": "session", "value": "s1"}),
        json!({"provider": "idp", "kind": "everyone", "before": 1_600_000_000}),
    ] {
        assert_eq!(
            service.admin(Method::POST, "/revocations", &wish).await,
            (201, json!({"status": "kept"})),
            "{wish}"
        );
    }
    let feed = service.feed_when("all kinds", |feed| feed["not_before"] == 1_600_000_000).await;
    let expected = json!({
        "subjects": [{"value": "anna", "before": 1_700_000_000}, "Mallory@example.com"], "tokens": ["t1"], "clients": ["app"],
        "sessions": ["s1"], "not_before": 1_600_000_000,
    });
    assert_eq!(feed, expected);
    let (status, listed) = service.admin(Method::GET, "/revocations?provider=idp", &json!({})).await;
    let list = listed["revocations"].as_array().unwrap();
    assert_eq!((status, list.len()), (200, 6));
    let mallory = list.iter().find(|entry| entry["value"] == "Mallory@example.com").unwrap();
    assert_eq!(
        (&mallory["source"], &mallory["why"], &mallory["until"]),
        (&json!("administrator"), &json!("INC-7"), &Value::Null)
    );
    for gone in ["kind=subject&value=MALLORY%40example.com", "kind=subject&value=anna", "kind=everyone"] {
        let path = format!("/revocations?provider=idp&{gone}");
        assert_eq!(service.admin(Method::DELETE, &path, &json!({})).await, (200, json!({"removed": 1})), "{gone}");
        assert_eq!(service.admin(Method::DELETE, &path, &json!({})).await.0, 404, "{gone}");
    }
    service.feed_when("less", |feed| feed["subjects"] == json!([]) && feed["not_before"].is_null()).await;
}

#[tokio::test]
async fn an_administrators_word_and_an_events_stand_side_by_side() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let wish = json!({"provider": "idp", "kind": "subject", "value": "anna", "before": 1_700_000_000});
    assert_eq!(service.admin(Method::POST, "/revocations", &wish).await.0, 201);
    let token = issuer.sign_event(&issuer.event(DISABLED, issuer.iss_sub("anna")));
    assert_eq!(service.push(&token).await.0, 202);
    service.feed_when("the stricter", |feed| feed["subjects"] == json!(["anna"])).await;
    let enabled = issuer.event(crate::issuer::ENABLED, issuer.iss_sub("anna"));
    // a second later, as events have no finer times
    let mut enabled = enabled;
    enabled["events"][crate::issuer::ENABLED]["event_timestamp"] = json!(now() + 1);
    assert_eq!(service.push(&issuer.sign_event(&enabled)).await.0, 202);
    service.feed_when("the administrator's", |feed| feed["subjects"][0]["before"] == 1_700_000_000).await;
}

#[tokio::test]
async fn without_the_secret_nothing_is_told_and_nothing_changes() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let wish = json!({"provider": "idp", "kind": "subject", "value": "anna"}).to_string();
    for method in [Method::GET, Method::POST, Method::DELETE] {
        for header in [None, Some("Bearer wrong"), Some("Basic eDp5"), Some("Bearer"), Some("")] {
            let headers: Vec<_> = header.iter().map(|value| ("authorization", *value)).collect();
            let answer = service.send(method.clone(), "/revocations", &headers, &wish).await;
            assert_eq!(answer.status(), 401, "{method} {header:?}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(service.feed().await["subjects"], json!([]));
    assert_eq!(service.metric("databricks_kong_revocations_unauthorized_total").await, Some(15.0));
    let mut config = configuration(&issuer, "revocations.db");
    config.as_object_mut().unwrap().remove("admin");
    let closed = Running::start_with(&config);
    assert_eq!(closed.admin(Method::GET, "/revocations", &json!({})).await.0, 404);
}

#[tokio::test]
async fn a_wish_that_cannot_be_meant_is_refused() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    for (wish, reason) in [
        (json!("x"), "no revocation"),
        (json!({"provider": "idp", "kind": "subject"}), "`subject` needs a value"),
        (json!({"provider": "idp", "kind": "user", "value": "a"}), "unknown variant `user`"),
        (json!({"provider": "other", "kind": "subject", "value": "a"}), "no identity provider"),
        (json!({"provider": "idp", "kind": "subject", "value": ""}), "1 to 1024 bytes"),
        (json!({"provider": "idp", "kind": "subject", "value": "a\nb"}), "control characters"),
        (json!({"provider": "idp", "kind": "subject", "value": "a", "until": 5}), "in the past"),
        (json!({"provider": "idp", "kind": "subject", "value": "a", "befor": 5}), "unknown field `befor`"),
        (json!({"provider": "idp", "kind": "token", "value": "t", "before": 5}), "leave `before` out"),
        (json!({"provider": "idp", "kind": "everyone", "value": "a"}), "takes no value"),
    ] {
        let (status, answer) = service.admin(Method::POST, "/revocations", &wish).await;
        assert_eq!(status, 400, "{wish}");
        assert!(answer["error"].as_str().unwrap().contains(reason), "{wish}: {answer}");
    }
    for query in ["", "?provider=idp", "?provider=idp&kind=x&value=a", "?provider=idp&kind=subject&value=a&x=1"] {
        assert_eq!(service.admin(Method::DELETE, &format!("/revocations{query}"), &json!({})).await.0, 400, "{query}");
    }
    assert!(values(&service.feed().await, "subjects").is_empty());
}

#[tokio::test]
async fn a_full_database_refuses_and_says_so_and_what_is_there_can_still_change() {
    let issuer = Issuer::start().await;
    let mut config = configuration(&issuer, "revocations.db");
    config["max_entries"] = json!(2);
    let service = Running::start_with(&config);
    let wish = |value: &str| json!({"provider": "idp", "kind": "subject", "value": value});
    for value in ["a", "b"] {
        assert_eq!(service.admin(Method::POST, "/revocations", &wish(value)).await.0, 201);
    }
    let (status, answer) = service.admin(Method::POST, "/revocations", &wish("c")).await;
    assert_eq!((status, answer), (503, json!({"error": "the database is full"})));
    assert_eq!(service.admin(Method::POST, "/revocations", &wish("A")).await.0, 201);
    let event = issuer.sign_event(&issuer.event(DISABLED, issuer.iss_sub("d")));
    assert_eq!(service.push(&event).await.0, 503);
    assert_eq!(
        service.admin(Method::DELETE, "/revocations?provider=idp&kind=subject&value=b", &json!({})).await.0,
        200
    );
    // not acknowledged, so not remembered either: it comes again, and there is room
    assert_eq!(service.push(&event).await.0, 202);
    service.feed_when("a and d", |feed| feed["subjects"] == json!(["A", "d"])).await;
    let full =
        r#"databricks_kong_revocations_events_total{source="events",outcome="unavailable",detail="database_full"}"#;
    assert_eq!(service.metric(full).await, Some(1.0));
}
