"""The Helm values of the documents and of packaging/ name keys that Kong's chart has, and settings that Kong or kong/kong.conf have."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from blocks import REPO, blocks_of

FACTS = json.loads((REPO / "tests/docs/facts.json").read_text())
VALUES = [
    pytest.param(block.text, id=str(block))
    for name in ("install-kong.md", "install-kong-plugin.md")
    for block in blocks_of(REPO / "docs" / name)
    if block.note("helm")
]
VALUES.append(pytest.param((REPO / "packaging/helm-values.yaml").read_text(), id="packaging/helm-values.yaml"))


def paths(value: Any, at: str = "") -> list[str]:
    if isinstance(value, dict) and value:
        return [path for key, one in value.items() for path in paths(one, f"{at}.{key}" if at else key)]
    return [at]


@pytest.mark.parametrize("values", VALUES)
def test_every_key_is_one_of_the_chart(values: str):
    known = set(FACTS["kong/kong chart values"]["names"])
    unknown = []
    for path in paths(yaml.safe_load(values)):
        parts = path.split(".")
        if parts[0] == "env":
            continue
        if ".".join(parts) not in known:
            unknown.append(path)
    assert unknown == []


@pytest.mark.parametrize("values", VALUES)
def test_every_setting_is_one_of_the_shipped_kong_conf_or_of_kong_itself(values: str):
    shipped = {line.split(" = ")[0] for line in (REPO / "kong/kong.conf").read_text().splitlines() if " = " in line}
    known = set(FACTS["kong 3.9.3 settings"]["names"])
    for name, value in yaml.safe_load(values).get("env", {}).items():
        assert name in shipped | known, name
        assert isinstance(value, str), f"{name}: `on` and `off` need quotes in YAML"
