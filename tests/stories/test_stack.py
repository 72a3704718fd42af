"""The ground that the stories stand on, without the filter: a story that passes because a part is lax proves nothing."""

from __future__ import annotations

import hashlib
import urllib.parse

import pytest

from forge import REMOVE, Forger, new_rsa
from stack import RUN_NOW_PATH, Idp, Workspace, send
from gateway import Gateway


@pytest.fixture
def sub(workspace: Workspace) -> str:
    workspace.clear_faults()
    workspace.forget_requests()
    workspace.add_user("ground@example.com")
    return "ground@example.com"


@pytest.mark.parametrize("issuer", ["rs", "es"])
def test_workspace_exchanges_what_the_provider_signs(idp: Idp, workspace: Workspace, sub: str, issuer: str):
    reply = workspace.exchange(idp.login(issuer, sub, {"groups": ["x"]}, ttl=500))
    assert reply.status == 200, str(reply)
    answer = reply.json()
    assert 490 <= int(answer["expires_in"]) <= 500, "a federated token lives as long as the token it came from"
    used = send(workspace.url, "GET", "/api/2.2/jobs/list", {"Authorization": f"Bearer {answer['access_token']}"})
    assert used.status == 200, str(used)
    last = workspace.seen()[-1]
    assert last.who == sub
    assert last.principal["token_sha256"] == hashlib.sha256(answer["access_token"].encode()).hexdigest()


def test_workspace_refuses_what_it_did_not_mint(idp: Idp, workspace: Workspace, sub: str):
    for credential in (idp.login("rs", sub, {}), "dapi0123456789abcdef", "x"):
        reply = send(workspace.url, "POST", RUN_NOW_PATH, {"Authorization": f"Bearer {credential}"}, '{"job_id":101}')
        assert reply.status in (401, 403), str(reply)
    assert send(workspace.url, "GET", "/api/2.2/jobs/list").status == 401


def test_workspace_verifies_subject_tokens_itself(idp: Idp, workspace: Workspace, sub: str):
    forger = Forger(idp.url("rs"), idp.private_key("rs"))
    assert workspace.exchange(forger.token(sub)).status == 200, "the forger's own form is sound"
    for forged in (
        forger.token(sub, key=new_rsa()),
        forger.token(sub, aud="somebody-else"),
        forger.token(sub, exp=1),
        forger.token(sub, exp=REMOVE),
        forger.token("nobody@example.com"),
    ):
        assert workspace.exchange(forged).status in (400, 401), forged


def test_gateway_without_the_filter_delivers_what_a_caller_smuggles(gateway: Gateway, workspace: Workspace, sub: str):
    """The control of the smuggling stories: it is the filter that removes these, nothing before it."""
    if gateway.normalizes_paths:
        pytest.skip("this host makes paths plain by itself")
    smuggled = [
        ("X-Databricks-Workspace-Id", "1"),
        ("x_databricks_workspace_id", "2"),
        ("Cookie", "a=b"),
        ("X-Databricks-Azure-SP-Management-Token", "t"),
        ("X-Forwarded-Access-Token", "f"),
    ]
    send(gateway.url("bare"), "GET", "/api/2.2/jobs//list?o=5", smuggled)
    seen = workspace.seen()[-1]
    assert seen.target == "/api/2.2/jobs//list?o=5"
    for name, value in smuggled:
        assert value in seen.all(name), f"{name} did not get through: {seen.headers}"


def test_provider_rotates_and_fails_on_demand(idp: Idp):
    before = idp.state("es")
    assert len(before["kids"]) >= 1
    jwks = send(idp.url("es"), "GET", "/jwks").json()
    assert [key["kid"] for key in jwks["keys"]] == before["kids"]
    assert idp.state("es")["jwks"] == before["jwks"] + 1
    try:
        idp.fault("warm", "refuse")
        with pytest.raises(OSError):
            send(idp.url("warm"), "GET", "/jwks")
        idp.fault("warm", "status", status=503)
        assert send(idp.url("warm"), "GET", "/.well-known/openid-configuration").status == 503
    finally:
        idp.fault("warm", "none")
    assert send(idp.url("warm"), "GET", "/jwks").status == 200


def test_provider_introspects_opaque_tokens(idp: Idp):
    form = {"grant_type": "urn:databricks-kong:test:login", "sub": "o@example.com", "resource": "urn:databricks:opaque"}
    secret = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic dGVzdHM6dGVzdHMtc2VjcmV0"}
    token = send(idp.url("rs"), "POST", "/token", secret, urllib.parse.urlencode(form)).json()["access_token"]
    assert "." not in token
    gateway_secret = {**secret, "Authorization": "Basic Z2F0ZXdheTpnYXRld2F5LXNlY3JldA=="}
    answer = send(idp.url("rs"), "POST", "/token/introspection", gateway_secret, f"token={token}").json()
    assert answer["active"] is True and answer["sub"] == "o@example.com"
