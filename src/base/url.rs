//! Addresses that a callout may go to.

use http::Uri;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// An absolute `https` or `http` URL: scheme, host, port, path and query; no user, no fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    tls: bool,
    host: String,
    port: Option<u16>,
    path: String,
}

/// Why a text is not a usable URL; each says what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Not of the form `https://host/path`.
    #[error("is not a url of the form https://host/path")]
    Malformed,
    /// Another scheme than http and https.
    #[error("must begin with https://")]
    Scheme,
    /// `user@host`.
    #[error("must not hold a user name or password")]
    UserInfo,
    /// `#…`.
    #[error("must not hold a fragment (`#`)")]
    Fragment,
}

impl Url {
    /// Reads `text`, which must be plain ASCII without blanks.
    ///
    /// # Errors
    /// Says what is wrong with the text, to be shown beside it.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        if text.contains('#') {
            return Err(UrlFault::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| UrlFault::Malformed)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(UrlFault::Scheme),
            None => return Err(UrlFault::Malformed),
        };
        let authority = uri.authority().ok_or(UrlFault::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(UrlFault::UserInfo);
        }
        let host = authority.host().to_ascii_lowercase();
        // a host that Kong cannot dial ends its worker's instance, so nothing unusual passes
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_ip6 = || {
            host.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
        };
        if host.is_empty() || !(host.bytes().all(plain) || is_ip6()) {
            return Err(UrlFault::Malformed);
        }
        // `http` accepts `host:` and `host:99999`; a port that is there must be one
        let has_port = authority.as_str().len() > host.len();
        let port = authority.port_u16();
        if has_port && port.is_none_or(|port| port == 0) {
            return Err(UrlFault::Malformed);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { tls, host, port, path })
    }

    /// Whether the scheme is https.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.tls
    }

    /// Whether the host is `localhost` or a loopback address, so that plain http stays on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether a callout may go there: https anywhere, http on this machine, or anywhere if `allow_http`.
    #[must_use]
    pub fn may_be_called(&self, allow_http: bool) -> bool {
        self.tls || allow_http || self.is_loopback()
    }

    /// `https` or `http`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The host in lower case, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `host` or `host:port`, as the `Host` header has it.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// `host:port` with the scheme's port where none was written: what a connection goes to.
    #[must_use]
    pub fn dial(&self) -> String {
        format!("{}:{}", self.host, self.port.unwrap_or(if self.tls { 443 } else { 80 }))
    }

    /// Path and query, beginning with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same scheme, host and port with another path.
    #[must_use]
    pub fn with_path(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// Without a trailing slash: for urls to which a path is appended.
    #[must_use]
    pub fn base(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority(), self.path.trim_end_matches('/'))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_scheme_host_port_and_path() {
        let url = Url::parse("https://Example.okta.com/oauth2/default").unwrap();
        assert_eq!((url.is_https(), url.host(), url.path()), (true, "example.okta.com", "/oauth2/default"));
        assert_eq!(url.dial(), "example.okta.com:443");
        assert_eq!(url.authority(), "example.okta.com");
        let url = Url::parse("http://127.0.0.1:8080").unwrap();
        assert_eq!((url.dial().as_str(), url.path(), url.is_loopback()), ("127.0.0.1:8080", "/", true));
        assert_eq!(Url::parse("http://[::1]:9/x?y=z").unwrap().dial(), "[::1]:9");
        assert!(Url::parse("http://[::1]:9/").unwrap().is_loopback());
    }

    #[test]
    fn a_base_has_no_trailing_slash() {
        assert_eq!(Url::parse("https://t.eu.auth0.com/").unwrap().base(), "https://t.eu.auth0.com");
        assert_eq!(Url::parse("https://gw/prod").unwrap().base(), "https://gw/prod");
    }

    #[test]
    fn refuses_what_no_callout_can_use() {
        for (text, fault) in [
            ("example.com/x", UrlFault::Malformed),
            ("/x", UrlFault::Malformed),
            ("https://", UrlFault::Malformed),
            ("https://host:/x", UrlFault::Malformed),
            ("https://host:0/x", UrlFault::Malformed),
            ("https://host:99999/x", UrlFault::Malformed),
            ("https://ho st/x", UrlFault::Malformed),
            ("https://ho%20st/x", UrlFault::Malformed),
            ("https://a!b/x", UrlFault::Malformed),
            ("https://[::g]/x", UrlFault::Malformed),
            ("https://host/\r\nx", UrlFault::Malformed),
            ("ftp://host/x", UrlFault::Scheme),
            ("https://user@host/x", UrlFault::UserInfo),
            ("https://host/x#y", UrlFault::Fragment),
        ] {
            assert_eq!(Url::parse(text).err(), Some(fault), "{text}");
        }
    }

    #[test]
    fn a_name_that_only_looks_like_loopback_is_not() {
        for text in ["http://127.0.0.1.example.com/", "http://localhost.example.com/", "http://10.0.0.1/"] {
            assert!(!Url::parse(text).unwrap().is_loopback(), "{text}");
        }
    }
}
