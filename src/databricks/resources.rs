//! Which resources a request is about: the ids that it carries, wherever its operation has them.

use super::body::{self, Contents};
use super::catalogue::{Id, Operation, Place};
use super::features::Features;
use super::kind::{Kind, Within, is_plain_path};
use super::target::Target;
use super::twins::{has_twin, reads_as};
use crate::base::{folds_alike, percent_decoded};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The id of a resource that a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The type: `job`, `table`, ….
    pub kind: &'static str,
    /// The id, in the one spelling in which ids of its kind are compared. A part of it that the request does not say is empty:
    /// `.sales.orders`.
    pub id: String,
    /// Where it stands.
    pub origin: Origin,
    /// What ids of this type are like.
    form: &'static Kind,
}

/// The type of what the header [`PICKS_A_PROVIDER`] picks.
const MODEL_PROVIDER: &str = "model_provider";

/// The header that picks who answers a prompt, past the model that path or body name.
const PICKS_A_PROVIDER: &str = "databricks-model-provider-service";

/// Where in a request an id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the path.
    Path,
    /// In this parameter of the query.
    Query(&'static str),
    /// In this header.
    Header(&'static str),
    /// In a member of the body of this name; without a name, in several members of one object.
    Body(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path => f.write_str("path"),
            Self::Query(name) => write!(f, "query `{name}`"),
            Self::Header(name) => write!(f, "header `{name}`"),
            Self::Body("") => f.write_str("body"),
            Self::Body(name) => write!(f, "body `{name}`"),
        }
    }
}

/// Why a request's ids are not taken: two servers could read them differently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// A form in which a field stands twice, or whose parts cannot be told apart.
    #[error("the form has a field twice, or parts that cannot be told apart")]
    NotAForm,
    /// An object where the operation has a list, or the like.
    #[error("a member of the body has another form than the operation takes")]
    Form,
    /// An id stands in two places, or a thing in two forms, and the two are not the same.
    #[error("the request names a resource in two places, which disagree")]
    Disagree,
    /// The request says what type of resource it is about, and the gateway does not know such a type.
    #[error("the request is about a type of resource that the gateway does not know")]
    UnknownType,
    /// The body has a member that the operation's shape does not have: nobody knows what it does.
    #[error(
        "the gateway does not know what `{pointer}` in the body does; a rule lets such members pass with `permit: [unknown_fields]`"
    )]
    Unknown {
        /// JSON pointer to the member.
        pointer: String,
    },
    /// The path of no operation that the gateway knows, with a slash at its end.
    #[error("the path ends with a slash that the operation does not have")]
    TrailingSlash,
}

impl Resource {
    /// The resource of this kind and id.
    pub(super) fn new(kind: Option<&'static str>, id: &str, origin: Origin) -> Result<Self, IdFault> {
        let kind = kind.and_then(Kind::named).ok_or(IdFault::UnknownType)?;
        if kind.is_plain(id) {
            Ok(Self { kind: kind.name, id: kind.canonical(id), origin, form: kind })
        } else {
            Err(IdFault::NotAnId)
        }
    }

    /// What it says about resources of the kind `other`: a table, of the schema and the catalog that it stands in.
    #[must_use]
    pub fn within(&self, other: &str) -> Within<'_> {
        self.form.within(&self.id, other)
    }

    /// The type by which a rule may mean it and nothing else: what picks a provider of models is an id of further types, so that rules on
    /// models see it.
    #[must_use]
    pub fn meant_as(&self) -> &'static str {
        if self.origin == Origin::Header(PICKS_A_PROVIDER) { MODEL_PROVIDER } else { self.kind }
    }

    /// Whether it is a folder whose files are used, wherever they lie below it: a project's sources.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        let names =
            ["root_path", "project_directory", "source_code_path", "default_source_code_path", "code_source_path"];
        matches!(self.origin, Origin::Body(name) if names.contains(&name))
    }

    /// What the ids of all resources of the kind `other` begin with that stand in it, if any can.
    #[must_use]
    pub fn around(&self, other: &str) -> Option<String> {
        self.form.around(&self.id, other)
    }
}

