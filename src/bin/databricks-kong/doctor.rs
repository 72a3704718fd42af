//! `databricks-kong doctor`: what can be seen of a running gateway from outside, step by step, and what to do.

use crate::explain::now;
use crate::http::{Answer, Http};
use crate::identity::claims_of;
use crate::output::{Exit, Format, Style, fail, print};
use clap::Args;
use databricks_kong::base::Secret;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Clocks that differ by more seconds than this are a fault: a token's times are compared with them.
const FAR_OFF: u64 = 30;
/// After how many seconds the filter does without keys, and without a feed, where the configuration does not say (docs/configuration.md).
const DAY: u64 = 86_400;
const MINUTE: u64 = 60;
/// An operation that everybody can be allowed, for a request that changes nothing.
const ME: &str = "/api/2.0/preview/scim/v2/Me";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// A client on this machine that nobody sends to, and the challenge of RFC 7636 appendix B, which everybody knows.
const REDIRECT: &str = "http%3A%2F%2Flocalhost%3A8020";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What is looked at.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How clients reach the gateway: its `public_url`
    url: String,
    /// A file with a token of a caller, or `-` for standard input, whose way is followed. It is sent to the gateway and nowhere else
    #[arg(long, value_name = "FILE|-")]
    token_file: Option<PathBuf>,
    /// The gateway's metrics page, such as http://localhost:8100/metrics
    #[arg(long, value_name = "URL")]
    metrics: Option<String>,
    /// The node to ask, whatever the gateway's name resolves to, such as 10.0.0.5:8443
    #[arg(long, value_name = "ADDRESS:PORT")]
    connect_to: Option<SocketAddr>,
    /// Certificates to trust in place of the system's, as PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    Odd,
    Bad,
}

/// One step.
#[derive(Debug)]
struct Step {
    name: &'static str,
    state: State,
    says: String,
    /// What to do.
    cure: Option<String>,
}

fn good(name: &'static str, says: impl Into<String>) -> Step {
    Step { name, state: State::Good, says: says.into(), cure: None }
}

fn odd(name: &'static str, says: impl Into<String>, cure: impl Into<String>) -> Step {
    Step { name, state: State::Odd, says: says.into(), cure: Some(cure.into()) }
}

fn bad(name: &'static str, says: impl Into<String>, cure: impl Into<String>) -> Step {
    Step { name, state: State::Bad, says: says.into(), cure: Some(cure.into()) }
}

pub(crate) fn run(arguments: &Arguments, format: Format, style: Style) -> Exit {
    let url = &arguments.url;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return fail(&format!("`{url}` is no url: write `https://{url}`"));
    }
    let certificates = arguments.ca_file.as_deref();
    // the metrics page is another host's
    let both =
        Http::new(certificates, arguments.connect_to).and_then(|http| Ok((http, Http::new(certificates, None)?)));
    let (http, page) = match both {
        Ok(both) => both,
        Err(message) => return fail(&message),
    };
    let token = arguments.token_file.as_ref().map(|path| crate::check::read(&path.display().to_string()));
    let token = match token.transpose() {
        Ok(token) => token.map(|text| Secret::new(text.trim().to_owned())),
        Err(message) => return fail(&message),
    };
    let mut steps = examine(&http, arguments, token.as_ref());
    if let Some(url) = &arguments.metrics {
        metrics(&page, url, &mut steps);
    }
    match format {
        Format::Json => {
            let list = steps.iter().map(|step| {
                let state = match step.state {
                    State::Good => "good",
                    State::Odd => "odd",
                    State::Bad => "bad",
                };
                json!({"step": step.name, "state": state, "says": step.says, "do": step.cure})
            });
            print(&format!("{:#}\n", Value::Array(list.collect())));
        }
        Format::Human | Format::Junit => {
            for step in &steps {
                let mark = match step.state {
                    State::Good => style.good("+"),
                    State::Odd => style.bold("!"),
                    State::Bad => style.bad("-"),
                };
                print(&format!("{mark} {:<10} {}\n", step.name, step.says));
                print(&step.cure.as_ref().map(|cure| format!("             do: {cure}\n")).unwrap_or_default());
            }
        }
    }
    if steps.iter().any(|step| step.state == State::Bad) { Exit::Failure } else { Exit::Fine }
}

