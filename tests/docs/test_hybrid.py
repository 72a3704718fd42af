"""Hybrid mode and nodes without the filter, as docs/install-kong.md tells of them: a control plane on Postgres and a data plane.

Needs KONG_BIN, and POSTGRES_BIN: the directory of initdb and pg_ctl. Takes some minutes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from blocks import REPO, blocks_of
from cluster import Cluster, needs_cluster, settings
from gateway import FILTER
from stack import wait_until
from test_blocks import TEXT, of_kind, shell

pytestmark = needs_cluster

DOCUMENT = blocks_of(REPO / "docs/install-kong.md")


class FilterCluster(Cluster):
    """With the route of kong/minimal.yml, whose chain is still to be added."""

    def __init__(self, directory: Path):
        filters = directory / "filters"
        filters.mkdir()
        shutil.copy(FILTER, filters / "databricks_kong.wasm")
        shutil.copy(REPO / "filters/databricks_kong.meta.json", filters)
        here = {"KONG_WASM_FILTERS_PATH": str(filters)}
        control = settings(DOCUMENT, "control_plane") | here
        super().__init__(directory, control, settings(DOCUMENT, "data_plane", "KONG_NGINX_WASM_RESOLVER") | here)
        self.data_plane_settings["KONG_NGINX_WASM_RESOLVER"] = self.names.address
        (service,) = yaml.load((REPO / "kong/minimal.yml").read_text(), TEXT)["services"]
        (route,) = service.pop("routes")
        (self.chain,) = route.pop("filter_chains")
        self.declare(service, route)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilterCluster]:
    one = FilterCluster(tmp_path_factory.mktemp("hybrid"))
    yield one
    one.stop()


def test_the_control_plane_refuses_a_filter_that_it_lacks_and_a_configuration_that_breaks_the_schema(
    cluster: FilterCluster,
):
    text = json.dumps(cluster.chain)
    for broken, message in [
        (text.replace("databricks_kong", "other_filter"), "no such filter"),
        (text.replace('"audiences": ["databricks"]', '"audiences": 7'), "expected array"),
    ]:
        assert broken != text
        reply = cluster.admin("POST", "/routes/databricks/filter-chains", json.loads(broken))
        assert reply.status == 400 and message in reply.text, reply


def test_a_data_plane_has_the_chain_that_the_admin_api_was_given(cluster: FilterCluster):
    (cluster.directory / "chain.json").write_text(json.dumps(cluster.chain))
    (block,) = [one for one in DOCUMENT if "filter-chains" in one.text]
    ((command, expected),) = block.commands()
    here = command.replace("127.0.0.1:8001", f"127.0.0.1:{cluster.admin_port}")
    assert shell(here, cluster.directory).stdout.strip() == expected.strip()
    node = cluster.data_plane()
    try:
        wait_until("the data plane has the route", lambda: cluster.ask().status not in {0, 404}, timeout=60)
        answer = cluster.ask()
        assert answer.status == 401 and "TOKEN_MISSING" in answer.text
        assert cluster.sync_status() == ["normal"]
    finally:
        node.stop()


@pytest.fixture(params=["wasm is off", "the file is gone"])
def without_filter(request: pytest.FixtureRequest, cluster: FilterCluster, tmp_path: Path) -> dict[str, str]:
    return {"KONG_WASM": "off"} if request.param == "wasm is off" else {"KONG_WASM_FILTERS_PATH": str(tmp_path)}


def test_a_data_plane_without_the_filter_lets_requests_through(cluster: FilterCluster, without_filter: dict[str, str]):
    node = cluster.data_plane(**without_filter)
    try:
        wait_until(
            "the data plane has its last configuration", lambda: cluster.ask().status not in {0, 404}, timeout=60
        )
        # Kong asked the workspace, where nobody listens here
        assert cluster.ask().status == 502
    finally:
        node.stop()


def test_with_the_pre_function_of_the_document_it_refuses(cluster: FilterCluster, without_filter: dict[str, str]):
    (block,) = [one for one in of_kind("plugins") if "does not have the filter" in one.text]
    (plugin,) = yaml.load(block.text, TEXT)["plugins"]
    # its header shows that the data plane has what the control plane has
    mark = {"name": "correlation-id", "config": {"header_name": "X-Mark", "echo_downstream": True}}
    for one in (plugin, mark):
        # there already in the second case
        assert cluster.admin("POST", "/routes/databricks/plugins", one).status in {201, 409}
    node = cluster.data_plane()
    try:
        wait_until("the data plane has the plugins", lambda: "x-mark" in cluster.ask().headers, timeout=60)
        assert (cluster.ask().status, "TOKEN_MISSING" in cluster.ask().text) == (401, True)
    finally:
        node.stop()
    node = cluster.data_plane(**without_filter)
    try:
        wait_until("the data plane refuses", lambda: cluster.ask().status == 503, timeout=60)
        assert "does not have the filter" in cluster.ask().text
    finally:
        node.stop()
