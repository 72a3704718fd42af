"""Somebody is cut off in the middle of their work, by a feed that the gateway reads."""

from __future__ import annotations

import json
import statistics
import time

import pytest

from stack import Response, wait_until
from world import Caller, World, assert_allowed, assert_refused

REFRESH = 1.0
NOBODY: dict[str, list[str]] = {"subjects": []}


@pytest.fixture(autouse=True)
def _everybody_is_in_again(world: World) -> None:
    """The gateway still knows what the story before made the feed say."""
    world.idp.feed("cut", NOBODY)
    somebody = world.engineer("cut", "somebody")
    token = somebody.token()
    wait_until("everybody is in again", lambda: poll(world, somebody, token).status == 200, step=0.2)
    world.workspace.forget_requests()


def poll(world: World, caller: Caller, token: str) -> Response:
    return world.send("cut", token=token, caller=caller)


def read_again(world: World, caller: Caller, token: str) -> None:
    """What the feed says now is known to the gateway, by requests of somebody whom it does not touch."""
    read = world.idp.state("cut")["feed"]

    def is_read() -> bool:
        assert_allowed(poll(world, caller, token))
        return world.idp.state("cut")["feed"] >= read + 2

    wait_until("the feed is read again", is_read, step=0.1)


def seconds_until(world: World, caller: Caller, token: str, status: int) -> float:
    since = time.monotonic()

    def ends_so() -> bool:
        return poll(world, caller, token).status == status

    wait_until(f"{caller.sub} gets {status}", ends_so, timeout=REFRESH + 5)
    return time.monotonic() - since


def test_who_is_cut_off_is_refused_within_a_second_and_a_colleague_goes_on(world: World):
    """Two long jobs that poll; one of their owners is cut off. Upper case in the feed makes no difference."""
    mallory, anna = world.engineer("cut", "mallory"), world.engineer("cut", "anna")
    hers, his = anna.token(), mallory.token()
    for caller, token in ((mallory, his), (anna, hers)):
        assert_allowed(poll(world, caller, token))
    took = []
    for _ in range(3):
        world.idp.feed("cut", {"subjects": [mallory.sub.upper()]})
        took.append(seconds_until(world, mallory, his, 401))
        assert_refused(poll(world, mallory, his), 401, "TOKEN_REVOKED")
        assert_allowed(poll(world, anna, hers))
        world.idp.feed("cut", NOBODY)
        seconds_until(world, mallory, his, 200)
    assert max(took) < REFRESH + 1.5, took
    print(f"seconds to refusal: {min(took):.2f} {statistics.median(took):.2f} {max(took):.2f}")


def test_the_record_says_who_was_cut_off(world: World):
    mallory, anna = world.engineer("cut", "mallory"), world.engineer("cut", "anna")
    world.idp.feed("cut", {"subjects": [mallory.sub]})
    read_again(world, anna, anna.token())
    reply = poll(world, mallory, mallory.token())
    assert_refused(reply, 401, "TOKEN_REVOKED")
    record = world.record(reply)
    told = (record["decision"], record["reason"], record["subject"], record["idp"])
    assert told == ("deny", "TOKEN_REVOKED", mallory.sub, "cut")


def test_a_new_sign_in_works_again_and_gets_another_databricks_token(world: World):
    mallory, anna = world.engineer("cut", "mallory"), world.engineer("cut", "anna")
    old = mallory.token()
    assert_allowed(poll(world, mallory, old))
    # the second in which the new token will be issued
    time.sleep(1.1)
    before = int(time.time())
    world.idp.feed("cut", {"subjects": [{"value": mallory.sub, "before": before}]})
    read_again(world, anna, anna.token())
    new = mallory.token()
    assert_allowed(poll(world, mallory, new))
    assert_allowed(poll(world, mallory, new))
    assert_refused(poll(world, mallory, old), 401, "TOKEN_REVOKED")
    assert [len(world.exchanges(token)) for token in (old, new)] == [1, 1], "what the old one got is not used again"


def test_one_token_one_session_one_client_and_everybody(world: World):
    mallory, anna = world.engineer("cut", "mallory"), world.engineer("cut", "anna")
    hers = anna.forge(jti="t-1", sid="s-1", azp="other-app")
    for entries in ({"tokens": ["t-2"]}, {"sessions": ["s-2"]}, {"clients": ["app-2"]}):
        world.idp.feed("cut", entries)
        read_again(world, anna, hers)
        his = mallory.forge(jti="t-2", sid="s-2", azp="app-2")
        assert_refused(poll(world, mallory, his), 401, "TOKEN_REVOKED")
        assert_allowed(poll(world, mallory, mallory.forge(jti="t-3", sid="s-3", azp="app-3")))
    world.idp.feed("cut", {"not_before": int(time.time()) + 60})
    seconds_until(world, anna, hers, 401)
    assert_refused(poll(world, anna, hers), 401, "TOKEN_REVOKED")


