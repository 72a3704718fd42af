//! What must hold whatever happens, and ways to break the world so that each of it is seen to be checked.

use std::fmt;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invariant {
    /// No request goes on, and no token is asked for, for a caller whose token does not verify.
    Verified,
    /// Nor for one whose token has ended or not begun.
    InTime,
    /// Nor for one who was cut off longer ago than a feed may be old.
    CutOff,
    /// Nor what the caller's roles do not allow.
    Permitted,
    /// The credential was minted for exactly that caller, role, scope and workspace.
    OwnCredential,
    /// The credential has not ended, was not refused by the workspace, and is kept only if it may be.
    LiveCredential,
    /// No identity provider's token goes on, but by a role that says so.
    NoCallersToken,
    /// Without a credential nothing goes on, but by a role that says so, or by a fault of Kong's that no guard could catch.
    Credentialed,
    /// Method, target and body go on as they came.
    Unchanged,
    /// What another plugin changed after the decision goes no further.
    Compared,
    /// A request over which the library panicked is refused.
    PanicsRefuse,
    /// Callouts go where they belong and carry nothing else than they must.
    Callouts,
    /// Requests that need the same wait for one callout, where they can.
    OnceAtATime,
    /// No answer and no line of the log holds a secret.
    Silent,
    /// Answers are refusals of the contract, and those for the gateway's own faults come after such.
    Refusals,
    /// Who is in the right is not told otherwise, and is served in the end.
    Served,
    /// Every request ends.
    Ends,
    /// The instance's memory is bounded, and the library forgets what has ended.
    Bounded,
}

impl Invariant {
    pub(crate) const ALL: [Self; 18] = [
        Self::Verified,
        Self::InTime,
        Self::CutOff,
        Self::Permitted,
        Self::OwnCredential,
        Self::LiveCredential,
        Self::NoCallersToken,
        Self::Credentialed,
        Self::Unchanged,
        Self::Compared,
        Self::PanicsRefuse,
        Self::Callouts,
        Self::OnceAtATime,
        Self::Silent,
        Self::Refusals,
        Self::Served,
        Self::Ends,
        Self::Bounded,
    ];

    #[track_caller]
    pub(crate) fn holds<T: fmt::Display>(self, holds: bool, what: impl FnOnce() -> T) {
        if !holds {
            panic!("{}: {}", self.broken(), what());
        }
    }

    pub(crate) fn broken(self) -> String {
        format!("broken: {self:?}")
    }
}

/// How the world is broken, for a test of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The provider lists a key that it should not.
    StrayKey,
    /// The provider lists a key that it should no longer.
    OldKey,
    /// The worker does not hear of time.
    StoppedClock,
    /// The feed lacks everybody.
    EmptyFeed,
    /// The configuration lacks its denials.
    NoDenials,
    /// The token endpoint mints for another caller.
    OtherCaller,
    /// It mints for more than was asked for.
    WiderScope,
    /// It mints for another workspace.
    OtherWorkspace,
    /// It says that a token may be kept that may be used once.
    KeptTooLong,
    /// The worker does not hear that the workspace refused a token.
    UnheardNo,
    /// The caller's token is among the headers, in the path, in the body that goes on.
    TokenInHeader,
    TokenInPath,
    TokenInBody,
    /// The credential is lost on its way.
    NoCredential,
    /// What goes on leads elsewhere.
    OtherTarget,
    /// The guard is not where it should be.
    NoGuard,
    /// A lookup carries another credential.
    OtherLookup,
    /// Each callout is sent twice.
    Doubled,
    /// A Databricks token is in an answer.
    TokenInAnswer,
    /// A Databricks token is in the log.
    TokenInLog,
    /// Nobody notes that there was a trap.
    UnnotedTrap,
    /// An answer has a reason that is none.
    OtherReason,
    /// Good callers lose their role.
    NoRoles,
    /// A callout is never answered.
    Unanswered,
    /// The bound of the memory is far too small.
    LittleMemory,
    /// A plugin changes a request behind the comparison.
    ChangedBehind,
    /// A request goes on after a panic.
    PanicLetOn,
    /// The library does not hear that a request has ended.
    Forgotten,
}

impl Sabotage {
    /// Each with what it breaks.
    pub(crate) const ALL: [(Self, Invariant); 28] = [
        (Self::StrayKey, Invariant::Verified),
        (Self::OldKey, Invariant::Verified),
        (Self::StoppedClock, Invariant::InTime),
        (Self::EmptyFeed, Invariant::CutOff),
        (Self::NoDenials, Invariant::Permitted),
        (Self::OtherCaller, Invariant::OwnCredential),
        (Self::WiderScope, Invariant::OwnCredential),
        (Self::OtherWorkspace, Invariant::OwnCredential),
        (Self::KeptTooLong, Invariant::LiveCredential),
        (Self::UnheardNo, Invariant::LiveCredential),
        (Self::TokenInHeader, Invariant::NoCallersToken),
        (Self::TokenInPath, Invariant::NoCallersToken),
        (Self::TokenInBody, Invariant::NoCallersToken),
        (Self::NoCredential, Invariant::Credentialed),
        (Self::NoGuard, Invariant::Credentialed),
        (Self::OtherTarget, Invariant::Unchanged),
        (Self::OtherLookup, Invariant::Callouts),
        (Self::Doubled, Invariant::OnceAtATime),
        (Self::TokenInAnswer, Invariant::Silent),
        (Self::TokenInLog, Invariant::Silent),
        (Self::UnnotedTrap, Invariant::Refusals),
        (Self::OtherReason, Invariant::Refusals),
        (Self::NoRoles, Invariant::Served),
        (Self::Unanswered, Invariant::Ends),
        (Self::LittleMemory, Invariant::Bounded),
        (Self::ChangedBehind, Invariant::Compared),
        (Self::PanicLetOn, Invariant::PanicsRefuse),
        (Self::Forgotten, Invariant::Bounded),
    ];
}
