"""The native plugin beside Kong's own plugins, on a real Kong: `KONG_BIN=… tests/kong/run --native ../native/kong`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import configs
import pytest
from native_gateway import NativeKongGateway
from stack import RUN_NOW_PATH, SP_ETL, SP_SECRETS, Idp, Response, Workspace, send, wait_until

LIST = "/api/2.1/clusters/list"
Plugins = list[dict[str, Any]]


class Neighboured(NativeKongGateway):
    """The routes `main` and `roles`, with more plugins on them."""

    neighbours: Plugins = []
    settings: dict[str, str] = {}
    changes: Callable[[dict[str, Any]], None] = staticmethod(lambda _config: None)

    def host_settings(self) -> dict[str, str]:
        return {**super().host_settings(), "UNTRUSTED_LUA": "on", **self.settings}

    def attach(self, route: dict[str, Any], one: configs.Named) -> None:
        super().attach(route, one)
        type(self).changes(route["plugins"][0]["config"])
        route["plugins"] += self.neighbours


class Around:
    def __init__(self, gateway: Neighboured, idp: Idp, workspace: Workspace):
        self.gateway, self.idp, self.workspace = gateway, idp, workspace

    def token(self, subject: str = "alice", group: str = "data-engineering") -> str:
        self.workspace.add_user(subject)
        return self.idp.login("rs", subject, {"groups": [group]}, audience="databricks")

    def ask(self, token: str | None, target: str = LIST, route: str = "main", **more: Any) -> Response:
        headers = {**more.get("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        return send(self.gateway.url(route), more.get("method", "GET"), target, headers, more.get("body"))

    def api(self) -> list[str]:
        return [f"{one.method} {one.target}" for one in self.workspace.sent_on()]


Start = Callable[..., Around]


@pytest.fixture
def start(tmp_path: Path, idp: Idp, workspace: Workspace) -> Iterator[Start]:
    started: list[Neighboured] = []

    def begin(*neighbours: dict[str, Any], change: Any = None, **settings: str) -> Around:
        more = {"neighbours": list(neighbours), "settings": settings}
        if change:
            more["changes"] = staticmethod(change)
        kind = type("One", (Neighboured,), more)
        named = [one for one in configs.all_configs() if one.name in ("main", "roles", "policy")]
        started.append(kind(idp, workspace, tmp_path, named=named))
        return Around(started[-1], idp, workspace)

    yield begin
    for one in started:
        one.stop()
        assert not one.complaints()


@pytest.mark.parametrize(
    "plugin, what",
    [
        ({"name": "request-transformer", "config": {"replace": {"uri": "/api/2.0/token/list"}}}, "target"),
        ({"name": "request-transformer", "config": {"http_method": "DELETE"}}, "method"),
        (
            {"name": "post-function", "config": {"access": ["kong.service.request.set_path('/api/2.0/token/list')"]}},
            "target",
        ),
        ({"name": "post-function", "config": {"access": ["kong.service.request.set_method('DELETE')"]}}, "method"),
        ({"name": "post-function", "config": {"access": ["kong.service.request.set_raw_body('{}')"]}}, "body"),
    ],
)
def test_another_request_than_the_one_decided_on_is_not_sent(start: Start, plugin: dict[str, Any], what: str) -> None:
    around = start(plugin)
    reply = around.ask(around.token())
    assert reply.status == 400 and what in reply.json()["message"], str(reply)
    assert around.api() == []
    record = wait_until("the record is written", around.gateway.records)[-1]
    assert (record["decision"], record["reason"]) == ("deny", "REQUEST_AMBIGUOUS")


@pytest.mark.parametrize("target", [LIST, f"{LIST}?", f"{LIST}?page_size=1"])
@pytest.mark.parametrize(
    "plugin",
    [
        {"name": "request-transformer", "config": {"add": {"querystring": ["a:b"]}}},
        {"name": "post-function", "config": {"access": ["kong.service.request.set_raw_query('a=b')"]}},
        {"name": "post-function", "config": {"access": ["ngx.req.set_uri_args('a=b')"]}},
    ],
)
def test_another_query_is_not_sent(start: Start, plugin: dict[str, Any], target: str) -> None:
    """Kong may not see that a plugin added a query where there was none, and then sends none; what counts is what is sent."""
    around = start(plugin)
    reply = around.ask(around.token(), target)
    if reply.status == 200:
        assert around.api() == [f"GET {target}"]
    else:
        assert reply.status == 400 and "target" in reply.json()["message"], str(reply)
        assert around.api() == []


def test_a_credential_of_another_plugin_is_replaced(start: Start) -> None:
    lua = "kong.service.request.set_header('authorization', 'Bearer EVIL') kong.service.request.set_header('cookie', 'EVIL')"
    around = start({"name": "post-function", "config": {"access": [lua]}})
    assert around.ask(around.token()).status == 200
    (seen,) = around.workspace.sent_on()
    assert seen.who == "alice" and "EVIL" not in str(seen.headers)


def test_callers_are_counted_one_by_one(start: Start) -> None:
    around = start({"name": "rate-limiting", "config": {"minute": 2, "limit_by": "credential", "policy": "local"}})
    alice, bob = around.token("alice"), around.token("bob")
    assert [around.ask(alice).status for _ in range(4)] == [200, 200, 429, 429]
    assert [around.ask(bob).status for _ in range(3)] == [200, 200, 429]
    # a token that is not good uses up nobody's share
    assert around.ask("x.y.z").status == 401
    assert len(around.api()) == 4


def test_roles_are_groups_for_acl(start: Start) -> None:
    acl = {"name": "acl", "config": {"allow": ["data-engineer"], "always_use_authenticated_groups": True}}
    around = start(acl)
    assert around.ask(around.token()).status == 200
    assert around.ask(around.token("batch-job", "batch"), route="roles").status == 403
    assert len(around.api()) == 1


def test_no_cache_answers_a_request_without_a_token(start: Start) -> None:
    cache = {"strategy": "memory", "content_type": ["application/json; charset=utf-8"], "cache_ttl": 60}
    around = start({"name": "proxy-cache", "config": cache})
    token = around.token()
    assert [around.ask(token).header("x-cache-status") for _ in range(2)] == ["Miss", "Hit"]
    reply = around.ask(None)
    assert reply.status == 401 and reply.header("x-cache-status") is None


def secret_role(value: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        for role in config["roles"]:
            if role["credential"]["type"] == "service_principal_secret":
                role["credential"]["client_secret"] = value

    return change


@pytest.mark.parametrize(
    "value",
    [
        "{vault://env/dbx-test-vault}",
        {"value": "{vault://env/dbx-test-vault}"},
        {"env": "DBX_TEST_SECRET"},
        {"value": SP_SECRETS[SP_ETL]},
    ],
)
def test_a_secret_comes_from_a_vault_or_the_environment(
    start: Start, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    monkeypatch.setenv("DBX_TEST_VAULT", SP_SECRETS[SP_ETL])
    around = start(change=secret_role(value))
    reply = around.ask(around.token("batch-job", "batch"), route="roles")
    assert reply.status == 200, str(reply)
    assert [one.who for one in around.workspace.sent_on()] == [SP_ETL]


def test_a_reference_that_leads_to_nothing_is_refused_where_it_is_needed(start: Start) -> None:
    around = start(change=secret_role("{vault://env/dbx-test-nothing-there}"))
    reply = around.ask(around.token("batch-job", "batch"), route="roles")
    assert reply.status == 503 and reply.json()["details"][0]["reason"] == "SECRET_UNAVAILABLE", str(reply)
    assert around.ask(around.token()).status == 200
    assert len(around.workspace.seen()) == 2, "an exchange and a request of another role"


def test_the_second_plugin_is_missing(start: Start) -> None:
    class Alone(Neighboured):
        def declared(self) -> dict[str, Any]:
            declared = super().declared()
            declared["plugins"] = [one for one in declared["plugins"] if one["name"] != "databricks-kong-late"]
            return declared

    around = start()
    alone = around.gateway.prefix.parent / "alone"
    alone.mkdir()
    other = Alone(around.idp, around.workspace, alone, named=list(around.gateway.named.values()))
    try:
        reply = send(other.url("main"), "GET", LIST, {"Authorization": f"Bearer {around.token()}"})
        assert reply.status == 500 and reply.json()["details"][0]["reason"] == "INTERNAL", str(reply)
        assert around.api() == []
    finally:
        other.stop()


def test_a_configuration_with_an_error_is_refused_when_it_is_loaded(start: Start) -> None:
    around = start()
    declared = json.loads(around.gateway.declaration.read_text())
    for service in declared["services"]:
        for plugin in service["routes"][0].get("plugins", []):
            plugin["config"]["roles"][0]["allow"] = [{"operations": ["no_such.operation"]}]
    path = around.gateway.prefix.parent / "bad.json"
    path.write_text(json.dumps(declared))
    checked = subprocess.run(
        [around.gateway.kong, "config", "parse", str(path)],
        env=around.gateway.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode != 0
    assert "no_such.operation" in checked.stderr and "/roles/0/allow/0/operations/0" in checked.stderr, checked.stderr


def test_cold_requests_of_one_caller_are_one_exchange(start: Start) -> None:
    from concurrent.futures import ThreadPoolExecutor

    around = start()
    token = around.token("many")
    with ThreadPoolExecutor(100) as pool:
        statuses = list(pool.map(lambda _: around.ask(token).status, range(100)))
    assert statuses == [200] * 100
    # another gateway of the run may fetch the tokens of its roles meanwhile
    asked = [one for one in around.workspace.seen() if one.is_exchange]
    assert len([one for one in asked if one.form.get("subject_token") == token]) == 1


def test_a_body_that_was_spilled_to_disk_is_decided_on(start: Start) -> None:
    around = start(NGINX_HTTP_CLIENT_BODY_BUFFER_SIZE="8k")
    token = around.token("alice", "runners")
    long = {"job_id": 101, "job_parameters": {"x": "y" * 40_000}}
    headers = {"Content-Type": "application/json"}
    reply = around.ask(token, RUN_NOW_PATH, "policy", method="POST", body=json.dumps(long), headers=headers)
    assert reply.status == 200, str(reply)
    long["job_id"] = 999
    reply = around.ask(token, RUN_NOW_PATH, "policy", method="POST", body=json.dumps(long), headers=headers)
    assert reply.status == 403, str(reply)
    (seen,) = around.workspace.sent_on()
    assert json.loads(seen.body)["job_id"] == 101
