"""Hybrid mode with the native plugin, as docs/install-kong-plugin.md tells of it: a control plane on Postgres and a data plane.

Needs KONG_BIN, and POSTGRES_BIN: the directory of initdb and pg_ctl. KONG_PLUGIN_DIR or `make plugin` has the plugin.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from blocks import REPO, blocks_of
from cluster import Answer, Cluster, Node, needs_cluster, settings
from native_gateway import PLUGIN
from stack import Response, wait_until
from test_blocks import TEXT

pytestmark = needs_cluster

DOCUMENT = blocks_of(REPO / "docs/install-kong-plugin.md")
REFERENCE = "{vault://env/a-secret-of-the-data-plane}"


def lua_path(directory: Path) -> dict[str, str]:
    return {"KONG_LUA_PACKAGE_PATH": f"{directory}/?.lua;;"}


class PluginCluster(Cluster):
    """With the route of the document."""

    def __init__(self, directory: Path):
        self.without_library = directory / "lua"
        shutil.copytree(PLUGIN / "kong", self.without_library / "kong")
        # Kong's own control plane with Konnect's schemas: Konnect itself cannot be had
        self.as_konnect = directory / "konnect"
        shutil.copytree(PLUGIN / "kong", self.as_konnect / "kong")
        for name in ("databricks-kong", "databricks-kong-late"):
            shutil.copy(PLUGIN / f"konnect/{name}.lua", self.as_konnect / f"kong/plugins/{name}/schema.lua")
        control = settings(DOCUMENT, "control_plane") | lua_path(PLUGIN)
        super().__init__(directory, control, settings(DOCUMENT, "data_plane", "LUA_SHARED_DICT") | lua_path(PLUGIN))
        text = next(one.text for one in DOCUMENT if "databricks-kong-late" in one.text and one.language == "yaml")
        declared = yaml.load(text, TEXT)
        (service,), (self.late,) = declared["services"], declared["plugins"]
        (route,) = service.pop("routes")
        (self.plugin,) = route.pop("plugins")
        self.declare(service, route)
        # its header shows that a data plane has what the control plane has
        mark = {"name": "correlation-id", "config": {"header_name": "X-Mark", "echo_downstream": True}}
        assert self.admin("POST", "/plugins", mark).status == 201

    def attach(self, change: Any = None) -> Response:
        plugin = copy.deepcopy(self.plugin)
        if change:
            change(plugin["config"])
        return self.admin("POST", "/routes/databricks/plugins", plugin)

    def detach(self) -> None:
        for one in json.loads(self.admin("GET", "/plugins").body)["data"]:
            if one["name"].startswith("databricks-kong"):
                assert self.admin("DELETE", f"/plugins/{one['id']}").status == 204

    def answer(self) -> Answer:
        """The data plane's answer once it has a configuration."""
        wait_until("the data plane has the route", lambda: self.ask().status not in {0, 404}, timeout=60)
        return self.ask()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginCluster]:
    one = PluginCluster(tmp_path_factory.mktemp("hybrid-plugin"))
    yield one
    one.stop()


@pytest.fixture
def attached(cluster: PluginCluster) -> Iterator[PluginCluster]:
    for reply in (cluster.attach(), cluster.admin("POST", "/plugins", cluster.late)):
        assert reply.status == 201, reply.text
    yield cluster
    cluster.detach()


@contextmanager
def control_plane(cluster: PluginCluster, files: Path) -> Iterator[PluginCluster]:
    """With these files of the plugin."""
    cluster.control.stop()
    cluster.control = Node(cluster.directory / "control", cluster.control_settings | lua_path(files))
    yield cluster
    cluster.detach()
    cluster.control.stop()
    cluster.control = Node(cluster.directory / "control", cluster.control_settings)


@pytest.fixture
def control_without_library(cluster: PluginCluster) -> Iterator[PluginCluster]:
    with control_plane(cluster, cluster.without_library) as changed:
        yield changed


