//! `GET /feed/<provider>`: what gateways read.

use super::{App, for_now, problem, shows, unauthorized};
use crate::clock;
use crate::metrics::OfFeed;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

pub(super) async fn read(State(app): State<App>, Path(provider): Path<String>, headers: HeaderMap) -> Response {
    if !shows(app.config.feed.as_ref(), &headers) {
        return unauthorized(&app);
    }
    let Some(feed) = app.feeds.of(&provider) else {
        return problem(StatusCode::NOT_FOUND, "there is no identity provider of this name");
    };
    let answer = if !app.feeds.are_confirmed(clock::now()) {
        for_now("the database does not answer, so the feed may lack revocations")
    } else {
        // may be kept, and has to be asked about each time
        let tags = [(header::ETAG, feed.etag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
        if has(&headers, &feed.etag) {
            (StatusCode::NOT_MODIFIED, tags).into_response()
        } else {
            (tags, [(header::CONTENT_TYPE, "application/json")], feed.body.clone()).into_response()
        }
    };
    app.metrics.feeds.get_or_create(&OfFeed { provider, status: u32::from(answer.status().as_u16()) }).inc();
    answer
}

/// Whether the asker has this version already (RFC 9110 13.1.2: compared weakly).
fn has(headers: &HeaderMap, etag: &str) -> bool {
    let asked = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = asked.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_version_that_the_asker_has_is_known_by_its_tag() {
        let asked = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            }
            has(&headers, "\"a\"")
        };
        for values in [&["\"a\""][..], &["W/\"a\""], &["\"b\", \"a\""], &["\"b\"", "\"a\""], &["*"]] {
            assert!(asked(values), "{values:?}");
        }
        for values in [&[][..], &["\"b\""], &["a"], &["\"a"], &[""]] {
            assert!(!asked(values), "{values:?}");
        }
    }
}
