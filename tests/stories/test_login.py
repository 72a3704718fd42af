"""People sign in at the company's provider, with the gateway as the host of their clients."""

from __future__ import annotations

import base64
import json
import urllib.parse
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.oauth import OAuthClient

from sign_in import AUTHORIZE, REDIRECT, TOKEN, Client, browse, keep_secret, oauth_error
from stack import Response, send, wait_until
from world import Caller, World, assert_allowed, assert_refused


def engineer(world: World) -> Caller:
    return world.engineer("login")


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def assert_oauth(reply: Response, status: int, error: str) -> str:
    assert (reply.status, oauth_error(reply)[0]) == (status, error), str(reply)
    assert reply.all("cache-control") == ["no-store"], str(reply)
    assert "location" not in {name.lower() for name, _ in reply.headers}, str(reply)
    return oauth_error(reply)[1]


def records_at(world: World, path: str) -> list[dict[str, Any]]:
    return [one for one in world.gateway.records() if one.get("path_template") == path]


# --- a person signs in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", ["login", "login_prefix", "login_confidential"])
def test_a_person_signs_in_works_and_goes_on_after_the_token_has_ended(world: World, config: str):
    person, client = engineer(world), Client(world, config)
    reply = client.redeem(client.code(person))
    assert reply.status == 200, str(reply)
    assert reply.all("cache-control") == ["no-store"]
    tokens = reply.json()
    assert set(tokens) <= {"access_token", "refresh_token", "token_type", "expires_in", "scope"}
    assert tokens["token_type"] == "Bearer" and 3500 < tokens["expires_in"] <= 3600
    assert claims_of(tokens["access_token"])["sub"] == person.sub
    assert_allowed(world.send(config, token=tokens["access_token"], caller=person))

    # the scope of the provider's own answer, whatever is asked for
    again = client.refresh(tokens["refresh_token"], scope="all-apis offline_access databricks:admin")
    assert again.status == 200, str(again)
    new = again.json()
    assert new["access_token"] != tokens["access_token"]
    assert claims_of(new["access_token"]).get("scope") == "databricks"
    assert_allowed(world.send(config, token=new["access_token"], caller=person))
    assert [one.who for one in world.api()] == [person.sub, person.sub]


def test_what_was_done_is_recorded_and_counted_without_anything_secret(world: World):
    person, client = engineer(world), Client(world)
    before = world.gateway.counters().get("login_ok", 0)
    records = len(records_at(world, TOKEN))
    authorized = len(records_at(world, AUTHORIZE))
    tokens = client.redeem(client.code(person)).json()
    mine = lambda: [one for one in records_at(world, TOKEN) if one.get("subject") == person.sub]  # noqa: E731
    (record,) = wait_until("it is recorded", mine)
    assert (record["decision"], record["idp"], record["method"]) == ("allow", "login", "POST")
    assert len(records_at(world, TOKEN)) == records + 1
    assert len(records_at(world, AUTHORIZE)) == authorized + 1
    # those of stories before may be counted late
    wait_until("it is counted", lambda: world.gateway.counters().get("login_ok", 0) > before)
    text = json.dumps(world.gateway.records())
    for secret in (client.verifier, tokens["access_token"], tokens["refresh_token"]):
        assert secret not in text
    world.nothing_reached()


def test_the_sdk_signs_a_person_in(world: World):
    """databricks-sdk's own client, with nothing about the gateway but its address."""
    person = engineer(world)
    world.echoes_allowed = True
    host = world.gateway.url("login")
    consent = OAuthClient.from_host(host, "databricks-cli", REDIRECT).initiate_consent()
    brought = browse(consent.authorization_url, person)
    credentials = consent.exchange_callback_parameters(brought)
    token = credentials.token()
    keep_secret(brought["code"], token.refresh_token)
    world.remember(token.access_token)
    workspace = WorkspaceClient(config=Config(host=host, token=token.access_token, auth_type="pat"))
    assert list(workspace.jobs.list()) is not None
    new = credentials.refresh()
    world.remember(new.access_token)
    assert new.access_token != token.access_token
    assert {one.who for one in world.api() if one.path.endswith("/jobs/list")} == {person.sub}


def test_the_metadata_say_that_one_can_sign_in_where_one_can(world: World):
    for config, can in (("login", True), ("login_prefix", True), ("main", False)):
        document = world.send(config, "GET", "/oidc/.well-known/oauth-authorization-server").json()
        base = world.gateway.url(config)
        assert document["token_endpoint"] == f"{base}{TOKEN}"
        assert document.get("authorization_endpoint") == (f"{base}{AUTHORIZE}" if can else None)
        assert document.get("code_challenge_methods_supported") == (["S256"] if can else None)
        assert ("authorization_code" in document["grant_types_supported"]) == can


