//! How many requests are left to a caller: token buckets in a worker's memory, counted by who was verified.
//!
//! A bucket holds `requests`, and gets that many back evenly over `window`. Each worker counts by itself: N workers let through up to N times
//! as many, if a caller's connections are spread over all of them.

use super::Env;
use super::refusal::Refusal;
use crate::base::{Bounded, Budget, Fingerprint, Uptime};
use crate::config::{Config, Quota, QuotaPer};
use crate::jwt::Caller;
use crate::policy::Permit;
use std::time::Duration;

/// A bucket that is full again is forgotten, and past this many those that are full first, which forgives least.
const ROOM: Budget = Budget { entries: 50_000, bytes: usize::MAX };

/// The buckets that are not full.
#[derive(Debug)]
pub(super) struct Quotas(Bounded<Fingerprint, Bucket, Uptime>);

/// What was taken out and has not come back, in parts of a request: as many to one as the window has milliseconds, so that in each
/// millisecond as many come back as the bucket holds requests.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    taken: u64,
    at: Uptime,
}

impl Default for Quotas {
    fn default() -> Self {
        Self(Bounded::new(ROOM))
    }
}

impl Quotas {
    /// Takes one request out of the bucket of `who`, or says after what time there will be one.
    fn take(&mut self, quota: &Quota, who: Fingerprint, now: Uptime) -> Result<(), Duration> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let one = millis(quota.window);
        let holds = one.saturating_mul(quota.requests);
        let still_taken = self.0.get(&who, now).map_or(0, |bucket| {
            bucket.taken.saturating_sub(millis(now.since(bucket.at)).saturating_mul(quota.requests))
        });
        let taken = still_taken.saturating_add(one);
        if taken > holds {
            let lacking = taken.saturating_sub(holds);
            return Err(Duration::from_millis(lacking.div_ceil(quota.requests)));
        }
        let full_at = now.plus(Duration::from_millis(taken.div_ceil(quota.requests)));
        self.0.insert(who, Bucket { taken, at: now }, full_at, 0, now);
        Ok(())
    }
}

/// Counts a verified caller's request, where requests are counted by what is known by then.
pub(super) fn count_caller(caller: &Caller, env: &mut Env<'_>) -> Result<(), Refusal> {
    match &env.config.quota {
        Some(quota) if quota.per == QuotaPer::Subject => count(&[caller.issuer(), caller.subject()], env),
        Some(quota) if quota.per == QuotaPer::Agent => match env.config.policy.agent_of(caller).cloned() {
            Some(agent) => count(&[&agent], env),
            // who is no agent has no quota as one
            None => Ok(()),
        },
        Some(_) | None => Ok(()),
    }
}

/// Counts a request that a role may send, where requests are counted by role.
pub(super) fn count_role(permit: &Permit, env: &mut Env<'_>) -> Result<(), Refusal> {
    match &env.config.quota {
        Some(quota) if quota.per == QuotaPer::Role => count(&[permit.role()], env),
        Some(_) | None => Ok(()),
    }
}

fn count(who: &[&str], env: &mut Env<'_>) -> Result<(), Refusal> {
    let Some(quota) = &env.config.quota else { return Ok(()) };
    let bucket = bucket(who, quota, env.config);
    let taken = env.memory.quotas.take(quota, bucket, env.now.uptime);
    taken.map_err(|retry_after| Refusal::QuotaExceeded { per: quota.per.name(), retry_after })
}

