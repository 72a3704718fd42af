//! SQL: warehouses, statements and sessions by REST, and what `thrift/` shares with them.

mod query;
mod sessions;
mod statements;
mod warehouses;

use std::sync::Arc;

use axum::Router;

use crate::world::World;

pub(crate) use query::{Cell, Given, Rows, is_of_integers};
pub(crate) use sessions::SqlStore;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().merge(warehouses::routes()).merge(sessions::routes()).merge(statements::routes())
}
