"""Kong in hybrid mode with the settings of a document: Postgres, a control plane, and places for data planes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from blocks import Block
from internet import Names
from stack import Response, free_ports, send

GATEWAY, WORKSPACE = "databricks.gw.example.com", "adb-7405619408829168.8.azuredatabricks.net"

needs_cluster = pytest.mark.skipif(
    not (os.environ.get("KONG_BIN") and os.environ.get("POSTGRES_BIN")), reason="needs KONG_BIN and POSTGRES_BIN"
)


def settings(document: list[Block], role: str, *also: str) -> dict[str, str]:
    """What a document says for a node of this role, and in its blocks that hold one of these words."""
    wanted = (*also, f"KONG_ROLE={role}")
    texts = [next(one.text for one in document if one.language == "ini" and word in one.text) for word in wanted]
    return dict(line.split("=", 1) for line in "".join(texts).splitlines())


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

    def log(self) -> str:
        return (self.prefix / "logs/error.log").read_text(errors="replace")

    def stop(self) -> None:
        self.run("stop", "-p", str(self.prefix))


class Answer(NamedTuple):
    """To a request at the data plane; status 0 where nobody answers."""

    status: int
    text: str
    headers: str


class Cluster:
    """Postgres, a control plane, and a place for a data plane."""

    def __init__(self, directory: Path, control: dict[str, str], data: dict[str, str]):
        self.directory = directory
        for one in (directory.parent.parent, directory.parent, directory):
            # Postgres, which is not root, must be able to get there
            one.chmod(0o755)
        self.database_port, self.admin_port, self.cluster_port, self.proxy_port = free_ports(4)
        self.names = Names()
        self.names.add(WORKSPACE)
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
        }
        subprocess.run([os.environ["KONG_BIN"], "hybrid", "gen_cert", *pair], check=True, capture_output=True)
        self.data_plane_settings = {
            **data,
            **here,
            "KONG_CLUSTER_CONTROL_PLANE": f"127.0.0.1:{self.cluster_port}",
            "KONG_PROXY_LISTEN": f"127.0.0.1:{self.proxy_port}",
            "KONG_ADMIN_LISTEN": "off",
            "KONG_DNS_RESOLVER": self.names.address,
        }
        self.control_settings = {
            **control,
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
        environment = {**os.environ, **self.control_settings, "KONG_PREFIX": str(directory / "control")}
        subprocess.run(bootstrap, env=environment, check=True, capture_output=True, timeout=300)
        self.control = Node(directory / "control", self.control_settings)

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

    def declare(self, service: dict[str, Any], route: dict[str, Any]) -> None:
        assert self.admin("POST", "/services", service).status == 201
        assert self.admin("POST", f"/services/{service['name']}/routes", route).status == 201

    def sync_status(self) -> list[str]:
        return [one["sync_status"] for one in json.loads(self.admin("GET", "/clustering/data-planes").body)["data"]]

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
        self.postgres("pg_ctl", "-m", "immediate", "stop")
        self.names.stop()
