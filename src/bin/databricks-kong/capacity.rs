//! `check --capacity`: how often a fleet of gateways with a configuration asks Databricks and the identity providers.

use crate::entries::{Entry, Kind};
use crate::load_model::{Demand, Fleet, Host, Rates, cold_exchanges, interval, rates};
use crate::output::{Style, table};
use databricks_kong::config::Config;
use databricks_kong::databricks::Catalogue;
use databricks_kong::policy::{Allow, Credential, Role, Rule};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What an identity provider gives unless it is told otherwise.
const TOKEN_LIFE: f64 = 3600.0;

/// Reads `users=5000,nodes=8,workers=8`.
pub(crate) fn fleet(text: &str) -> Result<Fleet, String> {
    let (mut users, mut nodes, mut workers, mut token_life) = (None, None, None, None);
    for pair in text.split(',') {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not `name=number`"))?;
        let number = value.parse::<u32>().ok().filter(|number| *number > 0);
        let number = f64::from(number.ok_or_else(|| format!("`{value}` is not a number above 0"))?);
        let place = match name {
            "users" => &mut users,
            "nodes" => &mut nodes,
            "workers" => &mut workers,
            "token_life" => &mut token_life,
            _ => return Err(format!("`{name}` is not one of `users`, `nodes`, `workers`, `token_life`")),
        };
        if place.replace(number).is_some() {
            return Err(format!("`{name}` is there twice"));
        }
    }
    let need = |number: Option<f64>, name: &str| number.ok_or_else(|| format!("`{name}=` is missing"));
    Ok(Fleet {
        users: need(users, "users")?,
        nodes: need(nodes, "nodes")?,
        workers: need(workers, "workers")?,
        token_life: token_life.unwrap_or(TOKEN_LIFE),
    })
}

/// What an entry comes to in a fleet.
#[derive(Debug)]
pub(crate) struct Capacity {
    name: String,
    host: Host,
    fleet: Fleet,
    demand: Demand,
    /// `limits.cached_tokens`.
    kept: usize,
}

impl Capacity {
    pub(crate) fn new(entry: &Entry, config: &Config, fleet: Fleet) -> Self {
        let host = match entry.kind {
            Kind::Chain | Kind::Plugin => Host::KongFilter,
            Kind::Native => Host::Plugin,
            // what stands in Envoy's configuration
            Kind::Bare => Host::Envoy,
        };
        Self { name: entry.name.clone(), host, fleet, demand: demand(config), kept: config.limits.cached_tokens }
    }

    fn rates(&self) -> Rates {
        rates(self.host, &self.demand, &self.fleet)
    }

    fn cold(&self) -> f64 {
        cold_exchanges(self.host, &self.demand, &self.fleet)
    }

    /// Whether a worker cannot keep every caller's tokens.
    fn overflows(&self) -> bool {
        let kept = u32::try_from(self.kept).unwrap_or(u32::MAX);
        self.fleet.users * self.demand.own_tokens + self.demand.shared_tokens > f64::from(kept)
    }

    pub(crate) fn human(&self, style: Style) -> String {
        let (fleet, demand, rates) = (&self.fleet, &self.demand, self.rates());
        let host = match self.host {
            Host::KongFilter => "the filter in Kong",
            Host::Envoy => "the filter in Envoy",
            Host::Plugin => "the native plugin",
        };
        let head = format!(
            "capacity of {}: {} users on {} nodes with {} workers each, {host}\n",
            self.name, fleet.users, fleet.nodes, fleet.workers
        );
        let rows = [
            (
                "exchanges for callers",
                rates.own_exchanges,
                format!("{} of a caller's own, every {:.0} s", tokens(demand.own_tokens), interval(fleet.token_life)),
            ),
            (
                "exchanges for roles",
                rates.shared_exchanges,
                format!("{} that callers share", tokens(demand.shared_tokens)),
            ),
            ("key fetches", rates.key_fetches, format!("{} of identity providers", sets(demand.key_sets))),
            ("feed reads", rates.feed_reads, String::new()),
            ("introspections", rates.introspections, String::new()),
        ];
        let rows = rows.into_iter().filter(|(_, rate, _)| *rate > 0.0);
        let rows = rows.map(|(what, rate, why)| vec![what.to_owned(), format!("{rate:.2}"), why]);
        let mut text = style.bold(&head) + &table(&["", "a second, at most", ""], rows, style);
        if self.cold() > 0.0 {
            text += &format!("after a restart of all nodes: {} exchanges\n", self.cold());
        }
        for advice in self.advice() {
            text += &format!("- {advice}\n");
        }
        text + "\n"
    }

