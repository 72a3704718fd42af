//! What a JSON body names and asks for, read along the shape that its operation has.

use super::catalogue::{Leaf, Member, Named, Shape, kind_called, kind_collected};
use super::features::Features;
use super::files;
use super::kind::Kind;
use super::resources::{IdFault, Origin, Resource};
use super::statement::{Kept, named_in_sql};
use crate::base::{folds_alike, sort};
use serde_json::{Map, Value};

/// What was found in a body.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) resources: Vec<Resource>,
    pub(super) features: Features,
    /// JSON pointer to the first member that the operation's shape does not have.
    pub(super) unknown: Option<String>,
}

/// Reads `body`. `stands_elsewhere` says of a member of the outermost object whether it is a field of the path, to be compared with it.
///
/// # Errors
/// Two servers could read it differently.
pub(super) fn read(
    shape: Shape,
    body: &Map<String, Value>,
    stands_elsewhere: &dyn Fn(&str) -> bool,
) -> Result<Contents, IdFault> {
    let mut reader = Reader { found: Contents::default(), stands_elsewhere };
    reader.object(shape, body, &Here { above: None, step: Step::Root })?;
    Ok(reader.found)
}

struct Reader<'a> {
    found: Contents,
    stands_elsewhere: &'a dyn Fn(&str) -> bool,
}

/// Where in the body, as a way up: costs nothing until somebody asks.
struct Here<'a> {
    above: Option<&'a Here<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Root,
    Name(&'a str),
    Item(usize),
}

impl<'a> Here<'a> {
    const fn below(&'a self, step: Step<'a>) -> Self {
        Here { above: Some(self), step }
    }

    /// RFC 6901.
    fn pointer(&self) -> String {
        let above = self.above.map(Here::pointer).unwrap_or_default();
        match self.step {
            Step::Root => above,
            Step::Name(name) => format!("{above}/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Item(place) => format!("{above}/{place}"),
        }
    }
}

impl Reader<'_> {
    fn object(&mut self, shape: Shape, object: &Map<String, Value>, here: &Here<'_>) -> Result<(), IdFault> {
        for (key, value) in object {
            match shape.named(key) {
                Named::Member(member) => self.member(member, value, &here.below(Step::Name(key)))?,
                Named::Twin(member) if member.matters() => return Err(IdFault::Spelling),
                _ if shape.is_open() => {}
                _ if here.above.is_none() && (self.stands_elsewhere)(key) => {}
                _ => self.is_unknown(&here.below(Step::Name(key))),
            }
        }
        for entry in shape.composites() {
            match entry.split_once('=') {
                Some(("!", forms)) => same_in_both_forms(shape, object, forms)?,
                Some(("@sql", parts)) => self.found.resources.extend(kept_sql(Kept::Statement, parts, object)?),
                Some(("@expression", parts)) => self.found.resources.extend(kept_sql(Kept::Expression, parts, object)?),
                Some(("@code", part)) => self.found.resources.extend(kept_code(part, object)),
                Some(("@tool", parts)) => self.found.resources.extend(called_tool(parts, object)?),
                Some((kind, parts)) => self.found.resources.extend(composite(kind, parts, object)?),
                None => {}
            }
        }
        Ok(())
    }

    fn is_unknown(&mut self, here: &Here<'_>) {
        self.found.unknown.get_or_insert_with(|| here.pointer());
    }

    fn member(&mut self, member: Member, value: &Value, here: &Here<'_>) -> Result<(), IdFault> {
        if let Some(feature) = member.feature().filter(|_| is_set(member, value)) {
            self.found.features = self.found.features.with(feature);
        }
        match value {
            _ if member.is_any() => Ok(()),
            Value::Object(entries) if member.is_map() => {
                entries.iter().try_for_each(|(key, value)| self.value(member, value, &here.below(Step::Name(key))))
            }
            Value::Null => Ok(()),
            _ if member.is_map() => misformed(member),
            Value::Array(items) if member.is_list() => self.items(member, items, here),
            Value::Array(_) if member.matters() => misformed(member),
            _ if member.is_list() && member.matters() => misformed(member),
            value => self.value(member, value, here),
        }
    }

    fn items(&mut self, member: Member, items: &[Value], here: &Here<'_>) -> Result<(), IdFault> {
        items.iter().enumerate().try_for_each(|(place, item)| self.value(member, item, &here.below(Step::Item(place))))
    }

    /// A member's value, or one of the values of a list or a map.
    fn value(&mut self, member: Member, value: &Value, here: &Here<'_>) -> Result<(), IdFault> {
        match (value, member.shape()) {
            (Value::Null, _) => Ok(()),
            (Value::Object(object), Some(shape)) => self.object(shape, object, here),
            (_, Some(_)) => misformed(member),
            (Value::Array(items), None) if member.leaf() == Leaf::Data => self.items(member, items, here),
            (Value::Object(object), None) if member.leaf() == Leaf::Data => {
                if let Some(key) = object.keys().next() {
                    self.is_unknown(&here.below(Step::Name(key)));
                }
                Ok(())
            }
            (value, None) => self.leaf(member, value),
        }
    }

