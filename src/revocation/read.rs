//! How a feed is read: as it stands in a stream, so that a long one takes up little more than what is kept of it.
//!
//! Nothing in it is skipped. A member that is not known could be a cut-off that would not be made, and a name that is misspelt surely is
//! one; so a feed that cannot be read as it is written is no feed, and the gateway goes on with the one before until that is too old.

use super::Revocations;
use super::cuts::{Cuts, Digest};
use crate::base::{UnixTime, case_folded};
use crate::jwt::numeric_date;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::cell::Cell;
use std::fmt;

/// A feed has at most this many entries, all lists together.
pub const MOST_ENTRIES: usize = 200_000;

/// Why a text is no feed. Never holds any of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedFault {
    /// Not one JSON object in UTF-8.
    #[error("the feed is not a JSON object")]
    Syntax,
    /// A member that a feed does not have.
    #[error(
        "the feed has a member that is not known: it may have `subjects`, `tokens`, `clients`, `sessions` and `not_before`"
    )]
    UnknownMember,
    /// A member is there twice.
    #[error("the feed, or an entry of it, has a member twice")]
    DuplicateMember,
    /// There is no member at all: surely something else than a feed.
    #[error("the feed has none of `subjects`, `tokens`, `clients`, `sessions` and `not_before`")]
    Nothing,
    /// An entry is neither a text nor a value with a time.
    #[error("`{0}` of the feed is not a list of texts and of objects with just `value`, a text, and `before`, a time")]
    Entry(&'static str),
    /// `not_before` is no time.
    #[error("`not_before` of the feed is neither a time in seconds nor null")]
    NotBefore,
    /// More than [`MOST_ENTRIES`].
    #[error("the feed has more than {MOST_ENTRIES} entries")]
    TooMany,
}

impl Revocations {
    /// Reads a feed (contract section 6).
    ///
    /// # Errors
    ///
    /// See [`FeedFault`]. Keep what was known before, and refuse once that is too old.
    pub fn parse(bytes: &[u8]) -> Result<Self, FeedFault> {
        let reading = Reading { fault: Cell::new(FeedFault::Syntax), room: Cell::new(MOST_ENTRIES) };
        let mut text = serde_json::Deserializer::from_slice(bytes);
        let why = |error: serde_json::Error| if error.is_data() { reading.fault.get() } else { FeedFault::Syntax };
        let feed = text.deserialize_map(Feed(&reading)).map_err(why)?;
        text.end().map_err(|_| FeedFault::Syntax)?;
        Ok(feed)
    }
}

/// `serde` carries errors as text only, so the kind goes out beside it.
struct Reading {
    fault: Cell<FeedFault>,
    /// How many entries there may still be.
    room: Cell<usize>,
}

impl Reading {
    fn refuse<E: Error>(&self, fault: FeedFault) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }

    /// The value of a member that was not there yet.
    fn once<T, E: Error>(&self, place: &mut Option<T>, value: T) -> Result<(), E> {
        if place.replace(value).is_some() { Err(self.refuse(FeedFault::DuplicateMember)) } else { Ok(()) }
    }
}

struct Feed<'r>(&'r Reading);

impl<'de> Visitor<'de> for Feed<'_> {
    type Value = Revocations;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a feed")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Revocations, A::Error> {
        let Self(reading) = self;
        let (mut subjects, mut tokens, mut clients, mut sessions) = (None, None, None, None);
        let mut not_before = None;
        while let Some(name) = members.next_key::<String>()? {
            let (place, name) = match name.as_str() {
                "subjects" => (&mut subjects, "subjects"),
                "tokens" => (&mut tokens, "tokens"),
                "clients" => (&mut clients, "clients"),
                "sessions" => (&mut sessions, "sessions"),
                "not_before" => {
                    let time =
                        read_not_before(&members.next_value()?).ok_or_else(|| reading.refuse(FeedFault::NotBefore))?;
                    reading.once(&mut not_before, time)?;
                    continue;
                }
                _ => return Err(reading.refuse(FeedFault::UnknownMember)),
            };
            let list = members.next_value_seed(List { reading, name }).inspect_err(|_| reading.is_of(name))?;
            reading.once(place, list)?;
        }
        if subjects.is_none() && tokens.is_none() && clients.is_none() && sessions.is_none() && not_before.is_none() {
            return Err(reading.refuse(FeedFault::Nothing));
        }
        Ok(Revocations {
            subjects: subjects.unwrap_or_default(),
            tokens: tokens.unwrap_or_default(),
            clients: clients.unwrap_or_default(),
            sessions: sessions.unwrap_or_default(),
            not_before: not_before.flatten(),
        })
    }
}

