"""What is measured: ways through a gateway, and the gateway that offers them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import configs
from forge import Forger
from stack import REPO, SP_ETL, SP_SECRETS, Idp, Process, Workspace

BARE = "bare"
# the floor: what a host asks for a filter that does nothing, built on the proxy-wasm SDK
FLOOR = "no-op filter"
WARM = "databricks_kong"
COLD = "databricks_kong, RS256 token never seen"
COLD_ES = "databricks_kong, ES256 token never seen"
EXCHANGE = "databricks_kong, first exchange"
AUDIT = "databricks_kong, audit line"

TARGET = "/api/2.2/jobs/list"
GROUP = "data-engineering"


@dataclass(frozen=True)
class Request:
    """What is sent to a contestant, with its tokens in turn."""

    tokens: list[str]
    target: str = TARGET
    method: str = "GET"
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def all_headers(self) -> dict[str, str]:
        """Those that are the same in each request but for the token."""
        kind = {"Content-Type": "application/json"} if self.body else {}
        return {"User-Agent": "bench", **kind, **self.headers}


@dataclass(frozen=True)
class Contestant:
    """A way through a gateway. It answers its request with 200."""

    name: str
    what: str  # what it is, for a table's reader
    url: str
    request: Request
    paced: bool = False  # whether its latency is measured, too


@dataclass(frozen=True)
class HostCall:
    """A call that the no-op filter makes so many times at each request. Its way has the call's name."""

    name: str
    what: str
    call: str
    count: int
    argument: str = ""

    @property
    def configuration(self) -> str:
        """The no-op filter's (crates/noop-filter)."""
        return f"{self.call} {self.count} {self.argument}".strip()


@dataclass(frozen=True)
class Part:
    """A cost that is the difference of two contestants."""

    name: str
    of: str
    above: str


class Gateway(Protocol):
    name: str
    calls: list[HostCall]
    # the ways of which is looked whose code their time is spent in
    sampled: tuple[str, ...]

    def contestants(self) -> list[Contestant]:
        """The first is `bare`."""
        ...

    def url(self, config: str) -> str:
        """Where the way of that name begins."""
        ...

    def costs(self) -> list[Part]: ...

    def threads(self) -> list[Path]:
        """The folders in /proc of the threads whose time counts."""
        ...

    def version(self) -> str: ...

    def stop(self) -> None: ...


class Tokens:
    """Tokens as the identity provider signs them."""

    def __init__(self, idp: Idp, workspace: Workspace):
        self.rs = Forger(idp.url("rs"), idp.private_key("rs"))
        self.es = Forger(idp.url("es"), idp.private_key("es"))
        self.workspace = workspace

    def of(self, subject: str, algorithm: str = "RS256", group: str = GROUP) -> list[str]:
        """One of somebody whom the workspace knows."""
        self.workspace.add_user(subject)
        return self.signed([subject], algorithm, group)

    def signed(self, subjects: list[str], algorithm: str, group: str = GROUP) -> list[str]:
        """A token for each, with as many groups as people have: the rest is no role's."""
        others = [f"department-{number}" for number in range(10)]
        forger = self.rs if algorithm == "RS256" else self.es
        return [forger.token(subject, groups=[*others, group]) for subject in subjects]


class Peer:
    """A server of crates/bench-peers."""

    def __init__(self, program: Path, run_dir: Path):
        self.process = Process(program.name, [str(program)], run_dir)
        self.url: str = self.process.first_json_line()["url"]

    def stop(self) -> None:
        self.process.stop()


def quiet(parts: configs.Parts, name: str) -> configs.Config:
    return {**configs.base(parts, name), "audit": {"log": False}}


def forgetful(parts: configs.Parts, name: str) -> configs.Config:
    """Keeps neither callers nor tokens: each request is that of a caller who was never seen."""
    return {**quiet(parts, name), "limits": {"cached_tokens": 0}}


def unknown_caller(parts: configs.Parts, name: str) -> configs.Config:
    """Verifies each token anew, and exchanges none."""
    role = configs.role("data-engineer", {"groups": [GROUP]}, {"type": "passthrough"})
    return {**forgetful(parts, name), "roles": [role]}


def with_body(parts: configs.Parts, name: str) -> configs.Config:
    rule = {"operations": ["jobs.run_now"], "resources": {"job": ["101"]}}
    return {**quiet(parts, name), "roles": [configs.engineer() | {"allow": [rule]}]}


def crowd(parts: configs.Parts, name: str) -> configs.Config:
    """Callers who share a service principal: to exchange a token of each would keep the stand-in for the workspace busy for minutes."""
    credential = {"type": "service_principal_secret", "client_id": SP_ETL, "client_secret": SP_SECRETS[SP_ETL]}
    role = configs.role("data-engineer", {"groups": [GROUP]}, credential)
    return {**quiet(parts, name), "roles": [role], "limits": {"cached_tokens": 20_000}}


def many_roles(roles: int):
    """Roles of 50 rules each; the caller's is the sixth, and the last of its rules allows."""
    rules = [{"operations": ["jobs.get"], "resources": {"job": [str(number)]}} for number in range(1, 51)]

    def make(parts: configs.Parts, name: str) -> configs.Config:
        made = [configs.role(f"role-{number}", {"groups": [f"team-{number}"]}, allow=rules) for number in range(roles)]
        return {**quiet(parts, name), "roles": made}

    return make


def module_size() -> int:
    from gateway import FILTER

    return FILTER.stat().st_size


def package_version() -> str:
    lines = (REPO / "Cargo.toml").read_text().splitlines()
    return json.loads(next(line for line in lines if line.startswith("version = ")).partition(" = ")[2])
