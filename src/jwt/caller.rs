//! Who sent a request, as far as a provider vouches for it.

use super::claims::{ClaimPath, Expectations};
use super::compact::JSON_DEPTH;
use super::verify::Signed;
use super::{BearerToken, GroupNames, TokenDigest, TokenError, groups};
use crate::base::{Secret, UnixTime, parse_object_strict};
use serde_json::{Map, Value};
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// The claim that names the key that a token is bound to (RFC 7800).
pub const CONFIRMATION: &str = "cnf";

/// A caller whose token's signature, issuer, audience and lifetime were checked, and whose required claims are as
/// required.
///
/// Only [`verify`](super::verify) makes one, so code that is handed a `Caller` need not ask whether these checks were
/// made. They held at that time; ask [`Caller::still_valid`] before using one that was kept.
#[derive(Clone)]
pub struct Caller {
    token: Secret<String>,
    known: Rc<Known>,
    /// The key that the token is bound to by the word of the provider, where the token itself names none.
    confirmation: Option<Rc<Value>>,
    /// The claims, once somebody asked for one that is not in `known`.
    claims: OnceCell<Map<String, Value>>,
}

/// A caller without the token, to be kept: of 10,000 callers each byte counts. Whoever brings the token again is that caller.
#[derive(Clone)]
pub struct Vouched {
    known: Rc<Known>,
    confirmation: Option<Rc<Value>>,
}

/// What was found out of a token. The claims stay text: as a tree they would take ten times as much, and few requests need one.
struct Known {
    digest: TokenDigest,
    claims: Box<str>,
    lifetime: Lifetime,
    issuer: Rc<str>,
    subject: Rc<str>,
    raw_subject: Option<Rc<str>>,
    jwt_id: Option<Box<str>>,
    session_id: Option<Box<str>>,
    groups: Groups,
    client: Option<Rc<str>>,
    actors: Box<[String]>,
}

/// The groups that a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// These and no others; none, if the claim is not there.
    Listed(GroupNames),
    /// Entra ID left them out because there are too many. Unlike an empty list this says nothing: refuse whatever
    /// depends on groups.
    Overage,
}

impl Caller {
    pub(super) fn new(
        signed: Signed<'_>,
        token: &BearerToken,
        lifetime: Lifetime,
        expect: &Expectations,
    ) -> Result<Self, TokenError> {
        let claims = signed.claims();
        // revocation compares these: a number would never be found in the feed
        let compared = |name: &str| optional_text(claims, &ClaimPath::name(name));
        let [raw_subject, jwt_id, session_id] = [compared("sub")?, compared("jti")?, compared("sid")?];
        let subject: Rc<str> = subject(claims, &expect.subject)?.into();
        let shared = |text: String| if *text == *subject { Rc::clone(&subject) } else { text.into() };
        let raw_subject = raw_subject.map(shared);
        let known = Known {
            digest: token.digest(),
            claims: signed.text().into(),
            lifetime,
            issuer: Rc::clone(&expect.issuer),
            raw_subject,
            jwt_id: jwt_id.map(String::into_boxed_str),
            session_id: session_id.map(String::into_boxed_str),
            groups: groups::read(claims, &expect.groups, expect.groups_separator)?,
            client: client(claims, expect.client.as_ref())?.map(Rc::from),
            actors: actors(claims)?.into(),
            subject,
        };
        Ok(Self::of(token.text().clone(), Rc::new(known), None))
    }