fn examine(http: &Http, arguments: &Arguments, token: Option<&Secret<String>>) -> Vec<Step> {
    let base = arguments.url.trim_end_matches('/');
    let mut steps = Vec::new();
    match http.get(&format!("{base}/.well-known/databricks-config"), None) {
        Err(why) => {
            steps.push(unreachable(&why));
            return steps;
        }
        Ok(answer) => {
            let how = if base.starts_with("https://") {
                "over TLS with a certificate that is trusted"
            } else {
                "without TLS"
            };
            steps.push(match base.starts_with("https://") || is_loopback(base) {
                true => good("reachable", format!("answers {how}")),
                false => {
                    odd("reachable", format!("answers {how}: tokens can be read on the way"), "serve it over https")
                }
            });
            steps.push(clock(&answer));
            steps.push(filter(&answer, base));
            if answer.status != 200 {
                // what else is asked is answered by whatever answered this: each answer would be read as another fault
                return steps;
            }
        }
    }
    steps.push(without_token(http, base));
    steps.push(odd(
        "guard",
        "whether a guard follows the filter cannot be seen from outside (the native plugin needs none)",
        "`databricks-kong check kong.yml` says so (W107)",
    ));
    steps.extend(sign_in(http, base));
    if let Some(token) = token {
        if base.starts_with("https://") || is_loopback(base) {
            way(http, base, token, &mut steps);
        } else {
            steps.push(bad("token", "is not sent: without TLS others can read it", "ask the gateway's https address"));
        }
    }
    steps
}

fn is_loopback(url: &str) -> bool {
    ["http://localhost", "http://127.0.0.1", "http://[::1]"].iter().any(|start| url.starts_with(start))
}

/// Why nothing answers, by the words of the error.
fn unreachable(why: &str) -> Step {
    let lower = why.to_lowercase();
    let cure = if lower.contains("invalidcontenttype") || lower.contains("corrupt message") {
        "nothing speaks TLS there: use the port that does, or http:// for a gateway without TLS"
    } else if lower.contains("causedasendentity") {
        "the gateway shows the CA's own certificate: give the gateway one that this CA has signed, with its name"
    } else if lower.contains("certificate") || lower.contains("unknownissuer") {
        "let the gateway show a certificate for this name; for a CA of your own give --ca-file"
    } else if lower.contains("refused") {
        "start the gateway, or use the port on which it listens"
    } else if lower.contains("dns")
        || lower.contains("lookup")
        || lower.contains("resolve")
        || lower.contains("host not found")
    {
        "make the name known in DNS; before it is, give the gateway's address with --connect-to"
    } else if lower.contains("timeout") || lower.contains("timed out") {
        "look at firewalls between here and the gateway, and at its upstream"
    } else {
        "look at the gateway's error log"
    };
    bad("reachable", format!("nothing answers: {why}"), cure)
}

/// The difference between the gateway's clock and this one.
fn clock(answer: &Answer) -> Step {
    let date = answer.header("date").and_then(httpdate);
    let Some(theirs) = date else {
        return odd("clock", "the answer has no `Date`, so its clock is not known", "compare the clocks by hand");
    };
    let apart = theirs.abs_diff(now().as_secs());
    if apart <= FAR_OFF {
        return good("clock", format!("differs by {apart} s"));
    }
    bad(
        "clock",
        format!("differs by {apart} s from the clock here"),
        "run NTP on both; `exp` and `iat` of tokens are compared with it",
    )
}

/// Seconds of the form that HTTP has for times (RFC 9110 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
fn httpdate(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_whitespace().skip(1);
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)?.saturating_add(1);
    let time = humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()?;
    Some(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}

