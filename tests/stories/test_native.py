"""The endpoints that the gateway answers itself, which make the official clients work unmodified (section 3)."""

from __future__ import annotations

import time
import urllib.parse

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config

from forge import REMOVE, new_rsa
from stack import ACCOUNT_ID, WORKSPACE_ID, Response
from world import JOBS_LIST, RUN_NOW, World, assert_allowed, assert_refused

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
CONFIGS = pytest.mark.parametrize("config", ["main", "prefix"])


def exchange(world: World, config: str, token: str, **changes: str) -> Response:
    form = {"grant_type": EXCHANGE, "subject_token_type": JWT_TYPE, "subject_token": token, "scope": "sql", **changes}
    return world.send(
        config,
        "POST",
        "/oidc/v1/token",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urllib.parse.urlencode(form),
    )


@CONFIGS
def test_databricks_config(world: World, config: str):
    reply = world.send(config, "GET", "/.well-known/databricks-config")
    assert reply.status == 200, str(reply)
    assert reply.header("content-type").startswith("application/json")
    metadata = reply.json()
    assert metadata["oidc_endpoint"] == world.gateway.url(config) + "/oidc"
    assert metadata["workspace_id"] == WORKSPACE_ID
    assert metadata["account_id"] == ACCOUNT_ID
    assert metadata["cloud"].lower() == "azure"
    assert metadata["host_type"] == "workspace"
    assert metadata["token_federation_default_oidc_audiences"] == ["databricks"]
    world.nothing_reached()


@CONFIGS
@pytest.mark.parametrize(
    "path", ["/oidc/.well-known/oauth-authorization-server", "/oidc/.well-known/openid-configuration"]
)
def test_authorization_server_metadata(world: World, config: str, path: str):
    reply = world.send(config, "GET", path)
    assert reply.status == 200, str(reply)
    assert reply.json()["token_endpoint"] == world.gateway.url(config) + "/oidc/v1/token"
    world.nothing_reached()


@CONFIGS
@pytest.mark.parametrize("suffix", ["", "/api/2.0/mcp/sql"])
def test_protected_resource_metadata(world: World, config: str, suffix: str):
    reply = world.send(config, "GET", "/.well-known/oauth-protected-resource" + suffix)
    assert reply.status == 200, str(reply)
    metadata = reply.json()
    assert metadata["resource"].startswith(world.gateway.url(config))
    assert metadata["authorization_servers"] == [world.idp.url("rs"), world.idp.url("es")]
    world.nothing_reached()


@CONFIGS
def test_challenge_leads_to_the_metadata(world: World, config: str):
    reply = world.send(config, "GET", JOBS_LIST)
    assert_refused(reply, 401, "TOKEN_MISSING")
    url = reply.header("www-authenticate").split('resource_metadata="')[1].split('"')[0]
    assert url.startswith(world.gateway.url(config)), url
    found = world.send(config, "GET", url.removeprefix(world.gateway.url(config)))
    assert found.status == 200, str(found)
    assert found.json()["authorization_servers"]


@CONFIGS
def test_exchange_is_echoed(world: World, config: str):
    world.echoes_allowed = True
    token = world.engineer().token(ttl=600)
    reply = exchange(world, config, token)
    assert reply.status == 200, str(reply)
    answer = reply.json()
    assert answer["access_token"] == token and answer["token_type"] == "Bearer"
    assert 590 <= answer["expires_in"] <= 600
    world.nothing_reached()


def test_exchange_as_the_sql_drivers_send_it(world: World):
    world.echoes_allowed = True
    token = world.engineer().token()
    reply = exchange(world, "main", token, return_original_token_if_authenticated="true")
    assert reply.json()["access_token"] == token