    /// `iss`, equal to the configured issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.known.issuer
    }

    /// Who the caller is, from the configured claim; never empty. Unique within the issuer at most.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.known.subject
    }

    /// As [`Caller::subject`], to be kept.
    #[must_use]
    pub fn shared_subject(&self) -> &Rc<str> {
        &self.known.subject
    }

    /// `sub`, which may differ from [`Caller::subject`].
    #[must_use]
    pub fn raw_subject(&self) -> Option<&str> {
        self.known.raw_subject.as_deref()
    }

    /// The caller's groups.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.known.groups
    }

    /// The application that the caller uses.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.shared_client().map(|client| &**client)
    }

    /// As [`Caller::client`], to be kept.
    #[must_use]
    pub fn shared_client(&self) -> Option<&Rc<str>> {
        self.known.client.as_ref()
    }

    /// Who acts for the caller: `sub` of the outermost `act` (RFC 8693 4.1), which is the current actor; those inside
    /// it are history, and nothing is decided by them.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.known.actors.first().map(String::as_str)
    }

    /// The chain of actors: the current one, then the one before it, and so on; at most five.
    #[must_use]
    pub fn actors(&self) -> &[String] {
        &self.known.actors
    }

    /// Any claim.
    #[must_use]
    pub fn claim(&self, path: &ClaimPath) -> Option<&Value> {
        path.find(self.claims.get_or_init(|| self.known.read_claims(self.confirmation.as_deref())))
    }

    /// `exp`: from then on the token is not accepted, clock skew aside.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.known.lifetime.expires_at
    }

    /// `nbf`.
    #[must_use]
    pub fn not_before(&self) -> Option<UnixTime> {
        self.known.lifetime.not_before
    }

    /// `iat`.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.known.lifetime.issued_at
    }

    /// The token's SHA-256.
    #[must_use]
    pub fn token_digest(&self) -> TokenDigest {
        self.known.digest
    }

    /// `jti`.
    #[must_use]
    pub fn jwt_id(&self) -> Option<&str> {
        self.known.jwt_id.as_deref()
    }

    /// `sid`, the session at the provider.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.known.session_id.as_deref()
    }

    /// The token itself, to exchange it.
    #[must_use]
    pub const fn token(&self) -> &Secret<String> {
        &self.token
    }

    /// Whether the times of the token hold at `now` too; `skew` as it was for [`verify`](super::verify).
    ///
    /// # Errors
    ///
    /// [`TokenError::Expired`] or [`TokenError::NotYetValid`] (clocks do go backwards): drop what was kept, and refuse.
    pub fn still_valid(&self, now: UnixTime, skew: Duration) -> Result<(), TokenError> {
        self.known.lifetime.check(now, skew)
    }

    /// The same caller, whose token is bound to a key besides.
    pub(super) fn bound_to(&self, confirmation: Value) -> Self {
        Self::of(self.token.clone(), Rc::clone(&self.known), Some(Rc::new(confirmation)))
    }

    const fn of(token: Secret<String>, known: Rc<Known>, confirmation: Option<Rc<Value>>) -> Self {
        Self { token, known, confirmation, claims: OnceCell::new() }
    }

    /// What may be kept of the caller.
    #[must_use]
    pub fn vouched(&self) -> Vouched {
        Vouched { known: Rc::clone(&self.known), confirmation: self.confirmation.clone() }
    }
}

impl Vouched {
    /// The caller, if `token` is the very one that was vouched for; otherwise it is given back.
    ///
    /// # Errors
    ///
    /// It is another token.
    #[inline(never)]
    pub fn brought(&self, token: BearerToken) -> Result<Caller, BearerToken> {
        if token.digest() != self.known.digest {
            return Err(token);
        }
        Ok(Caller::of(token.into_text(), Rc::clone(&self.known), self.confirmation.clone()))
    }

    /// The caller with the token of `other`, who has brought the very one that was vouched for.
    #[must_use]
    #[inline(never)]
    pub fn brought_by(&self, other: &Caller) -> Option<Caller> {
        let is_same = other.known.digest == self.known.digest;
        is_same.then(|| Caller::of(other.token.clone(), Rc::clone(&self.known), self.confirmation.clone()))
    }

    /// How many bytes it takes up, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.known.bytes()
    }
}

impl Known {
    #[inline(never)]
    fn read_claims(&self, confirmation: Option<&Value>) -> Map<String, Value> {
        // they were read before, when they were verified
        let mut claims = parse_object_strict(self.claims.as_bytes(), JSON_DEPTH).unwrap_or_default();
        if let Some(confirmation) = confirmation {
            claims.insert(CONFIRMATION.to_owned(), confirmation.clone());
        }
        claims
    }

    #[inline(never)]
    fn bytes(&self) -> usize {
        let groups = match &self.groups {
            Groups::Listed(names) => names.bytes(),
            Groups::Overage => 0,
        };
        let texts = [Some(&*self.subject), self.client.as_deref(), self.jwt_id.as_deref()];
        let texts = texts.into_iter().chain([self.session_id.as_deref(), self.raw_subject.as_deref()]).flatten();
        let actors = self.actors.iter().map(|actor| actor.len().saturating_add(size_of::<String>()));
        // each block of memory has some bytes that are the allocator's, or nobody's
        let blocks = texts.map(|text| text.len().saturating_add(24)).chain(actors);
        let inside = [size_of::<Self>(), self.claims.len(), groups].into_iter().chain(blocks);
        inside.fold(0, usize::saturating_add)
    }
}

