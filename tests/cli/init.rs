//! `databricks-kong init`: what it writes passes what it tells to run.

use crate::server::serve;
use crate::{run, run_with};
use serde_json::json;
use std::path::Path;

fn directory(name: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("init-{name}"));
    let _ = std::fs::remove_dir_all(&path);
    path.display().to_string()
}

const COMMON: [&str; 7] = [
    "init",
    "--workspace-url",
    "https://adb-7405619408829168.8.azuredatabricks.net",
    "--gateway",
    "databricks.gw.example.com",
    "--job",
    "101",
];

#[test]
fn for_each_provider_the_files_pass_check_and_their_tests() {
    let github = ["--owner-id", "4711", "--client-id", "3f2e1d0c-9b8a-4765-8432-10fedcba9876"];
    let providers = [
        ("okta", "https://example.okta.com/oauth2/default", "job-runners", &[][..]),
        (
            "entra-id",
            "https://login.microsoftonline.com/6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21/v2.0",
            "5f0f4f5c-2a75-4d5d-9a5e-0b8a3f1c7d21",
            &[],
        ),
        ("auth0", "https://example.eu.auth0.com/", "runner", &[]),
        ("keycloak", "https://sso.example.com/realms/data", "runner", &[]),
        ("google", "https://accounts.google.com", "example.com", &[]),
        ("github-actions", "https://token.actions.githubusercontent.com", "example/lakehouse", &github),
        ("cognito", "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ex4mpleXY", "job-runners", &[]),
        ("other", "https://idp.example.com", "it's \"odd\"", &[]),
    ];
    let kinds = [("plugin", "- name: databricks-kong\n"), ("filter", "- name: databricks_kong\n")];
    for ((provider, issuer, who, more), (kind, entry)) in
        providers.into_iter().flat_map(|provider| kinds.map(|kind| (provider, kind)))
    {
        let directory = directory(&format!("{provider}-{kind}"));
        let own =
            ["--kind", kind, "--provider", provider, "--issuer", issuer, "--who", who, "--audience", "databricks"];
        let init = || run(&[&COMMON[..], &own, more, &["--offline", "--directory", &directory]].concat());
        let ran = init();
        assert_eq!(ran.exit, 0, "{provider}: {}", ran.shown());
        let file = format!("{directory}/kong.yml");
        assert!(std::fs::read_to_string(&file).unwrap().contains(entry), "{provider} {kind}");
        let checked = run(&["check", "--strict", &file]);
        assert_eq!(checked.exit, 0, "{provider}: {}", checked.shown());
        let settings = run(&["check", "--strict", "--kong-conf", &format!("{directory}/kong.conf")]);
        assert_eq!(settings.exit, 0, "{provider}: {}", settings.shown());
        let tested = run(&["test", &directory, "--coverage"]);
        assert_eq!(tested.exit, 0, "{provider}: {}", tested.shown());
        assert!(tested.stdout.contains("6 passed, 0 failed"), "{}", tested.stdout);
        let policy = std::fs::read_to_string(format!("{directory}/federation-policy.sh")).unwrap();
        let json = policy.split_once("--json '").unwrap().1.trim().trim_end_matches('\'');
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(json["oidc_policy"]["issuer"], issuer);
        let command = if more.is_empty() {
            "account federation-policy create"
        } else {
            "service-principal-federation-policy create"
        };
        assert!(policy.contains(command), "{policy}");
        // a second run replaces nothing
        let again = init();
        assert!(again.exit == 1 && again.stderr.contains("is there already"), "{}", again.shown());
    }
}