@pytest.mark.parametrize("bad", ["expired", "forged", "audience", "issuer", "opaque", "empty", "none"])
def test_exchange_verifies(world: World, bad: str):
    engineer = world.engineer()
    now = int(time.time())
    token = {
        "expired": lambda: engineer.forge(exp=now - 100, iat=now - 200),
        "forged": lambda: engineer.forge(key=new_rsa()),
        "audience": lambda: engineer.forge(aud="else"),
        "issuer": lambda: engineer.forge(iss="https://evil.example"),
        "opaque": lambda: "dapi123",
        "empty": lambda: "",
        "none": lambda: engineer.forge(header={"alg": "none"}, key=None),
    }[bad]()
    reply = exchange(world, "main", token)
    assert reply.status in (400, 401), str(reply)
    assert "access_token" not in reply.json(), str(reply)
    world.nothing_reached()


@pytest.mark.parametrize(
    "grant",
    [
        "client_credentials",
        "authorization_code",
        "refresh_token",
        "password",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "",
    ],
)
def test_other_grants_are_not_for_the_gateway(world: World, grant: str):
    """Above all not passed on: the workspace's own token endpoint would answer with a Databricks token."""
    form = {"grant_type": grant, "scope": "all-apis", "client_id": "x", "client_secret": "y"}
    reply = world.send(
        "main",
        "POST",
        "/oidc/v1/token",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urllib.parse.urlencode(form),
    )
    assert reply.status == 400, str(reply)
    assert reply.json()["error"] in (
        {"unsupported_grant_type"} if grant else {"unsupported_grant_type", "invalid_request"}
    )
    world.nothing_reached()


@pytest.mark.parametrize(
    "body",
    ["", "grant_type", "{}", "grant_type=a&grant_type=b", "subject_token=x", "grant_type=%ff", "a=" + "x" * 200_000],
    ids=range(7),
)
def test_odd_forms(world: World, body: str):
    reply = world.send(
        "main", "POST", "/oidc/v1/token", headers={"Content-Type": "application/x-www-form-urlencoded"}, body=body
    )
    assert reply.status in (400, 413), str(reply)
    world.nothing_reached()


def test_subject_token_twice(world: World):
    engineer = world.engineer()
    form = [
        ("grant_type", EXCHANGE),
        ("subject_token_type", JWT_TYPE),
        ("subject_token", engineer.token()),
        ("subject_token", engineer.token()),
    ]
    reply = world.send(
        "main",
        "POST",
        "/oidc/v1/token",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urllib.parse.urlencode(form),
    )
    assert reply.status == 400, str(reply)
    world.nothing_reached()


def test_exchange_does_not_reach_the_workspace_with_another_method(world: World):
    for method in ("GET", "PUT", "DELETE"):
        reply = world.send("main", method, "/oidc/v1/token")
        assert reply.status >= 400, str(reply)
    world.nothing_reached()


@CONFIGS
def test_sdk_through_the_gateway(world: World, config: str):
    engineer = world.engineer()
    url = world.gateway.url(config)
    client = WorkspaceClient(config=Config(host=url, token=engineer.token(), auth_type="pat", retry_timeout_seconds=10))
    assert client.jobs.run_now(job_id=101).run_id
    assert [one.target for one in world.api()] == [RUN_NOW], "the route strips its prefix"


def test_prefix_is_stripped_and_nothing_else(world: World):
    engineer = world.engineer()
    assert_allowed(world.send("prefix", "GET", JOBS_LIST + "?limit=3", caller=engineer))
    assert world.the_request().target == JOBS_LIST + "?limit=3"


def test_token_of_a_provider_that_is_not_configured(world: World):
    assert_refused(world.send("prefix", token=world.engineer("rotate").token()), 401, "TOKEN_INVALID")
    assert_refused(world.send("prefix", token=world.engineer().forge(iss=REMOVE)), 401, "TOKEN_INVALID")


def test_own_keys_where_none_are_configured(world: World):
    """No `identity_header`, no `gateway_assertion`: there are no keys to show, and the path is not the workspace's."""
    reply = world.send("main", "GET", "/.well-known/databricks-kong/jwks.json")
    assert reply.status in (200, 401, 404), str(reply)
    if reply.status == 200:
        assert reply.json() == {"keys": []}
    world.nothing_reached()
