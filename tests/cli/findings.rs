//! What `check` finds: each mistake as somebody would write it, and the same file put right. Both start from a file that is clean.

use crate::run_with;
use serde_json::Value;

const CLEAN: &str = include_str!("files/clean.yml");

/// What is written in place of what.
type Edits<'a> = &'a [(&'a str, &'a str)];

const ISSUER: &str = "issuer: https://sso.example.com/realms/data";
const MATCH: &str = "match: {groups: [runners]}";
const CREDENTIAL: &str = "credential: {type: user_federation, scope: minimal}";
const SECRET: &str =
    "credential: {type: service_principal_secret, client_id: a, client_secret: {env: S}, scope: minimal}";
const GITHUB: &str = "issuer: https://token.actions.githubusercontent.com";
const ONE_GUARD: &str = "      - {name: databricks_kong, config: {mode: guard}}\n";
const RULE: &str = "operations: [jobs.get]\n              resources: {job: [\"1\"]}";
const PARTNER: &str = "issuer: https://sso.example.com/realms/data\n            audiences: [databricks]\n          \
                       - name: partner\n            issuer: https://partner.example.com";

fn edited(edits: Edits<'_>) -> String {
    edits.iter().fold(CLEAN.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the clean file has no `{from}`");
        text.replacen(from, to, 1)
    })
}

/// The findings of a file, allowed ones left out.
fn findings(text: &str) -> Vec<Value> {
    let ran = run_with(&["check", "-", "--format", "json", "--now", "2026-11-24T00:00:00Z"], text);
    assert!(matches!(ran.exit, 0 | 3), "{}", ran.shown());
    ran.json()["findings"].as_array().unwrap().clone()
}

