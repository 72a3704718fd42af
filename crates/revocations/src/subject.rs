//! Whom an event is about: subject identifiers of RFC 9493 and of the Shared Signals Framework, and what they are as values of a provider's
//! tokens.

use databricks_kong::config::is_address_claim;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Longest value that is taken, in bytes: tokens' values are far shorter.
const LONGEST: usize = 1024;
/// How deep `aliases` inside complex subjects are followed.
const DEPTH: usize = 3;

/// Formats of subject identifiers whose value can be that of a provider's `claims.subject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `iss` and `sub`; also the `sub` of a logout token.
    IssSub,
    /// `id`.
    Opaque,
    /// `email`.
    Email,
    /// `uri`, without its `acct:`.
    Account,
}

impl Format {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::IssSub => "iss_sub",
            Self::Opaque => "opaque",
            Self::Email => "email",
            Self::Account => "account",
        }
    }

    /// The formats whose values a provider's `claims.subject` holds, unless the configuration says so itself.
    #[must_use]
    pub fn usual_for(claim: &str) -> Vec<Self> {
        if is_address_claim(claim) { vec![Self::Email, Self::Account] } else { vec![Self::IssSub, Self::Opaque] }
    }
}

/// What of an identifier is taken.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'r> {
    /// The formats whose values are the provider's.
    pub formats: &'r [Format],
    /// The issuers whose `sub` is the provider's: the provider itself, and whoever sends the events.
    pub issuers: [&'r str; 2],
}

/// Whom an event is about, in values of the provider's tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Values of `claims.subject`.
    pub users: BTreeSet<String>,
    /// Values of `sid`.
    pub sessions: BTreeSet<String>,
    /// Values of `jti`.
    pub tokens: BTreeSet<String>,
    /// The formats that were there, whether usable or not, for messages.
    pub formats: BTreeSet<String>,
}

impl About {
    /// Whether nothing in it can be a value of the provider's tokens.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.users.is_empty() && self.sessions.is_empty() && self.tokens.is_empty()
    }
}

/// Reads a subject: of the claim `sub_id`, or the `subject` that drafts of CAEP and RISC have in the event.
#[must_use]
pub fn about(subject: &Map<String, Value>, rules: Rules<'_>) -> About {
    let mut about = About::default();
    read(subject, rules, Place::Alone, DEPTH, &mut about);
    about
}

/// Where an identifier stands, which says what an `opaque` one identifies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The event's whole subject: a user or, as in CAEP's examples, a session.
    Alone,
    /// The `user` of a complex subject.
    User,
    /// Its `session`.
    Session,
}

fn read(subject: &Map<String, Value>, rules: Rules<'_>, place: Place, depth: usize, about: &mut About) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let text = |name: &str| subject.get(name).and_then(Value::as_str).filter(|text| is_value(text));
    // the name in drafts, with their hyphens
    let format = text("format").or_else(|| text("subject_type")).map(|format| format.replace('-', "_"));
    let format = format.as_deref().unwrap_or("complex");
    about.formats.insert(format.chars().take(40).collect());
    let takes = |format| place != Place::Session && rules.formats.contains(&format);
    match format {
        "iss_sub" if takes(Format::IssSub) && text("iss").is_some_and(|iss| rules.issuers.contains(&iss)) => {
            about.users.extend(text("sub").map(str::to_owned));
        }
        "opaque" => {
            let id = text("id").map(str::to_owned);
            if takes(Format::Opaque) {
                about.users.extend(id.clone());
            }
            if place != Place::User {
                about.sessions.extend(id);
            }
        }
        "email" if takes(Format::Email) => about.users.extend(text("email").map(str::to_owned)),
        "account" if takes(Format::Account) => {
            about.users.extend(
                text("uri").and_then(|uri| uri.strip_prefix("acct:")).filter(|name| is_value(name)).map(str::to_owned),
            );
        }
        "jwt_id" if text("iss").is_some_and(|iss| rules.issuers.contains(&iss)) => {
            about.tokens.extend(text("jti").map(str::to_owned));
        }
        "aliases" => {
            let identifiers = subject.get("identifiers").and_then(Value::as_array);
            for identifier in identifiers.into_iter().flatten().filter_map(Value::as_object).take(16) {
                read(identifier, rules, place, depth, about);
            }
        }
        "complex" => {
            for (member, place) in [("user", Place::User), ("session", Place::Session)] {
                if let Some(identifier) = subject.get(member).and_then(Value::as_object) {
                    read(identifier, rules, place, depth, about);
                }
            }
        }
        _ => {}
    }
}

