//! Which resources a request is about: the ids that it carries, wherever its operation has them.

use super::catalogue::{Id, Operation, Place};
use super::target::{Target, encoded_byte};
use super::twins::has_twin;
use serde_json::{Map, Value};

/// The id of a resource that a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The type: `job`, `table`, ….
    pub kind: &'static str,
    /// The id; of types whose names Databricks takes in any case, in lower case.
    pub id: String,
}

/// Why a request's ids are not taken: two servers could read them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdFault {
    /// `jobId` where `job_id` is meant: some readers take both.
    #[error("a field that names a resource is spelt in another way")]
    Spelling,
    /// A list, an object, a boolean, a fraction, or a number written in another way than the shortest.
    #[error("a field that names a resource is not a plain id")]
    NotAnId,
    /// The query has a field of the path or the body.
    #[error("a field of the path or the body stands in the query too")]
    Twice,
}

/// The kinds of resources whose names Databricks takes in any case.
fn folds_case(kind: &str) -> bool {
    matches!(kind, "catalog" | "schema" | "table" | "function" | "model" | "volume" | "connection" | "vector_index")
}

fn is_numeric(kind: &str) -> bool {
    matches!(kind, "job" | "run" | "repo")
}

/// Whether an id of `kind` may stand in the body of `operation`.
#[must_use]
pub fn stands_in_body(operation: Operation, kind: &str) -> bool {
    operation.ids().filter(|id| id.kind() == kind).any(|id| id.places().any(|place| matches!(place, Place::Body(_))))
}

/// The resources that a request of `operation` is about. `headers` are those that may name some, names in lower case.
///
/// # Errors
/// The request is to be refused; see [`IdFault`].
pub fn resources(
    operation: Operation,
    target: &Target<'_>,
    headers: &[(String, String)],
    body: Option<&Map<String, Value>>,
) -> Result<Vec<Resource>, IdFault> {
    if has_twin(operation, target) {
        return Err(IdFault::Twice);
    }
    let mut found = Vec::new();
    for id in operation.ids() {
        let mut parts = Vec::new();
        for place in id.places() {
            parts.push(values(operation, place, target, headers, body)?);
        }
        join(id, parts, &mut found)?;
    }
    Ok(found)
}

fn join(id: Id, parts: Vec<Vec<String>>, found: &mut Vec<Resource>) -> Result<(), IdFault> {
    let texts = match <[Vec<String>; 1]>::try_from(parts) {
        Ok([values]) => values,
        Err(parts) if parts.iter().any(Vec::is_empty) => return Ok(()),
        Err(parts) if parts.iter().all(|part| part.len() == 1) => vec![parts.concat().join(".")],
        Err(_) => return Err(IdFault::NotAnId),
    };
    for text in texts {
        if is_numeric(id.kind()) && !is_plain_number(&text) {
            return Err(IdFault::NotAnId);
        }
        if !is_plain(id.kind(), &text) {
            return Err(IdFault::NotAnId);
        }
        found.push(Resource { kind: id.kind(), id: canonical(id.kind(), &text) });
    }
    Ok(())
}

/// An id, or a pattern of ids, in the one spelling in which ids are compared.
#[must_use]
pub fn canonical(kind: &str, id: &str) -> String {
    match kind {
        // `/Workspace/Users/x` and `/Users/x` are one, as are `dbfs:/x` and `/x`
        "path" => id.strip_prefix("/Workspace").filter(|rest| rest.starts_with('/')).unwrap_or(id).to_owned(),
        "dbfs" => id.strip_prefix("dbfs:").filter(|rest| rest.starts_with('/')).unwrap_or(id).to_owned(),
        kind if folds_case(kind) => id.to_lowercase(),
        _ => id.to_owned(),
    }
}

fn is_plain(kind: &str, id: &str) -> bool {
    if matches!(kind, "path" | "dbfs") {
        return is_plain_path(id);
    }
    // the Kelvin sign is no `k` to those who compare without folding
    let becomes_ascii = |letter: char| !letter.is_ascii() && letter.to_lowercase().any(|lower| lower.is_ascii());
    !(folds_case(kind) && id.contains(becomes_ascii))
}