/// What a request is about and what it asks for, as far as a rule may ask.
#[derive(Debug, Default)]
pub struct Carried {
    /// Every id.
    pub resources: Vec<Resource>,
    /// What in the body changes whom or what it runs as.
    pub features: Features,
    /// JSON pointer to the first member of the body that the operation's shape does not have.
    pub unknown: Option<String>,
}

/// Whether an id that concerns resources of `kind` may stand in the body of `operation`.
#[must_use]
pub fn stands_in_body(operation: Operation, kind: &str) -> bool {
    may_hold(operation, &|known| known.concerns(kind)) || operation.may_say_again(kind)
}

/// Whether an id may stand in the body of `operation` by which its requests reach resources of `kind` that they do not name.
#[must_use]
pub fn reaches_by_body(operation: Operation, kind: &str) -> bool {
    operation.acts_below() && may_hold(operation, &|known| known.may_be_around(kind))
}

#[inline(never)]
fn may_hold(operation: Operation, meant: &dyn Fn(&Kind) -> bool) -> bool {
    operation.body().is_some_and(|shape| shape.kinds().any(|known| Kind::named(known).is_some_and(meant)))
}

/// Whether an official client sends requests of `operation` with a JSON body although they are of a method that has none: GET. Such a
/// body is read and held to the rules as any other; elsewhere a GET with a body is refused.
#[must_use]
pub fn takes_body_on_get(operation: Operation) -> bool {
    operation.method() == "GET" && operation.body().is_some()
}

/// What a request of `operation` carries. `headers` are those that may name resources, names in lower case.
///
/// # Errors
/// The request is to be refused; see [`IdFault`].
pub fn carried(
    operation: Operation,
    target: &Target<'_>,
    headers: &[(String, String)],
    body: Option<&Map<String, Value>>,
) -> Result<Carried, IdFault> {
    if has_twin(operation, target) {
        return Err(IdFault::Twice);
    }
    let mut found = Vec::new();
    for id in operation.ids() {
        let mut places = id.places();
        // most stand in one place
        if let (Some(place), None, false) = (places.next(), places.next(), id.kind() == "@typed") {
            for text in values(operation, place, target, headers)? {
                body::of_leaf(id.leaf(), &text, place.origin(), &mut found)?;
            }
            continue;
        }
        let mut parts = Vec::new();
        for place in id.places() {
            parts.push(values(operation, place, target, headers)?);
        }
        join(id, parts, &mut found)?;
    }
    let Some(body) = body.filter(|_| operation.takes_object()) else {
        return Ok(Carried { resources: found, ..Carried::default() });
    };
    let in_path = |name: &str| operation.placeholders().any(|(_, known)| folds_alike(known, name));
    let contents = operation.body().map(|shape| body::read(shape, body, &in_path)).transpose()?;
    let Contents { resources, features, unknown } = contents.unwrap_or_default();
    refuse_disagreement(operation, target, body)?;
    if operation.is_message() {
        refuse_other_message(headers, &resources)?;
    }
    found.extend(resources);
    Ok(Carried { resources: found, features, unknown })
}

/// Whether ids may stand in a header of this name, which is in lower case.
#[must_use]
pub fn may_name_resources(header: &str) -> bool {
    ["x-databricks-", "x-mlflow-", "databricks-model-"].iter().any(|begin| header.starts_with(begin))
        || OF_A_MESSAGE.iter().any(|(name, _)| *name == header)
}

/// Headers in which clients of MCP say again what a message says, for whoever does not read it, and the kinds of what they name.
const OF_A_MESSAGE: [(&str, &str); 2] = [("mcp-method", "mcp_method"), ("mcp-name", "mcp_tool")];

/// Servers check that the headers say the same as the message; whoever goes by the headers alone must not be told of another tool.
#[inline(never)]
fn refuse_other_message(headers: &[(String, String)], said: &[Resource]) -> Result<(), IdFault> {
    for (header, value) in headers {
        let kind = OF_A_MESSAGE.iter().find(|(name, _)| name == header).map(|(_, kind)| *kind);
        // of another method than a call, `mcp-name` is no tool
        let known = said.iter().find(|resource| Some(resource.kind) == kind);
        if known.is_some_and(|known| message_header(value).as_deref() != Some(known.id.as_bytes())) {
            return Err(IdFault::Disagree);
        }
    }
    Ok(())
}

