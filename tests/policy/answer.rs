//! What a decision means for the request: does it go on, with whose credential, and what would have refused it?

use databricks_kong::policy::{Credential, Denial, Outcome};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    GoesOn {
        /// The role whose credential it is.
        credential: String,
        /// JSON pointer to the rule that allows it.
        rule: Option<String>,
        would_deny: Option<Denied>,
    },
    Refused(Denied),
    /// It could be read in two ways.
    Unclear,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) reason: String,
    /// JSON pointer to the `deny` rule.
    pub(crate) rule: Option<String>,
}

impl Answer {
    /// Of an outcome that lacks nothing, by a policy whose roles each have a service principal of the role's name.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Permit(permit) => {
                let Credential::ServicePrincipalSecret(principal) = permit.credential() else { panic!("{permit:?}") };
                assert_eq!(principal.client_id, permit.role());
                Self::GoesOn {
                    credential: principal.client_id.clone(),
                    rule: permit.rule().map(str::to_owned),
                    would_deny: permit.would_deny().map(Denied::of),
                }
            }
            Outcome::Denied(denial) => Self::Refused(Denied::of(denial)),
            Outcome::Ambiguous(_) => Self::Unclear,
            Outcome::NeedsBody | Outcome::NeedsJob(_) => panic!("{outcome:?} is no answer"),
        }
    }

    /// Whose credential the request goes on with.
    pub(crate) fn credential(&self) -> Option<&str> {
        match self {
            Self::GoesOn { credential, .. } => Some(credential),
            Self::Refused(_) | Self::Unclear => None,
        }
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.credential().is_some()
    }

    pub(crate) fn would_deny(&self) -> Option<&str> {
        match self {
            Self::GoesOn { would_deny, .. } => would_deny.as_ref().map(|denied| denied.reason.as_str()),
            Self::Refused(_) | Self::Unclear => None,
        }
    }

    /// Whether a rule lets it on, and nothing would have refused it.
    pub(crate) fn is_allowed(&self) -> bool {
        self.goes_on() && self.would_deny().is_none()
    }

    pub(crate) fn is_clear(&self) -> bool {
        *self != Self::Unclear
    }
}

impl Denied {
    fn of(denial: &Denial) -> Self {
        let (_, _, rule) = denial.subject();
        Self { reason: denial.reason().name().to_owned(), rule: rule.map(ToString::to_string) }
    }
}

/// `goes on as ROLE`, `goes on as ROLE, would deny REASON`, or `refused: REASON`.
impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::GoesOn { credential, would_deny: None, .. } => write!(f, "goes on as {credential}"),
            Self::GoesOn { credential, would_deny: Some(denied), .. } => {
                write!(f, "goes on as {credential}, would deny {}", denied.reason)
            }
            Self::Refused(denied) => write!(f, "refused: {}", denied.reason),
            Self::Unclear => f.write_str("unclear"),
        }
    }
}
