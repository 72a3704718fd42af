//! `/revocations`: an administrator's word, with the secret.

use super::{App, bytes, for_now, json_answer, problem, shows, unauthorized};
use crate::clock;
use crate::entry::{Entry, Kind};
use crate::ledger::{self, Cut, Effect, Record};
use crate::store::StoreError;
use crate::subject::is_value;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use databricks_kong::base::UnixTime;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

/// What an administrator asks for, over HTTP and on the command line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The identity provider whose tokens are meant.
    pub provider: String,
    /// By what they are known.
    pub kind: Kind,
    /// Its value; absent for everyone.
    pub value: Option<String>,
    /// Only tokens issued before this second; without it, all of them.
    pub before: Option<u64>,
    /// The second from which on the entry is gone; without it, it stays until it is removed.
    pub until: Option<u64>,
    /// Why, for `list`.
    pub note: Option<String>,
}

impl Wish {
    /// What to write at `now`.
    ///
    /// # Errors
    /// What is wrong with the wish, and what to do.
    pub fn record(&self, now: UnixTime) -> Result<Record, String> {
        let value = match (self.kind, &self.value) {
            (Kind::Everyone, None) => String::new(),
            (Kind::Everyone, Some(_)) => return Err("`everyone` takes no value".to_owned()),
            (_, Some(value)) if is_value(value) => value.clone(),
            (_, Some(_)) => {
                return Err("the value must be a text of 1 to 1024 bytes without control characters".to_owned());
            }
            (kind, None) => return Err(format!("`{kind}` needs a value")),
        };
        if self.until.is_some_and(|until| until <= now.as_secs()) {
            return Err("`until` is in the past".to_owned());
        }
        if self.kind == Kind::Token && self.before.is_some() {
            return Err("a token is cut off or it is not: leave `before` out".to_owned());
        }
        let why = self.note.clone().unwrap_or_default();
        if !why.is_empty() && !is_value(&why) {
            return Err("the note must be a text of at most 1024 bytes without control characters".to_owned());
        }
        let effect = self.before.map_or(Effect::All, Effect::Before);
        let cut = Cut { kind: self.kind, value, effect, why, happened: now, until: self.until };
        let (provider, source) = (self.provider.clone(), "administrator".to_owned());
        Ok(Record { provider, source, event: None, cuts: vec![cut] })
    }
}

/// An entry as it is shown.
#[must_use]
pub fn shown(entry: &Entry) -> Value {
    json!({
        "provider": entry.key.provider, "kind": entry.key.kind, "value": entry.value, "before": entry.before,
        "until": entry.until, "happened": entry.happened.as_secs(), "source": entry.source, "why": entry.why,
    })
}

pub(super) async fn add(State(app): State<App>, headers: HeaderMap, body: Body) -> Response {
    if !shows(app.config.admin.as_ref(), &headers) {
        return unauthorized(&app);
    }
    let body = match bytes(body).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let wish: Wish = match serde_json::from_slice(&body) {
        Ok(wish) => wish,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &format!("the body is no revocation: {error}")),
    };
    if app.config.provider(&wish.provider).is_none() {
        return problem(StatusCode::BAD_REQUEST, "there is no identity provider of this name");
    }
    let record = match wish.record(clock::now().wall) {
        Ok(record) => record,
        Err(message) => return problem(StatusCode::BAD_REQUEST, &message),
    };
    let max_entries = app.config.max_entries;
    match app.database.run(move |rows| ledger::record(rows, &record, max_entries)).await {
        Ok(_) => {
            app.feeds.has_changed();
            info!(provider = wish.provider, kind = wish.kind.word(), "an administrator added a revocation");
            json_answer(StatusCode::CREATED, &json!({"status": "kept"}))
        }
        Err(error) => failed(&app, &error),
    }
}

/// Which entry is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meant {
    provider: String,
    kind: Kind,
    value: Option<String>,
}

pub(super) async fn remove(
    State(app): State<App>,
    headers: HeaderMap,
    meant: Result<Query<Meant>, axum::extract::rejection::QueryRejection>,
) -> Response {
    if !shows(app.config.admin.as_ref(), &headers) {
        return unauthorized(&app);
    }
    let Ok(Query(meant)) = meant else {
        return problem(
            StatusCode::BAD_REQUEST,
            "the query must have `provider`, `kind` and, but for everyone, `value`",
        );
    };
    let Meant { provider, kind, value } = meant;
    let value = value.unwrap_or_default();
    match app.database.run(move |rows| ledger::remove(rows, &provider, kind, &value)).await {
        Ok(0) => problem(StatusCode::NOT_FOUND, "there is no such entry"),
        Ok(removed) => {
            app.feeds.has_changed();
            info!(kind = kind.word(), removed, "an administrator removed a revocation");
            json_answer(StatusCode::OK, &json!({"removed": removed}))
        }
        Err(error) => failed(&app, &error),
    }
}

/// Whose entries are meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    provider: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    whose: Result<Query<Whose>, axum::extract::rejection::QueryRejection>,
) -> Response {
    if !shows(app.config.admin.as_ref(), &headers) {
        return unauthorized(&app);
    }
    let Ok(Query(whose)) = whose else {
        return problem(StatusCode::BAD_REQUEST, "the query may have `provider` and nothing else");
    };
    let names = app.config.providers.iter().map(|provider| provider.name.clone());
    let names: Vec<_> = names.filter(|name| whose.provider.as_ref().is_none_or(|wanted| wanted == name)).collect();
    let now = clock::now().wall;
    let entries = app.database.run(move |rows| {
        let mut all = Vec::new();
        for name in &names {
            all.extend(rows.entries(name)?.iter().filter(|entry| entry.is_live(now) && !entry.lifted).map(shown));
        }
        Ok(all)
    });
    match entries.await {
        Ok(entries) => json_answer(StatusCode::OK, &json!({ "revocations": entries })),
        Err(error) => failed(&app, &error),
    }
}

fn failed(app: &App, error: &StoreError) -> Response {
    app.metrics.database.inc();
    tracing::error!("a revocation was not kept: {error}");
    for_now(if matches!(error, StoreError::Full) { "the database is full" } else { "the database does not answer" })
}
