//! A record while its request is on its way: what becomes known is added, and the decision ends it.

use super::Settings;
use super::record::{Decision, Grant, Record, Sql, TokenUse, VERSION};
use super::text::{fit, fit_shared};
use crate::base::{Label, Reason, SortedMap, UnixTime, sort};
use crate::databricks::sql::{Kind, Scan};
use crate::databricks::{Operation, Resource};
use crate::jwt::{Caller, TokenDigest};
use crate::policy::{Denial, Permit};
use sha2::{Digest, Sha256};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Bytes that a value may take. All values together fit into a line of the log; see the tests.
const LONG: usize = 200;
const NAME: usize = 100;
const SHORT: usize = 64;
/// A method is a word.
const WORD: usize = 16;
/// Items of one list.
const MOST: usize = 20;

/// The record of a request that may not be decided yet.
#[derive(Debug, Default)]
pub struct Draft {
    record: Record,
    decided: bool,
    called_at: Option<UnixTime>,
    has_waited: bool,
    waited: Duration,
}

impl Draft {
    /// The record, once the request was decided.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.decided.then_some(&self.record)
    }

    /// The request arrived.
    pub fn request(&mut self, id: &Rc<str>, method: &str, workspace_id: Option<&str>, settings: &Settings) {
        self.record.v = VERSION;
        self.record.request_id = self.share(id, SHORT);
        self.record.method = Some(self.fit(method, WORD));
        self.record.workspace_id = workspace_id.map(|id| self.fit(id, SHORT));
        self.record.config = Some(settings.config.clone());
    }

    /// What it asks for.
    pub fn operation(&mut self, operation: Option<Operation>) {
        self.record.operation = operation.map(Operation::name);
        self.record.path_template = operation.map(Operation::template);
    }

    /// It is for an endpoint of the gateway itself.
    pub const fn own_endpoint(&mut self, path: &'static str) {
        self.record.path_template = Some(path);
    }

    /// A token was brought; whether it is good is not known.
    pub fn token(&mut self, token: TokenDigest) {
        self.record.token_id = Some(token.id());
    }

    /// The token will never be accepted, for this reason.
    pub const fn invalid(&mut self, code: &'static str) {
        self.record.code = Some(code);
    }

    /// The token was verified.
    pub fn caller(&mut self, caller: &Caller, provider: &Rc<str>, agent: Option<&Rc<str>>, settings: &Settings) {
        self.record.idp = Some(self.share(provider, SHORT));
        self.record.subject = Some(if settings.digest_subjects {
            digest(provider, caller.subject()).into()
        } else {
            self.share(caller.shared_subject(), LONG)
        });
        self.record.client = caller.shared_client().map(|client| self.share(client, NAME));
        let chain = caller.actors().join(", ");
        self.record.act = (!chain.is_empty()).then(|| self.fit(&chain, LONG));
        self.record.agent = agent.map(|agent| self.share(agent, SHORT));
        self.token(caller.token_digest());
    }

    /// What it touches, as far as that was read.
    pub fn touches(&mut self, resources: &[Resource], scan: Option<&Scan>, settings: &Settings) {
        self.record.resources = SortedMap::new();
        self.record.sql = scan.map(|scan| self.sql(scan, settings.sql_tables));
        if resources.is_empty() {
            return;
        }
        if let [only] = resources {
            let id = self.fit(&only.id, NAME);
            self.record.resources.insert(only.kind, vec![id]);
            return;
        }
        let mut named: Vec<_> = resources.iter().map(|resource| (resource.kind, resource.id.as_str())).collect();
        sort(&mut named);
        named.dedup();
        let lists = named.chunk_by(|(one, _), (other, _)| one == other);
        self.record.resources =
            lists.filter_map(|list| Some((list.first()?.0, self.list(list.iter().map(|(_, id)| *id))))).collect();
    }

    /// Policy lets it go on, or only records that it would not.
    pub fn permitted(&mut self, permit: &Permit, settings: &Settings) {
        self.role(permit.shared_role(), settings);
        self.record.rule = permit.shared_rule().map(|rule| self.share(rule, SHORT));
        self.record.credential = Some(permit.credential().kind());
        self.record.principal = permit.credential().principal().map(|principal| self.fit(principal, SHORT));
        self.record.permits = permit.lets_pass().names().collect();
        if permit.credential().asks_for_scope() {
            self.record.scope = Some(self.fit(permit.scope().as_str(), NAME));
        }
        self.record.decision = Decision::Allow;
        self.record.reason = None;
        if let Some(denial) = permit.would_deny() {
            self.about(denial);
            self.record.decision = Decision::WouldDeny;
            self.record.reason = Some(denial.reason());
        }
    }

    /// Policy does not.
    pub fn denied(&mut self, denial: &Denial, settings: &Settings) {
        self.about(denial);
        if let (_, Some(role), _) = denial.subject() {
            self.role(role, settings);
        }
    }

    fn about(&mut self, denial: &Denial) {
        let (_, _, rule) = denial.subject();
        self.record.rule = rule.map(|rule| self.share(rule, SHORT));
        if let Denial::AgentLimit { agent, .. } = denial {
            self.record.agent = Some(self.share(agent, SHORT));
        }
    }

    fn role(&mut self, role: &Rc<str>, settings: &Settings) {
        self.record.role = Some(self.share(role, NAME));
        self.record.grant = settings.grants.get(&**role).map(|grant| Grant {
            approved_by: grant.approved_by.as_deref().map(|name| self.fit(name, NAME)),
            ticket: grant.ticket.as_deref().map(|ticket| self.fit(ticket, SHORT)),
            break_glass: grant.break_glass,
        });
    }

    /// Where the Databricks token comes from.
    pub const fn token_use(&mut self, how: TokenUse) {
        self.record.token_cache = Some(how);
    }

    /// Another server was asked.
    pub const fn called(&mut self, now: UnixTime) {
        self.called_at = Some(now);
        self.has_waited = true;
    }

    /// Whether another server was ever asked.
    #[must_use]
    pub const fn has_waited(&self) -> bool {
        self.has_waited
    }

    /// It answered, or did not.
    pub fn answered(&mut self, now: UnixTime) {
        let waited = self.called_at.take().map(|since| now.since(since)).unwrap_or_default();
        self.waited = self.waited.saturating_add(waited);
    }

    /// The request goes on.
    pub fn forward(&mut self, now: UnixTime) {
        self.end(now);
    }

    /// The request is refused, also if it was to go on.
    pub fn refuse(&mut self, reason: Reason, now: UnixTime) {
        self.record.decision = Decision::Deny;
        self.record.reason = Some(reason);
        self.end(now);
    }

    /// The gateway answers the request as was asked.
    pub fn answer(&mut self, now: UnixTime) {
        self.record.decision = Decision::Allow;
        self.record.reason = None;
        self.end(now);
    }

    fn end(&mut self, now: UnixTime) {
        self.record.v = VERSION;
        if self.record.request_id.is_empty() {
            self.record.request_id = "unknown".into();
        }
        self.record.time = time(now);
        self.record.callout_ms = u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX);
        self.decided = true;
    }

    #[inline(never)]
    fn fit(&mut self, text: &str, room: usize) -> Label {
        let (text, cut) = fit(text, room);
        self.record.truncated |= cut;
        text
    }

    #[inline(never)]
    fn share(&mut self, text: &Rc<str>, room: usize) -> Label {
        let (text, cut) = fit_shared(text, room);
        self.record.truncated |= cut;
        text
    }

    #[inline(never)]
    fn list<'t>(&mut self, items: impl IntoIterator<Item = &'t str>) -> Vec<Label> {
        let mut items = items.into_iter();
        let list = items.by_ref().take(MOST).map(|item| self.fit(item, NAME)).collect();
        self.record.truncated |= items.next().is_some();
        list
    }

    fn sql(&mut self, scan: &Scan, with_tables: bool) -> Sql {
        let parsed = scan.parsed.is_ok();
        let classes: SortedMap<_, _> = scan.classes.iter().map(|one| (*one, one.as_str())).collect();
        let classes: Vec<_> = classes.into_iter().map(|(_, name)| name).collect();
        // paths and functions are parts of the text, and may hold anything
        let named = |kind| matches!(kind, Kind::Table | Kind::Schema | Kind::Catalog);
        let objects = scan.reads.iter().chain(&scan.writes).filter(|object| named(object.kind));
        let mut tables: Vec<_> = objects.map(|object| object.name.as_str()).collect();
        sort(&mut tables);
        tables.dedup();
        Sql {
            class: (parsed && !classes.is_empty()).then(|| classes.join(",")),
            tables: if with_tables { self.list(tables) } else { Vec::new() },
            parsed,
        }
    }
}

/// By which a subject can be recognised and not read. The provider's name is part of it: subjects are unique within a provider only.
fn digest(provider: &str, subject: &str) -> String {
    let digest = Sha256::new().chain_update(provider).chain_update([0]).chain_update(subject).finalize();
    let digits = digest.iter().take(16).map(|byte| format!("{byte:02x}"));
    std::iter::once("sha256:".to_owned()).chain(digits).collect()
}

/// RFC 3339 in UTC, with milliseconds.
pub(super) fn time(now: UnixTime) -> Label {
    // what lies beyond the year 9999 cannot be written
    const LAST: u64 = 253_402_300_799_999;
    let since = Duration::from_millis(now.as_millis().min(LAST));
    let time = SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH);
    Label::of(&humantime::format_rfc3339_millis(time))
}
