//! A request's head: what is taken off it, and what is read from it.

use super::certificate::{CertificateDigest, Shown};
use super::refusal::Refusal;
use super::request_id::RequestId;
use crate::base::Secret;
use crate::config::OwnHeaders;
use crate::databricks::{Catalogue, Operation, Target, may_name_resources, takes_body_on_get, takes_form};
use crate::exchange::SharedSecrets;
use std::borrow::Cow;

/// Hosts hand over at most this many headers and do not say that there were more.
const MOST_HEADERS: usize = 100;

/// The head of a request, as it arrived.
#[derive(Debug)]
pub struct Request {
    /// The name to find it by.
    pub(super) id: RequestId,
    pub(super) method: String,
    /// Byte for byte as it is sent on.
    target: Vec<u8>,
    has_body: bool,
    seen: Inspected,
    shared: SharedSecrets,
    certificate: Shown,
}

/// The head of a request that can be understood in one way only. What is parsed of it is parsed here, once.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) id: RequestId,
    pub(super) method: String,
    pub(super) target: Target<'static>,
    /// What it asks for; `None` if the catalogue does not know it.
    pub(super) operation: Option<Operation>,
    pub(super) has_body: bool,
    /// Whether what is decided holds only if there turns out to be no body.
    pub(super) bodiless: bool,
    pub(super) seen: Inspected,
    pub(super) shared: SharedSecrets,
    /// The certificate that the client has shown.
    pub(super) certificate: Shown,
}

/// Why a request's headers are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// More than one `Authorization`.
    #[error("the request has more than one Authorization header")]
    RepeatedAuthorization,
    /// `X-HTTP-Method-Override` and the like.
    #[error("the request overrides its method by a header")]
    MethodOverride,
    /// More than one `X-Databricks-Role`, or one that is not text.
    #[error("the request has more than one X-Databricks-Role header, or one that is not text")]
    Role,
    /// One that must be taken off stands twice, on a host that takes off only one.
    #[error("the request has more than one of a header that must not reach the workspace")]
    Repeated,
    /// So many that some may not have been seen.
    #[error("the request has too many headers")]
    TooMany,
    /// `Connection` names a header that frames the request or that the gateway sets.
    #[error("the request's Connection header names one that must not be dropped on the way")]
    Connection,
}

/// What a look at the headers found.
#[derive(Debug, Default)]
pub struct Inspected {
    /// Names of headers to take off, as the client wrote them.
    pub removals: Vec<Vec<u8>>,
    /// The last `Authorization`. If there is more than one, that is a problem.
    pub authorization: Option<Secret<Vec<u8>>>,
    /// Why the request is to be refused.
    pub problem: Option<HeaderProblem>,
    /// The method.
    pub method: Option<Vec<u8>>,
    /// The target, as far as headers tell.
    pub path: Option<Vec<u8>>,
    /// `https` or `http`, as the client came in.
    pub scheme: Option<Vec<u8>>,
    /// The client's `Host` (or `:authority`).
    pub host: Option<String>,
    /// The client's `User-Agent`.
    pub user_agent: Option<Vec<u8>>,
    /// The client's `Content-Type`.
    pub content_type: Option<String>,
    /// Whether `Content-Type` or `Content-Encoding` say that the body is something else than the text that it is sent as.
    pub encodes_body: bool,
    /// Headers that may name resources, their names in lower case.
    pub resource_headers: Vec<(String, String)>,
    /// The role that the caller asks for.
    pub requested_role: Option<String>,
    /// Whether `Content-Length` or `Transfer-Encoding` announce a body.
    pub announces_body: bool,
    /// Every certificate that a TLS terminator says it was shown.
    pub certificates: Vec<Vec<u8>>,
}

/// Looks at all headers at once: what must not reach the workspace, and what the gateway itself needs.
///
/// For hosts that hand over at most a hundred and do not say that there were more; otherwise as [`inspect_all_headers`].
#[must_use]
pub fn inspect_headers<'a>(headers: impl Iterator<Item = (&'a [u8], &'a [u8])>, own: &OwnHeaders) -> Inspected {
    let mut count = 0_usize;
    let counted = headers.inspect(|_| count = count.saturating_add(1));
    let mut seen = inspect_all_headers(counted, false, own);
    if count >= MOST_HEADERS {
        seen.problem = Some(HeaderProblem::TooMany);
    }
    seen
}

