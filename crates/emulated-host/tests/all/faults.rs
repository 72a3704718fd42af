//! Each callout of each story fails in each way, alone and in pairs: the request ends in the refusal that is meant for it, no
//! credential goes on, and the next request is served.

use crate::drive::{Ask, Core, Driver, End, Hosted, Purpose, Transcript, run};
use crate::stage::get;
use crate::stories::{Act, PASSED_ON, Seen, Story, World, stories};
use host::{CalloutEnd, HttpRequest, Profile, Switches};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the filter aims requests on Kong until it has decided on their bodies.
const UNDECIDED: &str = "/.well-known/databricks-kong/undecided";

/// How a callout fails.
const FAULTS: [&str; 14] = [
    "refused",
    "timeout",
    "dns",
    "tls",
    "unreadable",
    "closed at once",
    "empty",
    "truncated",
    "ends with the connection",
    "not json",
    "other json",
    "500",
    "429",
    "lost",
];

/// One of each kind that a later request could notice.
const DIFFERENT: [&str; 4] = ["closed at once", "truncated", "500", "429"];

fn fault(name: &str) -> CalloutEnd {
    match name {
        "refused" => CalloutEnd::Refused,
        "timeout" => CalloutEnd::Timeout,
        "dns" => CalloutEnd::Dns,
        "tls" => CalloutEnd::Tls,
        "unreadable" => CalloutEnd::Unreadable,
        "closed at once" => CalloutEnd::ClosedAtOnce,
        "empty" => CalloutEnd::reply(200, ""),
        "truncated" => CalloutEnd::Truncated { status: 200, announced: 300 },
        // its body is lost in the core and on Kong; Envoy has no such trouble, so there it is not tried
        "ends with the connection" => CalloutEnd::EndsWithConnection { status: 200, body: Vec::new() },
        "not json" => CalloutEnd::reply(200, "<html>"),
        "other json" => CalloutEnd::reply(200, "[{}]"),
        "500" => CalloutEnd::reply(500, r#"{"error":"server_error"}"#),
        "429" => CalloutEnd::reply(429, ""),
        other => panic!("{other}"),
    }
}

/// A driver, and what it is.
struct Told {
    driver: Box<dyn Faulty>,
    profile: Option<Profile>,
}

/// What the drivers can do beyond stories.
trait Faulty: Driver {
    /// The host forgets the callout that is waited for.
    fn lose(&mut self);
}

impl Faulty for Core {
    fn lose(&mut self) {
        unreachable!("the core alone loses nothing");
    }
}

impl Faulty for Hosted {
    fn lose(&mut self) {
        let token = self.worker.pending()[0].token;
        self.worker.lose_callout(token);
    }
}

impl Told {
    fn new(profile: Option<Profile>, story: &Story) -> Self {
        let driver: Box<dyn Faulty> = match profile {
            None => Box::new(Core::new(&story.config)),
            Some(profile) => Box::new(Hosted::new(profile, &story.config)),
        };
        Self { driver, profile }
    }

    fn guarded(story: &Story) -> Self {
        let configs = [&story.config, &json!({"mode": "guard"})];
        let driver = Box::new(Hosted::with(Profile::Kong, Switches::default(), &configs));
        Self { driver, profile: Some(Profile::Kong) }
    }

    /// Runs a request whose callouts of these numbers fail so.
    fn run(&mut self, request: &HttpRequest, world: &mut World, faults: &BTreeMap<usize, &str>) -> Transcript {
        self.driver.send(request);
        let mut asked: Vec<Ask> = Vec::new();
        while let Some(ask) = self.driver.waits_for() {
            assert!(asked.len() < 32, "a request asks without end: {asked:?}");
            match faults.get(&asked.len()) {
                Some(&"lost") => self.driver.lose(),
                Some(name) => self.driver.answer(fault(name)),
                None => self.driver.answer(world.answer(&ask)),
            }
            asked.push(ask);
        }
        Transcript { asked, end: self.driver.end() }
    }
}

/// A request of a story, and how to get there.
struct Place<'s> {
    story: &'s Story,
    /// How many acts come before it.
    before: usize,
    request: &'s HttpRequest,
    seen: Seen,
}

impl Place<'_> {
    /// Plays the story up to the request.
    fn reach(&self, told: &mut Told) -> World {
        let mut world = World::new();
        for act in &self.story.acts[..self.before] {
            match act {
                Act::Send(request, _) => drop(run(&mut *told.driver, request, &mut |ask| world.answer(ask))),
                Act::World(purpose, answers) => world.set(*purpose, answers),
                Act::Pass(seconds) => told.driver.pass(Duration::from_secs(*seconds)),
                Act::Respond(status) => told.driver.respond(*status),
            }
        }
        world
    }

    /// Whether the request finds a token of its caller's that is to be renewed.
    fn renews(&self) -> bool {
        self.before > 0 && matches!(self.story.acts[self.before - 1], Act::Pass(3000..))
    }

    fn usual(&self, told: &Told) -> (usize, &'static str) {
        let (asked, end) = self.seen.on(told.profile);
        (asked.split_whitespace().count(), end)
    }
}