/// Whether the document of the gateway comes from the gateway.
fn filter(answer: &Answer, base: &str) -> Step {
    let document = answer.json();
    let endpoint = document.get("oidc_endpoint").and_then(Value::as_str);
    let reason = reason(&document);
    match (answer.status, endpoint) {
        (200, Some(endpoint)) if endpoint == format!("{base}/oidc") => {
            good("filter", "answers for the workspace, and sends clients back to this address")
        }
        (200, Some(endpoint)) => bad(
            "filter",
            format!("clients are sent to `{endpoint}`"),
            "set `workspace.public_url` to this address; if that is the workspace's own, the filter is not on this route (check: W108)",
        ),
        (500, _) if reason.is_some() => bad(
            "filter",
            format!("refuses everything: {}", reason.unwrap_or_default()),
            "look for `databricks_kong` in the gateway's error log, and run `databricks-kong check` on its configuration",
        ),
        (502..=504, _) if reason.is_none() => bad(
            "filter",
            format!("the gateway answers {} by itself{}", answer.status, said_by_kong(&document)),
            "Kong finds the host of the service before the filter runs: make the service's `url` resolve and answer, or look at Kong's error log",
        ),
        (426, _) => bad("filter", "the route takes https only", "ask the gateway's https address"),
        (404, _) => bad("filter", "the gateway has no route for this address", "add its host and path to the route"),
        (status, _) => bad(
            "filter",
            format!("answers {status} where the filter answers 200 with `oidc_endpoint`"),
            "put the filter on this route; on Kong set `wasm = on` and `wasm_filters`",
        ),
    }
}

/// What Kong says of an answer of its own.
fn said_by_kong(document: &Value) -> String {
    let message = document.get("message").and_then(Value::as_str);
    message.map(|text| format!(": {text}")).unwrap_or_default()
}

/// The reason of a refusal of ours.
fn reason(document: &Value) -> Option<String> {
    let detail = document.pointer("/details/0")?;
    if detail.get("domain")?.as_str()? != "databricks-kong" {
        return None;
    }
    let reason = detail.get("reason")?.as_str()?;
    let code = detail.pointer("/metadata/code").and_then(Value::as_str).map(|code| format!(" ({code})"));
    Some(format!("{reason}{}", code.unwrap_or_default()))
}

/// Whether a request without a token is refused, and by whom.
fn without_token(http: &Http, base: &str) -> Step {
    let answer = match http.get(&format!("{base}{ME}"), None) {
        Ok(answer) => answer,
        Err(why) => return bad("no token", format!("nothing answers: {why}"), "look at the gateway's error log"),
    };
    match (answer.status, reason(&answer.json())) {
        (401, Some(reason)) => good("no token", format!("is refused by the filter: {reason}")),
        (200..=299, _) => bad(
            "no token",
            format!("is let in: {} is answered without a token", ME),
            "take this gateway off the network until you know why; the filter does not run, or something before it answers",
        ),
        (status, None) => bad(
            "no token",
            format!("is answered {status}, but not by the filter"),
            "put the filter on this route: what it does not refuse, it does not see (check: W108, E105)",
        ),
        (status, Some(reason)) => bad("no token", format!("is answered {status} {reason}"), advice(&reason)),
    }
}

/// Where people are sent to sign in, if the gateway says that they can.
fn sign_in(http: &Http, base: &str) -> Option<Step> {
    let metadata = http.get(&format!("{base}/oidc/.well-known/oauth-authorization-server"), None).ok()?.json();
    let endpoint = metadata.get("authorization_endpoint")?.as_str()?;
    let url = format!(
        "{endpoint}?response_type=code&redirect_uri={REDIRECT}&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    Some(match http.get(&url, None) {
        Err(why) => bad("sign-in", format!("nothing answers: {why}"), "set `workspace.public_url` to this address"),
        Ok(answer) => match (answer.status, answer.header("location").and_then(|to| to.split('?').next())) {
            (302, Some(provider)) => good("sign-in", format!("people are sent to {provider}")),
            (status, _) => bad(
                "sign-in",
                format!("nobody is sent to sign in: {status} {}", reason(&answer.json()).unwrap_or_default()),
                "the gateway cannot read the provider's discovery document, or that names no endpoint that can be used; its log says which",
            ),
        },
    })
}