/// Looks at all headers at once; `has_more` says that there are some that the host does not hand over, and `own` which are the gateway's own
/// beside those that always are.
///
/// Names are compared without case, `_` taken for `-`: servers behind the gateway may do the same (CVE-2025-64484).
#[must_use]
pub fn inspect_all_headers<'a>(
    headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    has_more: bool,
    own: &OwnHeaders,
) -> Inspected {
    let mut seen = Inspected::default();
    let mut room = [0; FOLDED];
    for (name, value) in headers {
        let folded = fold(name, &mut room);
        seen.read(&folded, name, value);
        if own.certificate.as_deref() == Some(&folded) && !name.contains(&b'_') {
            seen.certificates.push(value.to_vec());
        }
        if is_ours(&folded) || own.has(&folded) || names_ours(&folded, value, own) {
            seen.removals.push(name.to_vec());
        }
        if folded == "connection" && lists(value, |name| must_not_be_dropped(name) || own.has(name)) {
            seen.problem = Some(HeaderProblem::Connection);
        }
    }
    if has_more {
        seen.problem = Some(HeaderProblem::TooMany);
    }
    seen
}

impl Inspected {
    /// Refuses a request in which a header that must be taken off stands twice.
    pub fn refuse_repeated(&mut self) {
        let stands_before = |(place, name): (usize, &Vec<u8>)| {
            self.removals.iter().take(place).any(|other| other.eq_ignore_ascii_case(name))
        };
        if self.removals.iter().enumerate().any(stands_before) {
            self.problem.get_or_insert(HeaderProblem::Repeated);
        }
    }

    fn read(&mut self, folded: &str, name: &[u8], value: &[u8]) {
        let text = || std::str::from_utf8(value).ok().map(str::to_owned);
        // twins with `_` are taken off, not believed
        match if name.contains(&b'_') || std::str::from_utf8(name).is_err() { "" } else { folded } {
            "authorization" => {
                let before = self.authorization.replace(Secret::new(value.to_vec()));
                // hosts may join two headers to one, and no token has a comma
                if before.is_some() || value.contains(&b',') {
                    self.problem = Some(HeaderProblem::RepeatedAuthorization);
                }
            }
            "x-databricks-role" if self.requested_role.is_some() || text().is_none() => {
                self.problem = Some(HeaderProblem::Role);
            }
            "x-databricks-role" => self.requested_role = text(),
            ":method" => self.method = Some(value.to_vec()),
            ":path" => self.path = Some(value.to_vec()),
            ":scheme" => self.scheme = Some(value.to_vec()),
            "host" => self.host = text(),
            ":authority" if self.host.is_none() => self.host = text(),
            "user-agent" => self.user_agent = Some(value.to_vec()),
            "content-type" => {
                self.encodes_body |= self.content_type.is_some();
                self.content_type = text();
            }
            "content-length" => self.announces_body |= value != b"0",
            "transfer-encoding" => self.announces_body = true,
            _ if may_name_resources(folded) && !is_ours(folded) => {
                self.resource_headers.extend(text().map(|value| (folded.to_owned(), value)));
            }
            _ => {}
        }
        // a twin of these may be believed behind the gateway
        match folded {
            // Envoy joins two headers to one, and no type has a comma
            "content-type" => {
                self.encodes_body |= text().is_none_or(|value| value.contains(',') || names_other_charset(&value));
            }
            "content-encoding" => self.encodes_body |= !value.trim_ascii().eq_ignore_ascii_case(b"identity"),
            _ => {}
        }
        if is_method_override(folded) {
            self.problem = Some(HeaderProblem::MethodOverride);
        }
    }
}

/// Longer names are folded too, at greater cost; none that matters is longer.
const FOLDED: usize = 64;

/// A header's name in lower case, `_` taken for `-`; `room` is for it to stand in.
fn fold<'t>(name: &[u8], room: &'t mut [u8; FOLDED]) -> Cow<'t, str> {
    if let Some(folded) = room.get_mut(..name.len())
        && name.is_ascii()
    {
        for (folded, byte) in folded.iter_mut().zip(name) {
            *folded = if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        }
        return Cow::Borrowed(std::str::from_utf8(folded).unwrap_or_default());
    }
    Cow::Owned(String::from_utf8_lossy(name).to_ascii_lowercase().replace('_', "-"))
}

