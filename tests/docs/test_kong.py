"""What the documents say of Kong, tried in a real one: needs KONG_BIN."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from blocks import REPO, Block
from internet import Names
from native_gateway import LUA_PATH
from shipped import PRODUCTION, Around, Kong, machine
from stack import wait_until
from test_blocks import BLOCKS, TEXT, named, of_kind, shell, shown
from test_drills import shown_role

pytestmark = pytest.mark.skipif(not os.environ.get("KONG_BIN"), reason="KONG_BIN names no kong 3.9 executable")


def settings_of(document: str) -> dict[str, str]:
    """The first settings that a document asks for."""
    block = next(one for one in BLOCKS if one.language == "ini" and one.path.name == document)
    return dict(line.removeprefix("KONG_").split("=", 1) for line in block.text.splitlines())


def settings_for(declaration: str) -> dict[str, str]:
    """What Kong needs for such a file, in this machine's places."""
    if "databricks-kong-late" in declaration:
        return settings_of("install-kong-plugin.md") | {"LUA_PACKAGE_PATH": LUA_PATH}
    pairs = settings_of("install-kong.md")
    del pairs["WASM_FILTERS_PATH"]
    return pairs


def start(directory: Path, declaration: Path, names: Names) -> Kong:
    directory.mkdir()
    # Kong looks for the service's address before the filter is asked; nobody has to listen there
    text = declaration.read_text()
    for host in re.findall(r'"?url"?: "?https://([\w.-]+)', text):
        names.add(host)
    machine = {"DATABASE": "off", "DECLARATIVE_CONFIG": str(declaration), "ADMIN_GUI_LISTEN": "off"}
    machine |= {"DNS_RESOLVER": names.address, "NGINX_WASM_RESOLVER": names.address}
    return Kong(directory, {**settings_for(text), **machine})


@pytest.fixture(scope="module")
def names() -> Iterator[Names]:
    one = Names()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def kong(tmp_path_factory: pytest.TempPathFactory, names: Names) -> Iterator[Kong]:
    one = start(tmp_path_factory.mktemp("kong") / "run", REPO / "kong/minimal.yml", names)
    yield one
    one.stop()


@named([block for block in BLOCKS if block.note("run") == "kong"])
def test_commands_against_a_kong_with_the_minimal_file_print_what_the_document_shows(block: Block, kong: Kong):
    for command, expected in block.commands():
        here = command.replace("http://127.0.0.1:8000/", f"http://127.0.0.1:{kong.plain_port}/")
        assert here != command
        ran = shell(here, REPO)
        assert shown(ran.stdout, expected), f"{here}\n{ran.stdout}{ran.stderr}\n--- expected\n{expected}"


@named(of_kind("kong.yml"))
def test_kong_starts_with_each_kong_yml(block: Block, tmp_path: Path, names: Names):
    declaration = tmp_path / "kong.yml"
    declaration.write_text(block.text)
    one = start(tmp_path / "run", declaration, names)
    try:
        host = re.search(r"hosts: \[([\w.]+)\]", block.text)
        headers = {"x-canary": "1"} if "x-canary" in block.text else {}
        reply = one.ask(host[1] if host else PRODUCTION, "GET", "/api/2.2/jobs/list", headers)
        assert (reply.status, reply.json()["details"][0]["reason"]) == (401, "TOKEN_MISSING"), reply
        assert not one.complaints()
    finally:
        one.stop()


@pytest.mark.parametrize(
    "filter_name, status, expected", [("databricks_kong", 401, "TOKEN_MISSING"), ("other", 503, "")]
)
@named([block for block in of_kind("plugins") if "pre-function" in block.text])
def test_the_pre_function_refuses_where_kong_does_not_have_the_filter(
    block: Block, tmp_path: Path, names: Names, filter_name: str, status: int, expected: str
):
    declared = yaml.safe_load((REPO / "kong/minimal.yml").read_text())
    # a Kong without a database does not start without its filters: one that it never has stands for one that is missing
    assert '"databricks_kong"' in block.text
    declared |= yaml.safe_load(block.text.replace('"databricks_kong"', f'"{filter_name}"'))
    declaration = tmp_path / "kong.json"
    declaration.write_text(json.dumps(declared))
    one = start(tmp_path / "run", declaration, names)
    try:
        reply = one.ask("databricks.gw.example.com", "GET", "/api/2.2/jobs/list")
        assert reply.status == status and expected in reply.text, reply
    finally:
        one.stop()


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Around]:
    one = Around(tmp_path)
    yield one
    one.stop()


def test_whoever_is_cut_off_is_refused_after_a_reload_whatever_the_gateway_keeps(around: Around, tmp_path: Path):
    """The drill of docs/operations.md. The caller's token, and the Databricks token kept for it, are good all the time."""
    declared = yaml.load((REPO / "kong/minimal.yml").read_text(), TEXT)
    declaration = tmp_path / "kong.json"
    declaration.write_text(json.dumps(declared))
    here = {name: value for name, value in machine(around).items() if "RESOLVER" in name or "TRUSTED_CERT" in name}
    changes = {
        **settings_for(declaration.read_text()),
        **here,
        "DATABASE": "off",
        "DECLARATIVE_CONFIG": str(declaration),
    }
    one = Kong(tmp_path / "kong", {**changes, "ADMIN_GUI_LISTEN": "off"})
    tokens = {who: {"Authorization": f"Bearer {around.token(who, 'job-runners')}"} for who in ("alice", "bob")}

    def ask(who: str) -> tuple[int, str]:
        reply = one.ask(PRODUCTION, "GET", "/api/2.2/jobs/list", tokens[who])
        return reply.status, reply.json()["details"][0]["reason"] if reply.status >= 400 else ""

    try:
        assert [ask("alice"), ask("alice"), ask("bob")] == [(200, "")] * 3
        config = declared["services"][0]["routes"][0]["filter_chains"][0]["filters"][0]["config"]
        config["roles"].insert(0, {**shown_role("cut-off"), "match": {"subjects": ["alice@example.com"]}})
        declaration.write_text(json.dumps(declared))
        subprocess.run([one.kong, "reload"], env=one.environment, check=True, capture_output=True, timeout=60)
        wait_until("the new workers answer", lambda: ask("alice") == (403, "RULE_DENIED"), timeout=60)
        assert ask("bob") == (200, "")
        assert not one.complaints()
    finally:
        one.stop()