/// A token's way: what it says, whether it is verified, whether Databricks takes it.
fn way(http: &Http, base: &str, token: &Secret<String>, steps: &mut Vec<Step>) {
    let Some(claims) = claims_of(token.expose()) else {
        steps.push(bad("token", "is no JWT", "use an access token of the identity provider"));
        return;
    };
    let text = |name: &str| claims.get(name).map(ToString::to_string).unwrap_or_else(|| "missing".to_owned());
    let says = format!("iss {}, aud {}, sub {}", text("iss"), text("aud"), text("sub"));
    let ends = claims.get("exp").and_then(Value::as_u64).unwrap_or(0);
    steps.push(if ends > now().as_secs() {
        good("token", says)
    } else {
        bad("token", format!("{says}; it has ended"), "get a new one")
    });
    let form = [
        ("grant_type", EXCHANGE),
        ("subject_token", token.expose().as_str()),
        ("subject_token_type", JWT),
        ("scope", "all-apis"),
    ];
    match http.post_form(&format!("{base}/oidc/v1/token"), &form) {
        Err(why) => steps.push(bad("verified", format!("nothing answers: {why}"), "look at the gateway's error log")),
        Ok(answer) if answer.status == 200 => steps.push(good("verified", "the filter accepts the token")),
        Ok(answer) => {
            let said = answer.json();
            let said = said.get("error_description").and_then(Value::as_str).unwrap_or("no reason is given").to_owned();
            let cure = "`databricks-kong explain kong.yml GET / --token-file FILE` shows what was expected";
            steps.push(bad("verified", format!("the filter refuses the token: {said}"), cure));
        }
    }
    match http.get(&format!("{base}{ME}"), Some(token.expose())) {
        Err(why) => steps.push(bad("request", format!("nothing answers: {why}"), "look at the gateway's error log")),
        Ok(answer) => steps.push(request(&answer)),
    }
}

/// The answer to a request with the token.
fn request(answer: &Answer) -> Step {
    match (answer.status, reason(&answer.json())) {
        (200..=299, _) => good("request", "Databricks answers, and knows the caller"),
        (_, Some(reason)) if reason.starts_with("NO_RULE") => good(
            "request",
            "the caller has a role; its rules do not allow `current_user.me`, with which this was tried",
        ),
        (status, Some(reason)) => bad("request", format!("the filter answers {status} {reason}"), advice(&reason)),
        (status, None) => bad(
            "request",
            format!("Databricks answers {status}"),
            "look at the federation policy and at the user's or service principal's permissions in the workspace",
        ),
    }
}

/// What to do about a reason of the filter's.
fn advice(reason: &str) -> String {
    let word = reason.split(' ').next().unwrap_or_default();
    let specific = match word {
        "TOKEN_MISSING" | "TOKEN_INVALID" => "`databricks-kong explain` with the token shows what was expected",
        "NO_ROLE" => "no role's `match` holds for this caller: look at the groups in the token",
        "EXCHANGE_REFUSED" => {
            "Databricks refuses the token: look at the federation policy's issuer, audience and subject claim"
        }
        "KEYS_UNAVAILABLE" => {
            "the gateway cannot read the provider's keys: look at its DNS (`nginx_wasm_resolver`), network and trusted certificates"
        }
        "EXCHANGE_UNAVAILABLE" => {
            "the gateway cannot reach the workspace's token endpoint: look at its DNS, network and trusted certificates"
        }
        "SECRET_UNAVAILABLE" => "the `pre-function` puts no such secret into `kong.ctx.shared`",
        "REVOCATION_STALE" => "the revocation feed cannot be read: look at its service",
        "INVALID_CONFIGURATION" => "run `databricks-kong check` on the gateway's configuration",
        "GUARD_REFUSED" => "the filter before the guard did not decide: look for a trap in the gateway's error log",
        _ => "",
    };
    if specific.is_empty() { format!("see docs/errors.md on {word}") } else { specific.to_owned() }
}