/// Whether a `Content-Type` asks for another encoding of text than JSON has (RFC 8259 section 8.1).
fn names_other_charset(content_type: &str) -> bool {
    let lower = content_type.to_ascii_lowercase();
    lower.split("charset").skip(1).any(|rest| {
        let charset = rest.trim_start_matches([' ', '=', '"', '\'']);
        !["utf-8", "utf8", "us-ascii"].iter().any(|known| {
            charset
                .strip_prefix(known)
                .is_some_and(|after| after.is_empty() || after.starts_with([';', '"', '\'', ' ']))
        })
    })
}

fn is_method_override(folded: &str) -> bool {
    matches!(folded, "x-http-method-override" | "x-http-method" | "x-method-override")
}

/// Headers that only the gateway may send to the workspace.
fn is_ours(folded: &str) -> bool {
    matches!(
        folded,
        "authorization"
            | "cookie"
            | "x-databricks-workspace-id"
            | "x-databricks-org-id"
            | "x-databricks-role"
            | "x-databricks-traffic-id"
            | "x-forwarded-access-token"
    ) || ["x-databricks-azure-", "x-databricks-gcp-", "x-databricks-kong-"]
        .iter()
        .any(|prefix| folded.starts_with(prefix))
}

/// Whether this is a header that makes the next server drop one of ours (CVE-2025-48865).
fn names_ours(folded: &str, value: &[u8], own: &OwnHeaders) -> bool {
    let hop_by_hop = matches!(folded, "connection" | "proxy-connection" | "keep-alive" | "te" | "trailer" | "upgrade");
    hop_by_hop && lists(value, |name| is_set_or_taken(name) || own.has(name))
}

/// Whether any of the names of headers in a list is such.
fn lists(value: &[u8], is_such: impl Fn(&str) -> bool) -> bool {
    let mut room = [0; FOLDED];
    value.split(|byte| *byte == b',').any(|name| is_such(&fold(name.trim_ascii(), &mut room)))
}

fn is_set_or_taken(folded: &str) -> bool {
    is_ours(folded) || folded == "user-agent"
}

/// Headers without which the next server would read another request: Kong 3.9.3 drops what `Connection` names before it frames the
/// body (CVE-2026-6338), and after plugins and filters have set theirs.
fn must_not_be_dropped(folded: &str) -> bool {
    is_set_or_taken(folded)
        || matches!(folded, "content-length" | "transfer-encoding" | "host" | "content-type" | "content-encoding")
}

/// Whether this is `name=value`.
fn is_field(pair: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.%+[]".contains(byte);
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    !name.is_empty() && name.len() < pair.len() && name.iter().all(is_name)
}

impl Request {
    /// The head of the request `id`, as far as it can be read.
    ///
    /// `target` is what will be sent, `has_body` whether a body follows, `shared` what the configuration's secrets need.
    #[must_use]
    pub fn new(
        id: RequestId,
        mut seen: Inspected,
        target: Vec<u8>,
        has_body: bool,
        shared: SharedSecrets,
    ) -> Option<Self> {
        let method = String::from_utf8(seen.method.take()?).ok()?;
        let certificate = match seen.certificates.as_slice() {
            [] => Shown::Nothing,
            [only] => Shown::read(only, CertificateDigest::of_field),
            // which of them is the terminator's nobody can tell
            _ => Shown::Unreadable,
        };
        Some(Self { id, method, target, has_body, seen, shared, certificate })
    }

    /// The same, with the certificate that the host says the client has shown.
    #[must_use]
    pub fn with_certificate(self, certificate: Shown) -> Self {
        Self { certificate, ..self }
    }

