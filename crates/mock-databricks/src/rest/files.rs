//! The Files API: files and folders of volumes.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::rest::tree::{self, Kind, Node};
use crate::rest::{Answer, ok, params};
use crate::world::World;

type Shared = State<Arc<World>>;

/// A volume is there as soon as it is named: `/Volumes/catalog/schema/volume`.
const VOLUME_DEPTH: usize = 4;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/2.0/fs/files/{*path}", get(download).head(download).put(upload).delete(remove_file))
        .route("/api/2.0/fs/directories/{*path}", get(list).head(is_there).put(make).delete(remove_folder))
}

fn located(world: &World, path: &str) -> Result<String, Refusal> {
    let path = tree::path(&format!("/{}", path.trim_start_matches('/')))?;
    let volume: Vec<&str> =
        path.splitn(VOLUME_DEPTH.saturating_add(2), '/').take(VOLUME_DEPTH.saturating_add(1)).collect();
    if volume.len() <= VOLUME_DEPTH || volume.get(1) != Some(&"Volumes") {
        return Err(Refusal::invalid_parameter(format!("Path ({path}) is not in a volume.")));
    }
    world.volumes.make_directory(&volume.join("/"))?;
    Ok(path)
}

fn of_kind(path: &str, node: Node, directory: bool) -> Result<Node, Refusal> {
    if (node.kind == Kind::Directory) == directory {
        return Ok(node);
    }
    Err(Refusal::absent(format!("Path ({path}) doesn't exist.")))
}

async fn download(State(world): Shared, Path(path): Path<String>) -> Answer {
    let path = located(&world, &path)?;
    let node = of_kind(&path, world.volumes.get(&path)?, false)?;
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, node.content).into_response())
}

async fn upload(State(world): Shared, Path(path): Path<String>, RawQuery(query): RawQuery, body: Bytes) -> Answer {
    let path = located(&world, &path)?;
    let overwrite = params::query(query.as_deref(), "overwrite").is_ok_and(|value| value == "true");
    // MLflow's client uploads into folders that nobody has made, and works
    if let Some((folder, _)) = path.rsplit_once('/') {
        world.volumes.make_directory(folder)?;
    }
    world.volumes.write(&path, Kind::File, body.to_vec(), overwrite)?;
    no_content()
}

async fn remove_file(State(world): Shared, Path(path): Path<String>) -> Answer {
    let path = located(&world, &path)?;
    of_kind(&path, world.volumes.get(&path)?, false)?;
    world.volumes.remove(&path, false)?;
    no_content()
}

async fn list(State(world): Shared, Path(path): Path<String>) -> Answer {
    let path = located(&world, &path)?;
    let contents: Vec<Value> = world.volumes.list(&path)?.iter().map(|(name, node)| entry(&path, name, node)).collect();
    ok(&json!({ "contents": contents }))
}

fn entry(folder: &str, name: &str, node: &Node) -> Value {
    json!({
        "path": format!("{folder}/{name}"),
        "name": name,
        "is_directory": node.kind == Kind::Directory,
        "file_size": node.content.len(),
        "last_modified": node.modified_ms,
    })
}

async fn is_there(State(world): Shared, Path(path): Path<String>) -> Answer {
    let path = located(&world, &path)?;
    of_kind(&path, world.volumes.get(&path)?, true)?;
    Ok(StatusCode::OK.into_response())
}

async fn make(State(world): Shared, Path(path): Path<String>) -> Answer {
    world.volumes.make_directory(&located(&world, &path)?)?;
    no_content()
}

async fn remove_folder(State(world): Shared, Path(path): Path<String>) -> Answer {
    let path = located(&world, &path)?;
    of_kind(&path, world.volumes.get(&path)?, true)?;
    world.volumes.remove(&path, false)?;
    no_content()
}

fn no_content() -> Result<Response, Refusal> {
    Ok(StatusCode::NO_CONTENT.into_response())
}
