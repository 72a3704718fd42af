//! `databricks-kong init`: the first files of a gateway: a kong.yml that passes `check --strict`, the settings of Kong that it needs, its
//! policy tests, and the command that makes Databricks trust the identity provider.

use crate::check::check_text;
use crate::discovery::{Discovered, discover};
use crate::explain::now;
use crate::http::Http;
use crate::init_files::{Kind, Plan, Provider, Who, federation, kong, settings, tests};
use crate::lint::{host_of, is_guid, no_token_has};
use crate::output::{Exit, Style, fail, print};
use clap::Args;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

/// What is known; the rest is asked for, on a terminal or line by line on standard input.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How Kong loads it
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// The identity provider
    #[arg(long, value_enum)]
    provider: Option<Provider>,
    /// Its issuer: `iss` of a token
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The audience of tokens for this gateway
    #[arg(long)]
    audience: Option<String>,
    /// The Databricks workspace
    #[arg(long, value_name = "URL")]
    workspace_url: Option<String>,
    /// Its numeric id; taken from the url where that has it
    #[arg(long, value_name = "NUMBER")]
    workspace_id: Option<String>,
    /// The host name by which clients reach the gateway
    #[arg(long, value_name = "HOST")]
    gateway: Option<String>,
    /// Whom the first role is for: a group; a domain at Google; `owner/repository` at GitHub
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// GitHub: the numeric id of the repository's owner, which is never given to another one
    #[arg(long, value_name = "NUMBER")]
    owner_id: Option<String>,
    /// GitHub: the application id of the Databricks service principal that workflows become
    #[arg(long, value_name = "UUID")]
    client_id: Option<String>,
    /// The name of the first role
    #[arg(long, default_value = "job-runner")]
    role: String,
    /// The job that the role may run
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Where the files go
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    directory: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    /// Does not ask the issuer for its discovery document
    #[arg(long)]
    offline: bool,
    /// Certificates to trust in place of the system's, as PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, style: Style) -> Exit {
    match make(arguments, style) {
        Ok(()) => Exit::Fine,
        Err(message) => fail(&message),
    }
}

fn make(arguments: &Arguments, style: Style) -> Result<(), String> {
    let plan = plan(arguments)?;
    if !arguments.offline {
        let http = Http::new(arguments.ca_file.as_deref(), None)?;
        match discover(&http, &plan.issuer) {
            Discovered::Good(says) => print(&format!("{} {says}\n", style.good("+"))),
            Discovered::Unknown(why) => print(&format!("{} the issuer could not be asked: {why}\n", style.bold("!"))),
            Discovered::Wrong(why) => return Err(why),
        }
    }
    let kong = kong(&plan);
    let (report, _) = check_text("kong.yml", kong.clone(), None, &|_| Some("set".to_owned()), now());
    if !report.findings.is_empty() {
        return Err(format!(
            "with these answers `check --strict` would say:\n\n{}nothing was written",
            report.human(style)
        ));
    }
    let directory = absolute(&arguments.directory)?;
    let files = [
        ("kong.yml", kong),
        ("kong.conf", settings(plan.kind, &directory, name_server().as_deref())),
        ("policy-tests.yaml", tests(&plan)),
        ("federation-policy.sh", federation(&plan)),
    ];
    write(&arguments.directory, &files, arguments.force)?;
    let directory = arguments.directory.display();
    for (name, _) in &files {
        print(&format!("{} {directory}/{name}\n", style.good("+")));
    }
    print(&format!(
        "\nNext:\n  databricks-kong test {directory}\n  sh {directory}/federation-policy.sh   # once, as an account admin of Databricks\n  \
         kong start -c {directory}/kong.conf   # {} says where its files go\n  \
         databricks-kong doctor https://{} --token-file TOKEN\n",
        plan.kind.page(),
        plan.gateway
    ));
    Ok(())
}

/// The directory as Kong finds it, wherever it is started.
fn absolute(directory: &Path) -> Result<String, String> {
    let path = std::path::absolute(directory).map_err(|error| format!("`{}`: {error}", directory.display()))?;
    Ok(path.components().collect::<PathBuf>().display().to_string())
}