    /// Reads what the request asks for.
    ///
    /// # Errors
    /// It could be understood in two ways.
    pub(super) fn route(self, workspace_id: Option<&str>) -> Result<Box<Routed>, Refusal> {
        let Self { id, method, target, has_body, seen, shared, certificate } = self;
        if let Some(problem) = seen.problem {
            return Err(problem.into());
        }
        let target = Target::parse(&target)?.into_owned();
        target.check_routing(workspace_id)?;
        let operation = Catalogue::find(&method, target.path());
        // servers differ in whether they read a body there, but where official clients send one they do
        let takes_body = || operation.is_some_and(takes_body_on_get);
        let bodiless = matches!(method.as_str(), "GET" | "HEAD") && !(has_body && takes_body());
        if has_body && bodiless {
            return Err(Refusal::Ambiguous(format!("a {method} request must not have a body")));
        }
        Ok(Box::new(Routed { id, method, target, operation, has_body, bodiless, seen, shared, certificate }))
    }
}

impl Routed {
    /// Whether a body can be read as the JSON text that it seems to be, and as nothing else.
    ///
    /// `curl -d` says of every body that it is a form, so that is no reason to refuse one; that it has the fields of a form is.
    pub(super) fn has_plain_body(&self, body: &[u8]) -> bool {
        let content_type = self.seen.content_type.as_deref().unwrap_or_default().trim_start().to_ascii_lowercase();
        let has_fields = || body.split(|byte| *byte == b'&').skip(1).any(is_field);
        let is_form = content_type.starts_with("multipart/")
            || (content_type.starts_with("application/x-www-form-urlencoded") && has_fields());
        !(self.seen.encodes_body || is_form)
    }

    /// The content type, if the body is a form that the operation takes and that nothing encodes.
    pub(super) fn form_type(&self) -> Option<&str> {
        let content_type = self.seen.content_type.as_deref()?;
        let is_form = content_type.trim_start().to_ascii_lowercase().starts_with("multipart/");
        let is_taken = is_form && !self.seen.encodes_body && self.operation.is_some_and(takes_form);
        is_taken.then_some(content_type)
    }