/// Whether a path goes neither up nor round about, whatever it begins with: `/a/b`, `dbfs:/a`, `s3://a/b`, `a/b`.
fn is_plain_path(path: &str) -> bool {
    let scheme = path.split_once(":/").filter(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let path = scheme.map_or(path, |(_, rest)| rest);
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    !path.contains('\\') && (path.is_empty() || !path.split('/').any(|segment| matches!(segment, "" | "." | "..")))
}

/// `007` and `+7` are 7 to some readers.
fn is_plain_number(text: &str) -> bool {
    text == "0" || (!text.starts_with('0') && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn values(
    operation: Operation,
    place: Place,
    target: &Target<'_>,
    headers: &[(String, String)],
    body: Option<&Map<String, Value>>,
) -> Result<Vec<String>, IdFault> {
    let segments = || target.path().trim_start_matches('/').split('/');
    match place {
        Place::Segment(index) => {
            let Some(segment) = segments().nth(index) else { return Ok(Vec::new()) };
            let template = operation.template().trim_start_matches('/').split('/').nth(index).unwrap_or_default();
            let segment =
                if template.contains("}:") { segment.rsplit_once(':').map_or(segment, |(id, _)| id) } else { segment };
            Ok(vec![decoded(segment)?])
        }
        Place::Rest(index) => Ok(vec![decoded(&segments().skip(index).collect::<Vec<_>>().join("/"))?]),
        Place::Absolute(index) => {
            Ok(vec![decoded(&format!("/{}", segments().skip(index).collect::<Vec<_>>().join("/")))?])
        }
        Place::Query(name) => {
            if target.names().any(|other| other != name && fold(other) == fold(name)) {
                return Err(IdFault::Spelling);
            }
            Ok(target.parameter(name).map(str::to_owned).collect())
        }
        Place::Header(name) => {
            let values = headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
            // two headers may be joined to one
            values.map(|value| if value.contains(',') { Err(IdFault::NotAnId) } else { Ok(value.clone()) }).collect()
        }
        Place::Body(path) => {
            let mut found = Vec::new();
            if let Some(body) = body {
                in_object(body, path, &mut found)?;
            }
            Ok(found)
        }
    }
}

fn decoded(segment: &str) -> Result<String, IdFault> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = if byte == b'%' { encoded_byte(after).ok_or(IdFault::NotAnId)? } else { (byte, after) };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| IdFault::NotAnId)
}

/// Without underscores and case: protocol buffers' JSON takes `jobId` and `job_id` for the same field.
pub(super) fn fold(name: &str) -> String {
    name.chars().filter(|character| *character != '_').flat_map(char::to_lowercase).collect()
}

fn in_object(object: &Map<String, Value>, path: &str, found: &mut Vec<String>) -> Result<(), IdFault> {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let (name, is_list) = step.strip_suffix("[*]").map_or((step, false), |name| (name, true));
    if object.keys().any(|key| key != name && fold(key) == fold(name)) {
        return Err(IdFault::Spelling);
    }
    let value = match object.get(name) {
        None | Some(Value::Null) => return Ok(()),
        Some(value) => value,
    };
    match (value, is_list) {
        (Value::Array(items), true) => items.iter().try_for_each(|item| in_value(item, rest, found)),
        (_, true) => Err(IdFault::NotAnId),
        (value, false) => in_value(value, rest, found),
    }
}

fn in_value(value: &Value, rest: Option<&str>, found: &mut Vec<String>) -> Result<(), IdFault> {
    match (value, rest) {
        (Value::Object(object), Some(rest)) => in_object(object, rest, found),
        (Value::Null, _) => Ok(()),
        (_, Some(_)) => Err(IdFault::NotAnId),
        (Value::String(text), None) => {
            found.push(text.clone());
            Ok(())
        }
        (Value::Number(number), None) if number.is_u64() || number.is_i64() => {
            found.push(number.to_string());
            Ok(())
        }
        (_, None) => Err(IdFault::NotAnId),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databricks::Catalogue;
    use serde_json::json;

    fn found(method: &str, target: &str, body: &Value) -> Result<Vec<String>, IdFault> {
        let target = Target::parse(target.as_bytes()).unwrap();
        let operation = Catalogue::find(method, target.path()).unwrap();
        let headers = [("x-databricks-cluster-id".to_owned(), "c-1".to_owned())];
        let resources = resources(operation, &target, &headers, body.as_object())?;
        Ok(resources.iter().map(|resource| format!("{} {}", resource.kind, resource.id)).collect())
    }

    #[test]
    fn ids_are_found_in_path_query_and_body() {
        let none = json!({});
        assert_eq!(found("GET", "/api/2.2/jobs/get?job_id=101", &none).unwrap(), ["job 101"]);
        assert_eq!(found("POST", "/api/2.1/jobs/run-now", &json!({"job_id": 101})).unwrap(), ["job 101"]);
        assert_eq!(found("POST", "/api/2.1/jobs/run-now", &json!({"job_id": "101"})).unwrap(), ["job 101"]);
        assert_eq!(found("POST", "/api/2.1/jobs/run-now", &none).unwrap(), [""; 0]);
        assert_eq!(
            found("GET", "/api/2.0/sql/warehouses/a7066a8ef796be84", &none).unwrap(),
            ["warehouse a7066a8ef796be84"]
        );
        assert_eq!(
            found("GET", "/api/2.1/unity-catalog/tables/Main.Sales.Orders", &none).unwrap(),
            ["table main.sales.orders"]
        );
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let export = |path: &str| found("GET", &format!("/api/2.0/workspace/export?path={path}"), &json!({}));
        for path in [
            "/a/../b",
            "/a/..",
            "..",
            "/a/./b",
            "/a//b",
            "//a",
            "/a%5C..%5Cb",
            "dbfs:/a/../b",
            "s3://a//b",
            "/../a",
            "/../a:/b",
        ] {
            assert_eq!(export(path), Err(IdFault::NotAnId), "{path}");
        }
        for (path, id) in [
            ("/", "/"),
            ("/a/b%20c..d/", "/a/b c..d/"),
            ("/Workspace/Users/x", "/Users/x"),
            ("/Workspaces/x", "/Workspaces/x"),
            ("a/b", "a/b"),
            ("s3://a/b", "s3://a/b"),
        ] {
            assert_eq!(export(path).unwrap(), [format!("path {id}")], "{path}");
        }
        let read = |path: &str| found("GET", &format!("/api/2.0/dbfs/read?path={path}"), &json!({})).unwrap();
        assert_eq!((read("dbfs:/a"), read("/a")), (vec!["dbfs /a".to_owned()], vec!["dbfs /a".to_owned()]));
    }

    #[test]
    fn a_letter_that_lower_case_makes_another_is_refused() {
        let table = |name: &str| found("GET", &format!("/api/2.1/unity-catalog/tables/{name}"), &json!({}));
        assert_eq!(table("a.b.%E2%84%AAx"), Err(IdFault::NotAnId));
        assert_eq!(table("a.b.%C3%84x").unwrap(), ["table a.b.äx"]);
    }

    #[test]
    fn two_ids_in_one_header_are_refused() {
        let target = Target::parse(b"/spark.connect.SparkConnectService/Config").unwrap();
        let operation = Catalogue::find("POST", target.path()).unwrap();
        let headers = [("x-databricks-cluster-id".to_owned(), "c-1, c-2".to_owned())];
        assert_eq!(resources(operation, &target, &headers, None), Err(IdFault::NotAnId));
    }

    #[test]
    fn other_spellings_and_types_are_refused() {
        let run = |body: Value| found("POST", "/api/2.2/jobs/run-now", &body).err();
        assert_eq!(run(json!({"jobId": 101})), Some(IdFault::Spelling));
        assert_eq!(run(json!({"job_id": 101, "JOB_ID": 7})), Some(IdFault::Spelling));
        for id in [
            json!([101]),
            json!({"a": 1}),
            json!(true),
            json!(1.5),
            json!("0101"),
            json!("+1"),
            json!(" 1"),
            json!("1e2"),
        ] {
            assert_eq!(run(json!({"job_id": id})), Some(IdFault::NotAnId), "{id}");
        }
        assert_eq!(found("GET", "/api/2.2/jobs/get?jobId=7", &json!({})).err(), Some(IdFault::Spelling));
    }
}
