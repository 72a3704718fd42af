"""What happens to a request when something of the plugin fails: it never goes on undecided, nor with the caller's token."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nginx_gateway
import pytest
from nginx_gateway import NginxGateway
from stack import REPO, RUN_NOW_PATH, Idp, Response, Workspace, send, wait_until

GROUPS = {"groups": ["data-engineering", "runners"]}
LIST = "/api/2.1/clusters/list"


class Faulty:
    """nginx with a plugin that is tampered with, and what reached the workspace."""

    def __init__(self, gateway: NginxGateway, idp: Idp, workspace: Workspace):
        self.gateway, self.workspace = gateway, workspace
        self.token = idp.login("rs", "faults-alice", GROUPS, audience="databricks")
        workspace.add_user("faults-alice")
        workspace.forget_requests()

    def ask(self, target: str = LIST, route: str = "main", **headers: str) -> Response:
        sent = {"Authorization": f"Bearer {self.token}", **{name.replace("_", "-"): headers[name] for name in headers}}
        return send(self.gateway.url(route), "GET", target, sent)

    def reached(self) -> list[str]:
        seen = self.workspace.sent_on()
        for one in seen:
            assert self.token not in str(one.headers), "the caller's token reached the workspace"
        return [f"{one.method} {one.target}" for one in seen]

    def refused_as_a_failure(self, reply: Response) -> None:
        assert reply.status == 500, str(reply)
        assert reply.json()["details"][0]["reason"] == "INTERNAL", str(reply)
        assert reply.header("x-request-id"), str(reply)
        assert self.reached() == []


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the plugin, to be tampered with."""
    copy = tmp_path / "plugin"
    shutil.copytree(nginx_gateway.PLUGIN, copy)
    monkeypatch.setattr(nginx_gateway, "PLUGIN", copy)
    return copy


Start = Any


@pytest.fixture
def start(tmp_path: Path, idp: Idp, workspace: Workspace) -> Iterator[Start]:
    started: list[NginxGateway] = []

    def begin(kind: type[NginxGateway] = NginxGateway) -> Faulty:
        started.append(kind(idp, workspace, tmp_path))
        return Faulty(started[-1], idp, workspace)

    yield begin
    for one in started:
        one.stop()


class Unchecked(NginxGateway):
    """Its configurations are not checked at load: where that is done, the library is not there."""

    def routes(self) -> list[dict[str, Any]]:
        return [{**route, "unchecked": True} for route in super().routes()]


class Chained(NginxGateway):
    """Another plugin, written in `lua`, between the two."""

    lua = ""

    def more_plugins(self) -> list[str]:
        folder = nginx_gateway.PLUGIN / "kong/plugins/between"
        folder.mkdir(parents=True)
        (folder / "handler.lua").write_text(f"return {{ PRIORITY = 801, access = function() {self.lua} end }}\n")
        return ["between"]

    def plugins(self, name: str) -> dict[str, Any]:
        return {**super().plugins(name), "between": {}}


def chained(lua: str) -> type[Chained]:
    return type("Between", (Chained,), {"lua": lua})


def test_without_a_fault_the_request_goes_on(plugin: Path, start: Start) -> None:
    faulty = start()
    assert faulty.ask().status == 200
    assert faulty.reached() == [f"GET {LIST}"]


def test_without_its_library_the_plugin_refuses(plugin: Path, start: Start) -> None:
    (plugin / "libdatabricks_kong.so").unlink()
    faulty = start(Unchecked)
    faulty.refused_as_a_failure(faulty.ask())
    assert "libdatabricks_kong.so is neither beside" in faulty.gateway.logs()


def test_without_its_library_a_configuration_is_not_taken(plugin: Path, start: Start) -> None:
    (plugin / "libdatabricks_kong.so").unlink()
    with pytest.raises(RuntimeError, match="nor on package.cpath"):
        start()


def test_a_library_of_another_version_is_not_used(plugin: Path, start: Start) -> None:
    interface = plugin / "kong/plugins/databricks-kong/interface.lua"
    text = interface.read_text()
    number = text.partition("number = ")[2].partition(" ")[0]
    interface.write_text(text.replace(number, str(int(number) + 1)))
    faulty = start(Unchecked)
    faulty.refused_as_a_failure(faulty.ask())
    assert "is not of the same version as the Lua files" in faulty.gateway.logs()


def test_a_file_that_is_no_library_is_not_used(plugin: Path, start: Start) -> None:
    (plugin / "libdatabricks_kong.so").write_bytes(b"nothing")
    faulty = start(Unchecked)
    faulty.refused_as_a_failure(faulty.ask())