# --- attacks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "redirect",
    [
        "https://evil.example/",
        "http://localhost@evil.example/",
        "http://localhost:8020@evil.example/",
        "http://localhost.evil.example/",
        "http://127.0.0.1:80#@evil.example/",
        "http://127.0.0.1:80\\@evil.example/",
        "http://user@localhost:8020",
        "HTTP://LOCALHOST:8020",
        "https://localhost:8020",
        "//evil.example",
        "http%3A%2F%2Flocalhost%3A8020",
        "http://localhost:8020/../x",
        "http://[::1]:99999",
        "javascript:alert(1)",
        "",
    ],
)
def test_nobody_is_sent_to_another_machine(world: World, redirect: str):
    reply = Client(world).authorize(redirect_uri=redirect)
    assert "redirect_uri" in assert_oauth(reply, 400, "invalid_request")


def test_nobody_is_sent_anywhere_without_a_challenge_or_by_what_is_said_twice(world: World):
    client = Client(world)
    good = urllib.parse.urlencode(client.parameters())
    for reply, said in (
        (client.authorize(code_challenge=None), "`code_challenge` is missing"),
        (client.authorize(code_challenge_method="plain"), "`code_challenge_method` must be `S256`"),
        (client.authorize(code_challenge_method=None), "`code_challenge_method` is missing"),
        (client.authorize(state="x" * 1025), "`state` is too long"),
        (client.authorize(query=good + "&state=other"), "a parameter is repeated"),
        (client.authorize(query=good + "&redirect_uri=http%3A%2F%2Fevil.example"), "`redirect_uri` must be"),
    ):
        assert assert_oauth(reply, 400, "invalid_request").startswith(said)
    reply = client.authorize(response_type="token")
    assert_oauth(reply, 400, "unsupported_response_type")
    assert_refused(client.authorize(query=good + "&x=%0d%0aLocation:%20x"), 400, "REQUEST_AMBIGUOUS")
    world.nothing_reached()


def test_other_methods_are_for_nobody(world: World):
    for method, path in (("PUT", TOKEN), ("GET", TOKEN), ("POST", AUTHORIZE), ("DELETE", AUTHORIZE)):
        assert_refused(world.send("login", method, path), 404, "NOT_FOUND")
    world.nothing_reached()


def test_a_code_is_good_once(world: World):
    person, client = engineer(world), Client(world)
    code = client.code(person)
    tokens = client.redeem(code).json()
    said = assert_oauth(client.redeem(code), 400, "invalid_grant")
    assert said == "the identity provider does not take the code; sign in again"
    # and who shows it twice ends the whole sign-in (RFC 6749 4.1.2)
    assert assert_oauth(client.refresh(tokens["refresh_token"]), 400, "invalid_grant") == "Refresh token is invalid"


def test_a_refresh_token_is_good_once(world: World):
    person, client = engineer(world), Client(world)
    first = client.redeem(client.code(person)).json()["refresh_token"]
    second = client.refresh(first).json()["refresh_token"]
    assert second != first
    assert_oauth(client.refresh(first), 400, "invalid_grant")
    assert_oauth(client.refresh(second), 400, "invalid_grant")


def test_a_stolen_code_is_worth_nothing_without_the_verifier(world: World):
    person, client = engineer(world), Client(world)
    thief = Client(world)
    assert_oauth(thief.redeem(client.code(person)), 400, "invalid_grant")
    reply = thief.redeem(client.code(person), code_verifier=None)
    assert assert_oauth(reply, 400, "invalid_request") == "`code_verifier` is missing"
    reply = thief.redeem(client.code(person), code_verifier=client.challenge[:42])
    assert assert_oauth(reply, 400, "invalid_request") == "`code_verifier` is none"
    reply = client.redeem(client.code(person), redirect_uri="http://localhost:8021")
    assert_oauth(reply, 400, "invalid_grant")


def of_other_app(world: World, person: Caller) -> tuple[str, str, str]:
    """A code and its verifier, and a refresh token, of another client of the same provider."""
    other = Client(world)
    parameters = other.parameters(client_id="other-app", scope="openid offline_access databricks")
    at = f"{world.idp.url('login')}/auth?{urllib.parse.urlencode(parameters)}"
    code = browse(at, person)["code"]
    form = {
        "grant_type": "authorization_code",
        "code": browse(at, person)["code"],
        "redirect_uri": REDIRECT,
        "code_verifier": other.verifier,
        "client_id": "other-app",
    }
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = send(world.idp.url("login"), "POST", "/token", kind, urllib.parse.urlencode(form))
    assert reply.status == 200, str(reply)
    keep_secret(code, reply.json()["refresh_token"])
    return code, other.verifier, reply.json()["refresh_token"]


