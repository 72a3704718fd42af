//! Notebooks and files of the workspace, by the workspace API and by the one for files of any size.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Path, RawQuery, Request, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Extension, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::bearer::Caller;
use crate::minting::Kind as Holder;
use crate::refusal::Refusal;
use crate::rest::tree::{self, Kind, Node};
use crate::rest::{Answer, ok, params};
use crate::world::World;

type Shared = State<Arc<World>>;

/// How a notebook's source says that it is one.
const NOTEBOOK_MARKS: &[(&str, &str, &str)] = &[
    (".py", "# Databricks notebook source", "PYTHON"),
    (".sql", "-- Databricks notebook source", "SQL"),
    (".scala", "// Databricks notebook source", "SCALA"),
    (".r", "# Databricks notebook source", "R"),
];

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/2.0/workspace/get-status", get(status))
        .route("/api/2.0/workspace/list", get(list))
        .route("/api/2.0/workspace/mkdirs", post(mkdirs))
        .route("/api/2.0/workspace/import", post(import))
        .route("/api/2.0/workspace/export", get(export))
        .route("/api/2.0/workspace/delete", post(delete))
        .route("/api/2.0/workspace-files/import-file/{*path}", post(import_file))
        .route("/api/2.0/workspace-files/{*path}", get(read_file))
}

/// A path of the tree, which the prefix `/Workspace` does not belong to. The caller's own folder is always there.
fn located(world: &World, caller: &Caller, text: &str) -> Result<String, Refusal> {
    let whole = tree::path(text)?;
    let path = match whole.strip_prefix("/Workspace") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.to_owned(),
        _ => whole,
    };
    if caller.0.kind == Holder::User {
        world.tree.make_directory(&format!("/Users/{}", caller.0.name))?;
    }
    Ok(path)
}

async fn status(State(world): Shared, Extension(caller): Extension<Caller>, RawQuery(query): RawQuery) -> Answer {
    let asked = params::query(query.as_deref(), "path")?;
    let node = world.tree.get(&located(&world, &caller, &asked)?)?;
    ok(&object(&asked, &node))
}

async fn list(State(world): Shared, Extension(caller): Extension<Caller>, RawQuery(query): RawQuery) -> Answer {
    let asked = params::query(query.as_deref(), "path")?;
    let path = located(&world, &caller, &asked)?;
    let node = world.tree.get(&path)?;
    if node.kind != Kind::Directory {
        return ok(&json!({ "objects": [object(&asked, &node)] }));
    }
    let within = asked.trim_end_matches('/');
    let found = world.tree.list(&path)?;
    let objects: Vec<Value> = found.iter().map(|(name, node)| object(&format!("{within}/{name}"), node)).collect();
    ok(&json!({ "objects": objects }))
}

fn object(path: &str, node: &Node) -> Value {
    let id = json!({ "path": path, "object_id": node.id, "resource_id": node.id.to_string() });
    let more = match &node.kind {
        Kind::Directory => return joined(id, json!({ "object_type": "DIRECTORY" })),
        Kind::File => json!({ "object_type": "FILE" }),
        Kind::Notebook(language) => json!({ "object_type": "NOTEBOOK", "language": language }),
    };
    let size = json!({ "modified_at": node.modified_ms, "size": node.content.len() });
    joined(joined(id, more), size)
}