@pytest.mark.parametrize(
    "file, line",
    [
        ("headers.lua", "function headers.read()"),
        ("headers.lua", "function headers.set(name, value, size)"),
        ("request.lua", "function request.facts(state)"),
        ("request.lua", "function request.facts_now(state)"),
        ("request.lua", "function request.remove(names)"),
        ("request.lua", "function request.aim_at_nothing()"),
        ("request.lua", "function request.aim_at(path)"),
        ("report.lua", "function report.request(said)"),
        ("callout.lua", "function callout.send(said, useless)"),
        ("configs.lua", "function configs.entry(conf)"),
        ("core.lua", "function core.on_send(request, kind, body, id, method, target, scheme, certificate, has_body)"),
        ("core.lua", "function core.set_headers()"),
        ("core.lua", "function core.on_callout(request, reply)"),
    ],
)
def test_an_error_in_our_lua_is_answered_in_our_form(plugin: Path, start: Start, file: str, line: str) -> None:
    path = plugin / "kong/plugins/databricks-kong" / file
    text = path.read_text()
    assert text.count(line) == 1, f"{line} is not in {file}"
    guarded = 'if ngx.get_phase() == "access" then error("a test asked for it") end'
    path.write_text(text.replace(line, f"{line}\n  {guarded}"))
    faulty = start()
    faulty.refused_as_a_failure(faulty.ask())
    faulty.refused_as_a_failure(faulty.ask())


@pytest.mark.parametrize(
    "lua, what",
    [
        ('ngx.var.upstream_uri = "/api/2.0/token/list"', "target"),
        ('ngx.var.upstream_uri = "/api/2.1/clusters/list"', ""),
        ('ngx.req.set_uri_args("a=b")', "target"),
        ("ngx.req.set_method(ngx.HTTP_DELETE)", "method"),
        ('ngx.req.set_header("X-HTTP-Method-Override", "DELETE")', "headers"),
        ('ngx.req.read_body() ngx.req.set_body_data("{}")', "body"),
        ('error("a plugin of somebody else failed")', None),
    ],
)
def test_a_plugin_in_between_cannot_have_another_request_sent(
    plugin: Path, start: Start, lua: str, what: str | None
) -> None:
    faulty = start(chained(lua))
    reply = faulty.ask()
    if what == "":
        # it set what was decided on
        assert (reply.status, faulty.reached()) == (200, [f"GET {LIST}"])
        return
    assert faulty.reached() == []
    assert reply.status == (500 if what is None else 400), str(reply)
    if what is not None:
        assert reply.json()["details"][0]["reason"] == "REQUEST_AMBIGUOUS"
        assert what in reply.json()["message"]


def test_credentials_that_a_plugin_in_between_sets_do_not_reach_the_workspace(plugin: Path, start: Start) -> None:
    lua = 'ngx.req.set_header("Authorization", "Bearer EVIL") ngx.req.set_header("Cookie", "a=EVIL")'
    faulty = start(chained(lua))
    assert faulty.ask().status == 200
    (seen,) = faulty.workspace.sent_on()
    assert "EVIL" not in str(seen.headers)
    assert seen.who == "faults-alice"


def test_without_the_second_plugin_the_first_refuses(plugin: Path, start: Start) -> None:
    class Alone(NginxGateway):
        def plugins(self, name: str) -> dict[str, Any]:
            return {"databricks-kong": super().plugins(name)["databricks-kong"]}

    faulty = start(Alone)
    faulty.refused_as_a_failure(faulty.ask())
    assert "databricks-kong-late is not enabled for this route" in faulty.gateway.logs()


def test_without_the_second_plugin_and_without_knowing_it_nothing_leads_to_the_workspace(
    plugin: Path, start: Start
) -> None:
    """As on Kong 3.4, which does not tell plugins their configurations."""

    class Alone(NginxGateway):
        def plugins(self, name: str) -> dict[str, Any]:
            return {"databricks-kong": super().plugins(name)["databricks-kong"]}

    handler = plugin / "kong/plugins/databricks-kong/handler.lua"
    handler.write_text(handler.read_text().replace("pair.runs(LATE) == false", "false"))
    faulty = start(Alone)
    reply = faulty.ask()
    assert reply.status >= 400
    assert faulty.reached() == ["GET /.well-known/databricks-kong/undecided"]
    (seen,) = faulty.workspace.sent_on()
    assert seen.header("authorization") is None


