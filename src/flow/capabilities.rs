//! What the host around the core can do. The shell says it; the core plans by it.

/// Whether a callout with a body may be sent while the answer to one that had a body is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// It may.
    Freely,
    /// Only once one without a body was sent and answered in between.
    Spaced,
    /// It may not.
    Never,
}

/// Facts of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether timers run that may send callouts, so that keys can be fetched ahead of need.
    pub timers: bool,
    /// Whether a callout with a body may follow another that had one.
    pub after_body: Follow,
    /// Whether a callout may be sent while the failure of another is handled.
    pub after_failure: bool,
    /// Whether the host sends one of several equal callouts ([`super::Callout::share`]) that are wanted at the same time, and gives its
    /// answer to all who wait.
    pub waits_for_others: bool,
}

impl Capabilities {
    /// A host that can do everything.
    pub const ALL: Self =
        Self { timers: true, after_body: Follow::Freely, after_failure: true, waits_for_others: true };
}

/// The last callout of a request, as far as the host minds what follows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    had_body: bool,
    failed: bool,
}

impl Line {
    /// After a callout that had a body or not, and failed or not.
    pub(super) const fn after(had_body: bool, failed: bool) -> Self {
        Self { had_body, failed }
    }

    /// A callout is under way.
    pub(super) const fn sent(has_body: bool) -> Self {
        Self { had_body: has_body, failed: false }
    }

    /// It was answered, or failed.
    pub(super) const fn answered(self, failed: bool) -> Self {
        Self { failed, ..self }
    }

    /// How a callout may follow, with a body or without.
    pub(super) const fn follow(self, has_body: bool, can: Capabilities) -> Follow {
        if self.failed && !can.after_failure {
            Follow::Never
        } else if self.had_body && has_body {
            can.after_body
        } else {
            Follow::Freely
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callout_follows_as_the_host_allows() {
        let can = |after_body, after_failure| Capabilities { after_body, after_failure, ..Capabilities::ALL };
        for (had_body, failed, has_body, can, follow) in [
            (true, false, true, can(Follow::Never, true), Follow::Never),
            (true, false, true, can(Follow::Spaced, true), Follow::Spaced),
            (true, false, false, can(Follow::Never, true), Follow::Freely),
            (false, false, true, can(Follow::Never, true), Follow::Freely),
            (false, true, false, can(Follow::Freely, false), Follow::Never),
            (true, true, true, can(Follow::Freely, true), Follow::Freely),
        ] {
            assert_eq!(
                Line::after(had_body, failed).follow(has_body, can),
                follow,
                "{had_body} {failed} {has_body} {can:?}"
            );
        }
    }
}