/// Whether it is a text that a token's claim may hold and a database keeps.
#[must_use]
pub fn is_value(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ISSUER: &str = "https://idp.example";

    fn of(formats: &[Format], subject: &Value) -> (Vec<String>, Vec<String>) {
        let about = about(subject.as_object().unwrap(), Rules { formats, issuers: [ISSUER, "https://events.example"] });
        (about.users.into_iter().collect(), about.sessions.into_iter().collect())
    }

    fn users(formats: &[Format], subject: &Value) -> Vec<String> {
        of(formats, subject).0
    }

    const ALL: [Format; 4] = [Format::IssSub, Format::Opaque, Format::Email, Format::Account];

    #[test]
    fn each_format_has_its_value_and_only_where_it_is_taken() {
        for (format, subject, value) in [
            (Format::IssSub, json!({"format": "iss_sub", "iss": ISSUER, "sub": "anna"}), "anna"),
            (Format::IssSub, json!({"format": "iss_sub", "iss": "https://events.example", "sub": "anna"}), "anna"),
            (Format::IssSub, json!({"subject_type": "iss-sub", "iss": ISSUER, "sub": "anna"}), "anna"),
            (Format::Opaque, json!({"format": "opaque", "id": "00u1"}), "00u1"),
            (Format::Email, json!({"format": "email", "email": "anna@example.com"}), "anna@example.com"),
            (Format::Account, json!({"format": "account", "uri": "acct:anna@example.com"}), "anna@example.com"),
        ] {
            assert_eq!(users(&[format], &subject), [value], "{subject}");
            let others: Vec<_> = ALL.into_iter().filter(|other| *other != format).collect();
            assert_eq!(users(&others, &subject), [""; 0], "{subject}");
        }
    }

    #[test]
    fn an_identifier_of_somebody_else_or_of_no_shape_is_nobody() {
        for subject in [
            json!({}),
            json!({"format": "iss_sub", "iss": "https://other.example", "sub": "anna"}),
            json!({"format": "iss_sub", "sub": "anna"}),
            json!({"format": "iss_sub", "iss": ISSUER}),
            json!({"format": "iss_sub", "iss": ISSUER, "sub": 7}),
            json!({"format": "iss_sub", "iss": ISSUER, "sub": ""}),
            json!({"format": "email", "email": ["a@b.c"]}),
            json!({"format": "email", "email": "a\u{0}@b.c"}),
            json!({"format": "email", "email": "x".repeat(1025)}),
            json!({"format": "account", "uri": "https://example.com/anna"}),
            json!({"format": "account", "uri": "acct:"}),
            json!({"format": "phone_number", "phone_number": "+12065550100"}),
            json!({"format": "aliases"}),
            json!({"format": "aliases", "identifiers": ["anna", 1, {"format": "phone_number"}]}),
            json!({"user": "anna", "session": 1}),
            json!({"format": 1, "id": "x"}),
            json!({"format": "jwt_id", "iss": "https://other.example", "jti": "t"}),
        ] {
            let about = about(subject.as_object().unwrap(), Rules { formats: &ALL, issuers: [ISSUER, ISSUER] });
            assert!(about.users.iter().all(String::is_empty) && about.is_nobody(), "{subject}: {about:?}");
        }
    }

    #[test]
    fn complex_subjects_and_aliases_name_users_and_sessions() {
        let subject = json!({
            "format": "complex",
            "user": {"format": "aliases", "identifiers": [
                {"format": "email", "email": "anna@example.com"}, {"format": "iss_sub", "iss": ISSUER, "sub": "anna"},
            ]},
            "session": {"format": "opaque", "id": "s1"},
            "tenant": {"format": "opaque", "id": "t1"},
        });
        assert_eq!(of(&ALL, &subject), (vec!["anna".to_owned(), "anna@example.com".to_owned()], vec!["s1".to_owned()]));
        let draft = json!({"user": {"format": "email", "email": "anna@example.com"}, "device": {"format": "opaque", "id": "d"}});
        assert_eq!(of(&ALL, &draft), (vec!["anna@example.com".to_owned()], vec![]));
        assert_eq!(of(&[Format::IssSub], &json!({"format": "opaque", "id": "x"})), (vec![], vec!["x".to_owned()]));
        let user = json!({"user": {"format": "opaque", "id": "u"}});
        assert_eq!(of(&[Format::Opaque], &user), (vec!["u".to_owned()], vec![]));
    }

    #[test]
    fn a_token_can_be_named() {
        let subject = json!({"format": "jwt_id", "iss": ISSUER, "jti": "t1"});
        let about = about(subject.as_object().unwrap(), Rules { formats: &[], issuers: [ISSUER, ISSUER] });
        assert_eq!(about.tokens.into_iter().collect::<Vec<_>>(), ["t1"]);
    }

    #[test]
    fn aliases_within_aliases_end() {
        let mut subject = json!({"format": "email", "email": "deep@example.com"});
        for _ in 0..50 {
            subject = json!({"format": "aliases", "identifiers": [subject]});
        }
        assert_eq!(users(&ALL, &subject), [""; 0]);
    }

    #[test]
    fn addresses_are_told_from_ids_by_the_claims_name() {
        assert_eq!(Format::usual_for("sub"), [Format::IssSub, Format::Opaque]);
        assert_eq!(Format::usual_for("oid"), [Format::IssSub, Format::Opaque]);
        assert_eq!(Format::usual_for("/user/email"), [Format::Email, Format::Account]);
        assert_eq!(Format::usual_for("preferred_username"), [Format::Email, Format::Account]);
    }
}
