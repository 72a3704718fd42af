"""What the services read, each file by the program that reads it where that can be had, and all of them against each other."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from declared import REPO, filter_entries, mounts, plugin, program, read_json, read_yaml, services

ISSUER = "http://keycloak:8080/realms/databricks"

# --- Kong ---


def test_the_filters_own_tool_takes_the_gateways_configuration():
    argv = [os.environ["DATABRICKS_KONG"], "--format", "json", "check", str(REPO / "compose/kong.yml")]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    # a demo without TLS, which the file says; anything else that the tool warns of is a mistake
    found = json.loads(run.stdout)
    assert (found["findings"], {one["name"] for one in found["allowed"]}) == ([], {"allow-http"}), found


def test_the_chain_ends_with_a_guard():
    assert [entry.get("mode", "enforce") for entry in filter_entries()] == ["enforce", "guard"]


def test_the_log_keeps_back_what_that_of_the_production_file_keeps_back():
    ours, production = (plugin("http-log", file) for file in ("compose/kong.yml", "kong/kong.yml"))
    assert ours["custom_fields_by_lua"] == production["custom_fields_by_lua"]


# --- Keycloak ---


def realm() -> dict:
    return read_json("compose/realm.json")


def client(name: str) -> dict:
    (found,) = [one for one in realm()["clients"] if one["clientId"] == name]
    return found


def test_the_realm_is_what_keycloaks_own_types_allow(tmp_path: Path):
    types = Path(os.environ["COMPOSE_TOOLS"]) / "types"
    module = "@keycloak/keycloak-admin-client/lib/defs/realmRepresentation.js"
    literal = (REPO / "compose/realm.json").read_text()
    # as a literal: TypeScript looks for unknown members in nothing else
    source = f'import type Realm from "{module}";\nexport const realm: Realm = {literal};\n'
    (tmp_path / "realm.ts").write_text(source)
    (tmp_path / "node_modules").symlink_to(types / "node_modules")
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--skipLibCheck"]
    argv = [str(types / "node_modules/.bin/tsc"), *options, "realm.ts"]
    run = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_the_types_are_those_of_the_version_that_runs():
    image = services()["keycloak"]["image"]
    package = json.loads((REPO / "tests/compose/package.json").read_text())
    assert image.endswith(":" + package["devDependencies"]["@keycloak/keycloak-admin-client"])


def test_the_realm_is_where_keycloak_imports_from_and_has_the_issuer_that_the_gateway_expects():
    keycloak = services()["keycloak"]
    assert "--import-realm" in keycloak["command"]
    assert [target.parent for target in mounts("keycloak")] == [PurePosixPath("/opt/keycloak/data/import")]
    issuer = f"{keycloak['environment']['KC_HOSTNAME']}/realms/{realm()['realm']}"
    (provider,) = filter_entries()[0]["identity_providers"]
    workspace = read_json("compose/workspace.json")
    assert issuer == ISSUER == provider["issuer"]
    assert list(workspace["issuers"]) == [issuer] == [one["issuer"] for one in workspace["account_policies"]]


def test_every_client_gets_the_audience_that_gateway_and_databricks_ask_for():
    (provider,) = filter_entries()[0]["identity_providers"]
    (policy,) = read_json("compose/workspace.json")["account_policies"]
    assert provider["audiences"] == policy["audiences"]
    assert provider["claims"]["subject"] == policy["subject_claim"]
    for one in realm()["clients"]:
        added = [mapper["config"].get("included.custom.audience") for mapper in one["protocolMappers"]]
        assert provider["audiences"][0] in added, one["clientId"]


def test_groups_and_clients_of_the_roles_are_in_the_realm():
    config = filter_entries()[0]
    entries = config["roles"] + config["agents"]
    groups = {group for one in entries for group in one["match"].get("groups", [])}
    clients = {name for one in entries for name in one["match"].get("clients", [])}
    assert groups == {one["name"] for one in realm()["groups"]}
    assert clients == {"copilot", "nightly-etl"} and {client(name)["clientId"] for name in clients} == clients


def test_every_person_of_the_realm_is_a_user_of_the_workspace_but_one_without_a_group():
    known = set(read_json("compose/workspace.json")["users"])
    groups = {one["username"]: one["groups"] for one in realm()["users"]}
    assert set(groups) - known == {"carol@example.com"} and not groups["carol@example.com"]
    paths = {f"/{one['name']}" for one in realm()["groups"]}
    assert {path for of_one in groups.values() for path in of_one} == paths


def test_the_agent_may_exchange_a_persons_token_and_nobody_logs_in_with_it():
    agent = client("copilot")
    assert agent["attributes"] == {"standard.token.exchange.enabled": "true"}
    assert not agent["publicClient"] and not agent["directAccessGrantsEnabled"]
    # Keycloak exchanges a token only for a client that is among its audiences
    audiences = [one["config"].get("included.client.audience") for one in client("databricks-cli")["protocolMappers"]]
    assert agent["clientId"] in audiences


def test_the_gateway_has_the_secret_of_the_pipelines_service_principal():
    kong, workspace = services()["kong"]["environment"], read_json("compose/workspace.json")
    (role,) = [one for one in filter_entries()[0]["roles"] if one["name"] == "nightly-etl"]
    name = role["credential"]["client_secret"]["env"]
    assert kong["KONG_NGINX_MAIN_ENV"] == name, "nginx passes it on"
    assert workspace["service_principals"][role["credential"]["client_id"]]["secret"] == kong[name]


# --- Prometheus ---


def test_prometheus_takes_its_configuration():
    if not (promtool := program("promtool")):
        pytest.skip("there is no promtool, and apt could not fetch one")
    argv = [promtool, "check", "config", str(REPO / "compose/prometheus.yml")]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_prometheus_looks_for_alerts_where_they_are_mounted():
    (pattern,) = read_yaml("compose/prometheus.yml")["rule_files"]
    assert mounts("prometheus")[PurePosixPath(pattern).parent] == "./dashboards"


# --- Loki ---


def test_loki_takes_its_configuration():
    if not (loki := os.environ.get("LOKI_BIN")):
        pytest.skip("set LOKI_BIN to a loki executable")
    argv = [loki, "-verify-config", f"-config.file={REPO / 'compose/loki.yaml'}"]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_everything_that_loki_writes_is_on_its_volume():
    config = read_yaml("compose/loki.yaml")
    (volume,) = [target for target, source in mounts("loki").items() if not source.startswith(".")]
    folders = [config["common"]["path_prefix"], config["storage_config"]["object_store"]["filesystem"]["dir"]]
    for folder in [*folders, config["compactor"]["working_directory"]]:
        assert PurePosixPath(folder).is_relative_to(volume)


# --- Grafana ---


def test_the_data_sources_have_the_uids_that_the_dashboards_name():
    sources = read_yaml("compose/grafana-datasources.yaml")
    assert sources["apiVersion"] == 1
    assert {one["uid"]: one["type"] for one in sources["datasources"]} == {"prometheus": "prometheus", "loki": "loki"}


def test_grafana_looks_for_dashboards_where_they_are_mounted():
    (provider,) = read_yaml("compose/grafana-dashboards.yaml")["providers"]
    assert mounts("grafana")[PurePosixPath(provider["options"]["path"])] == "./dashboards"
    provisioning = PurePosixPath("/etc/grafana/provisioning")
    places = {target.parent: source for target, source in mounts("grafana").items()}
    assert places[provisioning / "datasources"] == "./compose/grafana-datasources.yaml"
    assert places[provisioning / "dashboards"] == "./compose/grafana-dashboards.yaml"


def test_dashboards_name_no_other_data_source():
    for path in sorted((REPO / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        variables = [one for one in board["templating"]["list"] if one["type"] == "datasource"]
        # a variable lists all data sources of one type
        known = {"prometheus", "loki", "-- Grafana --", *(f"${{{one['name']}}}" for one in variables)}
        assert {one["query"] for one in variables} <= {"prometheus", "loki"}, path.name
        assert sources_of(board) <= known, path.name


def sources_of(part: object) -> set[str]:
    """The uids that a dashboard names anywhere."""
    if isinstance(part, list):
        return set().union(*(sources_of(one) for one in part))
    if not isinstance(part, dict):
        return set()
    named = part.get("datasource")
    own = {named["uid"]} if isinstance(named, dict) else set()
    return own.union(*(sources_of(one) for one in part.values()))
