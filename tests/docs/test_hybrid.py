"""Hybrid mode and nodes without the filter, as docs/install-kong.md tells of them: a control plane on Postgres and a data plane.

Needs KONG_BIN, and POSTGRES_BIN: the directory of initdb and pg_ctl. Takes some minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from blocks import REPO, blocks_of
from gateway import FILTER
from internet import Names
from stack import Response, free_ports, send, wait_until
from test_blocks import TEXT, of_kind, shell

pytestmark = pytest.mark.skipif(
    not (os.environ.get("KONG_BIN") and os.environ.get("POSTGRES_BIN")), reason="needs KONG_BIN and POSTGRES_BIN"
)

GATEWAY, WORKSPACE = "databricks.gw.example.com", "adb-7405619408829168.8.azuredatabricks.net"
DOCUMENT = blocks_of(REPO / "docs/install-kong.md")


def settings(role: str) -> dict[str, str]:
    """What the document says for such a node. A data plane takes the first settings of the document too."""
    blocks = [one.text for one in DOCUMENT if one.language == "ini"]
    chosen = next(text for text in blocks if f"KONG_ROLE={role}" in text)
    if role == "data_plane":
        chosen = blocks[0] + chosen
    return dict(line.split("=", 1) for line in chosen.splitlines())


class Node:
    """One Kong with these settings."""

    def __init__(self, prefix: Path, environment: dict[str, str]):
        self.prefix = prefix
        self.environment = {**os.environ, **environment, "KONG_PREFIX": str(prefix)}
        self.run("start")

    def run(self, *arguments: str) -> None:
        argv = [os.environ["KONG_BIN"], *arguments]
        ran = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=300, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def stop(self) -> None:
        self.run("stop", "-p", str(self.prefix))


class Answer(NamedTuple):
    """To a request at the data plane; status 0 where nobody answers."""

    status: int
    text: str
    headers: str


class Cluster:
    """Postgres, a control plane, and a place for a data plane."""

    def __init__(self, directory: Path):
        self.directory = directory
        directory.chmod(0o755)
        self.database_port, self.admin_port, self.cluster_port, self.proxy_port = free_ports(4)
        self.names = Names()
        self.names.add(WORKSPACE)
        self.filters = directory / "filters"
        self.filters.mkdir()
        shutil.copy(FILTER, self.filters / "databricks_kong.wasm")
        shutil.copy(REPO / "filters/databricks_kong.meta.json", self.filters)
        self.data = directory / "postgres"
        self.data.mkdir()
        # Postgres refuses to run as root
        self.owner: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}
        if self.owner:
            shutil.chown(self.data, "postgres")
        self.postgres("initdb", "--auth=trust", "--username=kong")
        self.postgres("pg_ctl", "-w", "-l", str(self.data / "log"), "-o", self.options(), "start")
        pair = directory / "cluster.crt", directory / "cluster.key"
        here = {
            "KONG_NGINX_USER": "root root",
            "KONG_NGINX_WORKER_PROCESSES": "1",
            "KONG_ANONYMOUS_REPORTS": "off",
            "KONG_ADMIN_GUI_LISTEN": "off",
            "KONG_STATUS_LISTEN": "off",
            "KONG_CLUSTER_CERT": str(pair[0]),
            "KONG_CLUSTER_CERT_KEY": str(pair[1]),
            "KONG_WASM_FILTERS_PATH": str(self.filters),
        }
        subprocess.run([os.environ["KONG_BIN"], "hybrid", "gen_cert", *pair], check=True, capture_output=True)
        self.data_plane_settings = {
            **settings("data_plane"),
            **here,
            "KONG_CLUSTER_CONTROL_PLANE": f"127.0.0.1:{self.cluster_port}",
            "KONG_PROXY_LISTEN": f"127.0.0.1:{self.proxy_port}",
            "KONG_ADMIN_LISTEN": "off",
            "KONG_NGINX_WASM_RESOLVER": self.names.address,
            "KONG_DNS_RESOLVER": self.names.address,
        }
        control = {
            **settings("control_plane"),
            **here,
            "KONG_PG_HOST": "127.0.0.1",
            "KONG_PG_PORT": str(self.database_port),
            "KONG_PG_USER": "kong",
            "KONG_PG_DATABASE": "postgres",
            "KONG_ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
            "KONG_CLUSTER_LISTEN": f"127.0.0.1:{self.cluster_port}",
            "KONG_PROXY_LISTEN": "off",
        }
        bootstrap = [os.environ["KONG_BIN"], "migrations", "bootstrap"]
        environment = {**os.environ, **control, "KONG_PREFIX": str(directory / "control")}
        subprocess.run(bootstrap, env=environment, check=True, capture_output=True, timeout=300)
        self.control = Node(directory / "control", control)
        self.declare()

    def options(self) -> str:
        return f"-p {self.database_port} -k {self.data} -c listen_addresses=127.0.0.1"

    def postgres(self, program: str, *arguments: str) -> None:
        argv = [str(Path(os.environ["POSTGRES_BIN"]) / program), "-D", str(self.data / "data"), *arguments]
        with open(self.directory / f"{program}.out", "a") as out:
            # a server that goes on holds whatever it is given for its output
            subprocess.run(argv, check=True, stdout=out, stderr=out, timeout=120, cwd=self.data, **self.owner)

    def admin(self, method: str, path: str, body: Any = None) -> Response:
        headers = {"Content-Type": "application/json"}
        return send(f"http://127.0.0.1:{self.admin_port}", method, path, headers, json.dumps(body) if body else None)

    def declare(self) -> None:
        (service,) = yaml.load((REPO / "kong/minimal.yml").read_text(), TEXT)["services"]
        (route,) = service.pop("routes")
        (self.chain,) = route.pop("filter_chains")
        assert self.admin("POST", "/services", service).status == 201
        assert self.admin("POST", f"/services/{service['name']}/routes", route).status == 201

    def data_plane(self, **changes: str) -> Node:
        return Node(self.directory / "data", {**self.data_plane_settings, **changes})

    def ask(self) -> Answer:
        try:
            reply = send(f"http://127.0.0.1:{self.proxy_port}", "GET", "/api/2.2/jobs/list", {"Host": GATEWAY})
        except OSError:
            return Answer(0, "", "")
        return Answer(reply.status, reply.text, str(reply.headers).lower())

    def stop(self) -> None:
        self.control.stop()
        self.postgres("pg_ctl", "-m", "fast", "stop")
        self.names.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    one = Cluster(tmp_path_factory.mktemp("hybrid"))
    yield one
    one.stop()


@pytest.fixture(scope="module", autouse=True)
def reachable(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Postgres, which is not root, must be able to get there."""
    base = tmp_path_factory.getbasetemp()
    for directory in (base, base.parent):
        directory.chmod(0o755)


