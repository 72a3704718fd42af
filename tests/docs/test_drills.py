"""The roles that docs/operations.md tells operators to write do what it says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from blocks import REPO
from test_blocks import TEXT, databricks_kong, of_kind

OKTA = REPO / "examples/okta/kong.yml"
MALLORY = {"sub": "mallory@example.com", "groups": ["job-runners"]}
ANNA = {"sub": "anna@example.com", "groups": ["job-runners"]}


def shown_role(name: str) -> dict[str, Any]:
    for block in of_kind("fragment"):
        for role in yaml.load(block.text, TEXT).get("roles", []):
            if role["name"] == name:
                return role
    raise AssertionError(f"no document shows the role {name}")


def with_role(role: dict[str, Any], directory: Path, **more: Any) -> Path:
    """The example of Okta with this role in front of its own."""
    declared = yaml.load(OKTA.read_text(), TEXT)
    config = declared["services"][0]["routes"][0]["filter_chains"][0]["filters"][0]["config"]
    config["roles"].insert(0, role)
    config.update(more)
    path = directory / "kong.json"
    path.write_text(json.dumps(declared))
    return path


def decide(file: Path, claims: dict[str, Any], method: str, target: str, *more: str) -> dict[str, Any]:
    ran = databricks_kong(
        "explain", str(file), method, target, "--claims", json.dumps(claims), "--format", "json", *more
    )
    return json.loads(ran.stdout)


@pytest.mark.parametrize(
    "method, target",
    [("GET", "/api/2.2/jobs/list"), ("POST", "/api/2.0/token/create"), ("GET", "/api/2.0/what/is/this"), ("GET", "/")],
)
def test_whoever_is_cut_off_is_refused_everything(tmp_path: Path, method: str, target: str):
    file = with_role(shown_role("cut-off"), tmp_path)
    told = (
        decide(file, MALLORY, method, target, "--body", "{}")
        if method == "POST"
        else decide(file, MALLORY, method, target)
    )
    assert (told["decision"], told["reason"], told["role"]) == ("deny", "RULE_DENIED", "cut-off"), told


def test_whoever_is_cut_off_cannot_choose_another_role(tmp_path: Path):
    file = with_role(shown_role("cut-off"), tmp_path)
    told = decide(file, MALLORY, "GET", "/api/2.2/jobs/list", "--header", "X-Databricks-Role: job-runner")
    assert (told["decision"], told["reason"]) == ("deny", "RULE_DENIED"), told


def test_others_are_not_touched(tmp_path: Path):
    told = decide(with_role(shown_role("cut-off"), tmp_path), ANNA, "GET", "/api/2.2/jobs/list")
    assert (told["decision"], told["role"]) == ("allow", "job-runner"), told


def test_where_denials_are_only_recorded_nobody_is_cut_off_as_the_document_says(tmp_path: Path):
    told = decide(with_role(shown_role("cut-off"), tmp_path, mode="observe"), MALLORY, "GET", "/api/2.2/jobs/list")
    assert told["decision"] == "would_deny", told
    assert "Not with `mode: observe`" in (REPO / "docs/operations.md").read_text()


@pytest.mark.parametrize(
    "now, decision, reason",
    [
        ("2026-11-28T01:59:59Z", "deny", "GRANT_INACTIVE"),
        ("2026-11-28T02:00:00Z", "allow", None),
        ("2026-11-28T05:59:59Z", "allow", None),
        ("2026-11-28T06:00:00Z", "deny", "GRANT_INACTIVE"),
    ],
)
def test_an_emergency_role_opens_and_closes_by_itself(tmp_path: Path, now: str, decision: str, reason: str | None):
    claims = {"sub": "carol@example.com", "groups": ["platform-oncall"]}
    told = decide(with_role(shown_role("emergency"), tmp_path), claims, "GET", "/api/2.1/clusters/list", "--now", now)
    assert (told["decision"], told.get("reason")) == (decision, reason), told
