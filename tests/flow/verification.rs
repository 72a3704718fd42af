//! What is wrong with a token is said before anybody is asked, or after the keys were; never after Databricks was.

use crate::stage::*;
use databricks_kong::sim::End;
use serde_json::json;

#[test]
fn a_token_that_no_key_could_save_is_refused_before_any_callout() {
    let good = RSA.token("anna", json!({}));
    let (signing_input, signature) = good.rsplit_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIn0.e30.";
    let hmac = "eyJhbGciOiJIUzI1NiJ9.e30.AAAA";
    let long = format!("{signing_input}.{}", signature.repeat(60));
    for (token, code) in [
        ("opaque", "malformed"),
        ("a.b.c", "malformed"),
        ("....", "malformed"),
        (signing_input, "malformed"),
        (none, "alg_not_allowed"),
        (hmac, "alg_not_allowed"),
        (&*long, "too_large"),
        (&*format!("{good} {good}"), "malformed"),
        (&*RSA.token("anna", json!({"iss": "https://evil.example"})), "issuer_mismatch"),
        (&*RSA.token("anna", json!({"iss": "https://idp.example/"})), "issuer_mismatch"),
        (&*RSA.token("anna", json!({"iss": null})), "issuer_mismatch"),
        (&*RSA.token("anna", json!({"iss": [ISSUER]})), "issuer_mismatch"),
    ] {
        let mut stage = Stage::cold(config(json!({})));
        check(&stage.get(token), "", &format!("401 TOKEN_INVALID {code}"));
    }
}

/// OpenID Connect Back-Channel Logout 1.0.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// OpenID Continuous Access Evaluation Profile 1.0.
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

#[test]
fn a_token_whose_claims_do_not_hold_is_never_exchanged() {
    for (changes, end) in [
        (json!({"exp": NOW - 31}), "401 TOKEN_EXPIRED"),
        (json!({"exp": NOW - 30}), "401 TOKEN_EXPIRED"),
        (json!({"nbf": NOW + 31}), "401 TOKEN_NOT_YET_VALID"),
        (json!({"iat": NOW + 31}), "401 TOKEN_NOT_YET_VALID"),
        (json!({"exp": null}), "401 TOKEN_INVALID claim_missing"),
        (json!({"exp": "1900000000"}), "401 TOKEN_INVALID claim_type"),
        (json!({"aud": "other"}), "401 TOKEN_INVALID audience_mismatch"),
        (json!({"aud": ["a", "b"]}), "401 TOKEN_INVALID audience_mismatch"),
        (json!({"aud": null}), "401 TOKEN_INVALID claim_missing"),
        (json!({"sub": null}), "401 TOKEN_INVALID claim_missing"),
        (json!({"typ": "Refresh"}), "401 TOKEN_INVALID token_use_not_allowed"),
        (json!({"token_use": "id"}), "401 TOKEN_INVALID token_use_not_allowed"),
        (json!({"nonce": "n-0S6_WzA2Mj"}), "401 TOKEN_INVALID token_use_not_allowed"),
        (json!({"events": {LOGOUT: {}}, "sid": "s-1"}), "401 TOKEN_INVALID token_use_not_allowed"),
        (
            json!({"events": {REVOKED: {"event_timestamp": NOW}}, "exp": null}),
            "401 TOKEN_INVALID token_use_not_allowed",
        ),
        (json!({"groups": ["sales"]}), "403 NO_ROLE"),
        (json!({"groups": null}), "403 NO_ROLE"),
        (json!({"groups": null, "hasgroups": true}), "403 GROUPS_OVERAGE"),
    ] {
        let mut stage = Stage::warm(config(json!({})));
        let token = RSA.token("anna", changes.clone());
        check(&stage.get(&token), "", end);
        let mut cold = Stage::cold(config(json!({})));
        check(&cold.get(&token), "discovery keys", end);
    }
}

#[test]
fn the_clock_skew_is_the_providers() {
    let mut stage = Stage::warm(config(provider(json!({"clock_skew": 5}))));
    for (changes, end) in [
        (json!({"exp": NOW - 4}), "forward Bearer <dbx-1>"),
        (json!({"exp": NOW - 5}), "401 TOKEN_EXPIRED"),
        (json!({"nbf": NOW + 6}), "401 TOKEN_NOT_YET_VALID"),
    ] {
        let token = RSA.token("anna", changes);
        assert_eq!(ended(&stage.get(&token)), end);
    }
}

#[test]
fn a_token_that_expires_while_keys_are_fetched_is_refused() {
    let mut stage = Stage::cold(config(json!({"callouts": {"timeout": 60_000}})));
    let token = stage.token_with("anna", json!({"exp": NOW + 10}));
    stage.world.set(databricks_kong::sim::Purpose::Discovery, [discovery().after(secs(40))]);
    check(&stage.get(&token), "discovery keys", "401 TOKEN_EXPIRED");
}

#[test]
fn every_401_carries_one_challenge_and_names_the_metadata() {
    let mut stage = Stage::warm(config(json!({})));
    let expired = RSA.token("anna", json!({"exp": NOW - 100}));
    for client in [client("GET", "/api/2.1/jobs/list", &[]), get(&expired), get("opaque")] {
        let transcript = stage.send(&client);
        let End::Reply { status: 401, headers, .. } = &transcript.end else { panic!("{transcript}") };
        let challenges: Vec<_> = headers.iter().filter(|(name, _)| name == "www-authenticate").collect();
        assert_eq!(challenges.len(), 1);
        let metadata = "resource_metadata=\"https://gw.example.com/.well-known/oauth-protected-resource\"";
        assert!(challenges[0].1.starts_with("Bearer ") && challenges[0].1.ends_with(metadata), "{challenges:?}");
    }
}

#[test]
fn a_caller_may_ask_for_a_role_that_matches_and_for_no_other() {
    let mut roles =
        vec![role(json!({"type": "none"})), role(json!({"type": "passthrough"})), role(json!({"type": "none"}))];
    for (role, name) in roles.iter_mut().zip(["first", "second", "admin"]) {
        role["name"] = json!(name);
    }
    roles[2]["match"]["groups"] = json!(["admins"]);
    let mut stage = Stage::warm(config(json!({"roles": roles})));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "", "forward nothing");
    for (asked, end) in [
        ("second", "forward Bearer <anna>"),
        ("first", "forward nothing"),
        ("admin", "403 NO_ROLE"),
        ("First", "403 NO_ROLE"),
        ("", "403 NO_ROLE"),
    ] {
        let mut client = get(&anna);
        client.headers.extend(crate::stage::client("", "", &[("X-Databricks-Role", asked)]).headers);
        check(&stage.send(&client), "", end);
    }
}

#[test]
fn a_role_is_granted_within_its_time_only() {
    let mut only = role(json!({"type": "none"}));
    only["valid"] = json!({"from": "2027-01-15T08:00:10Z", "until": "2027-01-15T08:00:20Z"});
    let mut stage = Stage::warm(config(json!({"roles": [only]})));
    let anna = stage.token("anna");
    for (pass, end) in
        [(0, "403 GRANT_INACTIVE"), (10, "forward nothing"), (9, "forward nothing"), (1, "403 GRANT_INACTIVE")]
    {
        stage.pass(pass);
        check(&stage.get(&anna), "", end);
    }
}
