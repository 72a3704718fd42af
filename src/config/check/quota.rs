//! How many requests a caller may send.

use super::Check;
use crate::config::raw::{RawQuota, RawQuotaPer};
use crate::config::{Quota, QuotaPer};
use std::time::Duration;

impl Check<'_> {
    pub(super) fn quota(&self, raw: &RawQuota) -> Option<Quota> {
        let requests = self.in_range("/quota/requests", Some(raw.requests), 0, 1..=1_000_000);
        let window = self.in_range("/quota/window", raw.window, 60, 1..=86_400);
        let per = match raw.per {
            RawQuotaPer::Subject => QuotaPer::Subject,
            RawQuotaPer::Role => QuotaPer::Role,
            RawQuotaPer::Agent => QuotaPer::Agent,
        };
        // without any there would be nothing to divide by
        (requests > 0).then(|| Quota { per, requests, window: Duration::from_secs(window) })
    }
}
