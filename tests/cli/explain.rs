//! `databricks-kong explain`.

use crate::{run, run_with, temporary};
use jwt_simple::prelude::{Claims, Duration, ECDSAP256KeyPairLike as _, ECDSAP256PublicKeyLike as _, ES256KeyPair};
use serde_json::json;

const OBSERVED: &str = "tests/cli/files/observed.yml";
/// One role of two observes.
const TRIAL: &str = "tests/cli/files/trial.yml";
const OKTA: &str = "examples/okta/kong.yml";
const RUNNER: &str = r#"{"sub": "anna@example.com", "groups": ["job-runners"]}"#;
const RUN_NOW: [&str; 2] = ["POST", "/api/2.2/jobs/run-now"];

fn okta(request: [&str; 2], more: &[&str]) -> Vec<String> {
    let arguments = ["explain", OKTA, request[0], request[1], "--now", "2026-11-25T09:00:00Z"];
    arguments.iter().chain(more).map(|text| (*text).to_owned()).collect()
}

fn explain(request: [&str; 2], more: &[&str]) -> crate::Ran {
    let arguments = okta(request, more);
    run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn an_allowed_request_is_explained_and_exits_0() {
    insta::assert_snapshot!(explain(RUN_NOW, &["--claims", RUNNER, "--body", r#"{"job_id": 101}"#]).shown());
}

#[test]
fn a_refused_request_is_explained_and_exits_2() {
    insta::assert_snapshot!(explain(RUN_NOW, &["--claims", RUNNER, "--body", r#"{"job_id": 103}"#]).shown());
}

#[test]
fn programs_get_the_same_as_json() {
    let ran = explain(RUN_NOW, &["--claims", RUNNER, "--body", r#"{"job_id": 103}"#, "--format", "json"]);
    assert_eq!(ran.exit, 2);
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn a_denial_that_is_only_recorded_is_said_to_be_one_and_exits_0() {
    let ran = run(&[
        "explain",
        OBSERVED,
        "GET",
        "/api/2.2/jobs/get?job_id=7",
        "--claims",
        r#"{"sub": "x"}"#,
        "--header",
        "X-Databricks-Role: reader",
    ]);
    insta::assert_snapshot!(ran.shown());
}

#[test]
fn what_an_observing_role_denies_is_said_with_its_rule_and_the_role_whose_credential_is_used() {
    let by = |target: &str| run(&["explain", TRIAL, "GET", target, "--claims", r#"{"sub": "x", "groups": ["eng"]}"#]);
    insta::assert_snapshot!(by("/api/2.2/jobs/get?job_id=7").shown());
    insta::assert_snapshot!(by("/api/2.1/clusters/list").shown());
}

#[test]
fn sensitive_operations_are_said_to_be_such() {
    let ran =
        run(&["explain", OBSERVED, "post", "/api/2.0/token/create", "--claims", r#"{"sub": "x"}"#, "--body", "{}"]);
    insta::assert_snapshot!(ran.shown());
}

#[test]
fn a_run_is_looked_up_as_the_workspace_would_answer() {
    let request = ["GET", "/api/2.2/jobs/runs/get?run_id=5"];
    let decision = |more: &[&str]| explain(request, &[&["--claims", RUNNER], more].concat()).exit;
    assert_eq!(decision(&["--job-of-run", "101"]), 0);
    assert_eq!(decision(&["--job-of-run", "103"]), 2);
    assert_eq!(decision(&[]), 2);
}

#[test]
fn a_body_comes_from_a_file_or_from_standard_input() {
    let body = temporary("body.json", r#"{"job_id": 101}"#);
    assert_eq!(explain(RUN_NOW, &["--claims", RUNNER, "--body", &format!("@{body}")]).exit, 0);
    let arguments = okta(RUN_NOW, &["--claims", RUNNER, "--body", "-"]);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    assert_eq!(run_with(&arguments, r#"{"job_id": 101}"#).exit, 0);
    assert_eq!(run_with(&arguments, r#"{"job_id": 102}"#).exit, 2);
}

#[test]
fn claims_come_from_a_file_and_the_provider_can_be_chosen() {
    let claims = temporary("claims.json", r#"{"sub": "x"}"#);
    let ran = |more: &[&str]| {
        run(&[&["explain", OBSERVED, "GET", "/api/2.2/jobs/list", "--claims", &claims, "--format", "json"], more]
            .concat())
    };
    assert_eq!(ran(&[]).json()["role"], "reader");
    let other = ran(&["--provider", "other"]).json();
    assert_eq!(
        (&other["role"], &other["credential"], &other["scope"]),
        (&"runner".into(), &"service_principal_secret".into(), &"jobs".into())
    );
    let unknown = ran(&["--provider", "nobody"]);
    assert_eq!((unknown.exit, unknown.stdout.as_str()), (1, ""));
    assert!(
        unknown.stderr.contains("`nobody` is no identity provider of the configuration; it has idp, other"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn without_claims_and_token_it_says_so() {
    let ran = explain(["GET", "/api/2.2/jobs/list"], &[]);
    assert_eq!(ran.exit, 2);
    assert!(ran.stdout.contains("this is what happens without a token"), "{}", ran.stdout);
    assert!(ran.stdout.contains("DENIED 401 TOKEN_MISSING"), "{}", ran.stdout);
}

#[test]
fn a_token_is_verified_with_keys_and_only_read_without() {
    let key = ES256KeyPair::generate().with_key_id("k1");
    let claims = Claims::with_custom_claims(json!({"groups": ["job-runners"]}), Duration::from_hours(1))
        .with_issuer("https://example.okta.com/oauth2/default")
        .with_audience("databricks")
        .with_subject("anna@example.com");
    let token = temporary("token", &key.sign(claims).unwrap());
    let jwks = |name: &str, key: &ES256KeyPair| {
        let point = key.public_key().public_key().to_bytes_uncompressed();
        let coordinate = |range: std::ops::Range<usize>| {
            use base64::Engine as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&point[range])
        };
        let key = json!({"kty": "EC", "crv": "P-256", "kid": "k1", "x": coordinate(1..33), "y": coordinate(33..65)});
        temporary(name, &json!({"keys": [key]}).to_string())
    };
    let (own, other) = (jwks("own.json", &key), jwks("other.json", &ES256KeyPair::generate()));
    let ran =
        |more: &[&str]| run(&[&["explain", OKTA, "GET", "/api/2.2/jobs/list", "--token-file", &token], more].concat());

    let verified = ran(&["--jwks", &own]);
    assert_eq!(verified.exit, 0, "{}", verified.shown());
    assert!(!verified.stdout.contains("not checked"), "{}", verified.stdout);
    let none = ran(&["--jwks", &temporary("none.json", r#"{"keys": []}"#)]);
    assert!(none.exit == 1 && none.stderr.contains("has no key that the gateway can use"), "{}", none.shown());
    let forged = ran(&["--jwks", &other]);
    assert_eq!(forged.exit, 2);
    assert!(forged.stdout.contains("DENIED 401 TOKEN_INVALID"), "{}", forged.stdout);
    let unchecked = ran(&[]);
    assert_eq!(unchecked.exit, 0);
    assert!(unchecked.stdout.contains("the token's signature is not checked"), "{}", unchecked.stdout);
}

#[test]
fn a_refused_token_is_shown_with_what_was_expected() {
    let ran = explain(["GET", "/api/2.2/jobs/list"], &["--claims", r#"{"sub": "x", "aud": "other"}"#]);
    assert_eq!(ran.exit, 2);
    for part in [
        "token      iss `https://example.okta.com/oauth2/default`",
        "aud `other`",
        "expected   aud with one of `databricks` of provider `okta`",
        "DENIED 401 TOKEN_INVALID (audience_mismatch)",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let ran =
        explain(["GET", "/"], &["--claims", r#"{"sub": "x", "iss": "https://other.example"}"#, "--format", "json"]);
    let shown = ran.json();
    assert_eq!((&shown["code"], &shown["token"]["iss"]), (&"issuer_mismatch".into(), &"https://other.example".into()));
    let expected = shown["token"]["expected"][0].as_str().unwrap().to_owned();
    assert!(expected.starts_with("iss `https://example.okta.com/oauth2/default`"), "{expected}");
    for (claims, said) in [
        (r#"{"sub": "x", "exp": 1764061140}"#, "expected   exp after 2026-11-25T08:59:30Z"),
        (r#"{"sub": "x", "nbf": 1795600000}"#, "expected   nbf and iat not after 2026-11-25T09:00:30Z"),
    ] {
        let ran = explain(["GET", "/api/2.2/jobs/list"], &["--claims", claims]);
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
}

#[test]
fn a_token_comes_from_standard_input_and_nothing_is_filled_in() {
    use base64::Engine as _;
    let part = |value: serde_json::Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"iss": "https://example.okta.com/oauth2/default", "sub": "x", "exp": 1_790_000_000});
    let token = format!("{}.{}.x", part(json!({"alg": "RS256"})), part(claims));
    let arguments = okta(["GET", "/api/2.2/jobs/list"], &["--token-file", "-"]);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let ran = run_with(&arguments, &token);
    assert!(
        ran.stdout.contains("TOKEN_INVALID (claim_missing)") && ran.stdout.contains("aud is missing"),
        "{}",
        ran.stdout
    );
    for none in ["opaque", &format!("{token}.x"), ""] {
        let ran = run_with(&arguments, none);
        assert!(ran.exit == 1 && ran.stderr.contains("holds no JWT"), "{none}: {}", ran.shown());
    }
    let both = [&arguments[..], &["--body", "-"]].concat();
    assert!(run_with(&both, &token).stderr.contains("standard input is either"));
}

#[test]
fn what_sql_does_is_shown_with_why_it_is_not_understood() {
    let request = ["POST", "/api/2.0/sql/statements"];
    let analyst = r#"{"sub": "ivy@example.com", "groups": ["analysts"]}"#;
    let with = |statement: &str| {
        let body = json!({"warehouse_id": "a7066a8ef796be84", "statement": statement}).to_string();
        explain(request, &["--claims", analyst, "--body", &body]).stdout
    };
    let shown = with("SELECT my.tools.f(a) FROM main.sales.orders JOIN other");
    for part in [
        "sql        select",
        "reads table `main.sales.orders`",
        "reads table `other`, not complete",
        "calls `my.tools.f`",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = with("SELECT * FROM main.hr.pay");
    assert!(shown.contains("it does not name the request's `table` `main.hr.pay`, but `main.sales.*`"), "{shown}");
    let shown = with("SELECT * FROM main.sales.orders JOIN MAIN.Sales.Items JOIN main.hr.pay");
    assert!(shown.contains("the request's `table` `main.hr.pay`, but"), "only the one that no pattern covers: {shown}");
    let shown = with("EXECUTE IMMEDIATE 'SELECT 1'");
    assert!(shown.contains("sql        not understood: its effect is only known when it runs"), "{shown}");
}

#[test]
fn a_refused_id_is_shown_with_what_the_body_holds() {
    let ran = explain(RUN_NOW, &["--claims", RUNNER, "--body", r#"{"job_id": "0103", "queue": {"enabled": true}}"#]);
    assert!(
        ran.stdout.contains("body       `job_id`: `0103`\n           `queue`: {\"enabled\":true}"),
        "{}",
        ran.stdout
    );
    let ran = explain(RUN_NOW, &["--claims", RUNNER, "--body", "[1]"]);
    assert!(ran.stdout.contains("body       is no JSON object"), "{}", ran.stdout);
}

#[test]
fn an_invalid_configuration_is_said_line_by_line_and_exits_3() {
    insta::assert_snapshot!(run(&["explain", "tests/cli/files/invalid.yml", "GET", "/api/2.2/jobs/list"]).shown());
}

#[test]
fn what_cannot_be_answered_exits_1_and_says_why() {
    let two = "tests/cli/files/two-entries.yml";
    for (arguments, said) in [
        (&["explain", "nowhere.yml", "GET", "/"][..], "`nowhere.yml` cannot be read"),
        (
            &["explain", two, "GET", "/"],
            "choose one entry of `tests/cli/files/two-entries.yml` with --entry: service `jobs`",
        ),
        (&["explain", two, "GET", "/", "--entry", "x"], "no entry has this name"),
        (&["explain", OKTA, "GET", "/", "--claims", "{"], "the claims are not a JSON object"),
        (&["explain", OKTA, "GET", "/", "--header", "x"], "`x` is not of the form `name: value`"),
        (&["explain", OKTA, "GET", "/", "--now", "today"], "`today` is not a point in time"),
    ] {
        let ran = run(arguments);
        assert_eq!((ran.exit, ran.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
    assert_eq!(
        run(&["explain", two, "GET", "/api/2.2/jobs/list", "--entry", "sql", "--claims", r#"{"sub": "x"}"#]).exit,
        0
    );
}

#[test]
fn where_no_role_is_the_callers_the_nearest_ones_say_what_they_want() {
    let role = |number: usize| {
        format!(
            "- {{name: r{number}, match: {{groups: [team-{number}-engineers]}}, credential: {{type: user_federation}}}}\n"
        )
    };
    let text = format!(
        "workspace: {{url: https://x.example}}\nidentity_providers: [{{name: a, issuer: https://i.example, audiences: [d]}}]\nroles:\n{}\
         - {{name: by-claim, match: {{claims: {{department: [sales, hr]}}}}, credential: {{type: user_federation}}}}\n",
        (0..30).map(role).collect::<String>()
    );
    let file = temporary("many-roles.yml", &text);
    let claims = r#"{"sub": "x", "department": "it", "groups": ["Team-17-Engineers", "staff"]}"#;
    let ran = run(&["explain", &file, "GET", "/api/2.2/jobs/list", "--claims", claims]);
    assert_eq!(ran.exit, 2, "{}", ran.shown());
    let nearest = "roles      - `r17` is for others: `groups` must be `team-17-engineers`, and the caller has `Team-17-Engineers`, `staff`\n";
    assert!(ran.stdout.contains(nearest), "{}", ran.stdout);
    assert!(ran.stdout.contains("and 23 more roles, which are for others"), "{}", ran.stdout);
    let json = run(&["explain", &file, "GET", "/api/2.2/jobs/list", "--claims", claims, "--format", "json"]).json();
    let last = json["steps"]["roles"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["wanted"], &last["had"]), (&serde_json::json!(["sales", "hr"]), &serde_json::json!(["it"])));
}

#[test]
fn a_wildcard_that_leaves_a_sensitive_operation_out_says_so() {
    let text = "workspace: {url: https://x.example}\nidentity_providers: [{name: a, issuer: https://i.example, audiences: [d]}]\n\
                roles:\n- name: r\n  match: {groups: [g]}\n  credential: {type: user_federation}\n  allow:\n  \
                - operations: ['tokens.*']\n  - operations: ['jobs.*']\n";
    let file = temporary("wildcards.yml", text);
    let claims = r#"{"sub": "x", "groups": ["g"]}"#;
    let ran = |method: &str, path: &str| run(&["explain", &file, method, path, "--claims", claims]);
    let sensitive = ran("POST", "/api/2.0/token/create");
    let why = "/roles/0/allow/0 it does not name this operation: it is sensitive, so no wildcard means it; name `tokens.create` in full";
    assert!(sensitive.exit == 2 && sensitive.stdout.contains(why), "{}", sensitive.shown());
    assert!(sensitive.stdout.contains("/roles/0/allow/1 it does not name this operation\n"), "{}", sensitive.stdout);
    let other = ran("GET", "/api/2.1/clusters/list");
    assert!(other.exit == 2 && !other.stdout.contains("it is sensitive"), "{}", other.shown());
}

#[test]
fn a_function_that_a_rule_on_tables_refuses_is_named_with_the_reason() {
    let text = "workspace: {url: https://x.example}\nidentity_providers: [{name: a, issuer: https://i.example, audiences: [d]}]\n\
                roles:\n- name: r\n  match: {groups: [g]}\n  credential: {type: user_federation}\n  allow:\n  \
                - operations: [statement_execution.execute_statement]\n    resources: {table: [main.sales.*]}\n";
    let file = temporary("functions.yml", text);
    let ran = |statement: &str| {
        let body =
            serde_json::json!({"warehouse_id": "w", "statement": statement, "catalog": "main", "schema": "sales"});
        let claims = r#"{"sub": "x", "groups": ["g"]}"#;
        let body = body.to_string();
        run(&["explain", &file, "POST", "/api/2.0/sql/statements", "--claims", claims, "--body", &body])
    };
    let reaching = ran("SELECT ai_query('m', a) FROM orders");
    assert!(reaching.stdout.contains("function `ai_query` reads more than its arguments"), "{}", reaching.stdout);
    let own = ran("SELECT tax(a) FROM orders");
    assert!(
        own.stdout.contains("function `tax` is none of those known to read their arguments only"),
        "{}",
        own.stdout
    );
    let inert = ran("SELECT upper(a) FROM orders");
    assert!(inert.exit == 0 && !inert.stdout.contains("function `"), "{}", inert.shown());
}
