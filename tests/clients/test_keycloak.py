"""People sign in at a real Keycloak in a real browser, by clients that know of the gateway's address and nothing else."""

from __future__ import annotations

import contextlib
import html
import http.client
import json
import os
import re
import shutil
import ssl
import statistics
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from configs import Config, Named, Parts, base, policy
from fixtures import start_gateway, stop_gateway
from gateway import EnvoyGateway, Gateway
from keycloak import Browser, Keycloak
from programs import Done, each, environment, home_of, java, needs, setting, start, trust_store
from sign_in import Client, keep_secret
from stack import REPO, SP_ETL, SP_SECRETS, Idp, Process, Response, Workspace, free_ports, send, wait_until
from world import JOBS_LIST, RUN_NOW, World, assert_allowed, assert_refused

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
LOGIN = "databricks-login"
ROUTE = "keycloak"
REFRESH = 1
WAREHOUSE = "a7066a8ef796be84"
SELECT = json.dumps({"warehouse_id": WAREHOUSE, "statement": "select * from main.sales.orders"})

# Keycloak's start is part of the first one
pytestmark = [pytest.mark.timeout(600), needs("keycloak", "browser")]


# --- the stack --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keycloak(run_dir: Path) -> Iterator[Keycloak]:
    started = Keycloak(run_dir)
    yield started
    started.process.stop()