/// The first DNS server that this machine asks.
fn name_server() -> Option<String> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let server = text.lines().find_map(|line| line.strip_prefix("nameserver"))?.trim();
    server.parse::<std::net::IpAddr>().ok().map(|address| match address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    })
}

fn write(directory: &Path, files: &[(&str, String)], force: bool) -> Result<(), String> {
    let there = files.iter().map(|(name, _)| directory.join(name)).find(|path| path.exists());
    if let Some(path) = there.filter(|_| !force) {
        return Err(format!("`{}` is there already; --force replaces it", path.display()));
    }
    let failed = |path: &Path, error: std::io::Error| format!("`{}` cannot be written: {error}", path.display());
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    for (name, text) in files {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// What to write, from what is given and what is asked for. What is given is looked at before anything is asked.
fn plan(arguments: &Arguments) -> Result<Plan, String> {
    let given = |flag, value: &Option<String>, check: &dyn Fn(&str) -> Result<(), String>| match value {
        Some(value) => check(value.trim()).map_err(|why| format!("`--{flag}`: {why}")),
        None => Ok(()),
    };
    given("workspace-url", &arguments.workspace_url, &|text| workspace_of(text).map(drop))?;
    given("workspace-id", &arguments.workspace_id, &|text| number(text, "the id of a workspace"))?;
    given("gateway", &arguments.gateway, &|text| host_name(text).map(drop))?;
    given("audience", &arguments.audience, &audience)?;
    given("owner-id", &arguments.owner_id, &|text| number(text, "the id of an owner"))?;
    given("client-id", &arguments.client_id, &|text| uuid(text, "an application id"))?;
    given("job", &arguments.job, &|text| number(text, "the number of a job"))?;
    given("role", &Some(arguments.role.clone()), &name)?;
    if let Some(provider) = arguments.provider {
        given("issuer", &arguments.issuer, &issuer)?;
        given("who", &arguments.who, &|text| provider.check_who(text))?;
    }
    asked(arguments)
}

fn asked(arguments: &Arguments) -> Result<Plan, String> {
    let provider = match arguments.provider {
        Some(provider) => provider,
        None => ask(
            "provider",
            "Identity provider (okta, entra-id, auth0, keycloak, google, cognito, github-actions, other)",
            None,
            Provider::named,
        )?,
    };
    let kept = |text: &str| text.to_owned();
    let workspace = "Databricks workspace, as https://…";
    let (workspace, id) = answer("workspace-url", &arguments.workspace_url, workspace, None, workspace_of)?;
    let host = host_of(&workspace).unwrap_or_default();
    let known_id = crate::lint::workspace_id(&host).map(str::to_owned).or(id);
    let workspace_id = match known_id.filter(|_| arguments.workspace_id.is_none()) {
        Some(id) => id,
        None => answer("workspace-id", &arguments.workspace_id, "Its id (`o=` in its address bar)", None, |text| {
            number(text, "the id of a workspace").map(|()| kept(text))
        })?,
    };
    let gateway = answer("gateway", &arguments.gateway, "Host name of the gateway", None, host_name)?;
    let kind = match arguments.kind {
        Some(kind) => kind,
        None => ask("kind", "In Kong as plugin (3.4 and later) or filter (3.9 only)", Some("plugin"), Kind::named)?,
    };
    let checked_issuer = |text: &str| issuer(text).map(|()| kept(text));
    let issuer = match provider.only_issuer() {
        Some(issuer) => arguments.issuer.clone().unwrap_or_else(|| issuer.to_owned()),
        None => {
            let question = format!("Issuer, of the form {}", provider.issuer());
            answer("issuer", &arguments.issuer, &question, None, checked_issuer)?
        }
    };
    let question = "Audience of tokens for this gateway";
    let audience = answer("audience", &arguments.audience, question, Some("databricks"), |text| {
        audience(text).map(|()| kept(text))
    })?;
    let question = match provider.who() {
        Who::Group if provider == Provider::EntraId => {
            "Group of the first role: its object id, which is what Entra ID puts into tokens"
        }
        Who::Group => "Group of the first role",
        Who::Domain => "Domain of the first role's people",
        Who::Repository => "Repository of the first role, as owner/name",
    };
    let checked_who = |text: &str| provider.check_who(text).map(|()| kept(text));
    let who = answer("who", &arguments.who, question, None, checked_who)?;
    let (mut owner_id, mut client_id) = (None, None);
    if provider.who() == Who::Repository {
        let question = "Numeric id of its owner (https://api.github.com/users/OWNER)";
        owner_id = Some(answer("owner-id", &arguments.owner_id, question, None, |text| {
            number(text, "the id of an owner").map(|()| kept(text))
        })?);
        let question = "Application id of the Databricks service principal";
        client_id = Some(answer("client-id", &arguments.client_id, question, None, |text| {
            uuid(text, "an application id").map(|()| kept(text))
        })?);
    }
    let job = answer("job", &arguments.job, "Number of a job that the role may run", None, |text| {
        number(text, "the number of a job").map(|()| kept(text))
    })?;
    let role = arguments.role.clone();
    Ok(Plan { kind, provider, issuer, audience, workspace, workspace_id, gateway, who, owner_id, client_id, role, job })
}

fn number(text: &str, what: &str) -> Result<(), String> {
    let is_one = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_one { Ok(()) } else { Err(format!("`{text}` is not {what}")) }
}

fn uuid(text: &str, what: &str) -> Result<(), String> {
    if is_guid(text) { Ok(()) } else { Err(format!("`{text}` is not {what}, which is a UUID")) }
}

fn audience(text: &str) -> Result<(), String> {
    let is_one = !text.is_empty() && !text.contains([' ', '*', ',']);
    if is_one { Ok(()) } else { Err(format!("`{text}` is not an audience: it is one name, without `*`")) }
}

fn name(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("a role needs a name".to_owned()) } else { Ok(()) }
}

fn issuer(text: &str) -> Result<(), String> {
    if host_of(text).is_none_or(|host| !is_host_name(&host)) {
        return Err(format!("`{text}` is not an issuer, which is a url: `iss` of a token"));
    }
    no_token_has(text).map_or(Ok(()), |(why, help)| Err(format!("no token has the issuer `{text}`: {why}; {help}")))
}

/// The url of a workspace, and its id where that was given with it: people copy what stands in the address bar.
fn workspace_of(given: &str) -> Result<(String, Option<String>), String> {
    let with_scheme = if given.contains("://") { given.to_owned() } else { format!("https://{given}") };
    let id = given.split(['?', '&', '#']).find_map(|part| part.strip_prefix("o=")).map(str::to_owned);
    match (host_of(&with_scheme), with_scheme.split_once("://")) {
        (Some(host), Some((scheme, _))) if is_host_name(&host) => Ok((format!("{scheme}://{host}"), id)),
        _ => Err(format!("`{given}` is not the url of a workspace")),
    }
}

/// The host name in what was given, which may be a url of it.
fn host_name(given: &str) -> Result<String, String> {
    let host = host_of(given).unwrap_or_else(|| given.trim_end_matches('/').to_ascii_lowercase());
    if is_host_name(&host) { Ok(host) } else { Err(format!("`{given}` is not the name of a host")) }
}

fn is_host_name(text: &str) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    text.split('.').all(is_label)
}

/// What was given for a flag, or an answer to the question about it.
fn answer<T>(
    flag: &str,
    given: &Option<String>,
    question: &str,
    default: Option<&str>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    match given {
        Some(value) => read(value.trim()).map_err(|why| format!("`--{flag}`: {why}")),
        None => ask(flag, question, default, read),
    }
}

/// An answer to a question, from a terminal, where it is asked until it will do, or the next line of standard input.
fn ask<T>(
    flag: &str,
    question: &str,
    default: Option<&str>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    let stdin = std::io::stdin();
    let is_terminal = stdin.is_terminal();
    loop {
        if is_terminal {
            let hint = default.map(|text| format!(" [{text}]")).unwrap_or_default();
            eprint!("{question}{hint}: ");
        }
        let mut line = String::new();
        let length = stdin.lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
        let given = match (line.trim(), default) {
            ("", Some(default)) => default,
            ("", None) if length == 0 => return Err(format!("`--{flag}` is missing")),
            ("", None) => continue,
            (given, _) => given,
        };
        match read(given) {
            Err(why) if is_terminal => eprintln!("{why}"),
            // the lines behind it are answers to other questions
            read => return read.map_err(|why| format!("{why} (`--{flag}`)")),
        }
    }
}