def test_what_another_client_has_got_is_refused(world: World):
    person, client = engineer(world), Client(world)
    code, verifier, refresh = of_other_app(world, person)
    assert_oauth(client.redeem(code, code_verifier=verifier, client_id="other-app"), 400, "invalid_grant")
    assert_oauth(client.refresh(refresh, client_id="other-app"), 400, "invalid_grant")
    # nor does it help to come by another route
    tokens = client.redeem(client.code(person)).json()
    other = Client(world, "login_confidential")
    assert_oauth(other.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_a_code_of_another_provider_is_worth_nothing(world: World):
    """Mixed-up providers (RFC 9700 4.4): the code goes to the one that the sign-in began at, whoever gave it."""
    person, client = engineer(world), Client(world)
    parameters = client.parameters(client_id="other-app", scope="openid databricks")
    code = browse(f"{world.idp.url('rs')}/auth?{urllib.parse.urlencode(parameters)}", person)["code"]
    keep_secret(code)
    for said in ({}, {"iss": world.idp.url("rs")}, {"issuer": world.idp.url("rs"), "client_id": "other-app"}):
        assert_oauth(client.redeem(code, **said), 400, "invalid_grant")
    world.nothing_reached()


@pytest.mark.parametrize("state", ["a b+c%20d", "&state=x&redirect_uri=y", "'\"<>;=", "x" * 1024])
def test_the_state_of_a_client_comes_back_as_it_was(world: World, state: str):
    person, client = engineer(world), Client(world, state=state)
    assert client.redeem(client.code(person)).status == 200


@pytest.mark.parametrize("config", ["login", "login_prefix"])
def test_nobody_is_sent_where_a_header_says(world: World, config: str):
    """Addresses are those of `public_url` and of the provider, whatever the request says of its host."""
    base, evil = world.gateway.url(config), "evil.example"
    forged = {"X-Forwarded-Host": evil, "X-Forwarded-Proto": "http", "Forwarded": f"host={evil}"}
    document = world.send(config, "GET", "/oidc/.well-known/oauth-authorization-server", headers=forged)
    assert document.json()["authorization_endpoint"] == f"{base}{AUTHORIZE}"
    assert evil not in document.text
    query = urllib.parse.urlencode(Client(world, config).parameters())
    sent = world.send(config, "GET", f"{AUTHORIZE}?{query}", headers=forged)
    assert (sent.header("location") or "").startswith(f"{world.idp.url('login')}/auth?"), str(sent)
    assert evil not in str(sent)


def test_a_sign_in_whose_token_is_for_another_service_comes_to_nothing(world: World):
    person = engineer(world)
    client = Client(world, "login_elsewhere")
    reply = client.redeem(client.code(person))
    assert_oauth(reply, 401, "invalid_grant")
    assert_refused(reply, 401, "TOKEN_INVALID")
    assert reply.json()["details"][0]["metadata"]["code"] == "audience_mismatch"
    client = Client(world, "login_opaque")
    reply = client.redeem(client.code(person))
    assert_oauth(reply, 401, "invalid_grant")
    assert reply.json()["details"][0]["metadata"]["code"] == "malformed"
    world.nothing_reached()


def test_a_gateway_that_shows_a_wrong_secret_is_refused_by_code(world: World):
    client = Client(world, "login_wrong_secret")
    reply = client.redeem("any-code-that-is-long-enough")
    assert assert_oauth(reply, 400, "invalid_client") == "the identity provider refuses the request for tokens"


def test_what_is_no_form_of_a_grant_is_refused(world: World):
    client = Client(world)
    assert_oauth(client.post({"grant_type": "password", "username": "x"}), 400, "unsupported_grant_type")
    good = {"grant_type": "refresh_token", "refresh_token": "x" * 40}
    assert_oauth(client.post(good, target=f"{TOKEN}?scope=x"), 400, "invalid_request")
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    twice = world.send("login", "POST", TOKEN, headers=kind, body=urllib.parse.urlencode(good) + "&refresh_token=y")
    assert assert_oauth(twice, 400, "invalid_request") == "a parameter is repeated"
    control = world.send("login", "POST", TOKEN, headers=kind, body="grant_type=refresh_token&refresh_token=%0a")
    assert_oauth(control, 400, "invalid_request")
    huge = world.send("login", "POST", TOKEN, headers=kind, body=urllib.parse.urlencode({**good, "x": "y" * 70_000}))
    assert_oauth(huge, 413, "invalid_request")
    world.nothing_reached()
