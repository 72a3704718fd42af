"""The configurations within the manifests of packaging/ are ones that the filter takes, and each container file copies what a release has."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from blocks import REPO
from test_blocks import databricks_kong

PACKAGING = REPO / "packaging"


def resources(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((PACKAGING / name).read_text()))


def of_kind(name: str, kind: str) -> dict[str, Any]:
    [found] = [one for one in resources(name) if one["kind"] == kind]
    return found["spec"]


def wasm_of_istio() -> dict[str, Any]:
    patches = of_kind("istio.yaml", "EnvoyFilter")["configPatches"]
    [added] = [one["patch"]["value"] for one in patches if one["applyTo"] == "EXTENSION_CONFIG"]
    return added["typed_config"]["config"]


CONFIGURATIONS = {
    "istio.yaml": json.loads(wasm_of_istio()["configuration"]["value"]),
    "istio-wasmplugin.yaml": of_kind("istio-wasmplugin.yaml", "WasmPlugin")["pluginConfig"],
    "envoy-gateway.yaml": of_kind("envoy-gateway.yaml", "EnvoyExtensionPolicy")["wasm"][0]["config"],
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_configuration_passes_a_strict_check(name: str, tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIGURATIONS[name]))
    run = databricks_kong("check", "--strict", str(path))
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_lost_filter_lets_nothing_through():
    assert wasm_of_istio()["failure_policy"] == "FAIL_CLOSED"
    assert of_kind("istio-wasmplugin.yaml", "WasmPlugin")["failStrategy"] == "FAIL_CLOSE"
    assert of_kind("envoy-gateway.yaml", "EnvoyExtensionPolicy")["wasm"][0]["failOpen"] is False


def test_requests_that_are_decided_by_their_body_do_not_hang():
    assert wasm_of_istio()["allow_on_headers_stop_iteration"] is True
    [patch] = of_kind("envoy-gateway.yaml", "EnvoyPatchPolicy")["jsonPatches"]
    assert (patch["operation"]["path"], patch["operation"]["value"]) == ("allow_on_headers_stop_iteration", True)


def test_istio_has_a_cluster_for_every_upstream():
    hosts = of_kind("istio.yaml", "ServiceEntry")["hosts"]
    for name in ("istio.yaml", "istio-wasmplugin.yaml"):
        config = CONFIGURATIONS[name]
        upstreams = [one["upstream"] for one in [config["workspace"], *config["identity_providers"]]]
        assert upstreams == [f"outbound|443||{host}" for host in hosts]
    verified = [one["spec"]["host"] for one in resources("istio.yaml") if one["kind"] == "DestinationRule"]
    assert verified == hosts


@pytest.mark.parametrize("name", ["kong.Dockerfile", "tool.Dockerfile"])
def test_what_is_copied_is_what_a_release_has(name: str):
    version = subprocess.run([REPO / "scripts/version"], capture_output=True, text=True, check=True).stdout.strip()
    release = (REPO / "scripts/dist").read_text()
    promised = re.findall(r"^#   (\S+?),? ", release, re.MULTILINE) + ["databricks_kong.meta.json"]
    names = {one.rstrip(",").replace("VERSION", version).replace("ARCH", "x86_64") for one in promised}
    wanted = re.findall(r"(?<=dist/)[\w.*\[\]-]+(?:\"\$arch\"[\w.-]+)?", (PACKAGING / name).read_text())
    assert wanted, "nothing of dist/ is copied"
    for one in wanted:
        pattern = re.escape(one.replace('"$arch"', "x86_64")).replace(r"\*", ".*").replace(r"\[0\-9\]", "[0-9]")
        assert any(re.fullmatch(pattern, known) for known in names), f"{one} is none of {sorted(names)}"
