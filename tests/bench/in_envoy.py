"""The ways through Envoy. Its routes answer by themselves, behind all filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import configs
from contestants import quiet
from gateway import NOOP, EnvoyGateway, listener, wasm_filter
from stack import Idp, Workspace, free_ports, send

NATIVE, CACHED = "jwt_authn", "jwt_authn with a cache"
# the floor: what Envoy asks for a filter that does nothing, built on the proxy-wasm SDK
FLOOR = "a filter that does nothing"


class EnvoyContestants(EnvoyGateway):
    native = NATIVE

    def __init__(self, idp: Idp, workspace: Workspace, run_dir: Path):
        self.keys = send(idp.admin_jwks_url("rs"), "GET", "").text
        self.others = dict(zip(("nothing", FLOOR, NATIVE, CACHED), free_ports(4), strict=True))
        named = [configs.Named("databricks-kong, audit log", configs.base), configs.Named("databricks-kong", quiet)]
        super().__init__(idp, workspace, run_dir, named=named)

    def contestants(self) -> list[str]:
        return [*self.others, *self.named]

    def url(self, config: str) -> str:
        return f"http://127.0.0.1:{self.others[config]}" if config in self.others else super().url(config)

    def processes(self) -> list[int]:
        return [self.process.child.pid]

    def bootstrap(self) -> dict[str, Any]:
        made = super().bootstrap()
        listeners = made["static_resources"]["listeners"]
        filters = {
            "nothing": [],
            FLOOR: [wasm_filter("noop", NOOP)],
            NATIVE: [self.jwt_authn(0)],
            CACHED: [self.jwt_authn(1000)],
        }
        listeners += [listener(name, "127.0.0.1", port, filters[name]) for name, port in self.others.items()]
        for one in listeners:
            manager = one["filter_chains"][0]["filters"][0]["typed_config"]
            manager.pop("access_log", None)
            answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "{}"}}}
            manager["route_config"]["virtual_hosts"][0]["routes"] = [answer]
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
