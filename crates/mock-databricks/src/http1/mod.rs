//! The workspace's port, down to the bytes. It is no hyper server because records must keep the order, the case
//! and the duplicates of headers, and because faults act on the connection itself.

mod read;
mod write;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::faults::{Fault, Kind, Plan, TOKEN_PATH};
use crate::recording::{Arrived, Principal};
use crate::refusal::{Refusal, json_answer};
use crate::stream::Pieces;
use crate::world::World;
use crate::{bearer, ids, rest};

use read::{Next, RawRequest};
use write::Ending;

/// The id that a request got when it arrived: in `x-request-id` and in some messages.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) String);

pub(crate) async fn serve(listener: TcpListener, world: Arc<World>) {
    let router = rest::router(Arc::clone(&world));
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, Arc::clone(&world), router.clone()));
        }
    }
}

/// Serves one connection until either side ends it.
async fn connection(stream: TcpStream, world: Arc<World>, router: Router) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    loop {
        match read::next(&mut stream).await {
            Next::End => return,
            Next::Malformed(raw, why) => {
                let n = record(&world, &raw, None, Some(why));
                world.requests.answered(n, 400);
                let answer = dressed(&world, Refusal::malformed(why).into_response(), &ids::uuid());
                let _ = write::answer(&mut stream, answer, Ending::CloseAfter, false).await;
                return;
            }
            Next::Request(raw) => {
                if !exchange(&mut stream, &world, &router, raw).await {
                    return;
                }
            }
        }
    }
}

/// Answers one request, or does what a fault says. False if the connection ends here.
async fn exchange(stream: &mut BufReader<TcpStream>, world: &Arc<World>, router: &Router, raw: RawRequest) -> bool {
    let request_id = ids::uuid();
    let path = raw.target.split('?').next().unwrap_or_default().to_owned();
    let (keep_alive, is_head) = (raw.keep_alive(), raw.method == "HEAD");
    let request = axum_request(&raw, &request_id);
    let principal = request
        .as_ref()
        .ok()
        .and_then(|request| world.tokens.accept(bearer::token_of(request.headers())?).ok().map(Principal::from));
    let n = record(world, &raw, principal, None);
    let Plan { delay_ms, fault } = world.faults.take(&path);
    if let Some(delay) = delay_ms {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    if fault.as_ref().is_some_and(|fault| fault.kind == Kind::Close) {
        return false;
    }
    let usual = if keep_alive { Ending::KeepAlive } else { Ending::CloseAfter };
    let ending = match fault.as_ref().map(|fault| fault.kind) {
        Some(Kind::Truncate) => Ending::Truncated,
        Some(Kind::EofBody) => Ending::UntilEof,
        _ => usual,
    };
    let answer = match fault.as_ref().and_then(|fault| in_place_of_work(fault, &path)) {
        Some(answer) => answer,
        None => worked(router, request, fault.as_ref()).await,
    };
    let mut answer = dressed(world, answer, &request_id);
    world.requests.answered(n, answer.status().as_u16());
    if let Some(Pieces(pieces)) = answer.extensions_mut().remove() {
        return write::pieces(stream, answer, pieces, &world.gate).await.is_ok() && ending == Ending::KeepAlive;
    }
    write::answer(stream, answer, ending, is_head).await.is_ok_and(|()| ending == Ending::KeepAlive)
}

/// The answer of the workspace; a fault that lets it work may still give it other headers or another body.
async fn worked(router: &Router, request: Result<Request<Body>, Refusal>, fault: Option<&Fault>) -> Response {
    let outcome: Result<Response, Infallible> = match request {
        Ok(request) => router.clone().oneshot(request).await,
        Err(refusal) => Ok(refusal.into_response()),
    };
    let Ok(mut answer) = outcome;
    if let Some(fault) = fault {
        if let Some(body) = &fault.body {
            *answer.body_mut() = Body::from(body.clone());
        }
        add_headers(&mut answer, fault);
    }
    answer
}

/// The whole answer of those faults that keep the workspace from working.
fn in_place_of_work(fault: &Fault, path: &str) -> Option<Response> {
    let (status, body) = match fault.kind {
        Kind::Status => (fault.status.unwrap_or(500), failure(path, "TEMPORARILY_UNAVAILABLE")),
        Kind::Throttle => (fault.status.unwrap_or(429), failure(path, "REQUEST_LIMIT_EXCEEDED")),
        Kind::Body => (fault.status.unwrap_or(200), String::new()),
        Kind::Garbage => (fault.status.unwrap_or(200), "<!doctype html><title>Sign in</title>{".into()),
        Kind::Delay | Kind::Close | Kind::Truncate | Kind::EofBody => return None,
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = json_answer(status, &json!({}));
    *answer.body_mut() = Body::from(fault.body.clone().unwrap_or(body));
    if fault.kind == Kind::Throttle {
        answer.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
    }
    add_headers(&mut answer, fault);
    Some(answer)
}

fn failure(path: &str, code: &str) -> String {
    let body = match path {
        TOKEN_PATH => json!({ "error": "temporarily_unavailable", "error_description": "A fault was ordered." }),
        _ => json!({ "error_code": code, "message": "A fault was ordered." }),
    };
    body.to_string()
}

fn add_headers(answer: &mut Response, fault: &Fault) {
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (axum::http::HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().insert(name, value);
        }
    }
}

/// The headers that every answer of Databricks has.
fn dressed(world: &World, mut answer: Response, request_id: &str) -> Response {
    let headers = answer.headers_mut();
    headers.insert("server", HeaderValue::from_static("databricks"));
    for (name, value) in [("x-request-id", request_id), ("x-databricks-org-id", &world.workspace().workspace_id)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    answer
}

fn axum_request(raw: &RawRequest, request_id: &str) -> Result<Request<Body>, Refusal> {
    let mut request = Request::builder().method(raw.method.as_str()).uri(raw.target.as_str());
    for (name, value) in &raw.headers {
        request = request.header(name.as_str(), value.as_slice());
    }
    let request = request.extension(RequestId(request_id.to_owned())).body(Body::from(raw.body.clone()));
    request.map_err(|_| Refusal::malformed("The request line or a header is malformed."))
}

fn record(world: &World, raw: &RawRequest, principal: Option<Principal>, malformed: Option<&'static str>) -> u64 {
    world.requests.add(Arrived {
        method: &raw.method,
        target: &raw.target,
        headers: &raw.headers,
        body: &raw.body,
        principal,
        malformed,
    })
}