/// What such a header says: its text, or the base64 that stands in it for a text which no header can hold.
fn message_header(value: &str) -> Option<Cow<'_, [u8]>> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => STANDARD.decode(encoded).ok().map(Cow::Owned),
        None => Some(Cow::Borrowed(value.as_bytes())),
    }
}

/// The ids alone of [`carried`].
///
/// # Errors
/// The request is to be refused; see [`IdFault`].
pub fn resources(
    operation: Operation,
    target: &Target<'_>,
    headers: &[(String, String)],
    body: Option<&Map<String, Value>>,
) -> Result<Vec<Resource>, IdFault> {
    carried(operation, target, headers, body).map(|carried| carried.resources)
}

/// The same field in the body and in the path or the query: servers differ in which they obey, so both must say the same.
fn refuse_disagreement(operation: Operation, target: &Target<'_>, body: &Map<String, Value>) -> Result<(), IdFault> {
    for (place, name) in operation.placeholders() {
        for value in members_like(body, name) {
            let segments = values(operation, place, target, &[])?;
            agree(&segments, value)?;
        }
    }
    let in_query =
        |id: Id| id.places().filter_map(|place| if let Place::Query(name) = place { Some(name) } else { None });
    for name in operation.ids().flat_map(in_query) {
        let given: Vec<_> = target.parameter(name).map(str::to_owned).collect();
        if let Some(value) = written_out(body, name).filter(|value| !value.is_null() && !given.is_empty()) {
            agree(&given, value)?;
        }
    }
    Ok(())
}

/// The member of a body that a parameter of the query names: `a.b` is the member `b` of `a`.
fn written_out<'b>(body: &'b Map<String, Value>, name: &str) -> Option<&'b Value> {
    let mut steps = name.split('.');
    let first = body.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

fn members_like<'b>(body: &'b Map<String, Value>, name: &str) -> impl Iterator<Item = &'b Value> {
    body.iter().filter(move |(key, value)| !value.is_null() && folds_alike(key, name)).map(|(_, value)| value)
}

fn agree(given: &[String], value: &Value) -> Result<(), IdFault> {
    let said: Vec<_> = match value {
        Value::Array(items) => items.iter().map(body::plain).collect::<Result<_, _>>()?,
        Value::Object(_) => return Ok(()),
        value => vec![body::plain(value)?],
    };
    if given == said.as_slice() { Ok(()) } else { Err(IdFault::Disagree) }
}

fn join(id: Id, parts: Vec<Vec<String>>, found: &mut Vec<Resource>) -> Result<(), IdFault> {
    let origin = id.places().last().map_or(Origin::Path, Place::origin);
    if id.kind() == "@typed" {
        found.push(body::typed(&parts.concat(), origin)?);
        return Ok(());
    }
    if parts.iter().any(Vec::is_empty) {
        return Ok(());
    }
    if !parts.iter().all(|part| part.len() == 1) {
        return Err(IdFault::NotAnId);
    }
    body::of_leaf(id.leaf(), &parts.concat().join("."), origin, found)
}

/// An id, or a pattern of ids, in the one spelling in which ids are compared.
#[must_use]
pub fn canonical(kind: &str, id: &str) -> String {
    Kind::named(kind).map_or_else(|| id.to_owned(), |kind| kind.canonical(id))
}