/// A bucket belongs to the entry for a workspace at an address, whatever else is configured there: a change of the configuration fills none.
fn bucket(who: &[&str], quota: &Quota, config: &Config) -> Fingerprint {
    let workspace = &config.workspace;
    let address = workspace.public_url.as_ref().map(ToString::to_string).unwrap_or_default();
    Fingerprint::builder("quota")
        .field(workspace.identity.as_bytes())
        .field(address.as_bytes())
        .field(quota.per.name().as_bytes())
        .field(&quota.requests.to_be_bytes())
        .field(&quota.window.as_millis().to_be_bytes())
        .fields(who.iter().map(|part| part.as_bytes()))
        .finish()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quota(requests: u64, seconds: u64) -> Quota {
        Quota { per: QuotaPer::Subject, requests, window: Duration::from_secs(seconds) }
    }

    fn who(name: &str) -> Fingerprint {
        Fingerprint::builder(name).finish()
    }

    fn at(millis: u64) -> Uptime {
        Uptime::from_millis(millis)
    }

    #[test]
    fn a_bucket_empties_and_fills_evenly() {
        let mut quotas = Quotas::default();
        let quota = quota(3, 60);
        let mut take = |millis| quotas.take(&quota, who("anna"), at(millis)).map_err(|wait| wait.as_millis());
        // three at once, then one every twenty seconds
        assert_eq!([0, 0, 0, 0].map(&mut take), [Ok(()), Ok(()), Ok(()), Err(20_000)]);
        assert_eq!([19_999, 20_000, 20_000].map(&mut take), [Err(1), Ok(()), Err(20_000)]);
        assert_eq!([80_000, 80_000, 80_000, 80_000].map(&mut take), [Ok(()), Ok(()), Ok(()), Err(20_000)]);
    }

    #[test]
    fn a_refused_request_costs_nothing_and_nobody_elses_bucket_is_touched() {
        let mut quotas = Quotas::default();
        let quota = quota(1, 10);
        assert!(quotas.take(&quota, who("anna"), at(0)).is_ok());
        for millis in 1..10_000 {
            assert!(quotas.take(&quota, who("anna"), at(millis)).is_err());
        }
        assert!(quotas.take(&quota, who("bob"), at(1)).is_ok());
        assert!(quotas.take(&quota, who("anna"), at(10_000)).is_ok());
    }

    #[test]
    fn buckets_are_bounded_and_full_ones_are_forgotten() {
        let mut quotas = Quotas::default();
        let quota = quota(10, 10);
        for number in 0..ROOM.entries + 100 {
            assert!(quotas.take(&quota, who(&number.to_string()), at(0)).is_ok());
        }
        assert_eq!(quotas.0.len(), ROOM.entries);
        assert!(quotas.take(&quota, who("later"), at(1_000)).is_ok());
        assert_eq!(quotas.0.len(), 1);
    }

    #[test]
    fn the_largest_quota_that_may_be_configured_does_not_overflow() {
        let mut quotas = Quotas::default();
        let largest = quota(1_000_000, 86_400);
        assert!(quotas.take(&largest, who("a"), at(u64::MAX / 2)).is_ok());
        let finest = quota(1_000_000, 1);
        for _ in 0..1000 {
            assert!(quotas.take(&finest, who("b"), at(0)).is_ok());
        }
    }

    proptest! {
        /// In any stretch of time no more pass than the bucket holds and what comes back meanwhile.
        #[test]
        fn no_more_pass_than_the_bucket_holds_and_gets_back(
            requests in 1_u64..20,
            seconds in 1_u64..30,
            steps in proptest::collection::vec(0_u64..5_000, 1..200),
        ) {
            let mut quotas = Quotas::default();
            let quota = quota(requests, seconds);
            let mut now = 0;
            let mut passed = Vec::new();
            for step in steps {
                now += step;
                match quotas.take(&quota, who("anna"), at(now)) {
                    Ok(()) => passed.push(now),
                    Err(wait) => {
                        let after = now + u64::try_from(wait.as_millis()).unwrap();
                        let mut later = Quotas(Bounded::new(ROOM));
                        if let Some(bucket) = quotas.0.get(&who("anna"), at(now)) {
                            later.0.insert(who("anna"), *bucket, at(u64::MAX), 0, at(0));
                        }
                        prop_assert!(later.take(&quota, who("anna"), at(after)).is_ok(), "the wait is enough");
                    }
                }
                for (first, start) in passed.iter().enumerate() {
                    let count = (passed.len() - first) as u64;
                    let back = (now - start) * requests / (seconds * 1000);
                    prop_assert!(count <= requests + back + 1, "{passed:?}");
                }
            }
        }
    }
}