    fn leaf(&mut self, member: Member, value: &Value) -> Result<(), IdFault> {
        let text = match (member.leaf(), value) {
            (Leaf::Data, _) => return Ok(()),
            (Leaf::SecretReferences, value) if !value.is_string() => return Ok(()),
            (Leaf::ForeignCatalog, Value::Bool(false)) => return Ok(()),
            (Leaf::ForeignCatalog, _) => String::new(),
            (_, value) => plain(value)?,
        };
        of_leaf(member.leaf(), &text, Origin::Body(member.name()), &mut self.found.resources)
    }
}

/// Adds what the text of a leaf names.
#[inline(never)]
pub(super) fn of_leaf(leaf: Leaf, text: &str, origin: Origin, found: &mut Vec<Resource>) -> Result<(), IdFault> {
    let mut one = |kind, id: &str| Resource::new(Some(kind), id, origin).map(|resource| found.push(resource));
    match leaf {
        Leaf::Data => Ok(()),
        Leaf::Id(kind) => one(kind, text),
        Leaf::TraceLocation if text.bytes().all(|byte| byte.is_ascii_digit()) => one("experiment", text),
        Leaf::TraceLocation => trace_location(text, origin).map(|resource| found.push(resource)),
        Leaf::ForeignCatalog => one("table_id", text),
        Leaf::Files => files::named_in(text)?.into_iter().try_for_each(|path| one("path", path)),
        Leaf::ResourceName => named_resource(text).map_or(Ok(()), |(kind, id)| one(kind, id)),
        Leaf::SecretReferences => secret_scopes(text).try_for_each(|scope| one("secret_scope", scope)),
    }
}

/// `catalog.schema`, `catalog.schema.prefix`, or an id that stands for one of them.
fn trace_location(text: &str, origin: Origin) -> Result<Resource, IdFault> {
    let names: Vec<_> = text.split('.').take(2).collect();
    let kind = if names.len() == 2 { "schema" } else { "table_id" };
    Resource::new(Some(kind), &names.join("."), origin)
}

fn misformed(member: Member) -> Result<(), IdFault> {
    if !member.matters() {
        return Ok(());
    }
    Err(if member.shape().is_some() { IdFault::Form } else { IdFault::NotAnId })
}

/// A feature that is switched off is none; statements' results that come inline leave no link.
fn is_set(member: Member, value: &Value) -> bool {
    let is_inline = || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("inline"));
    !value.is_null() && value != &Value::Bool(false) && !(member.name() == "disposition" && is_inline())
}

/// A text or a whole number, as text.
pub(super) fn plain(value: &Value) -> Result<String, IdFault> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) if number.is_u64() || number.is_i64() => Ok(number.to_string()),
        _ => Err(IdFault::NotAnId),
    }
}

/// An id that several members make. A part that is missing before the last is an empty name, which may be any; without the last
/// there is no id.
fn composite(kind: &str, parts: &str, object: &Map<String, Value>) -> Result<Option<Resource>, IdFault> {
    let mut names = Vec::new();
    let mut last = None;
    for part in parts.split('+') {
        let value = part.split('|').find_map(|name| object.get(name).filter(|value| !value.is_null()));
        last = value;
        names.push(value.map(plain).transpose()?.unwrap_or_default());
    }
    if last.is_none() {
        return Ok(None);
    }
    let origin = Origin::Body("");
    if kind == "@typed" {
        return typed(&names, origin).map(Some);
    }
    let known = Kind::named(kind).map(|kind| kind.name);
    Resource::new(known, &names.join("."), origin).map(Some)
}

/// What SQL names that is kept, to be run later: one text or a list, with the catalog and the schema by which names are completed.
#[inline(never)]
fn kept_sql(kept: Kept, parts: &'static str, object: &Map<String, Value>) -> Result<Vec<Resource>, IdFault> {
    let mut parts = parts.split('+');
    let text = parts.next().and_then(|name| Some((name, object.get(name)?)));
    let mut plain = || parts.next().and_then(|name| object.get(name)).and_then(Value::as_str);
    let (catalog, schema) = (plain(), plain());
    let Some((name, value)) = text else { return Ok(Vec::new()) };
    let origin = Origin::Body(name);
    let texts = if let Value::Array(items) = value { items.as_slice() } else { std::slice::from_ref(value) };
    let mut found = Vec::new();
    for text in texts.iter().filter(|text| !text.is_null()) {
        let text = text.as_str().ok_or(IdFault::NotAnId)?;
        named_in_sql(kept, text, (catalog, schema), &mut |kind, id| {
            found.extend(Resource::new(Some(kind), id, origin).ok().or_else(|| unread_sql(origin)));
        });
    }
    Ok(found)
}