fn codes(found: &[Value]) -> Vec<&str> {
    found.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// `wrong` has a finding of this code, on the line that holds `on`; `right` has none at all.
fn sample(code: &str, on: &str, wrong: Edits<'_>, right: Edits<'_>) {
    let text = edited(wrong);
    let found = findings(&text);
    let finding = found.iter().find(|finding| finding["code"] == code);
    let finding = finding.unwrap_or_else(|| panic!("{code} is not in {:?} of\n{text}", codes(&found)));
    let line = usize::try_from(finding["line"].as_u64().unwrap()).unwrap();
    assert!(text.lines().nth(line - 1).unwrap().contains(on), "{code} is said of line {line} of\n{text}");
    assert!(finding["help"].as_str().is_some_and(|help| !help.is_empty()), "{finding}");
    let text = edited(right);
    assert_eq!(codes(&findings(&text)), [""; 0], "the cure of {code}:\n{text}");
}

#[test]
fn the_clean_file_is_clean() {
    let ran = run_with(&["check", "-", "--strict"], CLEAN);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
}

#[test]
fn roles_that_all_the_world_can_have() {
    let bound = "match: {claims: {repository_owner_id: ['1'], ref: [refs/heads/main]}}";
    let by_ref = "match: {claims: {ref: [refs/heads/main]}}";
    for open in [
        "match: {}",
        by_ref,
        "match: {subjects: ['repo:acme*/etl*:ref:refs/heads/main']}",
        "match: {subjects: ['*']}",
        // everybody chooses of what the subjects of their own repository are made
        "match: {subjects: ['environment:prod']}",
        "match: {subjects: ['repository_owner_id:1*']}",
        // a stranger's workflow may call one of theirs
        "match: {claims: {job_workflow_ref: [acme/shared/.github/workflows/etl.yml@refs/heads/main]}}",
        "match: {subjects: ['job_workflow_ref:acme/shared/.github/workflows/etl.yml@refs/heads/main']}",
    ] {
        sample(
            "E020",
            open,
            &[(ISSUER, GITHUB), (CREDENTIAL, SECRET), (MATCH, open)],
            &[(ISSUER, GITHUB), (CREDENTIAL, SECRET), (MATCH, bound)],
        );
        sample("W050", open, &[(ISSUER, GITHUB), (MATCH, open)], &[(ISSUER, GITHUB), (MATCH, bound)]);
    }
    for bound in [
        "match: {subjects: ['repo:acme/etl:ref:refs/heads/main']}",
        "match: {subjects: ['repo:acme/etl*:ref:refs/heads/main']}",
        "match: {subjects: ['repo:acme@1234/etl@99:*']}",
        "match: {subjects: ['environment:prod:repository_owner_id:1']}",
        "match: {subjects: ['repository_owner_id:1:*']}",
        "match: {claims: {repository: [acme/etl]}}",
    ] {
        sample(
            "E020",
            "match",
            &[(ISSUER, GITHUB), (CREDENTIAL, SECRET), (MATCH, by_ref)],
            &[(ISSUER, GITHUB), (CREDENTIAL, SECRET), (MATCH, bound)],
        );
    }
    // what the provider must say binds all of its roles
    let required = format!("{GITHUB}\n            require: {{repository_owner: acme}}");
    sample("W050", "match", &[(ISSUER, GITHUB), (MATCH, by_ref)], &[(ISSUER, &required), (MATCH, by_ref)]);
    let google = "issuer: https://accounts.google.com\n            claims: {subject: email}";
    sample(
        "W050",
        "subjects",
        &[(ISSUER, google), (MATCH, "match: {subjects: ['a*']}")],
        &[(ISSUER, google), (MATCH, "match: {subjects: ['*@example.com']}")],
    );
    let mailboxes = "match: {subjects: ['*@gmail.com']}";
    sample(
        "W050",
        "subjects",
        &[(ISSUER, google), (MATCH, mailboxes)],
        &[(ISSUER, google), (MATCH, "match: {claims: {hd: [example.com]}}")],
    );
    let enterprise = "issuer: https://token.actions.githubusercontent.com/example";
    sample("W050", "match", &[(ISSUER, GITHUB), (MATCH, by_ref)], &[(ISSUER, enterprise), (MATCH, by_ref)]);
}

#[test]
fn roles_that_are_for_everybody_or_for_whoever_has_the_name() {
    for everybody in ["match: {}", "match: {groups: ['*']}", "match: {identity_providers: [idp]}"] {
        sample("W051", everybody, &[(MATCH, everybody), (CREDENTIAL, SECRET)], &[(MATCH, everybody)]);
    }
    let both = "match: {groups: [runners], identity_providers: [idp]}";
    sample("W052", MATCH, &[(ISSUER, PARTNER)], &[(ISSUER, PARTNER), (MATCH, both)]);
    for loose in ["*example.com", "anna@example*", "*@example.*"] {
        let loose = format!("match: {{subjects: ['{loose}']}}");
        sample("W053", &loose, &[(MATCH, &loose)], &[(MATCH, "match: {subjects: ['*@example.com']}")]);
    }
}

#[test]
fn providers_whose_tokens_are_others_or_none() {
    for audience in ["account", "realm-management"] {
        let shared = format!("audiences: [{audience}]");
        sample("W055", "audiences", &[("audiences: [databricks]", &shared)], &[]);
    }
    let bound = "match: {claims: {repository_owner_id: ['1']}}";
    sample(
        "W055",
        "audiences",
        &[(ISSUER, GITHUB), (MATCH, bound), ("audiences: [databricks]", "audiences: ['https://github.com/acme']")],
        &[(ISSUER, GITHUB), (MATCH, bound)],
    );
    sample("W056", "audiences", &[("audiences: [databricks]", "audiences: ['*']")], &[]);
    sample(
        "W056",
        "claims",
        &[(MATCH, "match: {claims: {team: ['data-*']}}")],
        &[(MATCH, "match: {claims: {team: [data]}}")],
    );
    let tenant = "issuer: https://login.microsoftonline.com/6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21/v2.0";
    for (wrong, right) in [
        ("issuer: https://login.microsoftonline.com/common/v2.0", tenant),
        ("issuer: https://login.microsoftonline.com/organizations/v2.0", tenant),
        ("issuer: https://login.microsoftonline.com/{tenantid}/v2.0", tenant),
        ("issuer: https://login.microsoftonline.com/6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21", tenant),
        ("issuer: https://login.microsoftonline.com/acme.onmicrosoft.com/v2.0", tenant),
        ("issuer: https://example.eu.auth0.com", "issuer: https://example.eu.auth0.com/"),
        ("issuer: https://example.okta.com/oauth2", "issuer: https://example.okta.com/oauth2/default"),
    ] {
        // Entra ID knows groups by their ids
        let id = (MATCH, "match: {groups: [5f0f4f5c-0d0b-4b53-a9f2-1f6b3f8f2c11]}");
        sample("E021", wrong, &[(ISSUER, wrong)], &[(ISSUER, right), id]);
    }
    sample(
        "W057",
        "issuer",
        &[(ISSUER, "issuer: https://acme.okta.com")],
        &[(ISSUER, "issuer: https://acme.okta.com/oauth2/default")],
    );
    for algorithm in ["EdDSA", "PS256"] {
        let with = format!("{ISSUER}\n            algorithms: [RS256, {algorithm}]");
        sample("W058", "algorithms", &[(ISSUER, &with)], &[(ISSUER, &with), (CREDENTIAL, SECRET)]);
    }
}

#[test]
fn groups_of_entra_id_are_known_by_their_ids() {
    let tenant = "6f4a1c0e-2a75-4d5d-9a5e-0b8a3f1c7d21";
    let id = "match: {groups: [5f0f4f5c-0d0b-4b53-a9f2-1f6b3f8f2c11]}";
    for issuer in [
        format!("issuer: https://login.microsoftonline.com/{tenant}/v2.0"),
        format!("issuer: https://sts.windows.net/{tenant}/"),
        format!("issuer: https://login.microsoftonline.us/{tenant}/v2.0"),
        format!("issuer: https://login.partner.microsoftonline.cn/{tenant}/v2.0"),
    ] {
        sample("W065", "runners", &[(ISSUER, &issuer)], &[(ISSUER, &issuer), (MATCH, id)]);
        // app roles have names
        let with_roles = format!("{issuer}\n            claims: {{groups: roles}}");
        sample("W065", "runners", &[(ISSUER, &issuer)], &[(ISSUER, &with_roles)]);
        let upper = "match: {groups: [5F0F4F5C-0D0B-4B53-A9F2-1F6B3F8F2C11]}";
        sample("W065", "5F0F", &[(ISSUER, &issuer), (MATCH, upper)], &[(ISSUER, &issuer), (MATCH, id)]);
    }
}

#[test]
fn secrets_and_scopes_that_do_not_work() {
    let vault = SECRET.replace("{env: S}", "'{vault://hcv/databricks/secret}'");
    sample("E022", "client_secret", &[(CREDENTIAL, &vault)], &[(CREDENTIAL, SECRET)]);
    let shared = SECRET.replace("{env: S}", "{shared: s}");
    sample("W060", "client_secret", &[(CREDENTIAL, &shared)], &[(CREDENTIAL, SECRET)]);
    let native = "    plugins: [{name: databricks-kong, config: {workspace: {url: 'https://adb-1.1.azuredatabricks.net'}, \
                  identity_providers: [{name: idp, issuer: 'https://sso.example.com/realms/data', audiences: [databricks]}], \
                  roles: [{name: r, match: {groups: [g]}, credential: {type: service_principal_secret, client_id: a, \
                  client_secret: '{vault://hcv/x/y}', scope: minimal}, allow: [{operations: [jobs.list]}]}]}}]\n";
    let other = format!(
        "{CLEAN}- name: other\n  url: https://adb-1.1.azuredatabricks.net\n  retries: 0\n  routes:\n  - name: other\n    paths: [/other]\n{native}"
    );
    let other = other.replacen("plugins:\n", "plugins:\n- {name: databricks-kong-late}\n", 1);
    assert_eq!(codes(&findings(&other)), [""; 0], "Kong resolves references for the native plugin");
    for (scope, meant) in [("jobz", "`jobs`"), ("Jobs", "`jobs`")] {
        let wrong = format!("credential: {{type: user_federation, scope: [{scope}]}}");
        let right = "credential: {type: user_federation, scope: [jobs]}";
        sample("W022", "scope", &[(CREDENTIAL, &wrong)], &[(CREDENTIAL, right)]);
        let found = findings(&edited(&[(CREDENTIAL, &wrong)]));
        assert!(found[0]["help"].as_str().unwrap().contains(meant), "{found:?}");
    }
    let part = "credential: {type: user_federation, scope: ['jobs:read']}";
    assert_eq!(codes(&findings(&edited(&[(CREDENTIAL, part)]))), [""; 0], "not all parts of scopes are published");
    let sql = "credential: {type: user_federation, scope: [sql]}";
    sample(
        "W023",
        "scope",
        &[(CREDENTIAL, sql)],
        &[(CREDENTIAL, "credential: {type: user_federation, scope: [sql, jobs]}")],
    );
    let all = "operations: ['jobs.*']\n              resources: {job: [\"1\"]}";
    let jobs = "credential: {type: user_federation, scope: [jobs]}";
    sample("W023", "scope", &[(CREDENTIAL, sql), (RULE, all)], &[(CREDENTIAL, jobs), (RULE, all)]);
}

#[test]
fn patterns_that_mean_something_else() {
    sample("W017", "groups", &[(MATCH, "match: {groups: ['^data-.*$']}")], &[(MATCH, "match: {groups: ['data-*']}")]);
    let either = "match: {groups: ['(data|etl)-admins']}";
    sample("W017", "groups", &[(MATCH, either)], &[(MATCH, "match: {groups: [data-admins, etl-admins]}")]);
    sample("W017", "job", &[("[\"1\"]", "['^1.*$']")], &[("[\"1\"]", "['1*']")]);
    let table = |name: &str| {
        format!("operations: [statement_execution.execute_statement]\n              resources: {{table: ['{name}']}}")
    };
    for name in ["sales.*", "sales.orders"] {
        sample("W016", name, &[(RULE, &table(name))], &[(RULE, &table("main.sales.*"))]);
    }
    let cut_off = |subject: &str| {
        format!(
            "roles:\n          - name: cut-off\n            match: {{{subject}}}\n            credential: {{type: user_federation, scope: minimal}}\n            \
             allow: []\n            deny: [{{operations: ['*']}}]"
        )
    };
    sample(
        "W054",
        "mallory",
        &[("roles:", &cut_off("subjects: [mallory@example.com]"))],
        &[("roles:", &cut_off("claims: {oid: [6f4a1c0e]}"))],
    );
    sample(
        "W054",
        "mallory",
        &[("roles:", &cut_off("claims: {email: [mallory@example.com]}"))],
        &[("roles:", &cut_off("claims: {email: [mallory@example.com, Mallory@example.com]}"))],
    );
    let both = "subjects: [mallory@example.com, Mallory@example.com]";
    assert_eq!(codes(&findings(&edited(&[("roles:", &cut_off(both))]))), [""; 0], "both spellings are cut off");
    let looked_up = "operations: [jobs.get_run]\n              resources: {job: [\"1\"]}\n              lookup: true";
    let not = "operations: [jobs.get_run]\n              resources: {job: [\"1\"]}";
    sample("W013", "operations", &[(RULE, not)], &[(RULE, looked_up)]);
    let denied = |rule: &str| format!("{RULE}\n            deny:\n            - {rule}");
    for (kind, wide, narrow) in [
        (
            "path",
            "{operations: ['*'], resources: {path: [/a/*]}}",
            "{operations: [workspace.delete], resources: {path: [/a/*]}}",
        ),
        (
            "dashboard",
            "{operations: ['workspace.*'], resources: {dashboard: [d]}}",
            "{operations: ['lakeview.*'], resources: {dashboard: [d]}}",
        ),
        (
            "job",
            "{operations: ['jobs.*'], resources: {job: ['1']}}",
            "{operations: ['jobs.*'], resources: {job: ['1']}, lookup: true}",
        ),
    ] {
        sample("W018", kind, &[(RULE, &denied(wide))], &[(RULE, &denied(narrow))]);
    }
    let folder = "operations: [lakeview.get]\n              resources: {path: ['/a/*']}";
    sample("W013", "operations", &[(RULE, folder)], &[(RULE, &folder.replace("lakeview.get", "lakeview.create"))]);
    let found = findings(&edited(&[(RULE, not)]));
    assert!(found[0]["help"].as_str().unwrap().contains("lookup: true"), "{found:?}");
}

#[test]
fn ways_around_the_filter() {
    sample("W107", "databricks_kong", &[(ONE_GUARD, "")], &[]);
    let with = |rest: &str| {
        let chain = CLEAN.find("    filter_chains:").unwrap();
        format!(
            "{}  - name: second\n    hosts: [databricks.gw.example.com]\n    paths: [/second]\n    strip_path: false\n{rest}",
            &CLEAN[chain..]
        )
    };
    let chain = &CLEAN[CLEAN.find("    filter_chains:").unwrap()..];
    sample("W108", "second", &[(chain, &with(""))], &[(chain, &with("    plugins: [{name: request-termination}]\n"))]);
    let with_trigger = with("    plugins: [{name: request-termination, config: {trigger: X-Maintenance}}]\n");
    let found = findings(&edited(&[(chain, &with_trigger)]));
    assert!(codes(&found).contains(&"W108"), "only requests with that header end there: {found:?}");
    for same in
        ["adb-7405619408829168.8.privatelink.azuredatabricks.net", "adb-7405619408829168.8.azuredatabricks.net."]
    {
        let other = format!(
            "services:\n- name: plain\n  host: {same}\n  protocol: https\n  routes:\n  - {{name: plain, paths: [/x]}}\n"
        );
        assert!(codes(&findings(&edited(&[("services:\n", &other)]))).contains(&"W108"), "{same}");
    }
    // the watched service leads to the workspace by a name of its own
    let internal = [(
        "url: https://adb-7405619408829168.8.azuredatabricks.net\n  retries",
        "url: https://dbx.internal\n  retries",
    )];
    assert_eq!(codes(&findings(&edited(&internal))), [""; 0]);
    let elsewhere = "services:\n- name: plain\n  host: ADB-7405619408829168.8.azuredatabricks.net\n  protocol: https\n  routes:\n  - {name: plain, paths: [/x]}\n";
    let found = findings(&edited(&[internal[0], ("services:\n", elsewhere)]));
    assert!(codes(&found).contains(&"W108"), "{found:?}");
    let harmless = "services:\n- name: plain\n  host: www.example.com\n  protocol: https\n  routes:\n  - {name: plain, paths: [/x]}\n";
    sample("W108", "name: plain, paths", &[("services:\n", elsewhere)], &[("services:\n", harmless)]);
    let off = "      - name: databricks_kong\n        enabled: false\n";
    let found = findings(&edited(&[("      - name: databricks_kong\n", off)]));
    assert!(codes(&found).contains(&"E102"), "a filter that is switched off decides nothing: {found:?}");
}

/// A file with the native plugin in the place of the filter.
fn native(service: &str, route: &str, plugins: &str) -> String {
    let (head, rest) = CLEAN.split_once("    filter_chains:\n    - filters:\n").unwrap();
    let entry = rest.strip_suffix(ONE_GUARD).unwrap().replace("databricks_kong", "databricks-kong");
    let entry: String = entry.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap())).collect();
    let head = head.replace("  retries: 0\n", service).replace("    strip_path: false\n", route);
    let begin = head.find("services:").unwrap();
    format!("_format_version: \"3.0\"\nplugins: [{plugins}]\n{}    plugins:\n{entry}", &head[begin..])
}

