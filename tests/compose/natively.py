"""The services of docker-compose.yml as processes of this machine, and compose/tour, or another command, among them.

Runs in a network namespace of its own. As in a container engine each service has an address there, a DNS server at 127.0.0.11 knows
its name, and no port is another than in the file. What is other than in a container: paths, and `0.0.0.0` is the service's address.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from declared import REPO, mounts, program, services
from internet import Names
from stack import Process, wait_until

FILTER = Path(os.environ.get("DATABRICKS_KONG_WASM", REPO / "filters/databricks_kong.wasm")).resolve()
DNS = "127.0.0.11"  # Docker's own
# files whose text holds paths and addresses of the container
REWRITTEN = {".yaml", ".yml"}


class Service:
    """One entry of `services:`, with its paths and addresses made those of this machine."""

    def __init__(self, name: str, address: str, run: Path):
        self.name, self.address = name, address
        self.declared = services()[name]
        self.folder = run / name
        self.folder.mkdir()
        self.paths = {str(target): str(self._mounted(source)) for target, source in mounts(name).items()}
        # files may name each other's places, so every place is known before any is written
        for target in self.paths:
            self._rewrite(target)

    def _mounted(self, source: str) -> Path:
        if source == "./filters":
            folder = self.folder / "filters"
            folder.mkdir()
            shutil.copy(FILTER, folder / "databricks_kong.wasm")
            shutil.copy(REPO / "filters/databricks_kong.meta.json", folder)
            return folder
        if source.startswith("./"):
            return REPO / source
        folder = self.folder / source
        folder.mkdir()
        return folder

    def _rewrite(self, target: str) -> None:
        source = Path(self.paths[target])
        if source.suffix not in REWRITTEN:
            return
        text = source.read_text()
        if self.here(text) != text:
            self.paths[target] = str(self.folder / source.name)
            Path(self.paths[target]).write_text(self.here(text))

    def here(self, text: str) -> str:
        for target, path in sorted(self.paths.items(), key=lambda one: -len(one[0])):
            # a path of its own, not the end of another
            text = re.sub(rf"(?<![\w/.-]){re.escape(target)}(?![\w.-])", path, text)
        return text.replace("0.0.0.0", self.address).replace("$$", "$")

    def environment(self) -> dict[str, str]:
        return {name: self.here(str(value)) for name, value in self.declared.get("environment", {}).items()}

    def command(self, *program: str) -> list[str]:
        return [*program, *(self.here(part) for part in self.declared.get("command", []))]

    def healthy(self, **programs: str) -> bool:
        """Runs the health check of the file. Its own 127.0.0.1 is that of a container."""
        kind, *argv = self.declared["healthcheck"]["test"]
        assert kind == "CMD", self.name
        argv = [
            programs.get(argv[0].rsplit("/", 1)[-1], argv[0]),
            *(part.replace("127.0.0.1", self.address) for part in argv[1:]),
        ]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0


class Stack:
    def __init__(self, run: Path):
        self.run = run
        self.running: list[Any] = []
        self.names = Names((DNS, 53))
        self.services = {}
        for number, name in enumerate(services()):
            address = f"127.0.1.{number + 10}"
            self.names.addresses[name] = address
            self.services[name] = Service(name, address, run)

    def start(self, name: str, argv: list[str], env: dict[str, str] | None = None) -> Process:
        environment = {**os.environ, **self.services[name].environment(), **(env or {})}
        process = Process(name, argv, self.run, environment)
        self.running.append(process)
        return process

    def healthy(self, name: str, **programs: str) -> None:
        wait_until(f"{name} is healthy", lambda: self.services[name].healthy(**programs), timeout=120, step=0.2)
        print(f"{name:<12} healthy, as its health check says", flush=True)

    def keycloak(self) -> None:
        service = self.services["keycloak"]
        # node resolves packages from where the file is
        server = Path(os.environ["STORIES_DIR"]) / "idp" / f"keycloak-{os.getpid()}-{self.run.name}.mjs"
        shutil.copy(REPO / "tests/compose/keycloak.mjs", server)
        issuer = service.environment()["KC_HOSTNAME"] + "/realms/databricks"
        try:
            argv = ["node", str(server), str(REPO / "compose/realm.json"), issuer, service.address, "8080"]
            self.start("keycloak", argv).first_json_line()
        finally:
            server.unlink()
        print(f"{'keycloak':<12} a stand-in, with compose/realm.json", flush=True)

    def workspace(self) -> None:
        service = self.services["workspace"]
        lines = (REPO / service.declared["build"]["dockerfile"]).read_text().splitlines()
        (entry,) = [line.removeprefix("ENTRYPOINT ") for line in lines if line.startswith("ENTRYPOINT ")]
        _program, *arguments = json.loads(entry)
        argv = [os.environ["MOCK_DATABRICKS"], *map(service.here, arguments), "--exit-with-stdin"]
        self.start("workspace", argv).first_json_line()
        self.healthy("workspace")

    def loki(self, loki: str) -> None:
        self.start("loki", self.services["loki"].command(loki))
        self.healthy("loki", loki=loki)

    def fluent_bit(self, fluent_bit: str) -> None:
        self.start("fluent-bit", self.services["fluent-bit"].command(fluent_bit))

    def prometheus(self, prometheus: str) -> None:
        service = self.services["prometheus"]
        data = service.paths["/prometheus"]
        # what the image's own command says, at this service's address
        argv = [
            prometheus,
            f"--config.file={service.paths['/etc/prometheus/prometheus.yml']}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address={service.address}:9090",
        ]
        self.start("prometheus", argv)
        self.healthy("prometheus")

    def kong(self, kong: str) -> None:
        env = {"KONG_PREFIX": str(self.run / "kong/prefix"), "KONG_NGINX_USER": "root root"}
        env |= self.services["kong"].environment()
        environment = {**os.environ, **env}
        started = subprocess.run(
            [kong, "start"], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        if started.returncode != 0:
            raise RuntimeError(f"kong start failed:\n{started.stdout}{started.stderr}")
        self.healthy("kong")

    def complaints(self) -> list[str]:
        log = self.run / "kong/prefix/logs/error.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        serious = ("[error]", "[crit]", "[alert]", "[emerg]")
        return [line for line in text.splitlines() if any(level in line for level in serious)]


def network(run: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name, text in {"resolv.conf": f"nameserver {DNS}\n", "hosts": "127.0.0.1 localhost\n"}.items():
        (run / name).write_text(text)
        subprocess.run(["mount", "--bind", str(run / name), f"/etc/{name}"], check=True)


def walk(run: Path, command: list[str]) -> int:
    network(run)
    stack = Stack(run)
    at = {name: f"http://{name}" for name in stack.services}
    tour = {"GATEWAY": at["kong"] + ":8000", "KEYCLOAK": at["keycloak"] + ":8080", "GRAFANA": "none"}
    loki, fluent_bit, prometheus = os.environ.get("LOKI_BIN"), os.environ.get("FLUENT_BIT_BIN"), program("prometheus")
    # in the order in which the services wait for each other
    if loki:
        stack.loki(loki)
    if fluent_bit:
        stack.fluent_bit(fluent_bit)
    tour["LOKI"] = at["loki"] + ":3100" if loki and fluent_bit else "none"
    stack.keycloak()
    stack.workspace()
    stack.kong(os.environ["KONG_BIN"])
    if prometheus:
        stack.prometheus(prometheus)
    tour["PROMETHEUS"] = at["prometheus"] + ":9090" if prometheus else "none"
    env = {**os.environ, **{f"TOUR_{name}": url for name, url in tour.items()}}
    code = subprocess.run(command or [sys.executable, str(REPO / "compose/tour")], env=env, check=False).returncode
    for line in stack.complaints():
        print(f"Kong says: {line}")
    return code or len(stack.complaints())


def main() -> int:
    run = Path(tempfile.mkdtemp(prefix="databricks-kong-compose-"))
    code = 1
    try:
        code = walk(run, sys.argv[1:])
    finally:
        if code:
            print(f"logs: {run}", file=sys.stderr)
        else:
            # Kong goes on writing until this namespace ends
            shutil.rmtree(run, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
