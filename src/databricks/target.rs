//! The request target, refused where two readers could understand it differently.
//!
//! What is decided on is byte for byte what is sent on; nothing here is repaired.

use super::form::{Parameter, read_form};
use super::kind::is_plain_path;
use crate::base::{encoded_byte, percent_decoded};
use std::borrow::Cow;

/// A path and a query that can be read in one way only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    path: Cow<'a, str>,
    query: Vec<Parameter<'a>>,
}

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    /// Not of the form `/path?query`.
    #[error("the request target must be a path")]
    NotAPath,
    /// A control byte, a blank, a byte beyond ASCII, or `#`.
    #[error("the request target holds a character that must be percent-encoded")]
    RawCharacter,
    /// `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the request target holds a bad percent-encoding")]
    Encoding,
    /// An encoded slash, backslash, dot, control character or percent sign that encodes again, a backslash or `;`.
    #[error("the path holds a character that servers read differently")]
    PathCharacter,
    /// A percent-encoded letter, digit, `-`, `_` or `~`, which needs no encoding.
    #[error("the path encodes a character that needs no encoding")]
    NotCanonical,
    /// `//`, `/./` or `/../`.
    #[error("the path holds an empty segment or a dot segment")]
    Segment,
    /// A bare `;` or an encoded control character.
    #[error("the query holds a character that servers read differently")]
    QueryCharacter,
    /// A parameter that names a resource stands twice.
    #[error("a query parameter that names a resource is repeated")]
    RepeatedParameter,
    /// `o`, `w` or a workspace in the path that is not the configured one.
    #[error("the request asks for another workspace")]
    OtherWorkspace,
    /// `a`, `aid` or `access_token`.
    #[error("the query holds a parameter that would change whom the request runs as")]
    IdentityParameter,
    /// `_method` and the like.
    #[error("the request overrides its method by a query parameter")]
    MethodOverride,
}

impl<'a> Target<'a> {
    /// Reads the bytes that the host will send.
    ///
    /// # Errors
    /// The request is to be refused; see [`Ambiguity`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Ambiguity> {
        if bytes.iter().any(|byte| !matches!(byte, 0x21..=0x7e) || *byte == b'#') {
            return Err(Ambiguity::RawCharacter);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Ambiguity::Encoding)?;
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        check_path(path)?;
        Ok(Self { path: Cow::Borrowed(path), query: read_query(query)? })
    }

    /// The path, as it is sent.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same target, on its own.
    #[must_use]
    pub fn into_owned(self) -> Target<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let query = self.query.into_iter().map(|(name, value)| (owned(name), owned(value)));
        Target { path: owned(self.path), query: query.collect() }
    }

    /// The values of a query parameter, decoded.
    pub fn parameter(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// All query parameters in their order, decoded.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter<'a>] {
        &self.query
    }

    /// The names of all query parameters, decoded.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.query.iter().map(|(name, _)| name.as_ref())
    }

    /// Checks the parameters by which Databricks' shared hosts choose the workspace (`o`, `w`) or the identity (`a`, `aid`), and the
    /// workspace that a path names (`/sql/protocolv1/o/<workspace>/<cluster>`).
    ///
    /// # Errors
    /// The request asks for something else than `workspace_id`, or for what the gateway alone decides.
    pub fn check_routing(&self, workspace_id: Option<&str>) -> Result<(), Ambiguity> {
        if self.workspace_in_path().is_some_and(|named| Some(named) != workspace_id) {
            return Err(Ambiguity::OtherWorkspace);
        }
        for (key, value) in &self.query {
            let is_one_of = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(key));
            if is_one_of(&["o", "w"]) && Some(value.as_ref()) != workspace_id {
                return Err(Ambiguity::OtherWorkspace);
            }
            if is_one_of(&["a", "aid", "access_token"]) {
                return Err(Ambiguity::IdentityParameter);
            }
            if is_method_override(key) {
                return Err(Ambiguity::MethodOverride);
            }
        }
        Ok(())
    }

    /// Databricks' words for it are `o`, for `org`, and `workspaces`.
    fn workspace_in_path(&self) -> Option<&str> {
        let path = self.path.strip_prefix('/')?;
        WORKSPACES.iter().find_map(|before| {
            let mut segments = path.split('/');
            let is_there = |expected: &&str| segments.next().is_some_and(|one| is_like(expected, one));
            if before.iter().all(is_there) { segments.next() } else { None }
        })
    }
}