#[test]
fn a_route_with_the_native_plugin() {
    let (retries, strips) = ("  retries: 0\n", "    strip_path: false\n");
    let second = "{name: databricks-kong-late}";
    assert_eq!(codes(&findings(&native(retries, strips, second))), [""; 0], "{}", native(retries, strips, second));
    for (wrong, code) in [
        (native(retries, strips, ""), "E109"),
        (native(retries, strips, "{name: databricks-kong-late, enabled: false}"), "E109"),
        (native("", strips, second), "W103"),
        (native(retries, "    paths: [/databricks]\n", second).replacen("    paths: [\"/\"]\n", "", 1), "W104"),
    ] {
        assert_eq!(codes(&findings(&wrong)), [code], "{wrong}");
    }
}

#[test]
fn words_that_are_nearly_what_kong_reads() {
    sample("E107", "filter_chain:", &[("    filter_chains:", "    filter_chain:")], &[]);
    sample("E107", "databricks_kong", &[("- name: databricks_kong\n", "- name: \"databricks_kong\\n\"\n")], &[]);
    sample("E107", "databricks-kong", &[("- name: databricks_kong\n", "- name: databricks-kong\n")], &[]);
}

#[test]
fn addresses_that_contradict_each_other() {
    let workspace = "url: https://adb-7405619408829168.8.azuredatabricks.net\n  retries";
    let private = "url: https://adb-7405619408829168.8.privatelink.azuredatabricks.net\n  retries";
    sample(
        "E108",
        "adb-984752964297111",
        &[(workspace, "url: https://adb-984752964297111.11.azuredatabricks.net\n  retries")],
        &[(workspace, private)],
    );
    sample("E023", "id:", &[("id: \"7405619408829168\"", "id: \"984752964297111\"")], &[]);
    let public = "public_url: https://databricks.gw.example.com";
    let itself = "public_url: https://adb-7405619408829168.8.azuredatabricks.net";
    sample("W059", "public_url", &[(public, itself)], &[]);
    assert_eq!(codes(&findings(&edited(&[(public, itself)]))), ["W059"], "said once");
    sample("W059", "public_url", &[(public, "public_url: http://databricks.gw.example.com")], &[]);
    sample(
        "W059",
        "public_url",
        &[(public, "public_url: https://other.example.com")],
        &[("hosts: [databricks.gw.example.com]", "hosts: ['*.gw.example.com']")],
    );
}