@pytest.fixture
def control_as_konnect(cluster: PluginCluster) -> Iterator[PluginCluster]:
    with control_plane(cluster, cluster.as_konnect) as changed:
        yield changed


def misspell_an_operation(config: dict[str, Any]) -> None:
    config["roles"][0]["allow"] = [{"operations": ["jobs.run_noww"]}]


def misspell_a_key(config: dict[str, Any]) -> None:
    config["rolls"] = config.pop("roles")


def refer_to_a_secret(config: dict[str, Any]) -> None:
    credential = {"type": "service_principal_secret", "client_id": "5f0d7aa6-7d2c-4a3c-9f6b-0b3f3c7e1a11"}
    config["roles"][0]["credential"] = {**credential, "client_secret": REFERENCE}


def test_a_control_plane_with_the_library_refuses_what_only_the_core_can_see(cluster: PluginCluster):
    reply = cluster.attach(misspell_an_operation)
    assert reply.status == 400 and "jobs.run_noww" in reply.text and "/roles/0/allow/0" in reply.text, reply.text


def test_a_control_plane_takes_a_reference_that_leads_to_something_on_data_planes_only(cluster: PluginCluster):
    reply = cluster.attach(refer_to_a_secret)
    assert reply.status == 201, reply.text
    cluster.detach()


def test_a_control_plane_without_the_library_checks_the_structure_and_data_planes_refuse_the_rest(
    control_without_library: PluginCluster,
):
    cluster = control_without_library
    reply = cluster.attach(misspell_a_key)
    assert reply.status == 400 and "unknown field" in reply.text, reply.text
    assert cluster.attach(misspell_an_operation).status == 201
    assert cluster.admin("POST", "/plugins", cluster.late).status == 201
    node = cluster.data_plane()
    try:
        # Kong asks the schema of each node, and this one's has the core
        wait_until("the data plane refuses it", lambda: "jobs.run_noww" in node.log(), timeout=60)
        assert cluster.ask().status == 404, cluster.ask()
    finally:
        node.stop()


def test_what_konnects_schema_takes_data_planes_take(control_as_konnect: PluginCluster):
    cluster = control_as_konnect
    reply = cluster.attach(misspell_a_key)
    assert reply.status == 400 and "unknown field" in reply.text, reply.text
    for reply in (cluster.attach(), cluster.admin("POST", "/plugins", cluster.late)):
        assert reply.status == 201, reply.text
    node = cluster.data_plane()
    try:
        answer = cluster.answer()
        assert answer.status == 401 and "TOKEN_MISSING" in answer.text, answer
    finally:
        node.stop()


def test_a_data_plane_has_the_plugin_that_the_admin_api_was_given(attached: PluginCluster):
    node = attached.data_plane()
    try:
        answer = attached.answer()
        assert answer.status == 401 and "TOKEN_MISSING" in answer.text and "x-mark" in answer.headers, answer
        wait_until("the control plane knows", lambda: attached.sync_status() == ["normal"], timeout=60)
    finally:
        node.stop()


def test_a_data_plane_without_the_library_refuses_each_request(attached: PluginCluster):
    node = attached.data_plane(**lua_path(attached.without_library))
    try:
        answer = attached.answer()
        assert answer.status == 500 and '"INTERNAL"' in answer.text, answer
    finally:
        node.stop()


def test_a_data_plane_without_the_plugin_lets_nothing_through_and_neither_after_it_had_it(attached: PluginCluster):
    without = {"KONG_PLUGINS": "bundled"}
    node = attached.data_plane()
    try:
        assert attached.answer().status == 401
    finally:
        node.stop()
    node = attached.data_plane(**without)
    try:
        wait_until("the control plane knows", lambda: "plugin_set_incompatible" in attached.sync_status(), timeout=60)
        assert attached.ask().status in {0, 404, 500, 503}, attached.ask()
    finally:
        node.stop()