#[test]
fn what_is_not_given_is_asked_for() {
    let directory = directory("asked");
    let answers = "okta\nhttps://adb-1.1.azuredatabricks.net\ngw.example.com\n\nhttps://example.okta.com/oauth2/default\n\nrunners\n7\n";
    let ran = run_with(&["init", "--offline", "--directory", &directory], answers);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
    let kong = std::fs::read_to_string(format!("{directory}/kong.yml")).unwrap();
    assert!(kong.contains("id: \"1\"") && kong.contains("audiences: [\"databricks\"]"), "{kong}");
    // as it stands in the address bar
    let again = directory.replace("asked", "copied");
    let copied =
        answers.replace("https://adb-1.1.azuredatabricks.net", "https://dbc-a1b2.cloud.databricks.com/browse?o=4711");
    let ran = run_with(&["init", "--offline", "--force", "--directory", &again], &copied);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
    let kong = std::fs::read_to_string(format!("{again}/kong.yml")).unwrap();
    assert!(
        kong.contains("id: \"4711\"") && kong.contains("url: \"https://dbc-a1b2.cloud.databricks.com\"\n"),
        "{kong}"
    );
    for (from, to, said) in [
        ("gw.example.com\n", "gw example\n", "`gw example` is not the name of a host"),
        ("https://adb-1.1.azuredatabricks.net\n", "my workspace\n", "`my workspace` is not the url of a workspace"),
        ("\n7\n", "\nseven\n", "`seven` is not the number of a job"),
        ("gw.example.com\n\n", "gw.example.com\nlua\n", "`lua` is neither `plugin` nor `filter`"),
    ] {
        let ran = run_with(&["init", "--offline", "--force", "--directory", &again], &answers.replace(from, to));
        assert!(ran.exit == 1 && ran.stderr.contains(said), "{said}: {}", ran.shown());
    }
    // of a provider with one issuer it is not asked
    let github = "github-actions\nhttps://adb-1.1.azuredatabricks.net\ngw.example.com\n\n\nexample/lakehouse\n4711\n\
                  3f2e1d0c-9b8a-4765-8432-10fedcba9876\n7\n";
    let ran = run_with(&["init", "--offline", "--force", "--directory", &again], github);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
    let kong = std::fs::read_to_string(format!("{again}/kong.yml")).unwrap();
    assert!(kong.contains("https://token.actions.githubusercontent.com"), "{kong}");
    let ran = run_with(&["init", "--offline", "--directory", &directory], "okta\n");
    assert!(ran.exit == 1 && ran.stderr.contains("`--workspace-url` is missing"), "{}", ran.shown());
}

#[test]
fn an_answer_that_check_would_not_take_writes_nothing() {
    let directory = directory("wrong");
    let own = ["--provider", "okta", "--issuer", "https://login.microsoftonline.com/common/v2.0", "--who", "g"];
    let ran = run(&[&COMMON[..], &own, &["--audience", "databricks", "--offline", "--directory", &directory]].concat());
    assert!(ran.exit == 1 && ran.stderr.contains("`--issuer`: no token has the issuer"), "{}", ran.shown());
    assert!(!Path::new(&directory).exists());
}

#[test]
fn a_flag_that_will_not_do_is_named_before_anything_is_asked() {
    for (flag, value, said) in [
        ("--workspace-url", "my workspace", "`--workspace-url`: `my workspace` is not the url of a workspace"),
        ("--workspace-id", "12a", "`--workspace-id`: `12a` is not the id of a workspace"),
        ("--gateway", "gw example", "`--gateway`: `gw example` is not the name of a host"),
        ("--audience", "a b", "`--audience`: `a b` is not an audience"),
        ("--issuer", "okta", "`--issuer`: `okta` is not an issuer"),
        ("--job", "nightly", "`--job`: `nightly` is not the number of a job"),
        ("--client-id", "12", "`--client-id`: `12` is not an application id"),
        ("--owner-id", "acme", "`--owner-id`: `acme` is not the id of an owner"),
    ] {
        let ran = run(&["init", "--provider", "okta", flag, value]);
        assert!(ran.exit == 1 && ran.stderr.contains(said), "{flag}: {}", ran.shown());
    }
    for (provider, who, said) in [
        ("entra-id", "data-engineers", "`--who`: `data-engineers` is not the object id of a group"),
        ("google", "anna@example.com", "`--who`: `anna@example.com` is not a domain"),
        ("github-actions", "lakehouse", "`--who`: `lakehouse` is not a repository"),
    ] {
        let ran = run(&["init", "--provider", provider, "--who", who]);
        assert!(ran.exit == 1 && ran.stderr.contains(said), "{provider}: {}", ran.shown());
    }
}

