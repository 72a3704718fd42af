//! `databricks-kong explain`: one request, step by step.

use crate::decide::{Question, Undecided, decide};
use crate::identity::{Identity, claims_of};
use crate::output::{Exit, Format, Style, fail, print};
use crate::shown::{as_json, for_people};
use crate::source::Source;
use clap::Args;
use databricks_kong::base::{Secret, UnixTime, parse_object_strict};
use databricks_kong::jwt::KeySet;
use serde_json::{Map, Value};
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What is asked.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// A kong.yml, or a file that is the filter's configuration
    config: PathBuf,
    /// The request's method
    method: String,
    /// The request's path and query, as Databricks would get it
    path: String,
    /// Which entry of the file is meant: a part of its service's or route's name
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// The caller's claims: JSON, or a file with JSON; they are taken for verified. What is missing of iss, aud, iat and exp is filled in
    #[arg(long, value_name = "JSON|FILE", conflicts_with = "token_file")]
    claims: Option<String>,
    /// The identity provider that issued the claims, if not the first
    #[arg(long, value_name = "NAME", requires = "claims")]
    provider: Option<String>,
    /// A file with the caller's token, or `-` for standard input. With --jwks it is verified; without, its claims are taken for verified
    #[arg(long, value_name = "FILE|-")]
    token_file: Option<PathBuf>,
    /// A file with the provider's keys (JWKS), to verify the token with
    #[arg(long, value_name = "FILE", requires = "token_file")]
    jwks: Option<PathBuf>,
    /// The request's body: JSON, `@FILE`, or `-` for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    body: Option<String>,
    /// A header of the request, may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The job that the request's run belongs to, for rules with `lookup`; without it, the workspace knows no such run
    #[arg(long, value_name = "ID")]
    job_of_run: Option<u64>,
    /// The time of the request instead of now
    #[arg(long, value_name = "RFC3339")]
    now: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, format: Format, style: Style) -> Exit {
    let source = match Source::read(&arguments.config) {
        Ok(source) => source,
        Err(failure) => return failure.say(),
    };
    let asked = source.entry(arguments.entry.as_deref()).and_then(|entry| Ok((entry, question(arguments)?)));
    let (entry, (question, note)) = match asked {
        Ok(asked) => asked,
        Err(failure) => return failure.say(),
    };
    match decide(source.config(&entry), &question) {
        Ok(decision) => {
            match format {
                Format::Json => print(&format!("{:#}\n", as_json(&decision))),
                Format::Human | Format::Junit => {
                    if let Some(note) = note {
                        print(&format!("{}\n", style.dim(note)));
                    }
                    print(&for_people(&question, &decision, style));
                }
            }
            if decision.decision == "deny" { Exit::Denied } else { Exit::Fine }
        }
        Err(Undecided::Config(errors)) => {
            for error in errors {
                eprintln!("{}", source.located(&entry, &error));
            }
            Exit::Invalid
        }
        Err(Undecided::Guard) => fail("this entry is a guard, which decides nothing by itself"),
        Err(Undecided::Question(message)) => fail(&message),
    }
}

fn question(arguments: &Arguments) -> Result<(Question, Option<&'static str>), String> {
    let both = arguments.body.as_deref() == Some("-")
        && arguments.token_file.as_deref().is_some_and(|path| path.as_os_str() == "-");
    if both {
        return Err("standard input is either the token or the body".to_owned());
    }
    let (identity, note) = identity(arguments)?;
    let headers = arguments.header.iter().map(|header| {
        let (name, value) =
            header.split_once(':').ok_or_else(|| format!("`{header}` is not of the form `name: value`"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    let question = Question {
        identity,
        method: arguments.method.to_ascii_uppercase(),
        path: arguments.path.clone(),
        headers: headers.collect::<Result<_, String>>()?,
        body: arguments.body.as_deref().map(body).transpose()?,
        job_of_run: arguments.job_of_run,
        now: match &arguments.now {
            Some(text) => point_in_time(text)?,
            None => now(),
        },
    };
    Ok((question, note))
}

fn body(argument: &str) -> Result<String, String> {
    match (argument, argument.strip_prefix('@')) {
        ("-", _) => read("-"),
        (_, Some(path)) => read(path),
        (text, None) => Ok(text.to_owned()),
    }
}

fn read(path: &str) -> Result<String, String> {
    if path == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| format!("standard input: {error}"))?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(|error| format!("`{path}` cannot be read: {error}"))
}

fn identity(arguments: &Arguments) -> Result<(Identity, Option<&'static str>), String> {
    if let Some(claims) = &arguments.claims {
        let text = if claims.trim_start().starts_with('{') { claims.clone() } else { read(claims)? };
        let claims: Map<String, Value> = parse_object_strict(text.as_bytes(), 64)
            .map_err(|fault| format!("the claims are not a JSON object: {fault}"))?;
        return Ok((Identity::Claims { provider: arguments.provider.clone(), claims, is_whole: false }, None));
    }
    let Some(path) = &arguments.token_file else {
        return Ok((Identity::Nobody, Some("no claims and no token are given: this is what happens without a token")));
    };
    let token = read(&path.display().to_string())?;
    let token = token.trim();
    if let Some(keys) = &arguments.jwks {
        let shown = keys.display().to_string();
        let keys = read(&shown)?;
        let usable = KeySet::parse(keys.as_bytes()).is_ok_and(|set| !set.keys.is_empty());
        if !usable {
            return Err(format!("`{shown}` has no key that the gateway can use; it must be a JWKS document"));
        }
        return Ok((Identity::Token { token: Secret::new(token.to_owned()), keys }, None));
    }
    let claims = claims_of(token).ok_or("the token file holds no JWT")?;
    let note = "the token's signature is not checked: give --jwks to check it";
    Ok((Identity::Claims { provider: None, claims, is_whole: true }, Some(note)))
}

/// The time that `text` says.
pub(crate) fn point_in_time(text: &str) -> Result<UnixTime, String> {
    let time = humantime::parse_rfc3339(text).ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    time.map(from_epoch).ok_or_else(|| format!("`{text}` is not a point in time of the form 2026-11-01T00:00:00Z"))
}

/// The present.
#[allow(clippy::disallowed_methods, reason = "this tool is a shell, which reads the clock")]
pub(crate) fn now() -> UnixTime {
    from_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn from_epoch(time: Duration) -> UnixTime {
    UnixTime::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
