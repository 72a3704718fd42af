"""The ways through Kong, given as KONG_BIN: with the filter, and with the native plugin where it is built."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import contestants as bench
import configs
import kong_gateway
import native_gateway
from contestants import Contestant, HostCall, Part, Peer, Request, Tokens
from forge import private_key, public_pem
from gateway import NOOP
from stack import Idp, Workspace

JWT, KEYS, LIMITED, LUA = "jwt", "key-auth", "rate-limiting", "pre-function"
GUARDED, PLUGIN = "databricks_kong, guard", "databricks-kong, native plugin"
SETS_TWO = """
kong.service.request.set_header("x-bench-one", "1")
kong.service.request.set_header("x-bench-two", "2")
"""

CALLS = [
    HostCall("header map", "all request headers, read into a list", "header_map", 20),
    HostCall("one header", "one request header by its name", "header", 100),
    HostCall("set header", "one request header, replaced", "set_header", 50),
    HostCall("property", "`ngx.upstream_uri`, an nginx variable", "property", 100, "ngx.upstream_uri"),
    HostCall("kong.ctx.shared", "one value written to it, by Kong's Lua", "set_property", 50, "kong.ctx.shared.bench"),
    HostCall("counter", "one more", "counter", 100),
    HostCall("log line", "a line of 54 bytes to a file", "log", 20),
    HostCall("clock", "the time of day", "clock", 200),
]


class KongUnderBench(kong_gateway.KongGateway):
    name = "kong"
    calls = CALLS
    sampled = (bench.BARE, bench.FLOOR, bench.WARM, PLUGIN)

    def __init__(self, idp: Idp, workspace: Workspace, run_dir: Path, programs: Path):
        self.upstream = Peer(programs / "bench-upstream", run_dir)
        self.tokens = Tokens(idp, workspace)
        self.has_plugin = native_gateway.PLUGIN.is_dir()
        super().__init__(idp, workspace, run_dir, named=[configs.Named(bench.WARM, bench.quiet)])

    def contestants(self) -> list[Contestant]:
        someone = Request(self.tokens.of("warm@example.com"))
        stranger = Request(self.tokens.of("cold@example.com"))
        keyed = Request([], headers={"apikey": "bench-key"})
        made = [
            (bench.BARE, "Kong as a proxy, without any plugin", someone, True),
            (LUA, "Lua code of a `pre-function` that sets two headers", someone, False),
            (LIMITED, "Kong's plugin, counting in memory", someone, False),
            (KEYS, "Kong's plugin: looks up a key that is no JWT", keyed, True),
            (JWT, "Kong's plugin: verifies each request's RS256 token", someone, False),
            (bench.FLOOR, "a filter on the `proxy-wasm` SDK that does nothing", someone, True),
            (bench.WARM, "a caller who is known: verified before, Databricks token at hand", someone, True),
            (bench.AUDIT, "the same, and a line of audit log", someone, False),
            (GUARDED, "the filter, and behind it the entry that refuses what it did not allow", someone, False),
            (bench.COLD, "the filter; the token is verified, and nothing kept", stranger, False),
            (PLUGIN, "the pair of plugins, caller known", someone, True),
        ]
        made = [one for one in made if one[0] != PLUGIN or self.has_plugin]
        return [Contestant(name, what, self.url(name), request, paced) for name, what, request, paced in made]

    def costs(self) -> list[Part]:
        made = [
            Part("the proxy itself", bench.BARE, ""),
            Part("any wasm filter", bench.FLOOR, bench.BARE),
            Part("this filter, caller known", bench.WARM, bench.FLOOR),
            Part("an audit line", bench.AUDIT, bench.WARM),
            Part("the guard", GUARDED, bench.WARM),
            Part("verifying RS256", bench.COLD, bench.WARM),
        ]
        return made + ([Part("the native plugin, caller known", PLUGIN, bench.BARE)] if self.has_plugin else [])

    def path(self, config: str) -> str:
        return "/" + "-".join(re.findall(r"\w+", config)) + "/gw"

    def threads(self) -> list[Path]:
        master = (self.prefix / "pids/nginx.pid").read_text().strip()
        processes = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return [Path(f"/proc/{process}/task/{process}") for process in processes]

    def version(self) -> str:
        return subprocess.run([self.kong, "version"], capture_output=True, text=True, check=True).stdout.strip()

    def stop(self) -> None:
        super().stop()
        self.upstream.stop()

    def host_settings(self) -> dict[str, str]:
        settings = super().host_settings()
        shutil.copy(NOOP, settings["WASM_FILTERS_PATH"])
        # an access log is no part of what is compared
        settings["PROXY_ACCESS_LOG"] = "off"
        if self.has_plugin:
            settings |= native_gateway.NativeKongGateway.host_settings(self)  # type: ignore[arg-type]
        return settings

    def declared(self) -> dict[str, Any]:
        quiet = bench.quiet(self.parts, bench.WARM)
        plugin = [{"name": "databricks-kong", "config": quiet}, {"name": "databricks-kong-late"}]
        routes: dict[str, dict[str, Any]] = {
            bench.BARE: {},
            LUA: {"plugins": [{"name": "pre-function", "config": {"access": [SETS_TWO]}}]},
            LIMITED: {"plugins": [{"name": "rate-limiting", "config": {"second": 10_000_000, "policy": "local"}}]},
            KEYS: {"plugins": [{"name": "key-auth"}]},
            JWT: {"plugins": [{"name": "jwt", "config": {"key_claim_name": "iss", "claims_to_verify": ["exp"]}}]},
            bench.FLOOR: chain(noop()),
            bench.WARM: chain(ours(quiet)),
            bench.AUDIT: chain(ours(configs.base(self.parts, bench.AUDIT))),
            GUARDED: chain(ours(quiet), ours({"mode": "guard"})),
            bench.COLD: chain(ours(bench.unknown_caller(self.parts, bench.COLD))),
            **({PLUGIN: {"plugins": plugin}} if self.has_plugin else {}),
            **{call.name: chain(noop(call.configuration)) for call in CALLS},
        }
        services = []
        for name, more in routes.items():
            service = self.service(name, self.upstream.url, None)
            service["name"] = service["routes"][0]["name"] = self.path(name).strip("/").partition("/")[0]
            service["routes"][0] |= more
            services.append(service)
        return {"_format_version": "3.0", "services": services, "consumers": [self.consumer()]}

    def consumer(self) -> dict[str, Any]:
        """Whoever has a token of the provider, or the key."""
        key = public_pem(private_key(self.parts.idp.private_key("rs"))).decode()
        secret = {"key": self.parts.idp.url("rs"), "algorithm": "RS256", "rsa_public_key": key}
        return {"username": "everybody", "jwt_secrets": [secret], "keyauth_credentials": [{"key": "bench-key"}]}


def chain(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"filter_chains": [{"filters": list(filters)}]}


def ours(config: dict[str, Any]) -> dict[str, Any]:
    return {"name": "databricks_kong", "config": config}


def noop(configuration: str = "") -> dict[str, Any]:
    return {"name": "noop_filter", **({"config": configuration} if configuration else {})}