#[inline(never)]
fn values(
    operation: Operation,
    place: Place,
    target: &Target<'_>,
    headers: &[(String, String)],
) -> Result<Vec<String>, IdFault> {
    let segments = || target.path().trim_start_matches('/').split('/');
    match place {
        Place::Segment(index) => {
            let Some(segment) = segments().nth(index) else { return Ok(Vec::new()) };
            let template = operation.template().trim_start_matches('/').split('/').nth(index).unwrap_or_default();
            let segment =
                if template.contains("}:") { segment.rsplit_once(':').map_or(segment, |(id, _)| id) } else { segment };
            Ok(vec![percent_decoded(segment).ok_or(IdFault::NotAnId)?])
        }
        Place::Rest(index) => Ok(vec![open_end(&segments().skip(index).collect::<Vec<_>>().join("/"))?]),
        Place::Absolute(index) => {
            Ok(vec![format!("/{}", open_end(&segments().skip(index).collect::<Vec<_>>().join("/"))?)])
        }
        Place::Unsaid => Ok(vec![String::new()]),
        Place::Query(name) => {
            if target.names().any(|other| other != name && reads_as(other, name)) {
                return Err(IdFault::Spelling);
            }
            Ok(target.parameter(name).map(str::to_owned).collect())
        }
        Place::Header(name) => {
            let values = headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
            // two headers may be joined to one
            values.map(|value| if value.contains(',') { Err(IdFault::NotAnId) } else { Ok(value.clone()) }).collect()
        }
    }
}