/// Text in which SQL may stand, and is not looked for.
#[inline(never)]
fn kept_code(part: &'static str, object: &Map<String, Value>) -> Option<Resource> {
    let is_said = |value: &&Value| !value.is_null() && value.as_str() != Some("");
    object.get(part).filter(is_said).and_then(|_| unread_sql(Origin::Body(part)))
}

/// The tool that a message of MCP calls: `params.name` of the method `tools/call`. Another method has other things by that name.
#[inline(never)]
fn called_tool(parts: &'static str, object: &Map<String, Value>) -> Result<Option<Resource>, IdFault> {
    let Some((method, params)) = parts.split_once('+') else { return Ok(None) };
    let is_call = |method: &str| method.eq_ignore_ascii_case("tools/call");
    if !object.get(method).and_then(Value::as_str).is_some_and(is_call) {
        return Ok(None);
    }
    let params = sole(object, params)?.and_then(Value::as_object).ok_or(IdFault::NotAnId)?;
    let tool = sole(params, "name")?.and_then(Value::as_str).filter(|name| !name.is_empty()).ok_or(IdFault::NotAnId)?;
    Resource::new(Some("mcp_tool"), tool, Origin::Body("name")).map(Some)
}

/// The member of this name, which stands there in no other spelling.
fn sole<'b>(object: &'b Map<String, Value>, name: &str) -> Result<Option<&'b Value>, IdFault> {
    if object.keys().any(|key| key != name && folds_alike(key, name)) {
        return Err(IdFault::Spelling);
    }
    Ok(object.get(name))
}

/// SQL that may name anything.
#[inline(never)]
fn unread_sql(origin: Origin) -> Option<Resource> {
    Resource::new(Some("sql_text"), "", origin).ok()
}

/// A resource whose type the request says: `TABLE`, `main.sales.orders`.
pub(super) fn typed(parts: &[String], origin: Origin) -> Result<Resource, IdFault> {
    let [name, id] = parts else { return Err(IdFault::UnknownType) };
    let kind = kind_called(name).ok_or(IdFault::UnknownType)?;
    Resource::new(Some(kind), id, origin)
}

/// `projects/p/branches/b` → the project `p`; `accounts/a/groups/g` → the group `g`. Collections of which no rule can speak name nothing.
fn named_resource(name: &str) -> Option<(&'static str, &str)> {
    let name = name.strip_prefix('/').unwrap_or(name);
    let of_account = name.strip_prefix("accounts/").and_then(|rest| rest.split_once('/'));
    let (collection, rest) = of_account.map_or(name, |(_, rest)| rest).split_once('/')?;
    Some((kind_collected(collection)?, rest.split('/').next().unwrap_or_default()))
}

/// The scopes in `{{secrets/SCOPE/KEY}}`.
fn secret_scopes(text: &str) -> impl Iterator<Item = &str> {
    let references = text.split("{{").skip(1).filter_map(|part| part.trim_start().strip_prefix("secrets/"));
    references.filter_map(|rest| rest.split('/').next())
}

/// `tasks|existing_cluster_id,notebook_task`: where both forms are there, they must name the same.
fn same_in_both_forms(shape: Shape, object: &Map<String, Value>, forms: &str) -> Result<(), IdFault> {
    let Some((one, others)) = forms.split_once('|') else { return Ok(()) };
    let says =
        |name: &str| object.get(name).is_some_and(|value| !value.is_null() && value != &Value::Array(Vec::new()));
    if !says(one) || !others.split(',').any(says) {
        return Ok(());
    }
    let name = one;
    let (one, others) =
        (named_by(shape, object, &[one])?, named_by(shape, object, &others.split(',').collect::<Vec<_>>())?);
    // parts of an id are no ids by themselves
    let is_part = one.0.is_empty() && object.get(name).is_some_and(Value::is_string);
    let same = if is_part { same_text(object, name, forms) } else { one == others };
    if same { Ok(()) } else { Err(IdFault::Disagree) }
}

/// Whether all forms of a text that are there are one text.
fn same_text(object: &Map<String, Value>, one: &str, forms: &str) -> bool {
    let others = forms.split(['|', ',']).filter_map(|name| object.get(name)).filter(|value| !value.is_null());
    others.into_iter().all(|value| Some(value) == object.get(one))
}

/// What some members say: the ids that they name, in one order, and the features there.
type Said = (Vec<(&'static str, String)>, Features);

/// All that some members of an object name, in one order, and the features there.
fn named_by(shape: Shape, object: &Map<String, Value>, names: &[&str]) -> Result<Said, IdFault> {
    let mut reader = Reader { found: Contents::default(), stands_elsewhere: &|_| false };
    for (key, value) in object.iter().filter(|(key, _)| names.contains(&key.as_str())) {
        if let Named::Member(member) = shape.named(key) {
            reader.member(member, value, &Here { above: None, step: Step::Root })?;
        }
    }
    let ids = reader.found.resources.into_iter().map(|resource| (resource.kind, resource.id));
    let mut ids: Vec<_> = ids.collect();
    sort(&mut ids);
    ids.dedup();
    Ok((ids, reader.found.features))
}
