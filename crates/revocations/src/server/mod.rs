//! HTTP: routes, bounds, and an end that loses no answer.

pub mod admin;
mod events;
mod feed;

use crate::clock;
use crate::config::Config;
use crate::feed::Feeds;
use crate::metrics::Metrics;
use crate::receive::Receiver;
use crate::secret::Bearer;
use crate::store::Database;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::warn;

/// The longest body that is read.
const BODY_BYTES: usize = 64 * 1024;
/// For a request's head, and for all of a request and its answer.
const HEAD_TIME: Duration = Duration::from_secs(10);
const REQUEST_TIME: Duration = Duration::from_secs(20);
/// Connections at a time; others wait in the system's queue.
const CONNECTIONS: usize = 4096;
/// For answers that are under way when the service ends.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// What handlers need.
#[derive(Clone, Debug)]
pub struct App {
    /// The configuration.
    pub config: Arc<Config>,
    /// Takes tokens.
    pub receiver: Arc<Receiver>,
    /// Where entries are.
    pub database: Database,
    /// The feeds.
    pub feeds: Arc<Feeds>,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

/// All routes.
pub fn router(app: App) -> Router {
    let mut router = Router::new()
        .route("/backchannel-logout", post(events::logout))
        .route("/events", post(events::push))
        .route("/feed/{provider}", get(feed::read))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics));
    if app.config.admin.is_some() {
        let resource = get(admin::list).post(admin::add).delete(admin::remove);
        router = router.route("/revocations", resource);
    }
    router
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "there is nothing here") })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn(bounded))
        .with_state(app)
}

/// Bounds the time of a request, and says that answers are not to be kept unless they say so themselves.
async fn bounded(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(REQUEST_TIME, next.run(request)).await;
    let mut answer = answer.unwrap_or_else(|_| for_now("the request took too long"));
    let headers = answer.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

async fn health(State(app): State<App>) -> Response {
    if app.feeds.are_confirmed(clock::now()) {
        return json_answer(StatusCode::OK, &json!({"status": "ok"}));
    }
    json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "the database does not answer"}))
}

async fn metrics(State(app): State<App>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}

fn shows(secret: Option<&Bearer>, headers: &HeaderMap) -> bool {
    let shown = headers.get_all(header::AUTHORIZATION);
    secret.is_none_or(|secret| secret.is_shown_by(shown.iter().map(HeaderValue::as_bytes)))
}

fn unauthorized(app: &App) -> Response {
    app.metrics.unauthorized.inc();
    let mut answer = problem(StatusCode::UNAUTHORIZED, "the secret is missing or wrong");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn problem(status: StatusCode, message: &str) -> Response {
    json_answer(status, &json!({"error": message}))
}

/// Come again: the sender has to, or what it tells is lost.
fn for_now(message: &str) -> Response {
    let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, message);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    answer
}

/// The whole body, or why not.
async fn bytes(body: Body) -> Result<axum::body::Bytes, Response> {
    let read = axum::body::to_bytes(body, BODY_BYTES).await;
    read.map_err(|_| problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or broke off"))
}

/// Serves until `end` comes, and then answers what is under way.
pub async fn serve(listener: TcpListener, app: App, end: impl Future<Output = ()>) {
    let service = TowerToHyperService::new(router(app));
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = async {
            // never closed
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut end => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // no more files, most often: others will end
                warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // answers are small, and written at once
        let _ = stream.set_nodelay(true);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(32 * 1024);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            // a client that breaks off has nothing to be told
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(LAST_ANSWERS, graceful.shutdown()).await.is_err() {
        warn!("some requests were not answered in time");
    }
}