/// What stands before the id of a workspace in a path; `*` is any segment.
const WORKSPACES: [&[&str]; 5] = [
    &["sql", "protocolv1", "o"],
    &["driver-proxy-api", "o"],
    &["driver-proxy", "o"],
    &["driver-proxy-http", "o"],
    &["api", "*", "ai-search", "workspaces"],
];

fn is_like(expected: &str, segment: &str) -> bool {
    expected == "*" || expected.eq_ignore_ascii_case(segment)
}

/// What the paths of files begin with: what follows is one parameter, which the Databricks CLI sends with its slashes encoded
/// (libs/filer: `url.PathEscape` of the whole path).
pub(super) const FILES: [&str; 5] = [
    "/api/2.0/workspace-files/import-file/",
    "/api/2.0/workspace-files/",
    "/api/2.0/fs/files/",
    "/api/3.0/fs/files/",
    "/api/2.0/fs/directories/",
];

/// Whether an encoded slash at `at` stands in the last parameter of a template where that parameter is a path.
fn is_in_files(path: &str, at: usize) -> bool {
    FILES.iter().any(|begin| path.starts_with(begin) && at >= begin.len())
}

/// The header's names, and those that web frameworks look for in the query.
fn is_method_override(parameter: &str) -> bool {
    let dashed = parameter.bytes().map(|byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() });
    ["-method", "-httpmethod", "x-http-method-override", "x-http-method", "x-method-override"]
        .iter()
        .any(|name| name.len() == parameter.len() && name.bytes().eq(dashed.clone()))
}

fn check_path(path: &str) -> Result<(), Ambiguity> {
    let segments = path.strip_prefix('/').ok_or(Ambiguity::NotAPath)?;
    if path.contains(['\\', ';']) {
        return Err(Ambiguity::PathCharacter);
    }
    // most paths encode nothing
    if path.contains('%') {
        check_encodings(path)?;
    }
    // one slash at the end makes an empty last segment, which is as far from ambiguous as its absence
    let segments = segments.strip_suffix('/').unwrap_or(segments);
    let dubious = |segment: &str| matches!(segment, "" | "." | "..");
    if path.len() > 1 && segments.split('/').any(dubious) { Err(Ambiguity::Segment) } else { Ok(()) }
}

fn check_encodings(path: &str) -> Result<(), Ambiguity> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    let mut has_encoded_slash = false;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            decoded.push(byte);
            rest = after;
            continue;
        }
        let at = path.len().saturating_sub(rest.len());
        let (byte, after) = encoded_byte(after).ok_or(Ambiguity::Encoding)?;
        match byte {
            b'/' if is_in_files(path, at) => {
                has_encoded_slash = true;
                decoded.push(b'_');
            }
            b'/' | b'\\' | b'.' | b';' | 0x00..=0x1f | 0x7f => return Err(Ambiguity::PathCharacter),
            // `%2541`: whoever decodes twice reads something else
            b'%' if encoded_byte(after).is_some() => return Err(Ambiguity::PathCharacter),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => return Err(Ambiguity::NotCanonical),
            _ => decoded.push(byte),
        }
        rest = after;
    }
    if std::str::from_utf8(&decoded).is_err() {
        return Err(Ambiguity::Encoding);
    }
    if has_encoded_slash && !is_plain_when_decoded(path) {
        return Err(Ambiguity::PathCharacter);
    }
    Ok(())
}

/// Whether the path of a file, its slashes decoded, is one that every reader walks alike.
fn is_plain_when_decoded(path: &str) -> bool {
    let file = FILES.iter().find_map(|begin| path.strip_prefix(begin)).and_then(percent_decoded);
    file.is_some_and(|file| is_plain_path(&file) && !file.starts_with('/') && !file.contains(['%', '\\', ';']))
}