#[test]
fn roles_that_cut_somebody_off_are_told_nothing_wrong() {
    let cut_off = "roles:\n          - name: cut-off\n            match: {claims: {oid: [x]}}\n            \
                   credential: {type: user_federation, scope: minimal}\n            deny: [{operations: ['*']}]";
    assert_eq!(codes(&findings(&edited(&[("roles:", cut_off)]))), [""; 0]);
    let prices = "paths: [\"GET /v1/prices/**\"]";
    let none = "credential: {type: none}";
    let found = findings(&edited(&[(RULE, prices)]));
    assert!(!codes(&found).contains(&"W003"), "no operation is there: {found:?}");
    let found = findings(&edited(&[(RULE, "paths: [\"GET /api/**\"]")]));
    assert!(codes(&found).contains(&"W003"), "{found:?}");
    let found = findings(&edited(&[(RULE, "paths: [\"GET /api/**\"]"), (CREDENTIAL, none)]));
    assert!(!codes(&found).contains(&"W003"), "behind an egress route is no Databricks: {found:?}");
}

/// Twelve seconds with optimisation, and many times that without, when it was quadratic.
#[allow(clippy::disallowed_methods, reason = "what is tested is how long it takes")]
#[test]
fn thousands_of_roles_take_no_more_than_thousands_of_times_one() {
    let (from, to) = (CLEAN.find("          - name: runner").unwrap(), CLEAN.find(ONE_GUARD).unwrap());
    let role = |number: usize| {
        CLEAN[from..to]
            .replace("runner", &format!("runner-{number}"))
            .replace("[\"1\"]", &format!("[\"{number}\"]"))
            .replace("scope: minimal", "scope: jobs")
    };
    let roles: String = (0..4000).map(role).collect();
    let file = crate::temporary("many.yml", &format!("{}{roles}{}", &CLEAN[..from], &CLEAN[to..]));
    let begin = std::time::Instant::now();
    let ran = crate::run(&["check", "--strict", &file]);
    assert_eq!(ran.exit, 0, "{:.2000}", ran.shown());
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
}

#[test]
fn exceptions_stand_in_the_file_with_their_reason() {
    let marked = edited(&[
        (
            "          - name: runner",
            "          # databricks-kong: allow W051 because it is a trial\n          - name: runner",
        ),
        (MATCH, "match: {}"),
        (CREDENTIAL, SECRET),
    ]);
    let ran = run_with(&["check", "-", "--strict", "--format", "json"], &marked);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
    let allowed = ran.json()["allowed"].clone();
    assert_eq!((&allowed[0]["code"], &allowed[0]["because"]), (&"W051".into(), &"it is a trial".into()));
    let ran = run_with(&["check", "-"], &marked);
    assert!(ran.stdout.ends_with("0 errors, 0 warnings, 1 allowed by the file\n"), "{}", ran.stdout);
}
