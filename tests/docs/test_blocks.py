"""Every fenced block of the documents does what it says, or says why it is not run."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.sdk import WorkspaceClient
from blocks import PICTURES, REPO, Block, all_blocks

TOOL = Path(os.environ["DATABRICKS_KONG"]).resolve()
BLOCKS = all_blocks()
# what a fragment of a configuration needs around it
AROUND = {
    "workspace": {"url": "https://adb-7405619408829168.8.azuredatabricks.net", "id": "7405619408829168"},
    "identity_providers": [
        {"name": "okta", "issuer": "https://example.okta.com/oauth2/default", "audiences": ["databricks"]}
    ],
    "roles": [{"name": "r", "match": {}, "credential": {"type": "user_federation"}}],
}


def named(blocks: list[Block]) -> Any:
    return pytest.mark.parametrize("block", blocks, ids=str)


def shell(command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    path = f"{TOOL.parent}:{Path(shutil.which('python3') or '').parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "110", "NO_COLOR": "1"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def databricks_kong(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TOOL, *arguments], cwd=REPO, capture_output=True, text=True, timeout=60, check=False)


# --- commands -----------------------------------------------------------------------------------------------------------

CONSOLE = [block for block in BLOCKS if block.is_console]
RUN = [block for block in CONSOLE if not block.not_run and not block.note("run")]


@named(RUN)
def test_commands_print_what_the_document_shows(block: Block, tmp_path: Path):
    # what a command writes must not stay in the repository
    for entry in REPO.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    for command, expected in block.commands():
        ran = shell(command, tmp_path)
        assert shown(ran.stdout + ran.stderr, expected), (
            f"{command}\n{ran.stdout}{ran.stderr}\n--- expected\n{expected}"
        )


def shown(output: str, expected: str) -> bool:
    """Whether the output is the expected one; a line with `…` alone stands for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else re.escape(line) + r"\s*\n" for line in expected.splitlines())
    return bool(re.fullmatch(pattern, output if output.endswith("\n") or not output else output + "\n"))


@named([block for block in BLOCKS if block.is_console or block.language in {"sh", "bash"}])
def test_commands_are_sound_shell(block: Block):
    text = "\n".join(command for command, _ in block.commands()) if block.is_console else block.text
    checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_scripts_that_are_shown_without_output_say_why_they_are_not_run():
    scripts = [block for block in BLOCKS if block.language in {"sh", "bash"}]
    assert [str(block) for block in scripts if not block.not_run] == []


def test_what_is_not_run_says_why():
    skipped = [block for block in BLOCKS if block.not_run is not None]
    for block in skipped:
        assert len(block.not_run or "") > 10, f"{block}: {block.not_run!r} is no reason"
    print(f"\n{len(RUN)} blocks of commands are run, {len(skipped)} are not:")
    for block in skipped:
        print(f"  {block}: {block.not_run}")


# --- configurations -----------------------------------------------------------------------------------------------------


def kind(block: Block) -> str:
    value = yaml.safe_load(block.text)
    if block.note("helm"):
        return "helm"
    if "_format_version" in value:
        return "kong.yml"
    if {"database", "sources"} <= set(value):
        return "revocations"
    if "static_resources" in value:
        return "envoy"
    if "tests" in value and "config" in value:
        return "policy tests"
    if set(value) <= SCHEMA_KEYS:
        return "fragment"
    if set(value) == {"plugins"}:
        return "plugins"
    if "jobs" in value and any("runs-on" in job for job in value["jobs"].values()):
        return "workflow"
    return "compose" if "services" in value else "unknown"


SCHEMA = json.loads((REPO / "filters/databricks_kong.meta.json").read_text())["config_schema"]
SCHEMA_KEYS = set(SCHEMA["properties"])
YAML = [block for block in BLOCKS if block.language == "yaml"]
KINDS = {str(block): kind(block) for block in YAML if not block.not_run}


def of_kind(wanted: str) -> list[Block]:
    return [block for block in YAML if KINDS.get(str(block)) == wanted]


def test_it_is_known_what_each_yaml_is():
    assert [block for block, what in KINDS.items() if what == "unknown"] == []
    assert len(of_kind("kong.yml")) >= 2 and len(of_kind("fragment")) >= 3 and len(of_kind("helm")) >= 2


