//! Configurations that cannot be meant, each with where and what to do; and one of the `kong.yml` that is shipped.

use crate::running::folder;
use revocations::config::{Config, CutOff};
use serde_json::{Value, json};
use std::path::Path;

fn good() -> Value {
    json!({
        "database": "x.db",
        "identity_providers": [
            {"name": "okta", "issuer": "https://okta.example", "audiences": ["databricks"], "max_lifetime": 3600},
        ],
        "sources": [
            {"name": "logout", "type": "backchannel_logout", "provider": "okta", "audiences": ["client-1"]},
            {"name": "events", "type": "security_events", "provider": "okta", "issuer": "https://events.example/a", "audiences": ["us"],
             "poll": {"url": "https://events.example/poll", "authorization": {"file": "secret"}}},
        ],
    })
}

fn read(text: &str) -> Result<Config, String> {
    let folder = folder();
    std::fs::write(folder.join("r.yml"), text).unwrap();
    std::fs::write(folder.join("secret"), "s3cret\n").unwrap();
    Config::read(&folder.join("r.yml"), None).map_err(|errors| errors.join("\n"))
}

#[test]
fn a_good_one_has_its_defaults() {
    let config = read(&good().to_string()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8099");
    assert_eq!(config.max_entries, 100_000);
    assert_eq!(config.providers[0].retention.as_secs(), 3630);
    let [logout, events] = &*config.sources else { panic!("{config:?}") };
    assert_eq!(logout.keys.url.to_string(), "https://okta.example/.well-known/openid-configuration");
    assert_eq!((logout.cut_off, logout.expect.max_age.as_secs()), (CutOff::User, 600));
    assert_eq!(events.keys.url.to_string(), "https://events.example/.well-known/ssf-configuration/a");
    assert_eq!(events.keys.of_document.as_deref(), Some("https://events.example/a"));
    let formats: Vec<_> = events.formats.iter().map(|format| format.word()).collect();
    assert_eq!(formats, ["iss_sub", "opaque"]);
    assert_eq!(config.warnings, [""; 0]);
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn each_mistake_is_said_with_its_place() {
    for (pointer, value, said) in [
        ("/databse", json!("x"), "unknown field `databse`"),
        ("/database", Value::Null, "/database: is missing"),
        ("/database", json!("mysql://x"), "/database: must be the path of a file, or a postgres:// url"),
        (
            "/database",
            json!({"env": "NO_SUCH_VARIABLE"}),
            "/database: the environment variable `NO_SUCH_VARIABLE` is not set",
        ),
        ("/listen", json!("8099"), "/listen: `8099` is no address"),
        (
            "/admin",
            json!({"secret": {"env": "X", "file": "y"}}),
            "/admin/secret: must be a string, {env: NAME} or {file: PATH}",
        ),
        ("/admin", json!({"secret": {"file": "no-such-file"}}), "no-such-file` cannot be read"),
        ("/admin", json!({"secret": ""}), "/admin/secret: must not be empty"),
        ("/identity_providers", Value::Null, "/identity_providers: is missing: list the providers as in kong.yml"),
        (
            "/identity_providers/0/issuer",
            json!("http://okta.example"),
            "/identity_providers/0/issuer: `http://okta.example` must begin with https://",
        ),
        ("/identity_providers/0/audience", json!(["x"]), "/identity_providers/0/audience: is not a known key"),
        (
            "/identity_providers/0/max_lifetime",
            Value::Null,
            "/identity_providers/0: does not say how long a token may live",
        ),
        ("/identity_providers/0/name", json!("a/b"), "/identity_providers/0/name: must be of letters"),
        (
            "/sources/0/provider",
            json!("other"),
            "/sources/0/provider: `other` is no identity provider's name; known are `okta`",
        ),
        ("/sources/0/type", json!("saml"), "/sources/0/type: unknown variant `saml`"),
        ("/sources/0/audiences", json!([]), "/sources/0/audiences: must list at least one"),
        (
            "/sources/0/poll",
            json!({"url": "https://x.example"}),
            "/sources/0/poll: goes with `type: security_events` only",
        ),
        ("/sources/0/algorithms", json!(["HS256"]), "/sources/0/algorithms/0: `HS256` is no algorithm"),
        ("/sources/0/algorithms", json!([]), "/sources/0/algorithms: must list at least one"),
        ("/sources/0/cut_off", json!("all"), "/sources/0/cut_off: unknown variant `all`"),
        ("/sources/1/subject_formats", json!(["mail"]), "/sources/1/subject_formats/0: unknown variant `mail`"),
        ("/sources/1/name", json!("logout"), "/sources/1/name: `logout` is already another source's name"),
        (
            "/sources/1/jwks_url",
            json!("http://events.example"),
            "/sources/1/jwks_url: `http://events.example` must begin with https://",
        ),
        ("/sources/1/poll/interval", json!(0), "/sources/1/poll/interval: must be between 1 and 3600"),
        ("/sources/1/poll/url", json!("ftp://x"), "/sources/1/poll/url: `ftp://x` must begin with https://"),
        (
            "/sources/1/poll/authorization",
            json!({"client_id": "x"}),
            "/sources/1/poll/authorization: must be a secret, or an object with",
        ),
    ] {
        let mut config = good();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = config.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(key.to_owned(), value.clone());
        parent.retain(|_, value| !value.is_null());
        let errors = read(&config.to_string()).expect_err(pointer);
        assert!(errors.contains(said), "{pointer} = {value}: {errors}");
    }
    let mut twice = good();
    twice["sources"][1] = twice["sources"][0].clone();
    twice["sources"][1]["name"] = json!("second");
    assert!(
        read(&twice.to_string())
            .unwrap_err()
            .contains("/sources/1/issuer: `https://okta.example` already is another source's")
    );
    let error = read("a: 1\nb: [1").unwrap_err();
    assert!(error.contains("r.yml:2:") || error.contains("r.yml:3:"), "{error}");
    assert!(read("a: 1\na: 2").is_err());
}

#[test]
fn the_providers_of_a_kong_yml_are_taken_over() {
    let folder = folder();
    let mut config = good();
    config.as_object_mut().unwrap().remove("identity_providers");
    config["sources"] = json!([]);
    config["retention"] = json!(60);
    std::fs::write(folder.join("r.yml"), config.to_string()).unwrap();
    let kong = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kong/kong.yml");
    let read = Config::read(&folder.join("r.yml"), Some(&kong)).unwrap();
    assert!(!read.providers.is_empty());
    std::fs::write(folder.join("r.yml"), good().to_string()).unwrap();
    let errors = Config::read(&folder.join("r.yml"), Some(&kong)).unwrap_err().join("\n");
    assert!(errors.contains("stands here and comes from --kong too"), "{errors}");
}
