"""How many requests a caller may send."""

from __future__ import annotations

import time

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config

from world import World, assert_allowed, assert_refused


def test_past_the_quota(world: World):
    """Five at once, one more every two seconds."""
    caller, other = world.engineer(), world.engineer()
    token = caller.token()
    replies = [world.send("quota", token=token, caller=caller) for _ in range(6)]
    for reply in replies[:5]:
        assert_allowed(reply)
    assert assert_refused(replies[5], 429, "QUOTA_EXCEEDED") == {"per": "subject"}
    wait = int(replies[5].header("retry-after"))
    assert 1 <= wait <= 2
    assert_allowed(world.send("quota", caller=other))
    time.sleep(wait)
    assert_allowed(world.send("quota", token=token, caller=caller))
    record = world.record(replies[5])
    assert (record["reason"], record["subject"]) == ("QUOTA_EXCEEDED", caller.sub)


def test_a_bad_token_uses_up_nobodys_quota(world: World):
    caller = world.engineer()
    now = int(time.time())
    for _ in range(8):
        assert_refused(world.send("quota", token=caller.forge(exp=now - 600, iat=now - 900)), 401, "TOKEN_EXPIRED")
    assert_allowed(world.send("quota", caller=caller))


def test_official_client_waits_and_goes_on(world: World):
    caller = world.engineer()
    client = WorkspaceClient(config=Config(host=world.gateway.url("quota"), token=caller.token(), auth_type="pat"))
    started = time.monotonic()
    for _ in range(7):
        list(client.jobs.list())
    assert time.monotonic() - started >= 2, "the client waited as it was told"
    assert len([one for one in world.api() if one.path.endswith("/jobs/list") and one.status == 200]) == 7
