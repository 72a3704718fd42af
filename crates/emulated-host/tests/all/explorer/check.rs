//! Whether what a schedule did is right.

use super::cast::*;
use super::invariant::{Invariant, Sabotage};
use super::play::{Minted, Play, Sent, minted_text, serial};
use crate::drive::{Ask, End, Purpose, end_of, makes_room};
use crate::stage::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use host::{Outcome, PendingCall, Upstream};

/// Where the filter aims requests on Kong until it has decided on their bodies.
const UNDECIDED: &str = "/.well-known/databricks-kong/undecided";

/// The contract's refusals that these requests may meet.
const REFUSALS: &[(u16, &str)] = &[
    (400, "REQUEST_AMBIGUOUS"),
    (401, "TOKEN_EXPIRED"),
    (401, "TOKEN_INVALID"),
    (401, "TOKEN_NOT_YET_VALID"),
    (401, "TOKEN_REVOKED"),
    (403, "EXCHANGE_REFUSED"),
    (403, "NO_ROLE"),
    (403, "NO_RULE"),
    (403, "RULE_DENIED"),
    (500, "GUARD_REFUSED"),
    (500, "INTERNAL"),
    (503, "EXCHANGE_UNAVAILABLE"),
    (503, "KEYS_UNAVAILABLE"),
    (503, "REVOCATION_STALE"),
];

/// Every JWT begins so, and each of its first two parts.
fn holds_jwt(text: &str) -> bool {
    text.contains("eyJ")
}

fn holds_secret(text: &str) -> bool {
    text.contains("dbx|") || text.contains("canary")
}