@pytest.fixture(scope="module")
def revocations(run_dir: Path, keycloak: Keycloak) -> Iterator[str]:
    """The service that Keycloak tells whose session has ended, and that gateways ask."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    config = run_dir / "revocations.yml"
    settings = {
        "listen": f"127.0.0.1:{port}",
        "database": "revocations.db",
        "identity_providers": [
            {"name": "keycloak", "issuer": keycloak.realm, "audiences": ["databricks"], "max_lifetime": 3600}
        ],
        "sources": [
            {
                "name": "keycloak-logout",
                "type": "backchannel_logout",
                "provider": "keycloak",
                "audiences": [LOGIN],
                "cut_off": "session",
            }
        ],
    }
    config.write_text(yaml.safe_dump(settings))
    process = Process("revocations", [os.environ["CLIENTS_REVOCATIONS"], "serve", "--config", str(config)], run_dir)

    def answers() -> bool:
        assert process.alive(), process.tail()
        with contextlib.suppress(OSError):
            return send(url, "GET", "/healthz").status == 200
        return False

    wait_until("the revocation service answers", answers)
    keycloak.set_attributes(LOGIN, backchannel_logout_url=f"{url}/backchannel-logout")
    yield url
    process.stop()


def configuration(keycloak: Keycloak, revocations: str) -> Callable[[Parts, str], Config]:
    """Roles and agents of compose/kong.yml, which are for the people of its realm."""
    (service,) = yaml.safe_load((REPO / "compose/kong.yml").read_text())["services"]
    shown = service["routes"][0]["filter_chains"][0]["filters"][0]["config"]

    def make(parts: Parts, name: str) -> Config:
        (provider,) = shown["identity_providers"]
        feed = {"url": f"{revocations}/feed/keycloak", "upstream": "revocations", "refresh": REFRESH}
        named = {
            **provider,
            "issuer": keycloak.realm,
            "upstream": "keycloak",
            # a token ends when it ends, so that what happens then can be seen
            "clock_skew": 0,
            "login": {"client_id": LOGIN, "scope": "openid"},
            "revocation": feed,
        }
        config = {
            **base(parts, name),
            "identity_providers": [named],
            "roles": shown["roles"],
            "agents": shown["agents"],
        }
        runner = next(one for one in config["roles"] if one["name"] == "job-runner")
        finds = ["initialize", "notifications/*", "tools/list"]
        runner["allow"] += [
            {"operations": ["mcp.*"], "resources": {"mcp_server": ["sql"], "mcp_method": finds}},
            {"operations": ["mcp.*"], "resources": {"mcp_server": ["sql"], "mcp_tool": ["execute_sql_read_only"]}},
        ]
        runner["allow"] += [{"operations": ["sql_warehouses.thrift"], "resources": {"warehouse": [WAREHOUSE]}}]
        for role in config["roles"]:
            if role["credential"]["type"] == "service_principal_secret":
                role["credential"]["client_secret"] = SP_SECRETS[SP_ETL]
        return config

    return make


@contextlib.contextmanager
def at_keycloak(
    folder: Path, idp: Idp, workspace: Workspace, keycloak: Keycloak, revocations: str
) -> Iterator[Gateway]:
    folder.mkdir()
    # Kong builds routes of its own from the first two
    named = [Named("main", base), Named("policy", policy), Named(ROUTE, configuration(keycloak, revocations), tls=True)]
    clusters = {"keycloak": keycloak.url, "revocations": revocations}
    started = start_gateway(idp, workspace, folder, named=named, clusters=clusters, workers=2)
    yield started
    stop_gateway(started)


@pytest.fixture(scope="module")
def gateway(run_dir: Path, idp: Idp, workspace: Workspace, keycloak: Keycloak, revocations: str) -> Iterator[Gateway]:
    workspace.trust(keycloak.realm, f"{keycloak.realm}/protocol/openid-connect/certs", "preferred_username")
    for name in (ALICE, BOB):
        workspace.add_user(name)
    with at_keycloak(run_dir / "at-keycloak", idp, workspace, keycloak, revocations) as started:
        yield started


@pytest.fixture(scope="module")
def second(
    gateway: Gateway, run_dir: Path, idp: Idp, workspace: Workspace, keycloak: Keycloak, revocations: str
) -> Iterator[Gateway]:
    """Another node with the same configuration, which shares nothing with the first."""
    with at_keycloak(run_dir / "at-keycloak-2", idp, workspace, keycloak, revocations) as started:
        yield started


@pytest.fixture(scope="module")
def browser(run_dir: Path) -> Browser:
    return Browser(run_dir)


@pytest.fixture(autouse=True)
def _people(world: World) -> None:
    world.subjects.update({ALICE, BOB})


# --- clients ----------------------------------------------------------------------------------------------------------


class Talking:
    """A program that does what it is told, a word a line."""

    def __init__(self, argv: list[str | Path], env: dict[str, str], home: Path):
        self.errors = home / "stderr"
        with open(self.errors, "w") as errors:
            self.child = subprocess.Popen(
                argv, cwd=home, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def says(self, word: str) -> dict[str, Any]:
        assert self.child.stdin and self.child.stdout
        self.child.stdin.write(f"{word}\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        assert line, self.errors.read_text()[-4000:]
        return json.loads(line)

    def ok(self, word: str) -> Any:
        said = self.says(word)
        assert "ok" in said, said
        return said["ok"]

    def end(self) -> None:
        assert self.child.stdin
        self.child.stdin.close()
        self.child.wait(20)


def at_home(world: World, home: Path, browser: Browser, person: str, keycloak: Keycloak) -> dict[str, str]:
    """The environment of a person who has told their clients the host, and nothing else."""
    more = browser.environment(person, keycloak.people[person])
    return environment(world, home, **more, DATABRICKS_HOST=world.gateway.url(ROUTE))


def program(language: str, world: World, home: Path) -> list[str | Path]:
    if language == "python":
        return [sys.executable, REPO / "tests/clients/python/signed_in.py"]
    if language == "java":
        return java(world, home, "SignedIn")
    return [home_of("go") / "story", "signed-in"]


def came_back(language: str) -> str:
    """Where the browser ends, at the client's own machine."""
    return "http://localhost:8080/callback" if language == "java" else "http://localhost:8020"


def assert_signed_in(world: World, keycloak: Keycloak, visit: dict[str, Any], back: str = "http://localhost:8020"):
    """The gateway sends the browser to Keycloak, whose form is filled in, and Keycloak sends it to the program."""
    assert visit["seen"][0] == f"{world.gateway.url(ROUTE)}/oidc/v1/authorize", visit
    assert visit["seen"][1].startswith(f"{keycloak.realm}/protocol/openid-connect/auth"), visit
    assert visit["seen"][-1].startswith(back), visit


@pytest.fixture
def signed_in(world: World, tmp_path: Path, browser: Browser, keycloak: Keycloak) -> Iterator[Callable[..., Talking]]:
    """Starts a program of a person, which signs them in by their browser."""
    started: list[Talking] = []

    def begin(person: str, language: str = "python") -> Talking:
        home = tmp_path / f"{person}-{len(started)}"
        home.mkdir()
        visits = len(browser.visits())
        env = at_home(world, home, browser, person, keycloak)
        talking = Talking(program(language, world, home), env, home)
        started.append(talking)
        # a person works with one token for as long as it lives; what it is, is for the test to know
        remember(world, talking.ok("token"))
        assert_signed_in(world, keycloak, browser.last_visit(visits), came_back(language))
        return talking

    yield begin
    for one in started:
        one.end()