fn places(stories: &[Story]) -> Vec<Place<'_>> {
    let places = stories.iter().flat_map(|story| {
        story.acts.iter().enumerate().filter_map(move |(before, act)| match act {
            Act::Send(request, seen) => Some(Place { story, before, request, seen: *seen }),
            _ => None,
        })
    });
    // what ends so already has its own faults; where the caller's token may be shown, none of these can tell whether it should be
    let shows_token = |end: &str| end == PASSED_ON || end == "200";
    let usual =
        |place: &Place<'_>| !place.seen.everywhere.1.starts_with("503") && !shows_token(place.seen.everywhere.1);
    places.filter(|place| usual(place) && place.seen.but.is_none()).collect()
}

/// Ends are compared by this: which of the Databricks tokens it is depends on how many were asked for.
fn class(end: &str) -> &str {
    if end.starts_with("forward Bearer dbx-") { "forward Bearer dbx-" } else { end }
}

/// The refusals for a callout that failed.
const fn refusal(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Discovery | Purpose::Keys => "503 KEYS_UNAVAILABLE",
        Purpose::Token | Purpose::Lookup | Purpose::Login => "503 EXCHANGE_UNAVAILABLE",
        Purpose::Feed => "503 REVOCATION_STALE",
    }
}

/// Whether this end may follow when the last fault was at callout `number`.
fn check_end(place: &Place<'_>, told: &Told, transcript: &Transcript, number: usize, what: &str) {
    let (_, usual) = place.usual(told);
    let end = transcript.end.word();
    let failed = transcript.asked[number].purpose();
    let knew_keys = transcript.asked.iter().all(|ask| ask.purpose() != Purpose::Discovery);
    let went_on = transcript.asked.len() > number + 1;
    let serves_stale = failed == Purpose::Keys && knew_keys;
    let is_sign_in = place.request.target.starts_with("/oidc/v1/");
    let fine = end == refusal(failed)
        // of the provider's endpoints as of its tokens
        || (is_sign_in && failed == Purpose::Discovery && end == refusal(Purpose::Login))
        // it asked again, or did without
        || ((went_on || serves_stale) && class(&end) == class(usual))
        // a token that is kept serves until it ends
        || (failed == Purpose::Token && place.renews() && end == "forward Bearer dbx-1")
        // keys that are known serve on, but on Kong nothing can be asked for after the failure
        || (serves_stale && told.profile == Some(Profile::Kong) && end == "503 EXCHANGE_UNAVAILABLE");
    assert!(fine, "{}: {what} ends in {end}\n{transcript:#?}", place.story.name);
    check_secrets(place, transcript, what);
    if let End::Reply { status: 503, headers, .. } = &transcript.end {
        assert!(headers.iter().any(|(name, _)| name == "retry-after"), "{what}: {headers:?}");
    }
}

/// Nothing of the caller's credentials goes on, and nothing of the gateway's into answers.
fn check_secrets(place: &Place<'_>, transcript: &Transcript, what: &str) {
    let token = place.request.headers.iter().find(|(name, _)| name == "Authorization");
    let token = token.map_or("none", |(_, value)| value.trim_start_matches("Bearer "));
    let shown = format!("{:?}", transcript.end);
    for secret in [token, "canary"] {
        assert!(!shown.contains(secret), "{}: {what} lets {secret} on\n{transcript:#?}", place.story.name);
    }
}

fn check_next_is_served(place: &Place<'_>, told: &mut Told, world: &mut World, what: &str) {
    told.driver.pass(Duration::from_secs(31));
    let transcript = told.run(place.request, world, &BTreeMap::new());
    let (_, usual) = place.usual(told);
    assert_eq!(class(&transcript.end.word()), class(usual), "{}: after {what}\n{transcript:#?}", place.story.name);
}

fn drivers() -> [Option<Profile>; 3] {
    [None, Some(Profile::Kong), Some(Profile::Envoy)]
}

fn applies(fault: &str, profile: Option<Profile>) -> bool {
    match fault {
        "lost" => false,
        "ends with the connection" => profile != Some(Profile::Envoy),
        _ => true,
    }
}

#[test]
fn each_fault_of_each_callout_ends_in_its_refusal_and_the_next_request_is_served() {
    let stories = stories();
    let mut count = 0;
    for place in places(&stories) {
        for profile in drivers() {
            for number in 0..place.seen.on(profile).0.split_whitespace().count() {
                for name in FAULTS.into_iter().filter(|name| applies(name, profile)) {
                    let mut told = Told::new(profile, place.story);
                    let mut world = place.reach(&mut told);
                    let transcript = told.run(place.request, &mut world, &BTreeMap::from([(number, name)]));
                    let what = format!("`{name}` at callout {number} on {profile:?}");
                    check_end(&place, &told, &transcript, number, &what);
                    check_next_is_served(&place, &mut told, &mut world, &what);
                    count += 1;
                }
            }
        }
    }
    assert!(count > 1000, "{count} faults");
}