impl Play<'_> {
    /// Checks a callout that was just sent.
    pub(super) fn check_callout(&mut self, call: &PendingCall) {
        if makes_room(call) {
            return self.tally.count("callout that makes room for an answer");
        }
        let mut ask = Ask::of_call(call);
        self.tally.count(&format!("callout {}", ask.purpose().word()));
        let sent = self.sent.iter().position(|sent| Some(sent.handle) == call.request);
        if sent.is_none() {
            self.tally.count("callout of a tick");
        }
        if self.is_sabotaged(Sabotage::OtherLookup) && ask.purpose() == Purpose::Lookup {
            ask.headers.retain(|(name, _)| name != "authorization");
        }
        let wrong = |what: &str| format!("{what}: {} {}", ask.method, ask.url);
        let jwt_elsewhere = holds_jwt(&ask.url) || ask.headers.iter().any(|(_, value)| holds_jwt(value));
        Invariant::Callouts.holds(!jwt_elsewhere, || wrong("a caller's token where none belongs"));
        let authorization =
            ask.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.clone());
        match (ask.purpose(), sent) {
            (Purpose::Discovery | Purpose::Keys, _) => {
                let place = ["https://idp.example/.well-known/openid-configuration", "https://idp.example/keys"];
                let known = place.contains(&ask.url.as_str()) || ask.url == "https://sso.example/keys";
                let bare = authorization.is_none() && call.body.is_empty();
                Invariant::Callouts.holds(known && bare, || wrong("an identity provider is asked wrongly"));
            }
            (Purpose::Feed, _) => {
                let own = ask.url == FEED && authorization.as_deref() == Some("Bearer canary-feed");
                Invariant::Callouts.holds(own && call.body.is_empty(), || wrong("a feed is asked for wrongly"));
            }
            (Purpose::Login, Some(number)) => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("refresh_token", &refresh_token(&self.sent[number].caller.token)),
                ];
                let fine = self.sent[number].want == Want::Refresh
                    && ask.form == form.map(|(name, value)| (name.to_owned(), value.to_owned()))
                    && authorization == Some(format!("Basic {}", STANDARD.encode("login:canary-login")));
                Invariant::Callouts.holds(fine, || wrong("a provider is asked for tokens wrongly"));
            }
            (Purpose::Token, Some(number)) => self.check_token_request(&ask, number, authorization.as_deref()),
            (Purpose::Lookup, Some(number)) => {
                let sent = &self.sent[number];
                let (Want::GetRun(run) | Want::CancelRun(run)) = sent.want else {
                    panic!("{}: {}", Invariant::Callouts.broken(), wrong("a run of no request"));
                };
                let url = format!("https://{}/api/2.2/jobs/runs/get?run_id={run}", sent.workspace);
                let role = looks_up(sent.caller, sent.asked, sent.want);
                let fine = ask.url == url && role.is_some() && authorization.is_some();
                Invariant::Callouts.holds(fine, || wrong("a run is looked up wrongly"));
                self.check_minted(number, role.unwrap(), &authorization.unwrap());
            }
            (Purpose::Token, None) => self.check_token_ahead(&ask, authorization.as_deref()),
            (Purpose::Lookup | Purpose::Login, None) => {
                panic!("{}: {}", Invariant::Callouts.broken(), wrong("for no request"));
            }
        }
    }

    /// Where requests can wait for each other, an identity provider is asked once at a time for each configuration.
    pub(super) fn check_equal_callouts(&self, pending: &[PendingCall]) {
        if self.is_kong() {
            return;
        }
        let mut asked = Vec::new();
        let twice = if self.is_sabotaged(Sabotage::Doubled) { 2 } else { 1 };
        for call in pending.iter().flat_map(|call| std::iter::repeat_n(call, twice)) {
            let sent = self.sent.iter().find(|sent| Some(sent.handle) == call.request);
            if let (Some(sent), Purpose::Discovery | Purpose::Keys) = (sent, Ask::of_call(call).purpose()) {
                let this = (sent.entry, call.url());
                let is_new = !asked.contains(&this);
                Invariant::OnceAtATime.holds(is_new, || format!("{} is asked for twice", this.1));
                asked.push(this);
            }
        }
    }

    fn check_token_request(&self, ask: &Ask, number: usize, authorization: Option<&str>) {
        let sent = &self.sent[number];
        self.check_caller(sent);
        let role = sent.role().or_else(|| looks_up(sent.caller, sent.asked, sent.want));
        Invariant::Permitted.holds(role.is_some(), || format!("a token is asked for {:?}", sent.want));
        let role = role.unwrap();
        let form = |name: &str| ask.form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let basic = format!("Basic {}", STANDARD.encode("app:canary-secret"));
        let (subject, client, group, proof) = match role.credential {
            Credential::Caller { group } => (sent.caller.token.as_str(), "", group, None),
            Credential::Workload => (sent.caller.token.as_str(), "wif", "", None),
            Credential::Secret => ("", "", "", Some(basic.as_str())),
            Credential::Passthrough | Credential::Nothing => {
                panic!("{}: role `{}` needs no token", Invariant::Callouts.broken(), role.name)
            }
        };
        let asked = (form("subject_token"), form("client_id"), form("assume_group"), authorization);
        let fine = asked == (subject, client, group, proof)
            && form("scope") == role.scope()
            && ask.url == format!("https://{}/oidc/v1/token", sent.workspace);
        Invariant::Callouts.holds(fine, || format!("a token for role `{}` is asked for wrongly: {ask:?}", role.name));
    }

    /// A token that a timer asks for: one that callers of a role share, or a renewal for a caller who was let in before.
    fn check_token_ahead(&mut self, ask: &Ask, authorization: Option<&str>) {
        let form = |name: &str| ask.form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let at_workspace = WORKSPACES.iter().any(|host| ask.url == format!("https://{host}/oidc/v1/token"));
        let basic = format!("Basic {}", STANDARD.encode("app:canary-secret"));
        let is_shared = form("grant_type") == "client_credentials"
            && form("scope") == "all-apis"
            && authorization == Some(basic.as_str());
        let renews = |sent: &Sent| {
            let Some(role) = sent.role() else { return false };
            let asked = match role.credential {
                Credential::Caller { group } => ("", group),
                Credential::Workload => ("wif", ""),
                _ => return false,
            };
            form("subject_token") == sent.caller.token
                && (form("client_id"), form("assume_group")) == asked
                && form("scope") == role.scope()
                && ask.url == format!("https://{}/oidc/v1/token", sent.workspace)
        };
        let is_renewal = authorization.is_none() && self.sent.iter().any(renews);
        let fine = !self.is_kong() && at_workspace && (is_shared || is_renewal);
        Invariant::Callouts.holds(fine, || format!("a token is asked for ahead of need: {ask:?}"));
        self.tally.count(if is_shared { "token ahead of need" } else { "renewal behind a request" });
    }

    fn check_caller(&self, sent: &Sent) {
        let who = sent.caller.who;
        let verified =
            sent.caller.signer == Signer::Sso || (sent.key_was_known && sent.caller.signer != Signer::Nobody);
        Invariant::Verified.holds(verified, || format!("`{who}`, signed by {:?}", sent.caller.signer));
        let now = sent.decided_at.unwrap_or_else(|| self.now());
        Invariant::InTime.holds(sent.caller.is_in_time(now), || format!("`{who}` at {}", now - NOW));
        let cut_off = self.cut_off(sent.caller).filter(|since| self.has_feed && now > since + FEED_MAX_STALE);
        Invariant::CutOff.holds(cut_off.is_none(), || format!("`{who}` at {}, since {cut_off:?}", now - NOW));
    }

    /// A Databricks token is used for a request.
    fn check_minted(&mut self, number: usize, role: &Role, authorization: &str) {
        let sent = &self.sent[number];
        let now = sent.decided_at.unwrap_or_else(|| self.now());
        let who = sent.caller.who;
        let (principal, group) = match role.credential {
            Credential::Caller { group } => (who.to_owned(), group),
            Credential::Workload => (format!("wif for {who}"), ""),
            _ => ("app".to_owned(), ""),
        };
        let serial = serial(authorization);
        let own = serial.map(|serial| minted_text(serial, sent.workspace, &principal, role.scope(), group));
        let is_own = own.is_some_and(|own| authorization == format!("Bearer {own}"));
        Invariant::OwnCredential.holds(is_own, || format!("`{who}` as `{}`: {authorization}", role.name));
        let minted = &mut self.minted[serial.unwrap()];
        let refused = minted.refused.is_some_and(|refused| number >= refused);
        let lives = now < minted.until && !refused && (minted.uses == 0 || !minted.once);
        Invariant::LiveCredential.holds(lives, || {
            let Minted { until, uses, .. } = minted;
            format!("{authorization} at {} of {}, used {uses} times, refused: {refused}", now - NOW, *until - NOW)
        });
        minted.uses += 1;
        if minted.uses > 1 {
            self.tally.count("token used that was kept");
        }
    }

    /// Checks a request that has just ended; what became of it.
    pub(super) fn check_end(&mut self, number: usize) -> String {
        let mut outcome = self.worker.outcome(self.sent[number].handle).clone();
        let sent = &self.sent[number];
        if sent.panicked && self.is_sabotaged(Sabotage::PanicLetOn) {
            let (method, target) = (sent.request.method.clone(), sent.request.target.clone());
            outcome = Outcome::Forwarded(Upstream { method, target, headers: Vec::new(), body: None });
        }
        if sent.panicked || sent.changed {
            let end = end_of(&outcome).word();
            let is_gone = matches!(outcome, Outcome::ClientGone | Outcome::ServerError(502));
            let refused = |expected: &str| is_gone || end == expected;
            let internal = refused("500 INTERNAL");
            Invariant::PanicsRefuse.holds(!sent.panicked || internal, || format!("{end} after a panic"));
            let compared = sent.panicked || refused("400 REQUEST_AMBIGUOUS");
            Invariant::Compared.holds(compared, || format!("{end} of `{}`", sent.caller.who));
        }
        match outcome {
            Outcome::Forwarded(upstream) => self.check_forward(number, upstream),
            Outcome::Answered { .. } => self.check_answer(number, &outcome),
            Outcome::ServerError(status) => {
                Invariant::Refusals.holds(self.sent[number].shaken, || format!("host {status} without a trap"));
                format!("host {status}")
            }
            Outcome::ClientGone | Outcome::Waiting => "gone".to_owned(),
        }
    }

    fn tamper(&self, upstream: &mut Upstream, token: &str) {
        match self.sabotage {
            Some(Sabotage::TokenInHeader) => upstream.headers.push(("x-request-source".to_owned(), token.to_owned())),
            Some(Sabotage::TokenInPath) => upstream.target = format!("/{token}"),
            Some(Sabotage::TokenInBody) => upstream.body = Some(format!("[\"{token}\"]").into_bytes()),
            Some(Sabotage::NoCredential) => upstream.headers.retain(|(name, _)| name != "authorization"),
            Some(Sabotage::OtherTarget) => upstream.target.push_str("&all=1"),
            _ => {}
        }
    }

    fn check_forward(&mut self, number: usize, mut upstream: Upstream) -> String {
        let sent = &self.sent[number];
        self.tamper(&mut upstream, &sent.caller.token);
        let role = sent.role();
        let credentials: Vec<_> = upstream.header("authorization").filter(|value| !value.is_empty()).collect();
        let passes = role.is_some_and(|role| role.credential == Credential::Passthrough);
        let own = format!("Bearer {}", sent.caller.token);
        let mut headers = upstream.headers.iter();
        let in_header = headers.any(|(name, value)| {
            holds_jwt(value) && !(passes && name == "authorization" && *value == own && credentials.len() == 1)
        });
        let body = String::from_utf8_lossy(upstream.body.as_deref().unwrap_or_default());
        // the one request that brings its token in its body, and nothing of Kong's can take it out again
        let in_body = holds_jwt(&body) && !(sent.want == Want::Echo && sent.let_go && self.guard.is_none());
        let leaks = in_header || in_body || holds_jwt(&upstream.target);
        Invariant::NoCallersToken.holds(!leaks, || format!("{:?} of `{}`", sent.want, sent.caller.who));

        let waits_for_body = sent.let_go && sent.request.body.is_some() && credentials.is_empty();
        let target = if waits_for_body { UNDECIDED } else { sent.request.target.as_str() };
        let unchanged =
            upstream.target == target && upstream.method == sent.request.method && upstream.body == sent.request.body;
        Invariant::Unchanged.holds(unchanged, || format!("{} {}", upstream.method, upstream.target));

        if credentials.is_empty() && role.is_none_or(|role| role.credential != Credential::Nothing) {
            let excused = sent.let_go && self.is_kong() && self.guard.is_none();
            Invariant::Credentialed.holds(excused, || format!("{:?} of `{}`", sent.want, sent.caller.who));
            return "let on by kong without a credential".to_owned();
        }
        if credentials.is_empty() && sent.let_go && self.guard.is_none() {
            return "let on by kong without a credential".to_owned();
        }
        self.check_caller(sent);
        Invariant::Permitted
            .holds(role.is_some(), || format!("{:?} of `{}` under {:?}", sent.want, sent.caller.who, sent.variant));
        let role = role.unwrap();
        match role.credential {
            Credential::Passthrough | Credential::Nothing => {
                let expected: &[&str] = if passes { &[own.as_str()] } else { &[] };
                Invariant::OwnCredential.holds(credentials == expected, || format!("role `{}`", role.name));
            }
            _ => {
                Invariant::OwnCredential.holds(credentials.len() == 1, || format!("{credentials:?}"));
                let authorization = credentials[0].to_owned();
                self.check_minted(number, role, &authorization);
            }
        }
        format!("forward {}", role.name)
    }

    fn check_answer(&self, number: usize, outcome: &Outcome) -> String {
        let sent = &self.sent[number];
        let Outcome::Answered { status, headers, body } = outcome else { unreachable!() };
        let End::Reply { body: read, .. } = end_of(outcome) else { unreachable!() };
        let mut shown = format!("{headers:?} {}", String::from_utf8_lossy(body));
        if self.is_sabotaged(Sabotage::TokenInAnswer) {
            shown.push_str("dbx|0");
        }
        let echoed = *status == 200 && matches!(sent.want, Want::Echo | Want::Refresh);
        let silent = !holds_secret(&shown) && (echoed || !holds_jwt(&shown));
        Invariant::Silent.holds(silent, || format!("an answer to {:?}: {status}", sent.want));
        if *status == 200 {
            let own = sent.want == Want::Document || (echoed && read["access_token"] == sent.caller.token.as_str());
            Invariant::Refusals.holds(own, || format!("200 to {:?}", sent.want));
            if echoed {
                self.check_caller(sent);
            }
            // of the provider that signs people in, and of no other
            let refreshed = sent.want != Want::Refresh || sent.caller.signer != Signer::Sso;
            Invariant::Verified.holds(refreshed, || format!("`{}` is handed what another signed", sent.caller.who));
            return "answer 200".to_owned();
        }
        let mut reason = read["details"][0]["reason"].as_str().unwrap_or_default();
        if self.is_sabotaged(Sabotage::OtherReason) {
            reason = "BECAUSE";
        }
        let known = REFUSALS.contains(&(*status, reason));
        let oauth = matches!(sent.want, Want::Echo | Want::Refresh) && read["error"].is_string();
        Invariant::Refusals.holds(known || oauth, || format!("{status} `{reason}` to {:?}", sent.want));
        let waits = *status != 503 || headers.iter().any(|(name, _)| name == "retry-after");
        Invariant::Refusals.holds(waits, || format!("{reason} does not say when to come back"));
        let ours = ["INTERNAL", "GUARD_REFUSED"].contains(&reason);
        Invariant::Refusals.holds(!ours || sent.shaken || sent.let_go, || format!("{reason} for no reason"));
        let strict = decide(sent.caller, sent.asked, sent.want, Variant::Strict);
        let right = sent.role().is_some()
            && !sent.changed
            && (!sent.tightened || strict.is_some())
            && !(sent.unshown && reason == "NO_RULE")
            // Once an instance was lost, Kong configures the roots of replaced configurations anew, and nothing tells them from those that
            // took their place: what waited is held to both.
            && !(reason == "RULE_DENIED" && strict.is_none() && self.lost_one)
            && !self.was_ever_cut_off(sent.caller)
            && sent.caller.is_in_time(self.now())
            && self.is_key_sure(sent.caller);
        let theirs = *status < 500 && reason != "EXCHANGE_REFUSED";
        Invariant::Served.holds(!(right && theirs), || {
            format!("{reason} to {:?} of `{}` as {:?}", sent.want, sent.caller.who, sent.asked)
        });
        let code = read["details"][0]["metadata"]["code"].as_str().filter(|_| reason == "TOKEN_INVALID");
        ["answer", &status.to_string(), reason, code.unwrap_or_default()].join(" ").trim_end().to_owned()
    }

    pub(super) fn check_log(&self) {
        let extra = self.is_sabotaged(Sabotage::TokenInLog).then_some("dbx|0");
        let lines = self.worker.log().iter().map(|line| line.text.as_str()).chain(extra);
        for line in lines {
            Invariant::Silent.holds(!holds_jwt(line) && !holds_secret(line), || format!("the log: {line}"));
        }
    }
}