def remember(world: World, token: str) -> str:
    world.echoes_allowed = True
    return world.remember(token)


def ask(world: World, token: str, method: str = "GET", target: str = JOBS_LIST, body: str | None = None) -> Response:
    return world.send(ROUTE, method, target, token=token, body=body)


def ended(world: World, token: str) -> None:
    """Waits until the token has ended."""
    wait_until("the token has ended", lambda: ask(world, token).status == 401, timeout=60, step=0.5)
    assert_refused(ask(world, token), 401, "TOKEN_EXPIRED")


@contextlib.contextmanager
def lifespans(keycloak: Keycloak, **seconds: int) -> Iterator[None]:
    """How long what is signed from now on lives."""
    keycloak.set_attributes(LOGIN, **{name: str(value) for name, value in seconds.items()})
    try:
        yield
    finally:
        keycloak.set_attributes(LOGIN, **dict.fromkeys(seconds, ""))


# --- people -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["python", *each("go", "java")])
def test_a_person_signs_in_by_the_browser_and_works_until_the_session_ends(
    world: World, keycloak: Keycloak, signed_in: Callable[..., Talking], language: str
):
    with lifespans(keycloak, access_token_lifespan=5):
        work = signed_in(ALICE, language)
        first = remember(world, work.ok("token"))
        assert work.ok("list")
        ended(world, first)
        assert work.ok("list"), "the program has got another token by itself"
        second = remember(world, work.ok("token"))
        assert second != first
        keycloak.end_session_of(second)
        ended_or_cut_off(world, second)
        refused = work.says("list")
    assert "invalid_grant" in json.dumps(refused), refused
    assert {one.who for one in world.api()} == {ALICE}


def ended_or_cut_off(world: World, token: str) -> None:
    wait_until("the token is good for nothing", lambda: ask(world, token).status == 401, timeout=60, step=0.2)


def test_a_person_works_until_the_refresh_token_ends(
    world: World, keycloak: Keycloak, signed_in: Callable[..., Talking]
):
    with lifespans(keycloak, access_token_lifespan=4, client_session_max_lifespan=15):
        work = signed_in(ALICE)
        began = time.monotonic()
        assert work.ok("list")
        said = wait_until("the sign-in has ended", lambda: not_ok(work.says("list")), timeout=60, step=0.5)
    assert "invalid_grant" in said["message"], said
    assert time.monotonic() - began > 8, "it went on after the first token"
    assert len({one.form["subject_token"] for one in world.exchanges()}) > 1


def not_ok(said: dict[str, Any]) -> dict[str, Any] | None:
    return said.get("error")


class Cli:
    def __init__(self, world: World, home: Path, browser: Browser, keycloak: Keycloak, person: str):
        self.program = home_of("cli") / "databricks"
        self.home = home
        self.env = at_home(world, home, browser, person, keycloak)
        # as after `auth login` in a terminal: the host is in the profile
        self.host = self.env.pop("DATABRICKS_HOST")
        # this machine has no keyring
        self.env["DATABRICKS_AUTH_STORAGE"] = "plaintext"

    def run(self, *words: str) -> Done:
        return start([self.program, *words], self.home, self.env)


@needs("cli")
def test_the_cli_signs_a_person_in_by_the_browser_and_works_until_the_session_ends(
    world: World, keycloak: Keycloak, browser: Browser, tmp_path: Path
):
    cli = Cli(world, tmp_path, browser, keycloak, ALICE)
    with lifespans(keycloak, access_token_lifespan=5):
        visits = len(browser.visits())
        done = cli.run("auth", "login", "--host", cli.host, "--profile", "gateway")
        assert done.code == 0, str(done)
        visit = browser.last_visit(visits)
        assert visit["seen"][0] == f"{cli.host}/oidc/v1/authorize", visit
        listed = cli.run("jobs", "list", "--profile", "gateway")
        assert listed.code == 0 and "101" in listed.out, str(listed)
        first = json.loads(cli.run("auth", "token", "--profile", "gateway").out)["access_token"]
        ended(world, remember(world, first))
        listed = cli.run("jobs", "list", "--profile", "gateway")
        assert listed.code == 0 and "101" in listed.out, str(listed)
        cache = json.loads((tmp_path / ".databricks/token-cache.json").read_text())
        for entry in cache["tokens"].values():
            remember(world, entry["access_token"])
            keep_secret(entry["refresh_token"])
        keycloak.log_out(ALICE)
        ended_or_cut_off(world, entry["access_token"])
        refused = cli.run("jobs", "list", "--profile", "gateway")
    assert refused.code != 0 and "databricks auth login" in refused.err, str(refused)


