"""The ways through Envoy."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import configs
import contestants as bench
from contestants import Contestant, HostCall, Part, Peer, Request, Tokens
from gateway import NOOP, EnvoyGateway, cluster, envoy_path, listener, wasm_filter
from stack import Idp, Workspace, free_ports, send

UNCACHED, CACHED, ASKS = "jwt_authn", "jwt_authn with a cache", "ext_authz, gRPC"
BODY, CROWD = "databricks_kong, rule on the body", "databricks_kong, 10,000 callers in turn"
TEN, THOUSAND = "databricks_kong, 10 roles of 50 rules", "databricks_kong, 1,000 roles of 50 rules"
CALLERS = 10_000

CONFIGS = {
    bench.WARM: bench.quiet,
    bench.AUDIT: configs.base,
    BODY: bench.with_body,
    TEN: bench.many_roles(10),
    THOUSAND: bench.many_roles(1000),
    CROWD: bench.crowd,
    bench.COLD: bench.unknown_caller,
    bench.COLD_ES: bench.unknown_caller,
    bench.EXCHANGE: bench.forgetful,
}

CALLS = [
    HostCall("header map", "all request headers, read into a list", "header_map", 20),
    HostCall("one header", "one request header by its name", "header", 100),
    HostCall("set header", "one request header, replaced", "set_header", 100),
    HostCall("property", "`request.protocol`", "property", 100, "request.protocol"),
    HostCall("counter", "one more", "counter", 100),
    HostCall("log line", "a line of 54 bytes to a file", "log", 20),
    HostCall("clock", "the time of day", "clock", 200),
]


class EnvoyUnderBench(EnvoyGateway):
    name = "envoy"
    calls = CALLS
    sampled = (bench.BARE, UNCACHED, bench.FLOOR, bench.WARM)

    def __init__(self, idp: Idp, workspace: Workspace, run_dir: Path, programs: Path):
        self.keys = send(idp.admin_jwks_url("rs"), "GET", "").text
        self.tokens = Tokens(idp, workspace)
        self.upstream = Peer(programs / "bench-upstream", run_dir)
        self.authz = Peer(programs / "bench-authz", run_dir)
        self.others = [bench.FLOOR, UNCACHED, CACHED, ASKS, *(call.name for call in CALLS)]
        self.other_ports = dict(zip(self.others, free_ports(len(self.others)), strict=True))
        named = [configs.Named(name, make) for name, make in CONFIGS.items()]
        super().__init__(idp, workspace, run_dir, named=named)

    def contestants(self) -> list[Contestant]:
        someone = Request(self.tokens.of("warm@example.com"))
        stranger = Request(self.tokens.of("cold@example.com"))
        curve = Request(self.tokens.of("curve@example.com", algorithm="ES256"))
        in_team = Request(self.tokens.of("team@example.com", group="team-5"), "/api/2.2/jobs/get?job_id=50")
        runs = Request(someone.tokens, "/api/2.2/jobs/run-now", "POST", '{"job_id": 101}')
        subjects = [f"caller-{number}@example.com" for number in range(CALLERS)]
        crowd = Request(self.tokens.signed(subjects, "ES256"))
        made = [
            (bench.BARE, "Envoy as a proxy, without any filter", someone, True),
            (UNCACHED, "Envoy's own filter for JWTs: verifies each request's RS256 token", someone, True),
            (CACHED, "the same with `jwt_cache_config`", someone, False),
            (ASKS, "asks a service that allows everything, over one gRPC connection on loopback", someone, True),
            (bench.FLOOR, "a filter on the `proxy-wasm` SDK that does nothing", someone, True),
            (bench.WARM, "a caller who is known: verified before, Databricks token at hand", someone, True),
            (bench.AUDIT, "the same, and a line of audit log", someone, False),
            (BODY, "`POST /api/2.2/jobs/run-now`, the rule names the job, which the body carries", runs, False),
            (TEN, "`GET /api/2.2/jobs/get`, allowed by the last rule of one of ten roles", in_team, False),
            (THOUSAND, "the same among a thousand roles", in_team, False),
            (CROWD, "10,000 callers who share a service principal, one after the other", crowd, False),
            (bench.COLD, "the token is verified, and nothing kept", stranger, True),
            (bench.COLD_ES, "the same with ES256", curve, False),
            (bench.EXCHANGE, "the token is verified and exchanged, and nothing kept", stranger, False),
        ]
        return [Contestant(name, what, self.url(name), request, paced) for name, what, request, paced in made]

    def costs(self) -> list[Part]:
        return [
            Part("the proxy itself", bench.BARE, ""),
            Part("any wasm filter", bench.FLOOR, bench.BARE),
            Part("this filter, caller known", bench.WARM, bench.FLOOR),
            Part("an audit line", bench.AUDIT, bench.WARM),
            Part("a body that a rule reads", BODY, bench.WARM),
            Part("1,000 roles instead of 10", THOUSAND, TEN),
            Part("10,000 callers instead of one", CROWD, bench.WARM),
            Part("verifying RS256", bench.COLD, bench.WARM),
            Part("verifying ES256", bench.COLD_ES, bench.WARM),
            Part("exchanging", bench.EXCHANGE, bench.COLD),
        ]

    def url(self, config: str) -> str:
        return f"http://127.0.0.1:{self.other_ports[config]}" if config in self.other_ports else super().url(config)

    def threads(self) -> list[Path]:
        # Others of Envoy's threads compile the module, flush statistics and write files: no request waits for them.
        tasks = Path(f"/proc/{self.process.child.pid}/task").iterdir()
        return [task for task in tasks if (task / "comm").read_text().startswith("wrk:worker_")]

    def version(self) -> str:
        said = subprocess.run([envoy_path(), "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"/(\d+\.\d+\.\d+)", said)
        return found[1] if found else "unknown"

    def stop(self) -> None:
        super().stop()
        self.upstream.stop()
        self.authz.stop()

    def bootstrap(self) -> dict[str, Any]:
        made = super().bootstrap()
        filters = {
            bench.FLOOR: [wasm_filter("noop", NOOP)],
            UNCACHED: [self.jwt_authn(0)],
            CACHED: [self.jwt_authn(1000)],
            ASKS: [ext_authz()],
        }
        filters |= {call.name: [wasm_filter(call.name, NOOP, call.configuration)] for call in CALLS}
        listeners = made["static_resources"]["listeners"]
        listeners += [listener(name, "127.0.0.1", port, filters[name]) for name, port in self.other_ports.items()]
        for one in listeners:
            manager = one["filter_chains"][0]["filters"][0]["typed_config"]
            manager.pop("access_log", None)
            for host in manager["route_config"]["virtual_hosts"]:
                for route in host["routes"]:
                    route["route"]["cluster"] = "upstream"
        authz = cluster("authz", self.authz.url)
        http2 = {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        authz["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2}
        made["static_resources"]["clusters"] += [cluster("upstream", self.upstream.url), authz]
        return made

    def jwt_authn(self, cached: int) -> dict[str, Any]:
        provider: dict[str, Any] = {
            "issuer": self.parts.idp.url("rs"),
            "audiences": ["databricks"],
            "local_jwks": {"inline_string": self.keys},
            "forward": True,
        }
        if cached:
            provider["jwt_cache_config"] = {"jwt_cache_size": cached}
        return {
            "name": "envoy.filters.http.jwt_authn",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                "providers": {"rs": provider},
                "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "rs"}}],
            },
        }


def ext_authz() -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "1s"},
        },
    }