@named(of_kind("kong.yml"))
def test_a_kong_yml_is_one_that_the_filter_takes(block: Block, tmp_path: Path):
    (tmp_path / "kong.yml").write_text(block.text)
    ran = databricks_kong("check", str(tmp_path / "kong.yml"))
    assert ran.returncode == 0, ran.stdout + ran.stderr


@named(of_kind("revocations"))
def test_a_configuration_of_the_revocation_service_is_one_that_it_takes(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "revocations.yml").write_text(block.text)
    for name in re.findall(r"env: (\w+)", block.text):
        monkeypatch.setenv(name, "set")
    ran = databricks_kong("revocations", "check", "--config", str(tmp_path / "revocations.yml"))
    assert ran.returncode == 0, ran.stdout + ran.stderr


@named(of_kind("fragment"))
def test_a_part_of_a_configuration_makes_a_whole_that_the_filter_takes(block: Block, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({**AROUND, **json.loads(json.dumps(yaml.load(block.text, TEXT)))}))
    ran = databricks_kong("check", str(tmp_path / "config.json"))
    assert ran.returncode == 0, ran.stdout + ran.stderr


class TEXT(yaml.SafeLoader):
    """YAML whose points in time stay text, as they are for Kong."""


TEXT.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@named(of_kind("policy tests"))
def test_policy_tests_pass(block: Block, tmp_path: Path):
    shutil.copy(REPO / "examples/okta/kong.yml", tmp_path / "kong.yml")
    (tmp_path / "policy-tests.yaml").write_text(block.text)
    ran = databricks_kong("test", str(tmp_path))
    assert ran.returncode == 0, ran.stdout + ran.stderr


@named(of_kind("workflow"))
def test_the_steps_of_a_workflow_are_sound_shell(block: Block):
    scripts = [step["run"] for job in yaml.safe_load(block.text)["jobs"].values() for step in job["steps"]]
    for script in scripts:
        checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@named([block for block in BLOCKS if block.language == "ini"])
def test_settings_are_those_of_the_shipped_kong_conf_or_of_kong_itself(block: Block):
    shipped = dict(
        line.split(" = ", 1) for line in (REPO / "kong/kong.conf").read_text().splitlines() if " = " in line[:60]
    )
    known = json.loads((REPO / "tests/docs/facts.json").read_text())["kong 3.9.3 settings"]["names"]
    for line in block.text.splitlines():
        name, _, value = line.partition("=")
        assert name.startswith("KONG_"), line
        name = name.removeprefix("KONG_").lower()
        if name in shipped:
            assert value == shipped[name] or name in known, f"{line}: kong.conf says {shipped[name]}"
        else:
            assert name in known, f"{line}: neither in kong/kong.conf nor known"


@named([block for block in BLOCKS if block.language == "dockerfile"])
def test_a_dockerfile_copies_what_is_there(block: Block):
    lines = [line.split() for line in block.text.splitlines() if line]
    assert lines[0] == ["FROM", "kong:3.9"]
    for words in lines[1:]:
        assert words[0] == "COPY"
        for source in words[1:-1]:
            # the module and the plugin's directory are built, not committed
            built = source == "filters/databricks_kong.wasm" or source.startswith("target/plugin/")
            assert (REPO / source).exists() or built, source


# --- the rest -----------------------------------------------------------------------------------------------------------


@named([block for block in BLOCKS if block.language == "json"])
def test_json_is_json(block: Block):
    json.loads(block.text)


@named([block for block in BLOCKS if block.language == "python"])
def test_python_calls_what_the_sdk_has(block: Block):
    calls = [node for node in ast.walk(ast.parse(block.text)) if isinstance(node, ast.Call)]
    names = [match for call in calls if (match := re.search(r"\.(\w+)\.(\w+)$", ast.unparse(call.func)))]
    assert names, "it shows no call"
    for name in names:
        service = typing.get_type_hints(getattr(WorkspaceClient, name[1]).fget)["return"]
        assert callable(getattr(service, name[2]))


@pytest.mark.skipif(not shutil.which("node"), reason="node is missing")
@named([block for block in BLOCKS if block.language == "js"])
def test_javascript_is_javascript(block: Block):
    checked = subprocess.run(["node", "--check", "-"], input=block.text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_language_has_its_test():
    known = {"console", "sh", "bash", "yaml", "json", "python", "js", "ini", "dockerfile", *PICTURES}
    assert {str(block): block.language for block in BLOCKS if block.language not in known} == {}