# --- SQL --------------------------------------------------------------------------------------------------------------


@needs("java")
def test_jdbc_signs_a_person_in_by_the_browser_and_selects_as_them(
    world: World, keycloak: Keycloak, browser: Browser, tmp_path: Path
):
    visits = len(browser.visits())
    trust = f"SSLTrustStore={trust_store(world)};SSLTrustStorePwd=changeit;SSLTrustStoreType=PKCS12"
    url = f"{setting('jdbc-sign-in', world, route=ROUTE).strip()};{trust};CheckCertRevocation=0"
    env = at_home(world, tmp_path, browser, ALICE, keycloak) | {"JDBC_URL": url}
    argv = [*java(world, tmp_path, "Story"), "sql", "SELECT current_user()"]
    said = json.loads(start(argv, tmp_path, env).out.splitlines()[-1])
    assert said.get("ok") == [[ALICE]], said
    assert_signed_in(world, keycloak, browser.last_visit(visits))
    assert {one.who for one in world.api()} == {ALICE}


@needs("dbt")
def test_dbt_signs_a_person_in_by_the_browser(world: World, keycloak: Keycloak, browser: Browser, tmp_path: Path):
    visits = len(browser.visits())
    project = shutil.copytree(REPO / "tests/clients/dbt", tmp_path / "dbt")
    (project / "profiles.yml").write_text(setting("dbt-sign-in", world, route=ROUTE))
    env = at_home(world, tmp_path, browser, ALICE, keycloak) | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    argv = [home_of("dbt") / "venv/bin/dbt", "debug", "--profiles-dir", ".", "--no-use-colors"]
    done = start(argv, project, env, 200)
    assert done.code == 0 and "All checks passed!" in done.out, str(done)
    assert_signed_in(world, keycloak, browser.last_visit(visits))
    assert {one.who for one in world.api()} == {ALICE}


def test_whom_no_role_is_for_signs_in_and_may_nothing(world: World, signed_in: Callable[..., Talking]):
    said = signed_in(CAROL).says("list")
    assert said["error"]["type"] == "PermissionDenied" and "no role" in said["error"]["message"], said
    world.nothing_reached()


def test_keycloak_itself_sends_nobody_elsewhere_and_wants_pkce(keycloak: Keycloak):
    """The realm's client is the one that docs/login.md says to register."""
    query = f"client_id={LOGIN}&response_type=code&scope=openid"
    challenge = "&code_challenge=" + "x" * 43 + "&code_challenge_method=S256"
    at = "/protocol/openid-connect/auth?"
    for redirect in ("http://localhost:8020", "http://localhost:8039"):
        reply = send(keycloak.realm, "GET", f"{at}{query}{challenge}&redirect_uri={redirect}")
        assert reply.status == 200 and "kc-login" in reply.text, str(reply)
    for redirect in ("http://evil.example:8020", "http://localhost.evil.example", "https://localhost:8020"):
        reply = send(keycloak.realm, "GET", f"{at}{query}{challenge}&redirect_uri={redirect}")
        assert reply.status == 400 and "redirect_uri" in reply.text, str(reply)
    reply = send(keycloak.realm, "GET", f"{at}{query}&redirect_uri=http://localhost:8020")
    assert reply.status == 302 and "code_challenge_method" in (reply.header("location") or ""), str(reply)


# --- programs ---------------------------------------------------------------------------------------------------------


def test_a_pipeline_works_as_its_service_principal(world: World, keycloak: Keycloak):
    token = remember(world, keycloak.of_pipeline("nightly-etl"))
    assert_allowed(ask(world, token, "POST", RUN_NOW, '{"job_id": 303}'))
    assert_refused(ask(world, token, "POST", RUN_NOW, '{"job_id": 101}'), 403, "NO_RULE")
    assert [one.who for one in world.api()] == [SP_ETL]


def test_an_agent_exchanges_a_persons_token_and_may_less_than_the_person(world: World, keycloak: Keycloak):
    person = remember(world, keycloak.of_person(ALICE))
    agent = remember(world, keycloak.of_agent("copilot", person))
    assert_allowed(ask(world, person, "POST", RUN_NOW, '{"job_id": 101}'))
    assert_allowed(ask(world, agent))
    refused = ask(world, agent, "POST", RUN_NOW, '{"job_id": 101}')
    assert_refused(refused, 403, "AGENT_LIMIT")
    record = world.record(refused)
    assert (record["subject"], record["agent"], record["client"]) == (ALICE, "copilot", "copilot")
    assert {one.who for one in world.api()} == {ALICE}