def test_the_token_endpoint_hands_nothing_back_to_who_is_cut_off(world: World):
    mallory, anna = world.engineer("cut", "mallory"), world.engineer("cut", "anna")
    world.idp.feed("cut", {"subjects": [mallory.sub]})
    read_again(world, anna, anna.token())
    grant = "urn:ietf:params:oauth:grant-type:token-exchange"
    form = f"grant_type={grant}&subject_token_type=urn:ietf:params:oauth:token-type:jwt&subject_token={mallory.token()}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = world.send("cut", "POST", "/oidc/v1/token", headers=headers, body=form)
    assert (reply.status, reply.json()["error"]) == (401, "invalid_grant")


def test_a_feed_that_does_not_change_is_not_sent_again(world: World):
    anna = world.engineer("cut", "anna")
    token = anna.token()
    assert_allowed(poll(world, anna, token))
    read_again(world, anna, token)
    before = world.idp.state("cut")
    for _ in range(3):
        time.sleep(REFRESH)
        assert_allowed(poll(world, anna, token))
    after = world.idp.state("cut")
    read = after["feed"] - before["feed"]
    assert read >= 2 and after["unchanged"] - before["unchanged"] == read, (before, after)
    assert read <= 2 * 3 + 2, "not by every request"


def test_a_hundred_thousand_entries(world: World):
    """Half of them cut off for good, half of them what was issued before some time."""
    anna, mallory = world.engineer("cut", "anna"), world.engineer("cut", "mallory")
    hers = anna.token()
    assert_allowed(poll(world, anna, hers))
    entries: list[object] = [f"somebody-{number:06}@example.com" for number in range(50_000)]
    entries += [{"value": f"another-{number:06}@example.com", "before": 1_700_000_000} for number in range(49_999)]
    feed = {"subjects": [*entries, mallory.sub], "not_before": None}
    assert len(json.dumps(feed)) > 4_000_000
    world.idp.feed("cut", feed)
    his = mallory.token()
    took = seconds_until(world, mallory, his, 401)
    read_again(world, anna, hers)
    elapsed = sorted(poll(world, anna, hers).elapsed for _ in range(50))
    print(f"100,000 entries: {took:.2f} s to refusal; then {statistics.median(elapsed) * 1000:.1f} ms a request")
    assert_refused(poll(world, mallory, his), 401, "TOKEN_REVOKED")
    world.idp.feed("cut", NOBODY)
    seconds_until(world, mallory, his, 200)


def test_without_a_feed_that_is_young_enough_nobody_is_let_in(world: World):
    """Never read, then read, then down for longer than `max_stale`, then back; each by itself."""
    world.idp.feed("cut_cold", None)
    anna = world.engineer("cut_cold", "anna")
    token = anna.token()

    def ask() -> Response:
        return world.send("cut_cold", token=token, caller=anna)

    def becomes(status: int) -> None:
        wait_until(f"the answer is {status}", lambda: ask().status == status, timeout=15, step=0.2)

    # what the gateway may have read before this story is too old by now, or soon
    becomes(503)
    assert_refused(ask(), 503, "REVOCATION_STALE")
    world.idp.feed("cut_cold", NOBODY)
    becomes(200)
    for broken in (None, "<html>", '{"subjects":[],"devices":[]}', "{}"):
        world.idp.feed("cut_cold", broken)
        assert_allowed(ask())
        becomes(503)
        assert_refused(ask(), 503, "REVOCATION_STALE")
        world.idp.feed("cut_cold", NOBODY)
        becomes(200)
    assert "no feed of revoked identities from" in world.gateway.logs()


def test_what_is_read_and_what_is_refused_is_counted(world: World):
    mallory, anna = world.engineer("cut", "mallory"), world.engineer("cut", "anna")
    before = world.gateway.counters()
    world.idp.feed("cut", {"subjects": [mallory.sub]})
    read_again(world, anna, anna.token())
    assert_refused(poll(world, mallory, mallory.token()), 401, "TOKEN_REVOKED")

    def are_counted() -> bool:
        after = world.gateway.counters()
        return all(
            after[name] > before.get(name, 0)
            for name in ("revocation_fetch_ok", "denied_token_revoked", "requests_unauthenticated")
        )

    wait_until("they are counted", are_counted)
