//! Requests, with what there is to know of each written down by hand.

/// A request, and what it asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: &'static str,
    pub(crate) body: &'static str,
    /// The names of its operation; none if the catalogue does not know it.
    pub(crate) names: &'static [&'static str],
    pub(crate) is_sensitive: bool,
    /// Types and ids of what it carries.
    pub(crate) ids: &'static [(&'static str, &'static str)],
    /// The class of its SQL statement, and the tables that this touches.
    pub(crate) sql: Option<(&'static str, &'static [&'static str])>,
    /// What in its body needs a permit.
    pub(crate) features: &'static [&'static str],
    /// Whether its ids can be read in two ways.
    pub(crate) is_unclear: bool,
}

impl Request {
    pub(crate) fn path(&self) -> &'static str {
        self.target.split('?').next().unwrap()
    }
}

const fn new(
    method: &'static str,
    target: &'static str,
    body: &'static str,
    names: &'static [&'static str],
) -> Request {
    Request { method, target, body, names, is_sensitive: false, ids: &[], sql: None, features: &[], is_unclear: false }
}

const RUN_NOW: Request = new("POST", "/api/2.2/jobs/run-now", "{}", &["jobs.run_now"]);
const GET_JOB: Request = new("GET", "/api/2.2/jobs/get", "", &["jobs.get"]);
const SUBMIT: Request = new("POST", "/api/2.2/jobs/runs/submit", r#"{"tasks":[]}"#, &["jobs.submit"]);
const EXPORT: Request = new("GET", "/api/2.0/workspace/export", "", &["workspace.export"]);
const EXECUTE: Request = new("POST", "/api/2.0/sql/statements", "", &["statement_execution.execute_statement"]);
const CREATE_TOKEN: Request = new("POST", "/api/2.0/token/create", "{}", &["tokens.create"]);
const GET_PERMISSIONS: Request = new(
    "GET",
    "/api/2.0/permissions/jobs/101",
    "",
    &["jobs.get_permissions", "permissions.get", "workspace.get_permissions"],
);
const SET_PERMISSIONS: Request = new(
    "PUT",
    "/api/2.0/permissions/jobs/101",
    "{}",
    &["jobs.set_permissions", "permissions.set", "workspace.set_permissions"],
);
const ALIAS: Request = new("POST", "/ajax-api/2.0/jobs/list", "{}", &["ajax_api.request"]);

pub(crate) const REQUESTS: [Request; 24] = [
    Request { body: r#"{"job_id":101}"#, ids: &[("job", "101")], ..RUN_NOW },
    Request { body: r#"{"job_id":202}"#, ids: &[("job", "202")], ..RUN_NOW },
    RUN_NOW,
    Request { body: r#"{"jobId":101}"#, is_unclear: true, ..RUN_NOW },
    Request { target: "/api/2.2/jobs/run-now?job_id=202", body: r#"{"job_id":101}"#, is_unclear: true, ..RUN_NOW },
    Request { target: "/api/2.2/jobs/get?job_id=101", ids: &[("job", "101")], ..GET_JOB },
    Request { target: "/api/2.2/jobs/get?job_id=202", ids: &[("job", "202")], ..GET_JOB },
    GET_JOB,
    Request { ids: &[("run", "7")], ..new("GET", "/api/2.2/jobs/runs/get?run_id=7", "", &["jobs.get_run"]) },
    new("GET", "/api/2.2/jobs/list", "", &["jobs.list"]),
    Request { body: r#"{"tasks":[{"existing_cluster_id":"c-1"}]}"#, ids: &[("cluster", "c-1")], ..SUBMIT },
    Request { body: r#"{"tasks":[],"run_as":{"user_name":"root"}}"#, features: &["run_as"], ..SUBMIT },
    Request { ids: &[("cluster", "c-1")], ..new("GET", "/api/2.1/clusters/get?cluster_id=c-1", "", &["clusters.get"]) },
    Request {
        ids: &[("cluster", "d-1")],
        ..new("POST", "/api/2.1/clusters/start", r#"{"cluster_id":"d-1"}"#, &["clusters.start"])
    },
    Request { target: "/api/2.0/workspace/export?path=/Shared/x", ids: &[("path", "/Shared/x")], ..EXPORT },
    Request { target: "/api/2.0/workspace/export?path=/Shared/../x", is_unclear: true, ..EXPORT },
    Request {
        body: r#"{"warehouse_id":"w","statement":"SELECT 1"}"#,
        ids: &[("warehouse", "w")],
        sql: Some(("select", &[])),
        ..EXECUTE
    },
    Request {
        body: r#"{"warehouse_id":"w","statement":"DELETE FROM main.sales.t"}"#,
        ids: &[("warehouse", "w")],
        sql: Some(("dml", &["main.sales.t"])),
        ..EXECUTE
    },
    Request { is_sensitive: true, ..CREATE_TOKEN },
    Request { ids: &[("job", "101")], ..GET_PERMISSIONS },
    Request { is_sensitive: true, ids: &[("job", "101")], ..SET_PERMISSIONS },
    new("GET", "/api/2.0/new-thing", "", &[]),
    new("GET", "/api/2.0/new-thing/x", "", &[]),
    Request { is_sensitive: true, ..ALIAS },
];