impl fmt::Debug for Vouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vouched").field("token", &self.known.digest).finish_non_exhaustive()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("token", &self.known.digest).finish_non_exhaustive()
    }
}

/// `exp`, `nbf` and `iat` (RFC 7519 4.1).
#[derive(Clone, Copy)]
pub(super) struct Lifetime {
    pub(super) expires_at: UnixTime,
    pub(super) not_before: Option<UnixTime>,
    pub(super) issued_at: Option<UnixTime>,
}

impl Lifetime {
    pub(super) fn of(signed: Signed<'_>) -> Result<Self, TokenError> {
        let claims = signed.claims();
        Ok(Self {
            expires_at: time(claims, "exp")?.ok_or_else(|| TokenError::ClaimMissing("exp".to_owned()))?,
            not_before: time(claims, "nbf")?,
            issued_at: time(claims, "iat")?,
        })
    }

    /// As [`Lifetime::of`], of what says less: it ends no later than `latest`.
    pub(super) fn within(signed: Signed<'_>, latest: UnixTime) -> Result<Self, TokenError> {
        let claims = signed.claims();
        Ok(Self {
            expires_at: time(claims, "exp")?.unwrap_or(latest).min(latest),
            not_before: time(claims, "nbf")?,
            issued_at: time(claims, "iat")?,
        })
    }