fn joined(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

async fn mkdirs(State(world): Shared, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let path = params::id(&params::object(&body)?, "path")?;
    world.tree.make_directory(&located(&world, &caller, &path)?)?;
    ok(&json!({}))
}

async fn delete(State(world): Shared, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let body = params::object(&body)?;
    let path = located(&world, &caller, &params::id(&body, "path")?)?;
    world.tree.remove(&path, body.get("recursive").and_then(Value::as_bool) == Some(true))?;
    ok(&json!({}))
}

/// An import as JSON or as a form: the same fields.
#[derive(Default)]
struct Import {
    path: Option<String>,
    format: Option<String>,
    language: Option<String>,
    overwrite: bool,
    content: Vec<u8>,
}

async fn import(State(world): Shared, Extension(caller): Extension<Caller>, request: Request) -> Answer {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let import = if content_type.is_some_and(|value| value.starts_with("multipart/form-data")) {
        import_of_form(Multipart::from_request(request, &()).await.map_err(|why| Refusal::malformed(why.body_text()))?)
            .await?
    } else {
        let body = Bytes::from_request(request, &()).await.map_err(|why| Refusal::malformed(why.body_text()))?;
        import_of_json(&body)?
    };
    let asked = import.path.as_deref().ok_or_else(|| Refusal::invalid_parameter("Missing required field: path"))?;
    let path = located(&world, &caller, asked)?;
    let (path, kind) = kind_of(path, &import)?;
    world.tree.write(&path, kind, import.content, import.overwrite)?;
    ok(&json!({}))
}

fn kind_of(path: String, import: &Import) -> Result<(String, Kind), Refusal> {
    match (import.format.as_deref().unwrap_or("SOURCE"), &import.language) {
        ("AUTO", _) => Ok(notebook_or_file(path, &import.content)),
        ("RAW", _) => Ok((path, Kind::File)),
        ("SOURCE", Some(language)) => Ok((path, Kind::Notebook(language.clone()))),
        ("SOURCE", None) => Err(Refusal::invalid_parameter("language is required for SOURCE")),
        ("JUPYTER", language) => Ok((path, Kind::Notebook(language.clone().unwrap_or_else(|| "PYTHON".into())))),
        (other, _) => Err(Refusal::invalid_parameter(format!("format: {other} is not in this mock."))),
    }
}

/// A source that says that it is a notebook loses its file's extension.
fn notebook_or_file(path: String, content: &[u8]) -> (String, Kind) {
    for (extension, mark, language) in NOTEBOOK_MARKS {
        if let Some(stem) = path.strip_suffix(extension)
            && content.starts_with(mark.as_bytes())
        {
            return (stem.to_owned(), Kind::Notebook((*language).to_owned()));
        }
    }
    (path, Kind::File)
}

fn import_of_json(body: &Bytes) -> Result<Import, Refusal> {
    let body = params::object(body)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let content = STANDARD.decode(text("content").unwrap_or_default());
    Ok(Import {
        path: text("path"),
        format: text("format"),
        language: text("language"),
        overwrite: body.get("overwrite").and_then(Value::as_bool) == Some(true),
        content: content.map_err(|why| Refusal::invalid_parameter(format!("content: {why}")))?,
    })
}

async fn import_of_form(mut form: Multipart) -> Result<Import, Refusal> {
    let mut import = Import::default();
    while let Some(field) = form.next_field().await.map_err(|why| Refusal::malformed(why.body_text()))? {
        let name = field.name().unwrap_or_default().to_owned();
        let value = field.bytes().await.map_err(|why| Refusal::malformed(why.body_text()))?;
        let text = || String::from_utf8_lossy(&value).into_owned();
        match name.as_str() {
            "path" => import.path = Some(text()),
            "format" => import.format = Some(text()),
            "language" => import.language = Some(text()),
            "overwrite" => import.overwrite = text() == "true",
            "content" => import.content = value.to_vec(),
            other => return Err(Refusal::invalid_parameter(format!("Unknown field: {other}"))),
        }
    }
    Ok(import)
}

async fn export(State(world): Shared, Extension(caller): Extension<Caller>, RawQuery(query): RawQuery) -> Answer {
    let path = located(&world, &caller, &params::query(query.as_deref(), "path")?)?;
    let node = world.tree.get(&path)?;
    if params::query(query.as_deref(), "direct_download").is_ok_and(|value| value == "true") {
        return Ok(node.content.into_response());
    }
    ok(&json!({ "content": STANDARD.encode(&node.content), "file_type": "py" }))
}

async fn import_file(
    State(world): Shared,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Answer {
    let path = located(&world, &caller, &format!("/{}", path.trim_start_matches('/')))?;
    let overwrite = params::query(query.as_deref(), "overwrite").is_ok_and(|value| value == "true");
    let (path, kind) = notebook_or_file(path, &body);
    world.tree.write(&path, kind, body.to_vec(), overwrite)?;
    ok(&json!({}))
}

async fn read_file(State(world): Shared, Extension(caller): Extension<Caller>, Path(path): Path<String>) -> Answer {
    let path = located(&world, &caller, &format!("/{}", path.trim_start_matches('/')))?;
    Ok(world.tree.get(&path)?.content.into_response())
}