# --- tools of agents --------------------------------------------------------------------------------------------------


def call_tool(
    world: World,
    home: Path,
    browser: Browser,
    keycloak: Keycloak,
    server: str,
    tool: str = "execute_sql_read_only",
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the program says, and where the browser has been."""
    visits = len(browser.visits())
    program = home_of("ai")
    env = {**at_home(world, home, browser, ALICE, keycloak), "CLIENT_ID": "databricks-mcp"}
    url = world.gateway.url(ROUTE) + server
    done = start([program / "venv/bin/python", program / "tools.py", url, tool], home, env)
    assert done.out.strip(), str(done)
    said = json.loads(done.out.splitlines()[-1])
    if "token" in said:
        remember(world, said["token"])
    return said, browser.last_visit(visits)


@needs("ai")
def test_an_mcp_client_finds_where_one_signs_in_and_calls_the_tool_that_it_may(
    world: World, keycloak: Keycloak, browser: Browser, tmp_path: Path
):
    """It is told by the 401 of the gateway where the metadata are (RFC 9728), and by these that Keycloak is who signs people in."""
    said, visit = call_tool(world, tmp_path, browser, keycloak, "/api/2.0/mcp/sql")
    assert said.get("ok") == {"tools": ["execute_sql_read_only", "execute_sql"], "text": "42"}, said
    assert visit["seen"][0].startswith(f"{keycloak.realm}/protocol/openid-connect/auth"), visit
    assert {(one.who, one.path) for one in world.api()} == {(ALICE, "/api/2.0/mcp/sql")}
    said, _ = call_tool(world, tmp_path, browser, keycloak, "/api/2.0/mcp/sql", "execute_sql")
    assert said["error"]["message"] == "Server returned an error response", said
    called = [one for one in world.gateway.records() if one.get("operation") == "mcp.sql"]
    # of the request that was told where to sign in, nothing but the operation is recorded
    named = [one for one in called if "mcp_tool" in one.get("resources", {})]
    tools = {(one["resources"]["mcp_tool"][0], one["reason"]) for one in named}
    assert tools == {("execute_sql_read_only", "ALLOWED"), ("execute_sql", "NO_RULE")}
    world.workspace.forget_requests()
    said, _ = call_tool(world, tmp_path, browser, keycloak, "/api/2.0/mcp/functions/main/sales")
    # this client shows its user no more of a refusal than that
    assert said["error"]["message"] == "Server returned an error response", said
    refused = {one["reason"] for one in world.gateway.records() if one.get("operation") == "mcp.functions"}
    assert refused == {"TOKEN_MISSING", "NO_RULE"}, "asked to sign in, and then refused"
    world.nothing_reached()


# --- an engineer's session is ended ----------------------------------------------------------------------------------


class Poller:
    """A long job's program that asks after its run, on a connection that it keeps open: always the same worker."""

    def __init__(self, gateway: Gateway, token: str):
        context = ssl.create_default_context(cafile=str(gateway.ca))
        host = gateway.url(ROUTE).removeprefix("https://")
        self.connection = http.client.HTTPSConnection(host, 443, timeout=30, context=context)
        self.token = token

    def __enter__(self) -> Poller:
        self.connection.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def poll(self) -> Response:
        return self.ask("GET", JOBS_LIST)

    def ask(self, method: str, target: str, body: str | None = None) -> Response:
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Content-Type": "application/json"} if body else {})
        self.connection.request(method, target, body, headers)
        reply = self.connection.getresponse()
        return Response(reply.status, reply.getheaders(), reply.read())


def taken(gateway: Gateway) -> list[int]:
    """How many connections each worker of Envoy has had; other hosts do not say."""
    if not isinstance(gateway, EnvoyGateway):
        return []
    rows = gateway.admin(r"/stats?filter=listener\.127\.77.*worker_\d%2B\.downstream_cx_total").text.splitlines()
    assert len(rows) == gateway.workers, rows
    return [int(row.rpartition(" ")[2]) for row in sorted(rows)]


@contextlib.contextmanager
def on_every_worker(gateway: Gateway, token: str) -> Iterator[list[Poller]]:
    """Programs with one token, at least one at each worker."""
    before, pollers = taken(gateway), []
    with contextlib.ExitStack() as stack:
        while len(pollers) < 16:
            pollers.append(stack.enter_context(Poller(gateway, token)))
            assert_allowed(pollers[-1].poll())
            now = taken(gateway)
            if now and all(after > earlier for earlier, after in zip(before, now, strict=True)):
                break
        else:
            assert not now, (before, now)
        yield pollers


def test_an_ended_session_is_refused_by_every_worker_of_both_gateways_within_seconds_and_a_colleague_goes_on(
    world: World, second: Gateway, keycloak: Keycloak, signed_in: Callable[..., Talking]
):
    took = []
    hers = remember(world, signed_in(BOB).ok("token"))
    for number in range(int(os.environ.get("REFUSALS", "3"))):
        if number == 0:
            # the whole way once; the sessions after that are of the same client, but for the browser
            his = remember(world, signed_in(ALICE).ok("token"))
        else:
            his = remember(world, without_browser(keycloak, world, ALICE))
        with on_every_worker(world.gateway, his) as here, on_every_worker(second, his) as there:
            pollers = here + there
            keycloak.end_session_of(his)
            since = time.monotonic()
            for poller in pollers:
                wait_until("the run's owner is refused", lambda p=poller: p.poll().status == 401, timeout=30, step=0.02)
            took.append(time.monotonic() - since)
            for poller in pollers:
                assert_refused(poller.poll(), 401, "TOKEN_REVOKED")
        for gateway in (world.gateway, second):
            with Poller(gateway, hers) as colleague:
                assert_allowed(colleague.ask("POST", "/api/2.0/sql/statements", SELECT))
    assert max(took) < REFRESH + 4, took
    took.sort()
    print(
        f"seconds to refusal by every worker of both, of {len(took)}: {took[0]:.2f} {statistics.median(took):.2f} {took[-1]:.2f}"
    )


def drill(what: str, config: Path) -> None:
    """One of the commands that docs/operations.md has for the drill, with the person of this test."""
    document = (REPO / "docs/operations.md").read_text()
    _, section = document.split("\n## Cut somebody off\n")
    (shown,) = re.findall(rf"databricks-kong revocations {what} .*", section.partition("\n## ")[0])
    words = shown.replace("mallory@example.com", ALICE).replace("revocations.yml", str(config)).split()
    subprocess.run([os.environ["CLIENTS_REVOCATIONS"], *words[2:]], check=True, timeout=60, capture_output=True)


def test_the_drill_of_the_document_cuts_off_one_person_at_both_gateways_and_lets_them_in_again(
    world: World, second: Gateway, keycloak: Keycloak, run_dir: Path
):
    his, hers = (remember(world, without_browser(keycloak, world, person)) for person in (ALICE, BOB))
    config = run_dir / "revocations.yml"
    with contextlib.ExitStack() as stack:
        gateways = (world.gateway, second)
        alice, bob = ([stack.enter_context(Poller(gateway, token)) for gateway in gateways] for token in (his, hers))
        for poller in alice:
            assert_allowed(poller.poll())
        drill("add", config)
        for poller in alice:
            wait_until("alice is refused", lambda p=poller: p.poll().status == 401, timeout=REFRESH + 10, step=0.1)
            assert_refused(poller.poll(), 401, "TOKEN_REVOKED")
        for poller in bob:
            assert_allowed(poller.ask("POST", "/api/2.0/sql/statements", SELECT))
        drill("remove", config)
        for poller in alice:
            wait_until("alice goes on", lambda p=poller: p.poll().status == 200, timeout=REFRESH + 10, step=0.1)


def without_browser(keycloak: Keycloak, world: World, person: str) -> str:
    """The same sign-in by the gateway, with Keycloak's form filled in by a program."""
    one = Client(world, ROUTE)
    page = requests.get(one.authorize().header("location"), timeout=20)
    (action,) = re.findall(r'<form[^>]* id="kc-form-login"[^>]* action="([^"]+)"', page.text)
    # browsers send cookies that are Secure to this machine over http too
    cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in page.cookies.items())}
    form = {"username": person, "password": keycloak.people[person]}
    sent = requests.post(html.unescape(action), form, headers=cookies, allow_redirects=False, timeout=20)
    brought = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(sent.headers["location"]).query))
    assert brought["state"] == one.state, brought
    keep_secret(brought["code"])
    tokens = one.redeem(brought["code"]).json()
    # Keycloak's are JWTs too
    remember(world, tokens["refresh_token"])
    return tokens["access_token"]