    /// At `exp` itself the token has expired; at `nbf` itself it is valid. A token from the future (`iat`) is one of a
    /// clock that is wrong, or of someone who prepares tokens.
    pub(super) fn check(self, now: UnixTime, skew: Duration) -> Result<(), TokenError> {
        if now >= self.expires_at.plus(skew) {
            return Err(TokenError::Expired);
        }
        if [self.not_before, self.issued_at].into_iter().flatten().any(|start| start > now.plus(skew)) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

/// The end of the year 9999. Times after it are errors, most often milliseconds, and would make a token valid for ever.
const LAST_SECOND: u64 = 253_402_300_799;

/// `NumericDate` (RFC 7519 2): a JSON number of seconds, perhaps with a fraction. A check that skips what it cannot
/// read lets tokens in (CVE-2026-25537), so any other type is refused.
pub(super) fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<UnixTime>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    numeric_date(value).map(Some).ok_or_else(|| TokenError::ClaimType(name.to_owned()))
}

/// The time that a JSON number of seconds since 1970 says (RFC 7519 2, `NumericDate`); `None` for any other value, and for a time after the
/// year 9999, which is an error.
#[must_use]
pub fn numeric_date(value: &Value) -> Option<UnixTime> {
    let Value::Number(number) = value else { return None };
    let millis = match (number.as_u64(), number.as_f64()) {
        (Some(secs), _) if secs <= LAST_SECOND => Some(secs.saturating_mul(1000)),
        (None, Some(secs)) if (0.0..=LAST_SECOND as f64).contains(&secs) => Some((secs * 1000.0) as u64),
        _ => None,
    };
    millis.map(UnixTime::from_millis)
}

fn subject(claims: &Map<String, Value>, path: &ClaimPath) -> Result<String, TokenError> {
    optional_text(claims, path)?.ok_or_else(|| TokenError::ClaimMissing(path.to_string()))
}

/// Tells agents from people, so a claim that is there but unreadable must not pass for one that is not there.
fn client(claims: &Map<String, Value>, path: Option<&ClaimPath>) -> Result<Option<String>, TokenError> {
    if let Some(path) = path {
        return optional_text(claims, path);
    }
    let names = ["azp", "client_id", "cid", "appid"];
    let present = names.into_iter().find(|name| claims.contains_key(*name));
    present.map_or(Ok(None), |name| optional_text(claims, &ClaimPath::name(name)))
}

/// Nobody delegates further than this.
const LONGEST_CHAIN: usize = 5;

fn actors(claims: &Map<String, Value>) -> Result<Vec<String>, TokenError> {
    let wrong = || TokenError::ClaimType("act".to_owned());
    let mut actors = Vec::new();
    let mut inner = claims.get("act");
    while let Some(act) = inner {
        let act = act.as_object().filter(|_| actors.len() < LONGEST_CHAIN).ok_or_else(wrong)?;
        let actor = optional_text(act, &ClaimPath::name("sub")).map_err(|_| wrong())?;
        actors.push(actor.ok_or_else(wrong)?);
        inner = act.get("act");
    }
    check_may_act(claims)?;
    Ok(actors)
}

/// Who may act for the subject (RFC 8693 4.4), where a token says so and somebody does: every word by which it names that party must be the
/// current actor's.
fn check_may_act(claims: &Map<String, Value>) -> Result<(), TokenError> {
    let may_act = match claims.get("may_act") {
        None => return Ok(()),
        Some(Value::Object(may_act)) if !may_act.is_empty() => may_act,
        Some(_) => return Err(TokenError::ClaimType("may_act".to_owned())),
    };
    let Some(Value::Object(act)) = claims.get("act") else { return Ok(()) };
    let is_named = may_act.iter().all(|(name, value)| act.get(name) == Some(value));
    if is_named { Ok(()) } else { Err(TokenError::ActorNotAllowed) }
}

/// A string that is not empty, or nothing.
pub(super) fn optional_text(claims: &Map<String, Value>, path: &ClaimPath) -> Result<Option<String>, TokenError> {
    match path.find(claims) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(TokenError::ClaimType(path.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ClaimPath;
    use super::super::testing::{NOW, caller, check, claims, expectations, sign, sign_texts};
    use super::*;
    use crate::base::Reason;
    use serde_json::json;

    /// The error code and claim for claims with these changes, or "accepted".
    fn decide(changes: Value) -> String {
        decide_with(changes, &expectations())
    }

    fn decide_with(changes: Value, expect: &Expectations) -> String {
        match check(&sign(&claims(changes)), expect) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => [error.code(), error.claim().unwrap_or_default()].join(" ").trim_end().to_owned(),
        }
    }

    /// As [`decide`], for claims that are no JSON values of `serde_json`: `name` has this text as its value.
    fn decide_text(name: &str, text: &str) -> String {
        let mut claims = claims(json!({}));
        claims[name] = json!("@");
        let payload = claims.to_string().replace("\"@\"", text);
        match check(&sign_texts(r#"{"alg":"EdDSA","kid":"k1"}"#, &payload), &expectations()) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn a_token_expires_at_exp_with_the_skew_added() {
        let now = NOW.as_secs();
        assert_eq!(decide(json!({"exp": now + 1})), "accepted");
        assert_eq!(decide(json!({"exp": now - 29})), "accepted");
        assert_eq!(decide(json!({"exp": now - 30})), "expired");
        assert_eq!(decide(json!({"exp": 0})), "expired");
        assert_eq!(decide(json!({"exp": null})), "claim_missing exp");
    }

    #[test]
    fn a_token_is_valid_from_nbf_and_iat_on_with_the_skew_taken_off() {
        let now = NOW.as_secs();
        for name in ["nbf", "iat"] {
            assert_eq!(decide(json!({name: now + 30})), "accepted", "{name}");
            assert_eq!(decide(json!({name: now + 31})), "not_yet_valid", "{name}");
            assert_eq!(decide(json!({name: 0})), "accepted", "{name}");
            assert_eq!(decide(json!({name: null})), "accepted", "{name}");
        }
        let error = check(&sign(&claims(json!({"nbf": now + 31}))), &expectations()).unwrap_err();
        assert_eq!(error.reason(), Reason::TokenNotYetValid);
    }

    #[test]
    fn times_may_have_fractions() {
        let caller = caller(json!({"exp": 1_800_000_600.25, "nbf": 1_799_999_990.9, "iat": 1.0}));
        assert_eq!(caller.expires_at(), UnixTime::from_millis(1_800_000_600_250));
        assert_eq!(caller.not_before().map(UnixTime::as_secs), Some(1_799_999_990));
        assert_eq!(caller.issued_at(), Some(UnixTime::from_secs(1)));
        assert_eq!(decide(json!({"exp": 1_799_999_970.0})), "expired");
        assert_eq!(decide(json!({"exp": 1_799_999_970.001})), "accepted");
        assert_eq!(decide_text("exp", "1.8000006e9"), "accepted");
        assert_eq!(decide_text("nbf", "-0.0"), "accepted");
    }

    #[test]
    fn a_time_that_is_no_number_or_no_time_is_refused() {
        for name in ["exp", "nbf", "iat"] {
            for text in ["null", "true", "\"1800000600\"", "\"\"", "[]", "[1800000600]", "{}", "-1", "-0.5", "-1e300"] {
                assert_eq!(decide_text(name, text), "claim_type", "{name}: {text}");
            }
            // milliseconds, and numbers that overflow whatever they are put into
            for text in [
                "253402300800",
                "1800000600000",
                "18446744073709551615",
                "18446744073709551616",
                "1e300",
                "9e18",
                "2.6e11",
            ] {
                assert_eq!(decide_text(name, text), "claim_type", "{name}: {text}");
            }
            for text in ["1e400", "-1e400", "NaN", "Infinity", "0x10", "01"] {
                assert_eq!(decide_text(name, text), "malformed", "{name}: {text}");
            }
        }
        assert_eq!(decide_text("exp", "253402300799"), "accepted");
    }

    #[test]
    fn a_kept_caller_can_be_asked_again() {
        let caller = caller(json!({}));
        let skew = Duration::from_secs(30);
        assert_eq!(caller.still_valid(NOW, skew), Ok(()));
        assert_eq!(caller.still_valid(UnixTime::from_secs(1_800_000_629), skew), Ok(()));
        assert_eq!(caller.still_valid(UnixTime::from_secs(1_800_000_630), skew), Err(TokenError::Expired));
        assert_eq!(caller.still_valid(UnixTime::from_secs(1_799_999_960), skew), Ok(()));
        assert_eq!(caller.still_valid(UnixTime::from_secs(1_799_999_959), skew), Err(TokenError::NotYetValid));
    }

    #[test]
    fn the_subject_is_a_string_that_is_not_empty() {
        assert_eq!(caller(json!({"sub": "repo:o/r:environment:prod"})).subject(), "repo:o/r:environment:prod");
        assert_eq!(decide(json!({"sub": null})), "claim_missing sub");
        for value in [json!(""), json!(7), json!(["anna"]), json!({"a": 1}), json!(true)] {
            assert_eq!(decide(json!({"sub": value})), "claim_type sub", "{value}");
        }
    }

    #[test]
    fn the_subject_may_be_another_claim() {
        let mut expect = expectations();
        expect.subject = ClaimPath::parse("/user/email").unwrap();
        let caller = check(&sign(&claims(json!({"user": {"email": "anna@example.com"}}))), &expect).unwrap();
        assert_eq!((caller.subject(), caller.raw_subject()), ("anna@example.com", Some("anna")));
        assert_eq!(decide_with(json!({}), &expect), "claim_missing /user/email");
        let nobody = check(&sign(&claims(json!({"sub": null, "user": {"email": "a"}}))), &expect).unwrap();
        assert_eq!(nobody.raw_subject(), None);
    }

    #[test]
    fn the_client_is_the_first_of_the_known_claims() {
        let client = |changes: Value| caller(changes).client().map(str::to_owned);
        let all = json!({"azp": "a", "client_id": "b", "cid": "c", "appid": "d"});
        assert_eq!(client(all.clone()).as_deref(), Some("a"));
        for (name, expected) in [("client_id", "b"), ("cid", "c"), ("appid", "d")] {
            assert_eq!(client(json!({name: all[name]})).as_deref(), Some(expected));
        }
        assert_eq!(client(json!({"cid": "c", "client_id": "b"})).as_deref(), Some("b"));
        assert_eq!(client(json!({})), None);
    }

    #[test]
    fn a_configured_client_claim_is_the_only_one() {
        let mut expect = expectations();
        expect.client = Some(ClaimPath::name("app"));
        let client = |changes: Value| {
            let caller = check(&sign(&claims(changes)), &expect).unwrap();
            caller.client().map(str::to_owned)
        };
        assert_eq!(client(json!({"app": "x", "azp": "a"})).as_deref(), Some("x"));
        assert_eq!(client(json!({"azp": "a"})), None);
    }

    #[test]
    fn a_client_or_actor_that_cannot_be_read_is_not_taken_for_none() {
        assert_eq!(decide(json!({"azp": 1, "client_id": "b"})), "claim_type azp");
        assert_eq!(decide(json!({"azp": ""})), "claim_type azp");
        for act in [
            json!("agent"),
            json!({}),
            json!({"sub": 1}),
            json!({"sub": ""}),
            json!([{"sub": "a"}]),
            json!({"client_id": "a"}),
            json!(true),
        ] {
            assert_eq!(decide(json!({"act": act})), "claim_type act", "{act}");
        }
    }

    /// A chain of so many actors, `a1` the current one.
    fn chain(length: usize) -> Value {
        (1..=length).rev().fold(Value::Null, |inner, number| {
            let mut act = json!({"sub": format!("a{number}")});
            if !inner.is_null() {
                act["act"] = inner;
            }
            act
        })
    }

    #[test]
    fn the_actor_is_the_outermost_and_those_inside_it_are_history() {
        let one = caller(json!({"act": {"sub": "agent:copilot", "act": {"sub": "agent:before"}}}));
        assert_eq!(
            (one.actor(), one.actors()),
            (Some("agent:copilot"), &["agent:copilot", "agent:before"].map(str::to_owned)[..])
        );
        let nobody = caller(json!({"may_act": {"sub": "x"}}));
        assert_eq!((nobody.actor(), nobody.actors().len()), (None, 0));
    }

    #[test]
    fn a_chain_has_five_actors_at_most_and_each_is_named() {
        assert_eq!(caller(json!({"act": chain(5)})).actors(), ["a1", "a2", "a3", "a4", "a5"]);
        assert_eq!(decide(json!({"act": chain(6)})), "claim_type act");
        for inner in [json!("a"), json!({}), json!({"sub": ""}), json!({"sub": 1}), json!([]), json!(null)] {
            assert_eq!(decide(json!({"act": {"sub": "a", "act": inner}})), "claim_type act", "{inner}");
        }
    }

    #[test]
    fn where_a_token_says_who_may_act_nobody_else_does() {
        let may = json!({"sub": "agent:copilot", "iss": "https://idp.example"});
        let act = |sub: &str, iss: &str| json!({"sub": sub, "iss": iss});
        for (acts, outcome) in [
            (act("agent:copilot", "https://idp.example"), "accepted"),
            (act("agent:other", "https://idp.example"), "actor_not_allowed"),
            (act("agent:copilot", "https://other.example"), "actor_not_allowed"),
            (json!({"sub": "agent:copilot"}), "actor_not_allowed"),
            // the one that may act did, but somebody else does now
            (json!({"sub": "agent:other", "act": {"sub": "agent:copilot"}}), "actor_not_allowed"),
            (json!(null), "accepted"),
        ] {
            assert_eq!(decide(json!({"may_act": may, "act": acts})), outcome, "{acts}");
        }
        for may in [json!("agent:copilot"), json!([]), json!({}), json!(true)] {
            assert_eq!(decide(json!({ "may_act": may })), "claim_type may_act", "{may}");
        }
    }

    #[test]
    fn what_revocation_compares_is_a_string_or_absent() {
        let caller = caller(json!({"jti": "j1", "sid": "s1"}));
        assert_eq!((caller.jwt_id(), caller.session_id()), (Some("j1"), Some("s1")));
        let caller = super::super::testing::caller(json!({}));
        assert_eq!((caller.jwt_id(), caller.session_id()), (None, None));
        assert_eq!(decide(json!({"jti": 1})), "claim_type jti");
        assert_eq!(decide(json!({"sid": ["s"]})), "claim_type sid");
    }

    #[test]
    fn groups_and_other_claims_can_be_asked_for() {
        let caller = caller(json!({"groups": ["a"], "cnf": {"x5t#S256": "hash"}, "hasgroups": false}));
        assert_eq!(caller.groups(), &Groups::Listed(["a"].into_iter().collect()));
        assert_eq!(caller.claim(&ClaimPath::parse("/cnf/x5t#S256").unwrap()), Some(&json!("hash")));
        assert_eq!(caller.claim(&ClaimPath::name("other")), None);
        assert_eq!(caller.issuer(), "https://idp.example");
        assert_eq!(super::super::testing::caller(json!({"hasgroups": true})).groups(), &Groups::Overage);
        assert_eq!(decide(json!({"groups": ["a", 1]})), "claim_type groups");
    }

    #[test]
    fn the_token_id_is_the_start_of_the_tokens_hash() {
        assert_eq!(TokenDigest::of("abc").id(), "ba7816bf8f01cfea");
        let caller = caller(json!({}));
        assert_eq!(caller.token_digest(), TokenDigest::of(caller.token().expose()));
        assert_eq!(caller.token().expose(), &sign(&claims(json!({}))));
    }

    #[test]
    fn debug_shows_neither_token_nor_claims() {
        let caller = caller(json!({"sub": "canary", "groups": ["canary"], "azp": "canary"}));
        let text = format!("{caller:?}{caller:#?}");
        assert!(!text.contains("canary") && !text.contains("idp") && !text.contains("eyJ"), "{text}");
    }
}