def test_without_the_first_plugin_the_second_leaves_other_routes_alone(plugin: Path, start: Start) -> None:
    class Everywhere(NginxGateway):
        def routes(self) -> list[dict[str, Any]]:
            return [{**one, "plugins": {**one["plugins"], "databricks-kong-late": {}}} for one in super().routes()]

    faulty = start(Everywhere)
    sent = send(faulty.gateway.url("bare"), "GET", "/api/2.0/other", {"Authorization": "Bearer of-the-clients-own"})
    assert sent.header("server") == "databricks", "the workspace's own answer"
    assert faulty.reached() == ["GET /api/2.0/other"]


def test_a_route_whose_first_plugin_was_skipped_is_refused_by_the_second(plugin: Path, start: Start) -> None:
    handler = plugin / "kong/plugins/databricks-kong/handler.lua"
    handler.write_text(
        handler.read_text().replace(
            "function Handler:access(conf)", "function Handler:access(conf)\n  if true then return end"
        )
    )
    faulty = start()
    faulty.refused_as_a_failure(faulty.ask())


@pytest.fixture(scope="session")
def panicking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin whose library panics where a test asks it to."""
    if os.environ.get("KONG_FAULTY_PLUGIN_DIR"):
        return Path(os.environ["KONG_FAULTY_PLUGIN_DIR"])
    path = tmp_path_factory.mktemp("faults") / "plugin"
    subprocess.run([REPO / "scripts/build-plugin", "--faults", str(path)], check=True, env=os.environ)
    return path


def test_a_panic_in_the_library_is_a_refusal_and_the_worker_goes_on(
    panicking: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nginx_gateway, "PLUGIN", panicking)
    faulty = start()
    faulty.refused_as_a_failure(faulty.ask(x_test_panic="1"))
    worker = (faulty.gateway.dir / "logs/nginx.pid").read_text()
    assert faulty.ask().status == 200
    assert faulty.reached() == [f"GET {LIST}"]
    assert (faulty.gateway.dir / "logs/nginx.pid").read_text() == worker
    assert "exited on signal" not in faulty.gateway.logs()


def test_after_a_panic_in_a_tick_the_ticks_go_on_by_themselves(plugin: Path, start: Start) -> None:
    """A panic leaves the library without the configuration; here it is closed instead."""
    core = plugin / "kong/plugins/databricks-kong/core.lua"
    failing = """local has_failed = {}
function core.on_tick(config)
  if not next(has_failed) or has_failed[config] then
    has_failed[config] = true
    core.close(config)
    return FAILED
  end"""
    text = core.read_text()
    assert text.count("function core.on_tick(config)\n") == 1
    core.write_text(text.replace("function core.on_tick(config)\n", failing + "\n"))

    class WithRoles(NginxGateway):
        def routes(self) -> list[dict[str, Any]]:
            return [one for one in super().routes() if one["name"] == "roles"]

    faulty = start(WithRoles)
    # no request comes
    wait_until("a role has its token", lambda: faulty.gateway.counters()["exchange_ok"])


def test_a_caller_becomes_the_credential_of_kong(plugin: Path, start: Start) -> None:
    faulty = start()
    faulty.ask()
    send(faulty.gateway.url("main"), "GET", LIST)

    def logged() -> list[dict[str, Any]]:
        """Both, which nginx writes behind the answer."""
        entries = faulty.gateway.entries()
        return entries[-2:] if len(entries) > 1 else []

    known, unknown = wait_until("both are logged", logged)
    # `main` has two providers, and both may have a caller of this name
    assert known["credential"] == {"id": "rs:faults-alice"}
    assert unknown.get("credential") is None and unknown["status"] == 401


def test_a_body_that_was_decided_on_is_the_one_that_is_sent(plugin: Path, start: Start) -> None:
    lua = """if ngx.req.get_headers()["x-test-body"] then
      ngx.req.read_body() ngx.req.set_body_data('{"job_id": 999}')
    end"""
    faulty = start(chained(lua))
    body = json.dumps({"job_id": 101})
    token = {"Authorization": f"Bearer {faulty.token}", "Content-Type": "application/json"}
    changed = send(faulty.gateway.url("policy"), "POST", RUN_NOW_PATH, {**token, "X-Test-Body": "1"}, body)
    assert changed.status == 400 and "body" in changed.json()["message"], str(changed)
    assert faulty.reached() == []
    assert send(faulty.gateway.url("policy"), "POST", RUN_NOW_PATH, token, body).status == 200