#[test]
fn each_pair_of_faults_in_one_request_ends_in_a_refusal_and_the_next_request_is_served() {
    let stories = stories();
    let mut count = 0;
    for place in places(&stories) {
        for profile in drivers() {
            for number in 0..place.seen.on(profile).0.split_whitespace().count() {
                for first in FAULTS.into_iter().filter(|name| applies(name, profile)) {
                    // how far it comes with the one fault alone
                    let mut told = Told::new(profile, place.story);
                    let mut world = place.reach(&mut told);
                    let alone = told.run(place.request, &mut world, &BTreeMap::from([(number, first)]));
                    for later in number + 1..alone.asked.len() {
                        for second in FAULTS.into_iter().filter(|name| applies(name, profile)) {
                            let mut told = Told::new(profile, place.story);
                            let mut world = place.reach(&mut told);
                            let faults = BTreeMap::from([(number, first), (later, second)]);
                            let transcript = told.run(place.request, &mut world, &faults);
                            let what = format!("`{first}` at {number} and `{second}` at {later} on {profile:?}");
                            check_end(&place, &told, &transcript, later, &what);
                            check_next_is_served(&place, &mut told, &mut world, &what);
                            count += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(count > 1000, "{count} pairs");
}

#[test]
fn each_pair_of_faults_in_two_requests_ends_in_refusals_and_the_third_request_is_served() {
    let stories = stories();
    for place in places(&stories) {
        for profile in [Profile::Kong, Profile::Envoy].map(Some) {
            for number in 0..place.seen.on(profile).0.split_whitespace().count() {
                for first in DIFFERENT {
                    for second in DIFFERENT {
                        let mut told = Told::new(profile, place.story);
                        let mut world = place.reach(&mut told);
                        told.run(place.request, &mut world, &BTreeMap::from([(number, first)]));
                        let what = format!("`{first}` at {number}, then `{second}`, on {profile:?}");
                        let transcript = told.run(place.request, &mut world, &BTreeMap::from([(0, second)]));
                        if transcript.asked.is_empty() {
                            // a wait that the first fault began, or what the first request got all the same
                            let end = transcript.end.word();
                            let usual = class(place.usual(&told).1);
                            let waits = end.starts_with("503 ") || end == "401 TOKEN_INVALID key_unknown";
                            assert!(waits || class(&end) == usual, "{what}\n{transcript:#?}");
                        } else {
                            check_end(&place, &told, &transcript, 0, &what);
                        }
                        check_secrets(&place, &transcript, &what);
                        check_next_is_served(&place, &mut told, &mut world, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn a_request_whose_callout_kong_loses_goes_on_without_any_credential_or_not_at_all() {
    let stories = stories();
    let mut count = 0;
    for place in places(&stories) {
        for number in 0..place.seen.on(Some(Profile::Kong)).0.split_whitespace().count() {
            let lost = BTreeMap::from([(number, "lost")]);
            let mut told = Told::new(Some(Profile::Kong), place.story);
            let mut world = place.reach(&mut told);
            let transcript = told.run(place.request, &mut world, &lost);
            let what = format!("callout {number} lost");
            check_secrets(&place, &transcript, &what);
            // without a guard there is no one to stop it, but it has nothing to be let in with; one with a body leads nowhere besides
            let end = transcript.end.word();
            let leads_nowhere = matches!(&transcript.end, End::Forward { target, .. } if target == UNDECIDED);
            let has_body = place.request.body.is_some();
            let fine = if has_body { end == "500 INTERNAL" || leads_nowhere } else { end == "forward nothing" };
            assert!(fine && !end.contains("Bearer"), "{}: {what}\n{transcript:#?}", place.story.name);
            check_next_is_served(&place, &mut told, &mut world, &what);

            let mut told = Told::guarded(place.story);
            let mut world = place.reach(&mut told);
            let transcript = told.run(place.request, &mut world, &lost);
            let end = transcript.end.word();
            assert!(["500 GUARD_REFUSED", "500 INTERNAL"].contains(&&*end), "{what}, guarded\n{transcript:#?}");
            check_next_is_served(&place, &mut told, &mut world, &what);
            count += 1;
        }
    }
    assert!(count > 10, "{count} places");
}

#[test]
fn names_that_kong_can_no_longer_resolve_are_a_refusal_and_what_is_kept_still_serves() {
    let switches = Switches { hostname_callouts: Some(3), ..Switches::default() };
    let mut hosted = Hosted::with(Profile::Kong, switches, &[&crate::stage::config(&json!({}))]);
    let mut world = World::new();
    let (anna, bob) = (token("anna"), token("bob"));
    let mut send = |hosted: &mut Hosted, token: &str| run(hosted, &get(token), &mut |ask| world.answer(ask)).end.word();
    assert_eq!(send(&mut hosted, &anna), "forward Bearer dbx-1");
    assert_eq!(send(&mut hosted, &bob), "503 EXCHANGE_UNAVAILABLE");
    assert_eq!(send(&mut hosted, &anna), "forward Bearer dbx-1");
    assert!(hosted.worker.log().iter().any(|line| line.level >= 3 && line.text.contains("ok")), "it is reported");
}

fn token(subject: &str) -> String {
    crate::stage::KEY.token(subject, &json!({}))
}