/// The open end of a path, decoded once. Its slashes may have been encoded, as the Databricks CLI does; what comes out must be a path
/// that every reader walks alike.
fn open_end(text: &str) -> Result<String, IdFault> {
    let decoded = percent_decoded(text).ok_or(IdFault::NotAnId)?;
    let has_encoded_slash = decoded.matches('/').count() > text.matches('/').count();
    let is_plain = is_plain_path(&decoded) && !decoded.starts_with('/') && !decoded.contains(['%', ';']);
    if has_encoded_slash && (!is_plain || decoded.chars().any(char::is_control)) {
        Err(IdFault::NotAnId)
    } else {
        Ok(decoded)
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
    fn an_object_of_the_query_has_its_members_written_out() {
        let lineage = "/api/2.0/lineage-tracking/external-lineage";
        let list = format!("{lineage}?object_info.table.name=Main.Hr.People&lineage_direction=UPSTREAM");
        assert_eq!(found("GET", &list, &json!({})).unwrap(), ["table main.hr.people"]);
        let side = |name: &str| json!({"source": {"table": {"name": name}}});
        let delete = |name: &str, body: &Value| {
            found("DELETE", &format!("{lineage}?external_lineage_relationship.source.table.name={name}"), body)
        };
        assert_eq!(delete("a.b.c", &json!({})).unwrap(), ["table a.b.c"]);
        let body = |name: &str| json!({"external_lineage_relationship": side(name)});
        assert_eq!(delete("a.b.c", &body("a.b.c")).unwrap(), ["table a.b.c", "table a.b.c"]);
        assert_eq!(delete("a.b.c", &body("a.b.d")), Err(IdFault::Disagree));
        let other = format!("{lineage}?object_info.Table.name=a.b.c");
        assert_eq!(found("GET", &other, &json!({})), Err(IdFault::Spelling));
    }

    #[test]
    fn where_mlflow_keeps_traces_is_an_experiment_a_schema_or_hides_one() {
        let at = |location: &str| {
            found("GET", &format!("/api/5.0/mlflow/tracing/locations/{location}"), &json!({})).unwrap()
        };
        assert_eq!(at("17"), ["experiment 17"]);
        assert_eq!(at("Main.Hr"), ["schema main.hr"]);
        assert_eq!(at("main.hr.prefix"), ["schema main.hr"]);
        assert_eq!(at("0b1c"), ["table_id 0b1c"]);
    }

    #[test]
    fn files_are_found_in_requirements_and_what_is_ingested_from_a_foreign_catalog_hides_its_tables() {
        let submit = |task: Value| found("POST", "/api/2.2/jobs/runs/submit", &json!({"tasks": [task]}));
        let libraries = |package: &str| submit(json!({"libraries": [{"pypi": {"package": package}}]}));
        assert_eq!(libraries("numpy==1.26").unwrap(), [""; 0]);
        assert_eq!(libraries("x @ file:///Workspace/Users/eve/x.whl").unwrap(), ["path /Users/eve/x.whl"]);
        assert_eq!(libraries("/Workspace/a/../b.whl"), Err(IdFault::NotAnId));
        let spark = json!({"spark_submit_task": {"parameters": ["--class", "a.B", "dbfs:/eve/x.jar"]}});
        assert_eq!(submit(spark).unwrap(), ["path dbfs:/eve/x.jar"]);
        let create = |flag: Value| {
            let body = json!({"ingestion_definition": {"ingest_from_uc_foreign_catalog": flag}});
            found("POST", "/api/2.0/pipelines", &body).unwrap()
        };
        assert_eq!(create(json!(true)), ["table_id "]);
        assert_eq!((create(json!(false)), create(json!(null))), (vec![], vec![]));
    }

    #[test]
    fn a_message_of_mcp_names_its_method_and_a_call_its_tool() {
        let say = |message: &Value| found("POST", "/api/2.0/mcp/sql", message);
        let call = |params: Value| json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let tool = call(json!({"name": "Run_SQL", "arguments": {"name": "x", "query": "select 1"}, "_meta": {}}));
        assert_eq!(say(&tool).unwrap(), ["mcp_server sql", "mcp_method tools/call", "mcp_tool Run_SQL"]);
        for method in ["initialize", "notifications/initialized", "tools/list", "prompts/get", "resources/read"] {
            let message = json!({"jsonrpc": "2.0", "method": method, "params": {"name": "Run_SQL", "uri": "x"}});
            let named = ["mcp_server sql".to_owned(), format!("mcp_method {method}")];
            assert_eq!(say(&message).unwrap(), named);
        }
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {"method": "tools/call", "params": {"name": "x"}}});
        assert_eq!(say(&answer).unwrap(), ["mcp_server sql"]);
        for params in
            [json!({}), json!({"name": 7}), json!({"name": ""}), json!({"name": " x"}), json!(["x"]), json!(null)]
        {
            assert_eq!(say(&call(params.clone())).err(), Some(IdFault::NotAnId), "{params}");
        }
        assert_eq!(say(&json!({"method": "tools/call"})).err(), Some(IdFault::NotAnId));
        assert_eq!(say(&json!({"method": ["tools/call"]})).err(), Some(IdFault::NotAnId));
        // servers that read members without case would call another tool
        for message in [
            call(json!({"name": "good", "Name": "bad"})),
            json!({"method": "tools/call", "params": {"name": "good"}, "Params": {"name": "bad"}}),
            json!({"method": "tools/list", "Method": "tools/call", "params": {"name": "bad"}}),
            json!({"METHOD": "tools/call", "params": {"name": "bad"}}),
        ] {
            assert_eq!(say(&message).err(), Some(IdFault::Spelling), "{message}");
        }
        let loud = json!({"method": "TOOLS/call", "params": {"name": "bad"}});
        assert_eq!(say(&loud).unwrap(), ["mcp_server sql", "mcp_method TOOLS/call", "mcp_tool bad"]);
    }

    #[test]
    fn every_header_of_the_catalogue_is_looked_at() {
        let places = Catalogue::operations().flat_map(|operation| operation.ids().flat_map(Id::places));
        let headers: Vec<_> =
            places.filter_map(|place| if let Place::Header(name) = place { Some(name) } else { None }).collect();
        assert!(headers.contains(&"x-databricks-uc-table-name") && headers.contains(&"x-mlflow-experiment-id"));
        assert!(headers.iter().all(|name| may_name_resources(name)), "{headers:?}");
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
        for parameter in ["jobId", "job-id", "job%20id", "job_id[]", "job_id%5B0%5D", "job_id.value"] {
            for query in [format!("{parameter}=7"), format!("job_id=101&{parameter}=7")] {
                let target = format!("/api/2.2/jobs/get?{query}");
                assert_eq!(found("GET", &target, &json!({})).err(), Some(IdFault::Spelling), "{query}");
            }
        }
        assert_eq!(found("GET", "/api/2.2/jobs/get?job_id=101&job=7&id=7", &json!({})).map(|found| found.len()), Ok(1));
    }
}