fn read_query(query: &str) -> Result<Vec<Parameter<'_>>, Ambiguity> {
    let parameters = read_form(query)?;
    let is_repeated = |(place, (name, _)): (usize, &Parameter<'_>)| {
        let before = parameters.iter().take(place);
        names_a_resource(name) && before.into_iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    if parameters.iter().enumerate().any(is_repeated) {
        return Err(Ambiguity::RepeatedParameter);
    }
    Ok(parameters)
}

fn names_a_resource(parameter: &str) -> bool {
    let name = parameter.as_bytes();
    let ends_with = |end: &[u8]| {
        name.len() >= end.len() && name.iter().rev().zip(end.iter().rev()).all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    ends_with(b"id")
        || ends_with(b"name")
        || ["o", "w", "a", "path", "scope", "key"].iter().any(|known| known.eq_ignore_ascii_case(parameter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_targets_pass_and_are_read() {
        let target = Target::parse(b"/api/2.1/jobs/get?job_id=101&expand=a+b%2Fc&expand=x").unwrap();
        assert_eq!(target.path(), "/api/2.1/jobs/get");
        assert_eq!(target.parameter("job_id").collect::<Vec<_>>(), ["101"]);
        assert_eq!(target.parameter("expand").collect::<Vec<_>>(), ["a b/c", "x"]);
        for plain in [
            "/",
            "/api/",
            "/a?",
            "/a?b",
            "/a?x=%25",
            "/api/2.0/fs/files/Volumes/main/s/v/a%20b.csv",
            "/x/@me/a:b/$x",
            "/a/50%25",
            "/%C3%A9",
            "/a?b=%2e%2e",
        ] {
            assert!(Target::parse(plain.as_bytes()).is_ok(), "{plain}");
        }
    }

    #[test]
    fn ambiguous_targets_are_refused() {
        use Ambiguity::*;
        for (target, why) in [
            ("", NotAPath),
            ("*", NotAPath),
            ("http://evil/api", NotAPath),
            ("api/2.1", NotAPath),
            ("/a b", RawCharacter),
            ("/a\0", RawCharacter),
            ("/é", RawCharacter),
            ("/a#b", RawCharacter),
            ("/a?b#c", RawCharacter),
            ("/a%2", Encoding),
            ("/a%zz", Encoding),
            ("/a%", Encoding),
            ("/%ff", Encoding),
            ("/%c3%28", Encoding),
            ("/a%2Fb", PathCharacter),
            ("/a%2fb", PathCharacter),
            ("/a%5Cb", PathCharacter),
            ("/a\\b", PathCharacter),
            ("/%2e%2e/a", PathCharacter),
            ("/a%00", PathCharacter),
            ("/a%0d%0aX", PathCharacter),
            ("/a;b=c", PathCharacter),
            ("/a%3Bb", PathCharacter),
            ("/a%252Fb", PathCharacter),
            ("/%61pi", NotCanonical),
            ("/a%2Db", NotCanonical),
            ("//a", Segment),
            ("//", Segment),
            ("/a//b", Segment),
            ("/a//", Segment),
            ("/./a", Segment),
            ("/a/../b", Segment),
            ("/a/..", Segment),
            ("/..", Segment),
            ("/a?x=%zz", Encoding),
            ("/a?x=%ff", Encoding),
            ("/a?x=1;y=2", QueryCharacter),
            ("/a?x=%00", QueryCharacter),
            ("/a?job_id=1&job_id=2", RepeatedParameter),
            ("/a?job_id=1&job%5fid=2", RepeatedParameter),
            ("/a?job_id=1&JOB_ID=2", RepeatedParameter),
            ("/a?path=/x&path=/y", RepeatedParameter),
            ("/a?catalog_name=x&catalog_name=y", RepeatedParameter),
        ] {
            assert_eq!(Target::parse(target.as_bytes()).err(), Some(why), "{target:?}");
        }
    }

    #[test]
    fn the_path_of_a_file_may_have_its_slashes_encoded() {
        for plain in [
            "/api/2.0/workspace-files/import-file/Workspace%2FUsers%2Fa%40x%2Ff.py?overwrite=true",
            "/api/2.0/workspace-files/import-file/Shared%2fa%20b",
            "/api/2.0/fs/files/Volumes%2Fmain%2Fs%2Fv%2Fx",
            "/api/2.0/fs/directories/Volumes/main/s/v/a%2Fb",
        ] {
            assert!(Target::parse(plain.as_bytes()).is_ok(), "{plain}");
        }
        for file in [
            "%2FUsers",
            "a%2F%2Fb",
            "a%2F..%2Fb",
            "a%2F.%2Fb",
            "a%2Fb%3Bc",
            "a%2Fb%5Cc",
            "a%2F%2525",
            "a%2F%00",
            "..%2Fb",
            "a/..%2Fb",
        ] {
            let target = format!("/api/2.0/workspace-files/import-file/{file}");
            assert_eq!(Target::parse(target.as_bytes()).err(), Some(Ambiguity::PathCharacter), "{target}");
        }
        for elsewhere in [
            "/api/2.0/workspace-files%2Fimport-file/a",
            "/api/2.0/fs%2Ffiles/a%2Fb",
            "/api/2.0/apps/a%2Fb",
            "/api/2.0/FS/files/a%2Fb",
        ] {
            assert_eq!(Target::parse(elsewhere.as_bytes()).err(), Some(Ambiguity::PathCharacter), "{elsewhere}");
        }
    }

    #[test]
    fn the_workspace_in_a_path_must_be_the_own() {
        let check = |target: &str, id| Target::parse(target.as_bytes()).unwrap().check_routing(id);
        for begin in ["/sql/protocolv1/o", "/driver-proxy-api/o", "/driver-proxy/o", "/SQL/protocolV1/O"] {
            assert_eq!(check(&format!("{begin}/7/c-1"), Some("7")), Ok(()), "{begin}");
            for other in ["8", "0", "07", ""] {
                if !other.is_empty() {
                    assert_eq!(
                        check(&format!("{begin}/{other}/c"), Some("7")),
                        Err(Ambiguity::OtherWorkspace),
                        "{begin} {other}"
                    );
                }
            }
            assert_eq!(check(&format!("{begin}/7/c"), None), Err(Ambiguity::OtherWorkspace));
        }
        assert_eq!(check("/sql/1.0/warehouses/8", Some("7")), Ok(()));
    }

    #[test]
    fn only_the_own_workspace_may_be_asked_for() {
        let check = |target: &str, id| Target::parse(target.as_bytes()).unwrap().check_routing(id);
        assert_eq!(check("/a?o=7&w=7", Some("7")), Ok(()));
        for target in ["/a?o=8", "/a?w=8", "/a?O=8", "/a?o=", "/a?%6f=8"] {
            assert_eq!(check(target, Some("7")), Err(Ambiguity::OtherWorkspace), "{target}");
        }
        assert_eq!(check("/a?o=7", None), Err(Ambiguity::OtherWorkspace));
    }

    #[test]
    fn parameters_that_change_the_method_are_refused() {
        for target in ["/a?_method=GET", "/a?x=y&%5FMETHOD=x", "/a?X-HTTP-Method-Override=x", "/a?x_http_method=x"] {
            let target = Target::parse(target.as_bytes()).unwrap();
            assert_eq!(target.check_routing(None), Err(Ambiguity::MethodOverride), "{target:?}");
        }
        assert_eq!(Target::parse(b"/a?method=GET&http_method=GET").unwrap().check_routing(None), Ok(()));
    }

    #[test]
    fn parameters_that_change_the_identity_are_refused() {
        for target in ["/a?a=1", "/a?aid=7", "/a?AID=7", "/a?access_token=x", "/a?x=y&access%5Ftoken=x"] {
            let target = Target::parse(target.as_bytes()).unwrap();
            assert_eq!(target.check_routing(Some("7")), Err(Ambiguity::IdentityParameter), "{target:?}");
        }
        assert_eq!(Target::parse(b"/a?aide=1&b=a").unwrap().check_routing(None), Ok(()));
    }
}