impl Reading {
    /// What went wrong within a list and has no name yet is the list's.
    fn is_of(&self, name: &'static str) {
        if self.fault.get() == FeedFault::Syntax {
            self.fault.set(FeedFault::Entry(name));
        }
    }
}

fn read_not_before(value: &Value) -> Option<Option<UnixTime>> {
    if value.is_null() { Some(None) } else { numeric_date(value).map(Some) }
}

struct List<'r> {
    reading: &'r Reading,
    name: &'static str,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Cuts;

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<Cuts, D::Error> {
        text.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Cuts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Cuts, A::Error> {
        let mut entries = Vec::new();
        let entry = || Entry { reading: self.reading, folds: self.name == "subjects" };
        while let Some(cut) = elements.next_element_seed(entry())? {
            let room = self.reading.room.get().checked_sub(1);
            self.reading.room.set(room.ok_or_else(|| self.reading.refuse(FeedFault::TooMany))?);
            entries.push(cut);
        }
        Ok(Cuts::new(entries))
    }
}

struct Entry<'r> {
    reading: &'r Reading,
    /// Whether values are compared without case.
    folds: bool,
}

impl Entry<'_> {
    /// No token has an empty value.
    fn digest(&self, value: &str) -> Option<Digest> {
        let digest = || if self.folds { Digest::of(case_folded(value)) } else { Digest::of(value.chars()) };
        (!value.is_empty()).then(digest)
    }
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = (Digest, UnixTime);

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<Self::Value, D::Error> {
        text.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = (Digest, UnixTime);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        let digest = self.digest(value).ok_or_else(|| E::custom("an empty value"))?;
        Ok((digest, UnixTime::MAX))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut value, mut before) = (None, None);
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "value" => {
                    let digest = self.digest(&members.next_value::<String>()?);
                    self.reading.once(&mut value, digest)?;
                }
                "before" => {
                    let time = numeric_date(&members.next_value()?);
                    self.reading.once(&mut before, time)?;
                }
                _ => return Err(A::Error::custom("an unknown member")),
            }
        }
        value.flatten().zip(before.flatten()).ok_or_else(|| A::Error::custom("an entry without its members"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Marks;
    use super::*;
    use crate::jwt::testing::caller;
    use serde_json::json;

    fn feed(feed: &Value) -> Revocations {
        Revocations::parse(feed.to_string().as_bytes()).unwrap()
    }

    /// Whether this feed cuts off a token of Anna's with these changes.
    fn cuts(feed_text: Value, claims: Value) -> bool {
        let mut all = json!({"sub": "Anna@x", "jti": "t1", "sid": "s1", "azp": "app", "iat": 1_799_999_000});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        feed(&feed_text).cut_off(&Marks::of(&caller(all)))
    }

    #[test]
    fn each_list_cuts_off_by_its_own_claim() {
        for list in ["subjects", "tokens", "clients", "sessions"] {
            let value = match list {
                "subjects" => "Anna@x",
                "tokens" => "t1",
                "clients" => "app",
                _ => "s1",
            };
            for other in ["subjects", "tokens", "clients", "sessions"] {
                assert_eq!(cuts(json!({other: ["zoe", value, "adam"]}), json!({})), other == list, "{list} {other}");
            }
        }
    }

    #[test]
    fn subjects_are_compared_without_case_and_nothing_else_is() {
        assert!(cuts(json!({"subjects": ["aNNA@X"]}), json!({})));
        assert!(cuts(json!({"subjects": ["anna@x"]}), json!({"sub": "ANNA@X"})));
        assert!(!cuts(json!({"subjects": ["anna_@x"]}), json!({})));
        for list in ["tokens", "clients", "sessions"] {
            assert!(!cuts(json!({list: ["T1", "APP", "S1"]}), json!({})), "{list}");
        }
    }

    #[test]
    fn a_time_cuts_off_what_was_issued_before_it_and_what_does_not_say_when() {
        let at = |before: u64| json!({"subjects": [{"value": "anna@x", "before": before}]});
        for (before, cut) in [(1_799_999_000, false), (1_799_999_001, true), (0, false)] {
            assert_eq!(cuts(at(before), json!({})), cut, "{before}");
            assert!(cuts(at(before), json!({"iat": null})), "{before}");
            assert_eq!(cuts(json!({"not_before": before}), json!({})), cut, "{before}");
            assert!(cuts(json!({"not_before": before}), json!({"iat": null})), "{before}");
        }
        assert!(cuts(json!({"not_before": 1_799_999_000.5}), json!({})));
        assert!(!cuts(json!({"not_before": null}), json!({"iat": null})));
    }

    #[test]
    fn of_a_value_that_is_there_twice_what_cuts_off_more_counts() {
        let early = json!({"value": "ANNA@x", "before": 1});
        let late = json!({"before": 1_799_999_001, "value": "anna@x"});
        assert!(cuts(json!({"subjects": [early, late]}), json!({})));
        assert!(cuts(json!({"subjects": [late, early]}), json!({})));
        assert!(cuts(json!({"subjects": ["anna@x", early]}), json!({})));
        assert!(!cuts(json!({"subjects": [early, early]}), json!({})));
        assert_eq!(feed(&json!({"subjects": [early, late, "x"]})).len(), 2);
    }

    #[test]
    fn what_is_not_written_as_a_feed_is_no_feed() {
        use FeedFault::{DuplicateMember, Entry, NotBefore, Nothing, Syntax, UnknownMember};
        for (text, fault) in [
            ("", Syntax),
            ("null", Syntax),
            ("[]", Syntax),
            ("<html>", Syntax),
            (r#"{"subjects":[]} x"#, Syntax),
            (r#"{"subjects":["#, Syntax),
            ("{}", Nothing),
            (r#"{"subject":["a"]}"#, UnknownMember),
            (r#"{"subjects":[],"devices":[]}"#, UnknownMember),
            (r#"{"subjects":[],"subjects":[]}"#, DuplicateMember),
            (r#"{"subjects":[],"\u0073ubjects":["a"]}"#, DuplicateMember),
            (r#"{"not_before":null,"not_before":1}"#, DuplicateMember),
            (r#"{"subjects":[{"value":"a","value":"b","before":1}]}"#, DuplicateMember),
            (r#"{"subjects":null}"#, Entry("subjects")),
            (r#"{"tokens":"a"}"#, Entry("tokens")),
            (r#"{"clients":[1]}"#, Entry("clients")),
            (r#"{"sessions":[null]}"#, Entry("sessions")),
            (r#"{"sessions":[["a"]]}"#, Entry("sessions")),
            (r#"{"subjects":[""]}"#, Entry("subjects")),
            (r#"{"subjects":[{"value":"","before":1}]}"#, Entry("subjects")),
            (r#"{"subjects":[{"value":"a"}]}"#, Entry("subjects")),
            (r#"{"subjects":[{"before":1}]}"#, Entry("subjects")),
            (r#"{"subjects":[{"value":1,"before":1}]}"#, Entry("subjects")),
            (r#"{"subjects":[{"value":"a","before":"1"}]}"#, Entry("subjects")),
            (r#"{"subjects":[{"value":"a","before":null}]}"#, Entry("subjects")),
            (r#"{"subjects":[{"value":"a","before":-1}]}"#, Entry("subjects")),
            // milliseconds
            (r#"{"subjects":[{"value":"a","before":1800000000000}]}"#, Entry("subjects")),
            (r#"{"subjects":[{"value":"a","before":1,"why":"x"}]}"#, Entry("subjects")),
            (r#"{"not_before":"1"}"#, NotBefore),
            (r#"{"not_before":false}"#, NotBefore),
            (r#"{"not_before":1800000000000}"#, NotBefore),
        ] {
            assert_eq!(Revocations::parse(text.as_bytes()).err(), Some(fault), "{text}");
        }
        assert_eq!(Revocations::parse(b"{\"subjects\":[\"\xff\"]}").err(), Some(Syntax));
    }

    #[test]
    fn a_feed_may_be_long_but_not_endless() {
        let many = |count: usize| {
            let half: Vec<_> = (0..count / 2).map(|number| format!("u{number}")).collect();
            let rest: Vec<_> =
                (count / 2..count).map(|number| json!({"value": format!("u{number}"), "before": 1})).collect();
            json!({"subjects": half, "sessions": rest}).to_string()
        };
        let feed = Revocations::parse(many(MOST_ENTRIES).as_bytes()).unwrap();
        assert_eq!(feed.len(), MOST_ENTRIES);
        assert!(feed.cut_off(&Marks::of(&caller(json!({"sub": "U70000"})))));
        assert_eq!(Revocations::parse(many(MOST_ENTRIES + 1).as_bytes()).err(), Some(FeedFault::TooMany));
    }

    #[test]
    fn an_entry_takes_up_twenty_four_bytes() {
        assert_eq!(size_of::<(Digest, UnixTime)>(), 24);
    }
}