    /// What would change the rates most, with what it would come to.
    fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        let now = self.rates();
        if self.overflows() {
            advice.push(format!(
                "a worker keeps {} tokens (`limits.cached_tokens`), fewer than its callers use: the others are exchanged again and again, \
                 which these rates leave out",
                self.kept
            ));
        }
        if now.own_exchanges > 0.0 {
            if self.host != Host::Plugin && self.fleet.workers > 1.0 {
                let then = rates(Host::Plugin, &self.demand, &self.fleet).exchanges();
                advice.push(format!("the native plugin with its shared dictionary: {then:.2} exchanges a second"));
            }
            if self.demand.own_tokens > 1.0 {
                let demand = Demand { own_tokens: 1.0, ..self.demand.clone() };
                let then = rates(self.host, &demand, &self.fleet).exchanges();
                advice.push(format!("one list of scopes instead of `minimal`: {then:.2} exchanges a second"));
            }
        }
        if now.exchanges() > 0.0 {
            advice.push(
                "Databricks publishes no limit of its token endpoint: ask for yours, and watch `exchange_failed`"
                    .to_owned(),
            );
        }
        advice
    }

    pub(crate) fn json(&self) -> Value {
        let rates = self.rates();
        json!({
            "entry": self.name,
            "exchanges_per_second": rates.exchanges(),
            "own_exchanges_per_second": rates.own_exchanges,
            "shared_exchanges_per_second": rates.shared_exchanges,
            "key_fetches_per_second": rates.key_fetches,
            "feed_reads_per_second": rates.feed_reads,
            "introspections_per_second": rates.introspections,
            "identity_provider_requests_per_second": rates.at_the_provider(),
            "cold_exchanges": self.cold(),
            "fits_cached_tokens": !self.overflows(),
            "advice": self.advice(),
        })
    }
}

fn tokens(count: f64) -> String {
    format!("{count} token{}", if count > 1.0 { "s" } else { "" })
}

fn sets(count: f64) -> String {
    format!("{count} key set{}", if count > 1.0 { "s" } else { "" })
}

fn count(items: usize) -> f64 {
    u32::try_from(items).map_or(f64::INFINITY, f64::from)
}

fn demand(config: &Config) -> Demand {
    let (mut own, mut shared) = (0_usize, 0_usize);
    for role in config.policy.roles() {
        match *role.credential {
            Credential::UserFederation(_)
            | Credential::ServicePrincipalFederation(_)
            | Credential::EntraOnBehalfOf(_) => own = own.max(scopes(role)),
            Credential::ServicePrincipalSecret(_) | Credential::GatewayAssertion(_) => {
                shared = shared.saturating_add(scopes(role));
            }
            Credential::Passthrough | Credential::None => {}
        }
    }
    let key_sets: BTreeSet<_> = config.providers.iter().map(|provider| *provider.keys_id.as_bytes()).collect();
    let feeds =
        config.providers.iter().filter_map(|provider| Some(provider.revocation.as_ref()?.refresh.as_secs_f64()));
    let asked = config.providers.iter().filter_map(|provider| provider.introspection.as_ref().filter(|one| one.always));
    Demand {
        own_tokens: count(own),
        shared_tokens: count(shared),
        key_sets: count(key_sets.len()),
        feeds: feeds.collect(),
        introspections: asked.map(|one| one.cache.as_secs_f64()).collect(),
    }
}

/// How many tokens a caller of a role uses: one, or with `minimal` one for each scope of what it allows.
fn scopes(role: &Role) -> usize {
    if !role.credential.is_minimal() {
        return 1;
    }
    let allowed = |rule: &Rule| {
        let of_operations = Catalogue::operations().filter(|operation| rule.operations.contains(*operation));
        let own = rule.scope.as_ref().map(|scope| scope.as_str().to_owned());
        match own {
            Some(scope) => vec![scope],
            None => of_operations.map(|operation| operation.scope().to_owned()).collect(),
        }
    };
    let scopes: BTreeSet<String> = match &role.allow {
        Allow::Default => Catalogue::operations().map(|operation| operation.scope().to_owned()).collect(),
        Allow::Rules(rules) => rules.iter().flat_map(allowed).collect(),
    };
    scopes.len().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_read_and_what_is_wrong_with_it_is_said() {
        let read = fleet("users=5000,nodes=8,workers=4").unwrap();
        assert_eq!((read.users, read.nodes, read.workers, read.token_life), (5000.0, 8.0, 4.0, 3600.0));
        assert!((fleet("users=1,nodes=1,workers=1,token_life=900").unwrap().token_life - 900.0).abs() < f64::EPSILON);
        for (text, why) in [
            ("users=1,nodes=1", "`workers=` is missing"),
            ("users=0,nodes=1,workers=1", "`0` is not a number above 0"),
            ("users=1,users=1", "`users` is there twice"),
            ("people=1", "`people` is not one of `users`, `nodes`, `workers`, `token_life`"),
            ("users", "`users` is not `name=number`"),
        ] {
            assert_eq!(fleet(text).unwrap_err(), why, "{text}");
        }
    }
}