/// What the counters say: fetches that fail, and how old what is kept is, where the page tells.
fn metrics(http: &Http, url: &str, steps: &mut Vec<Step>) {
    let answer = match http.get(url, None) {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => {
            return steps.push(bad("metrics", format!("the page answers {}", answer.status), "see docs/metrics.md"));
        }
        Err(why) => return steps.push(bad("metrics", format!("nothing answers: {why}"), "see docs/metrics.md")),
    };
    let counters = counters(&answer.body);
    if counters.is_empty() {
        let cure = "on Kong set `wasm = on` and put the filter on a route; the `prometheus` plugin must be on";
        return steps.push(bad("metrics", "the page has no counter of the filter", cure));
    }
    let sum = |name: &str| {
        let same = counters.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        same.sum::<f64>()
    };
    for (name, what, cure) in [
        ("keys_fetch", "the provider's keys", advice("KEYS_UNAVAILABLE")),
        ("exchange", "Databricks tokens", advice("EXCHANGE_UNAVAILABLE")),
        ("revocation_fetch", "the revocation feed", advice("REVOCATION_STALE")),
    ] {
        let (ok, failed) = (sum(&format!("{name}_ok")), sum(&format!("{name}_failed")));
        if ok + failed == 0.0 {
            continue;
        }
        let says = format!("fetches of {what}: {ok} worked, {failed} failed");
        steps.push(if failed == 0.0 {
            good("metrics", says)
        } else if ok > failed {
            odd("metrics", says, cure)
        } else {
            bad("metrics", says, cure)
        });
    }
    steps.extend(ages(&counters));
    let internal = sum("denied_internal") + sum("denied_guard_refused") + sum("denied_invalid_configuration");
    if internal > 0.0 {
        let cure = "look for `databricks_kong` in the gateway's error log";
        steps.push(bad("metrics", format!("{internal} requests were refused by a fault of the gateway's own"), cure));
    } else {
        steps.push(good("metrics", "no request was refused by a fault of the gateway's own"));
    }
}

/// How long ago keys were fetched and the feed was read.
fn ages(metrics: &[(String, f64)]) -> impl Iterator<Item = Step> {
    const OF: [(&str, &str, &str, u64, &str); 2] = [
        ("keys", "keys_fetch_timestamp_seconds", "keys were fetched", DAY, "KEYS_UNAVAILABLE"),
        ("feed", "revocation_fetch_timestamp_seconds", "the revocation feed was read", MINUTE, "REVOCATION_STALE"),
    ];
    OF.into_iter().filter_map(|(name, metric, what, most, reason)| {
        let (_, at) = metrics.iter().find(|(known, at)| known == metric && *at > 0.0)?;
        let at = Duration::try_from_secs_f64(*at).ok()?.as_secs();
        let age = now().as_secs().saturating_sub(at);
        let says = format!("{what} {} ago", humantime::format_duration(Duration::from_secs(age)));
        Some(if age <= most {
            good(name, says)
        } else {
            let cure = format!(
                "send a request with a token: the filter in Kong has no timers. If that changes nothing: {}",
                advice(reason)
            );
            odd(name, says, cure)
        })
    })
}

/// How the names of the filter's metrics begin (docs/metrics.md).
const COUNTERS: [&str; 7] =
    ["requests_", "denied_", "keys_", "exchange_", "token_cache_", "verdict_cache_", "revocation_"];
/// What hosts write before these names.
const PREFIXES: [&str; 2] = ["pw_databricks_kong_", "wasmcustom."];

/// The filter's counters on a page of Kong's or Envoy's.
fn counters(page: &str) -> Vec<(String, f64)> {
    let counter = |line: &str| {
        let name = PREFIXES.iter().find_map(|prefix| line.strip_prefix(prefix)).unwrap_or(line);
        let name = name.split(['{', ' ', ':']).next()?;
        let value = line.rsplit_once([' ', '}'])?.1.trim().parse().ok()?;
        COUNTERS.iter().any(|start| name.starts_with(start)).then(|| (name.to_owned(), value))
    };
    page.lines().filter(|line| !line.starts_with('#')).filter_map(counter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_http_are_read() {
        assert_eq!(httpdate("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        for text in ["", "yesterday", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            assert_eq!(httpdate(text), None, "{text}");
        }
    }

    #[test]
    fn counters_are_found_on_pages_of_kong_and_envoy() {
        let page = "# TYPE x counter\npw_databricks_kong_keys_fetch_ok 3\nwasmcustom.exchange_failed: 2\ndenied_no_rule{} 1\n\
                    kong_nginx_requests_total 9\nenvoy_cluster_x{} 7\n";
        let expected = [("keys_fetch_ok", 3.0), ("exchange_failed", 2.0), ("denied_no_rule", 1.0)];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(counters(page), expected);
    }
}