    /// The bearer token (RFC 6750 section 2.1), the only form in which a caller may bring one.
    pub(super) fn take_bearer(&mut self) -> Result<Secret<String>, Refusal> {
        let value = self.seen.authorization.as_ref().ok_or(Refusal::TokenMissing)?;
        let text = std::str::from_utf8(value.expose()).map_err(|_| Refusal::TokenMissing)?;
        let (scheme, token) = text.trim().split_once(' ').ok_or(Refusal::TokenMissing)?;
        let token = token.trim_start();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(Refusal::TokenMissing);
        }
        // it is not copied: what stands before it and behind it goes
        let begin = token.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        let end = begin.saturating_add(token.len());
        let value = self.seen.authorization.take().ok_or(Refusal::TokenMissing)?;
        Ok(value.map(|bytes| {
            let mut text = String::from_utf8(bytes).unwrap_or_default();
            text.truncate(end);
            text.drain(..begin);
            text
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspect(headers: &[(&str, &str)]) -> Inspected {
        inspect_headers(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), &OwnHeaders::default())
    }

    fn removed(headers: &[(&str, &str)]) -> Vec<String> {
        inspect(headers).removals.into_iter().map(|name| String::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn what_only_the_gateway_may_send_is_taken_off() {
        for name in [
            "Authorization",
            "authorization",
            "AUTHORIZATION",
            "Cookie",
            "X-Databricks-Workspace-Id",
            "X-Databricks-Org-Id",
            "X-Databricks-Azure-SP-Management-Token",
            "X-Databricks-GCP-SA-Access-Token",
            "X-Databricks-Role",
            "X-Databricks-Kong-Identity",
            "x-databricks-traffic-id",
            "X-Forwarded-Access-Token",
            "X_Databricks_Org_Id",
            "x-databricks_org-id",
            "X_DATABRICKS_AZURE_X",
            "x_forwarded_access_token",
        ] {
            assert_eq!(removed(&[(name, "x")]), [name]);
        }
    }

    #[test]
    fn what_is_the_clients_stays() {
        let headers =
            ["Accept", "X-Databricks-Other", "X-Request-Id", "Content-Type", "X-Forwarded-For", "traceparent"];
        for name in headers {
            assert_eq!(removed(&[(name, "x")]), [""; 0], "{name}");
        }
    }

    #[test]
    fn what_the_host_says_in_headers_is_read() {
        let seen = inspect(&[
            (":method", "GET"),
            (":path", "/api/x"),
            (":scheme", "https"),
            (":authority", "gw"),
            ("User-Agent", "cli"),
        ]);
        let fields = [seen.method, seen.path, seen.scheme, seen.user_agent]
            .map(|field| field.map(|bytes| String::from_utf8(bytes).unwrap()));
        assert_eq!(fields.each_ref().map(Option::as_deref), [Some("GET"), Some("/api/x"), Some("https"), Some("cli")]);
        assert_eq!(seen.host.as_deref(), Some("gw"));
        // `:authority` lies on Kong, and `Host` stands before it or behind it
        for headers in [[("Host", "a"), (":authority", "b")], [(":authority", "b"), ("Host", "a")]] {
            assert_eq!(inspect(&headers).host.as_deref(), Some("a"));
        }
    }

    #[test]
    fn a_body_is_announced_by_its_length_or_its_encoding() {
        for (headers, announced) in [
            (vec![], false),
            (vec![("Content-Length", "0")], false),
            (vec![("Content-Length", "1")], true),
            (vec![("Content-Length", "1"), ("Content-Length", "0")], true),
            (vec![("Content-Length", "")], true),
            (vec![("Transfer-Encoding", "chunked")], true),
        ] {
            assert_eq!(inspect(&headers).announces_body, announced, "{headers:?}");
        }
    }

    #[test]
    fn hop_by_hop_headers_that_name_ours_are_taken_off() {
        for value in ["authorization", "keep-alive, Authorization", "close,X-Databricks-Org-Id", "User-Agent"] {
            assert_eq!(removed(&[("Connection", value)]), ["Connection"], "{value}");
        }
        for value in ["keep-alive", "close", "Upgrade", "x-other"] {
            assert_eq!(removed(&[("Connection", value)]), [""; 0], "{value}");
        }
    }

    #[test]
    fn a_connection_header_must_not_name_what_frames_the_request_or_what_the_gateway_sets() {
        for value in [
            "content-length",
            "keep-alive, Content-Length",
            "close ,\tTRANSFER-ENCODING",
            "host",
            "content_length",
            "Content-Type",
            "authorization",
            "user-agent",
            "x-databricks-org-id",
            "X-Databricks-GCP-SA-Access-Token",
            "cookie",
        ] {
            assert_eq!(inspect(&[("Connection", value)]).problem, Some(HeaderProblem::Connection), "{value}");
        }
        for value in ["keep-alive", "close", "Upgrade", "x-other", "", ",", "te", "content-length-x"] {
            assert_eq!(inspect(&[("connection", value)]).problem, None, "{value}");
        }
    }

    #[test]
    fn what_the_configuration_calls_the_gateways_own_is_taken_off_and_must_not_be_dropped() {
        let own = OwnHeaders { identity: Some("x-caller".into()), certificate: Some("client-cert".into()) };
        let look = |headers: &[(&str, &str)]| {
            inspect_headers(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), &own)
        };
        for name in ["X-Caller", "x_caller", "Client-Cert", "CLIENT_CERT"] {
            assert_eq!(look(&[(name, "x")]).removals, [name.as_bytes()]);
            assert!(inspect(&[(name, "x")]).removals.is_empty(), "{name}");
        }
        for value in ["x-caller", "close, Client-Cert"] {
            let seen = look(&[("Connection", value)]);
            assert_eq!((seen.problem, seen.removals.len()), (Some(HeaderProblem::Connection), 1), "{value}");
        }
        let seen = look(&[("Client-Cert", ":AA==:"), ("client_cert", ":BB==:"), ("Client-Cert", ":CC==:")]);
        assert_eq!(seen.certificates, [b":AA==:".to_vec(), b":CC==:".to_vec()], "a twin is not believed");
    }

    #[test]
    fn a_second_authorization_is_a_problem_and_a_twin_is_not_believed() {
        let twice = inspect(&[("Authorization", "a"), ("authorization", "b")]);
        assert_eq!(twice.problem, Some(HeaderProblem::RepeatedAuthorization));
        let twin = inspect(&[("X_Databricks_Role", "admin")]);
        assert_eq!((twin.requested_role, twin.removals.len()), (None, 1));
    }

    #[test]
    fn a_header_that_must_be_taken_off_twice_can_be_refused() {
        let mut once = inspect(&[("X-Databricks-Org-Id", "1"), ("X_Databricks_Org_Id", "1"), ("Cookie", "a")]);
        once.refuse_repeated();
        assert_eq!(once.problem, None);
        let mut twice = inspect(&[("X-Databricks-Org-Id", "1"), ("x-databricks-org-id", "2")]);
        twice.refuse_repeated();
        assert_eq!(twice.problem, Some(HeaderProblem::Repeated));
    }

    #[test]
    fn twins_of_headers_that_name_resources_are_read_with_them() {
        let seen = inspect(&[("X-Databricks-Cluster-Id", "a"), ("x_databricks_cluster_id", "b")]);
        let named: Vec<_> = seen.resource_headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(named, [("x-databricks-cluster-id", "a"), ("x-databricks-cluster-id", "b")]);
        let others = inspect(&[("Cluster-Id", "a"), ("X-Databricks-Role", "r"), ("X-Databricks-Org-Id", "1")]);
        assert!(others.resource_headers.is_empty());
    }

    fn has_plain_body(headers: &[(&str, &str)], body: &str) -> bool {
        let seen = inspect(&[&[(":method", "POST")], headers].concat());
        let request = Request::new(RequestId::unknown(), seen, b"/".to_vec(), true, SharedSecrets::default()).unwrap();
        request.route(None).unwrap().has_plain_body(body.as_bytes())
    }

    #[test]
    fn a_body_that_is_json_and_nothing_else_is_plain() {
        for headers in [
            &[][..],
            &[("Content-Type", "application/json")],
            &[("Content-Type", "application/json; charset=UTF-8")],
            &[("Content-Type", "application/json;charset=\"utf-8\"")],
            &[("content-type", "application/x-www-form-urlencoded")],
            &[("Content-Encoding", "identity")],
        ] {
            for body in
                ["{}", r#"{"statement":"select a = 1 & 2"}"#, r#"{"statement":"a &= 1"}"#, r#"{"statement":"a&b&c"}"#]
            {
                assert!(has_plain_body(headers, body), "{headers:?} {body}");
            }
        }
    }

    #[test]
    fn a_body_that_may_be_something_else_is_not_plain() {
        for headers in [
            &[("Content-Encoding", "gzip")][..],
            &[("Content-Encoding", "identity"), ("Content-Encoding", "br")],
            &[("content_encoding", "x")],
            &[("Content-Encoding", "")],
            &[("Content-Type", "application/json; charset=utf-16")],
            &[("Content-Type", "application/json; charset = UTF-7")],
            &[("Content-Type", "application/json; charset=utf-8; charset=utf-7")],
            &[("Content-Type", "application/json; charset=utf-8x")],
            &[("content_type", "text/plain; charset=ibm037")],
            &[("Content-Type", "application/json"), ("Content-Type", "application/json")],
            &[("Content-Type", "application/json,multipart/form-data; boundary=b")],
            &[("Content-Type", "multipart/form-data; boundary=b")],
        ] {
            assert!(!has_plain_body(headers, "{}"), "{headers:?}");
        }
        let form = [("Content-Type", "Application/x-www-form-urlencoded; charset=utf-8")];
        assert!(!has_plain_body(&form, r#"{"x":"&job_id=102&"}"#));
        assert!(!has_plain_body(&form, r#"{"x":"&job%5Fid=102"}"#));
    }

    #[test]
    fn method_overrides_are_a_problem_in_every_spelling() {
        for name in ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X_HTTP_METHOD_OVERRIDE"] {
            assert_eq!(inspect(&[(name, "DELETE")]).problem, Some(HeaderProblem::MethodOverride), "{name}");
        }
    }

    #[test]
    fn as_many_headers_as_a_host_shows_may_be_more() {
        let most: Vec<_> = (0..MOST_HEADERS).map(|_| ("x-a", "b")).collect();
        assert_eq!(inspect(&most).problem, Some(HeaderProblem::TooMany));
        assert_eq!(inspect(most.split_first().unwrap().1).problem, None);
    }

    #[test]
    fn names_that_are_not_text_are_no_trouble() {
        let headers = [(&b"x-\xff"[..], &b"\xfe"[..]), (b"authorization", b"\xff")];
        let seen = inspect_headers(headers.into_iter(), &OwnHeaders::default());
        assert_eq!((seen.removals.len(), seen.authorization.is_some()), (1, true));
    }
}
