"""docker-compose.yml itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from declared import COMPOSE_FILE, REPO, mounts, read_yaml, services, stack

SERVICES = sorted(services())


def test_it_follows_the_schema_of_the_compose_specification():
    tool = Path(os.environ["COMPOSE_TOOLS"]) / "venv/bin/check-jsonschema"
    argv = [str(tool), "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_to_a_version(name: str):
    service = services()[name]
    if "build" in service:
        return
    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+", service["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_published_on_loopback_only(name: str):
    for port in services()[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_from_the_repository_is_there_and_cannot_be_written(name: str):
    for volume in services()[name].get("volumes", []):
        source, _target, *mode = volume.split(":")
        if source.startswith("."):
            assert (REPO / source).exists(), source
            assert mode == ["ro"], volume
        else:
            assert source in stack()["volumes"], "a named volume is declared"


def test_every_file_of_compose_is_mounted_or_built_or_for_people():
    mounted = {source.removeprefix("./") for name in SERVICES for source in mounts(name).values()}
    built = {one["build"]["dockerfile"] for one in services().values() if "build" in one}
    files = {str(path.relative_to(REPO)) for path in (REPO / "compose").iterdir()}
    assert files - mounted - built == {"compose/README.md", "compose/tour"}


def test_who_waits_for_health_waits_for_a_service_that_is_asked_for_it():
    for name, service in services().items():
        for other, wait in service.get("depends_on", {}).items():
            asked = "healthcheck" in services()[other]
            assert (wait["condition"] == "service_healthy") == asked, f"{name} waits for {other}"


def test_only_the_shipper_has_no_health_check():
    assert [name for name, service in services().items() if "healthcheck" not in service] == ["fluent-bit"]


def test_a_dollar_for_the_container_is_doubled():
    """Compose would put a variable of the caller's shell in the place of a single one."""
    assert not re.search(r"(?<!\$)\$(?!\$)\w", COMPOSE_FILE.read_text())


def test_the_settings_that_the_filter_relies_on_are_those_of_kong_conf():
    environment = services()["kong"]["environment"]
    lines = (REPO / "kong/kong.conf").read_text().splitlines()
    conf = dict(line.split(" = ", 1) for line in lines if " = " in line and not line.startswith("#"))
    same = [
        "database",
        "wasm",
        "nginx_http_client_body_buffer_size",
        "nginx_proxy_set",
        "nginx_http_proxy_wasm_lua_resolver",
    ]
    for name in same:
        assert environment[f"KONG_{name.upper()}"].replace("$$", "$") == conf[name], name


def test_the_workspaces_image_copies_what_the_build_makes():
    lines = (REPO / "compose/workspace.Dockerfile").read_text().splitlines()
    steps = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    images = [step[1] for step in steps if step[0] == "FROM"]
    (build,) = [step[1] for step in steps if step[0] == "RUN"]
    assert build.startswith("cargo build --release --locked -p mock-databricks")
    members = subprocess.run(
        ["scripts/with-rust", "cargo", "metadata", "--no-deps", "--format-version", "1", "--locked", "--offline"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    packages = {one["name"]: one for one in json.loads(members.stdout)["packages"]}
    assert [one["name"] for one in packages["mock-databricks"]["targets"] if one["kind"] == ["bin"]] == [
        "mock-databricks"
    ]
    assert "COPY --from=build /src/target/release/mock-databricks /usr/local/bin/" in lines
    rust = packages["mock-databricks"]["rust_version"]
    assert images[0].startswith(f"rust:{rust}"), "the compiler is the oldest that the workspace allows"
    ignored = (REPO / ".dockerignore").read_text().split()
    assert {"target", ".cache", ".git"} <= set(ignored), "nothing that was built here is sent to the engine"


def test_names_in_the_mounted_files_are_names_of_services():
    texts = {
        "compose/kong.yml": r"http://([a-z-]+):(\d+)",
        "compose/workspace.json": r"http://([a-z-]+):(\d+)",
        "compose/grafana-datasources.yaml": r"http://([a-z-]+):(\d+)",
        "compose/prometheus.yml": r'"([a-z-]+):(\d+)"',
    }
    listens = {"workspace": "8000", "keycloak": "8080", "fluent-bit": "9880", "loki": "3100", "prometheus": "9090"}
    for path, pattern in texts.items():
        found = re.findall(pattern, (REPO / path).read_text())
        assert found, path
        for host, port in found:
            if host == "localhost":
                continue
            extra = {("kong", "8100"), ("fluent-bit", "2020")}
            assert listens.get(host) == port or (host, port) in extra, f"{path}: {host}:{port}"
    output = read_yaml("compose/fluent-bit.yaml")["pipeline"]["outputs"][0]
    assert (output["host"], str(output["port"])) == ("loki", listens["loki"])