def test_the_control_plane_refuses_a_filter_that_it_lacks_and_a_configuration_that_breaks_the_schema(cluster: Cluster):
    text = json.dumps(cluster.chain)
    for broken, message in [
        (text.replace("databricks_kong", "other_filter"), "no such filter"),
        (text.replace('"audiences": ["databricks"]', '"audiences": 7'), "expected array"),
    ]:
        assert broken != text
        reply = cluster.admin("POST", "/routes/databricks/filter-chains", json.loads(broken))
        assert reply.status == 400 and message in reply.text, reply


def test_a_data_plane_has_the_chain_that_the_admin_api_was_given(cluster: Cluster):
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
        nodes = json.loads(cluster.admin("GET", "/clustering/data-planes").body)["data"]
        assert [one["sync_status"] for one in nodes] == ["normal"]
    finally:
        node.stop()


@pytest.fixture(params=["wasm is off", "the file is gone"])
def without_filter(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> dict[str, str]:
    return {"KONG_WASM": "off"} if request.param == "wasm is off" else {"KONG_WASM_FILTERS_PATH": str(tmp_path)}


def test_a_data_plane_without_the_filter_lets_requests_through(cluster: Cluster, without_filter: dict[str, str]):
    node = cluster.data_plane(**without_filter)
    try:
        wait_until(
            "the data plane has its last configuration", lambda: cluster.ask().status not in {0, 404}, timeout=60
        )
        # Kong asked the workspace, where nobody listens here
        assert cluster.ask().status == 502
    finally:
        node.stop()


def test_with_the_pre_function_of_the_document_it_refuses(cluster: Cluster, without_filter: dict[str, str]):
    (block,) = of_kind("plugins")
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
