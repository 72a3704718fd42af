//! `databricks-kong init`: the first files of a gateway: a kong.yml that passes `check --strict`, the settings of Kong that it needs, its
//! policy tests, and the command that makes Databricks trust the identity provider.

use crate::check::check_text;
use crate::discovery::{Discovered, discover};
use crate::explain::now;
use crate::http::Http;
use crate::init_files::{Kind, Plan, Provider, Who, federation, kong, settings, tests};
use crate::lint::host_of;
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

/// What to write, from what is given and what is asked for.
fn plan(arguments: &Arguments) -> Result<Plan, String> {
    let provider = match arguments.provider {
        Some(provider) => provider,
        None => Provider::named(&ask(
            "provider",
            "Identity provider (okta, entra-id, auth0, keycloak, google, cognito, github-actions, other)",
            None,
        )?)?,
    };
    let given = |flag: &str, value: &Option<String>, question: &str, default: Option<&str>| match value {
        Some(value) => Ok(value.clone()),
        None => ask(flag, question, default),
    };
    let workspace = given("workspace-url", &arguments.workspace_url, "Databricks workspace, as https://…", None)?;
    let (workspace, id) = workspace_of(&workspace)?;
    let host = host_of(&workspace).unwrap_or_default();
    let known_id = crate::lint::workspace_id(&host).map(str::to_owned).or(id);
    let workspace_id = match known_id.filter(|_| arguments.workspace_id.is_none()) {
        Some(id) => id,
        None => given("workspace-id", &arguments.workspace_id, "Its id (`o=` in its address bar)", None)?,
    };
    let gateway = given("gateway", &arguments.gateway, "Host name of the gateway", None)?;
    let gateway = host_name(&gateway)?;
    let kind = match arguments.kind {
        Some(kind) => kind,
        None => Kind::named(&ask("kind", "In Kong as plugin (3.4 and later) or filter (3.9 only)", Some("plugin"))?)?,
    };
    let issuer = match provider.only_issuer() {
        Some(issuer) => arguments.issuer.clone().unwrap_or_else(|| issuer.to_owned()),
        None => given("issuer", &arguments.issuer, &format!("Issuer, of the form {}", provider.issuer()), None)?,
    };
    let audience = given("audience", &arguments.audience, "Audience of tokens for this gateway", Some("databricks"))?;
    let question = match provider.who() {
        Who::Group => "Group of the first role",
        Who::Domain => "Domain of the first role's people",
        Who::Repository => "Repository of the first role, as owner/name",
    };
    let who = given("who", &arguments.who, question, None)?;
    let is_repository = provider.who() == Who::Repository;
    let of_github = |flag: &str, value: &Option<String>, question: &str| {
        if is_repository { given(flag, value, question, None).map(Some) } else { Ok(None) }
    };
    let owner_id =
        of_github("owner-id", &arguments.owner_id, "Numeric id of its owner (https://api.github.com/users/OWNER)")?;
    let client_id = of_github("client-id", &arguments.client_id, "Application id of the Databricks service principal")?;
    let job = given("job", &arguments.job, "Number of a job that the role may run", None)?;
    if job.is_empty() || !job.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{job}` is not the number of a job"));
    }
    let role = arguments.role.clone();
    Ok(Plan { kind, provider, issuer, audience, workspace, workspace_id, gateway, who, owner_id, client_id, role, job })
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

/// An answer to a question, from a terminal or the next line of standard input.
fn ask(flag: &str, question: &str, default: Option<&str>) -> Result<String, String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let hint = default.map(|text| format!(" [{text}]")).unwrap_or_default();
        eprint!("{question}{hint}: ");
    }
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
    match (line.trim(), default) {
        ("", Some(default)) => Ok(default.to_owned()),
        ("", None) if read == 0 => Err(format!("`--{flag}` is missing")),
        ("", None) => ask(flag, question, default),
        (answer, _) => Ok(answer.to_owned()),
    }
}