/// The policy of a service principal wants its numeric id, which only Databricks knows: the script asks.
#[test]
fn the_federation_command_finds_the_service_principal_itself() {
    let directory = directory("federation");
    let own =
        ["--kind", "plugin", "--provider", "github-actions", "--who", "example/lakehouse", "--audience", "databricks"];
    let github = ["--owner-id", "4711", "--client-id", "3f2e1d0c-9b8a-4765-8432-10fedcba9876"];
    let ran = run(&[&COMMON[..], &own, &github, &["--offline", "--directory", &directory]].concat());
    assert_eq!(ran.exit, 0, "{}", ran.shown());
    let client = "#!/bin/sh\nif [ \"$2\" = service-principals ]; then\n  [ \"$5\" = \
                  'applicationId eq \"3f2e1d0c-9b8a-4765-8432-10fedcba9876\"' ] || exit 9\n  \
                  printf '[\\n  {\\n    \"applicationId\": \"3f2e1d0c\",\\n    \"id\": \"4242\"\\n  }\\n]\\n'\nelse\n  echo \"$@\"\nfi\n";
    let programs = Path::new(&directory).join("bin");
    std::fs::create_dir_all(&programs).unwrap();
    std::fs::write(programs.join("databricks"), client).unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let shell =
        |script: &str| std::process::Command::new("sh").args(["-c", script]).env("PATH", &path).output().unwrap();
    assert!(shell(&format!("chmod +x '{}/databricks'", programs.display())).status.success());
    let made = shell(&format!("sh '{directory}/federation-policy.sh'"));
    let said = String::from_utf8(made.stdout).unwrap();
    assert!(said.starts_with("account service-principal-federation-policy create 4242 --json {"), "{said}");
    let none =
        shell(&format!("sed -i s/4242//  '{}/databricks'; sh '{directory}/federation-policy.sh'", programs.display()));
    let said = String::from_utf8(none.stderr).unwrap();
    assert!(!none.status.success() && said.contains("no service principal 3f2e1d0c"), "{said}");
}

#[test]
fn the_issuer_is_asked_what_it_calls_itself() {
    let issuer = serve(|line, _, own| match line {
        "GET /.well-known/openid-configuration" => {
            (200, vec![], json!({"issuer": format!("{own}/"), "jwks_uri": format!("{own}/keys")}).to_string())
        }
        "GET /other/.well-known/openid-configuration" => {
            (200, vec![], json!({"issuer": format!("{own}/other"), "jwks_uri": format!("{own}/keys")}).to_string())
        }
        "GET /keys" => {
            let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
            (200, vec![], json!({"keys": [key]}).to_string())
        }
        _ => (404, vec![], String::new()),
    });
    let ran = |issuer: &str, name: &str| {
        let own = ["--provider", "other", "--issuer", issuer, "--who", "g", "--audience", "databricks"];
        run(&[&COMMON[..], &own, &["--directory", &directory(name)]].concat())
    };
    let differs = ran(&issuer, "differs");
    assert!(differs.exit == 1 && differs.stderr.contains(&format!("calls itself `{issuer}/`")), "{}", differs.shown());
    let right = ran(&format!("{issuer}/other"), "right");
    assert!(right.exit == 0 && right.stdout.contains("has 1 key that the gateway can use"), "{}", right.shown());
    let none = ran(&format!("{issuer}/none"), "none");
    assert!(none.exit == 1 && none.stderr.contains("answers 404"), "{}", none.shown());
    let gone = ran("http://127.0.0.1:1", "gone");
    assert!(gone.exit == 0 && gone.stdout.contains("could not be asked"), "{}", gone.shown());
}
