"""The ways through Kong, given as KONG_BIN. All lead to one small server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import configs
from contestants import quiet
from forge import private_key, public_pem
from kong_gateway import KongGateway
from shipped import Server
from stack import Idp, Workspace

NATIVE, QUIET, LOGGED, GUARDED = "jwt plugin", "databricks-kong", "databricks-kong, audit log", "databricks-kong, guard"


class KongContestants(KongGateway):
    native = NATIVE

    def __init__(self, idp: Idp, workspace: Workspace, run_dir: Path):
        self.upstream = Server(("127.0.0.1", 0), {"/api/2.2/jobs/list": {}})
        named = [configs.Named(QUIET, quiet), configs.Named(LOGGED, configs.base)]
        super().__init__(idp, workspace, run_dir, named=named)

    def contestants(self) -> list[str]:
        return ["nothing", NATIVE, QUIET, LOGGED, GUARDED]

    def path(self, config: str) -> str:
        return "/" + "".join(letter for letter in config if letter.isalpha())

    def processes(self) -> list[int]:
        master = (self.prefix / "pids/nginx.pid").read_text().strip()
        return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]

    def declared(self) -> dict[str, Any]:
        upstream = f"http://127.0.0.1:{self.upstream.port}"
        settings = {name: one.make(self.parts, name) for name, one in self.named.items()}
        chains = {
            "nothing": [],
            NATIVE: [],
            QUIET: [settings[QUIET]],
            LOGGED: [settings[LOGGED]],
            GUARDED: [settings[QUIET], {"mode": "guard"}],
        }
        services = []
        for name, chain in chains.items():
            service = self.service(name, upstream, None)
            service["name"] = service["routes"][0]["name"] = self.path(name)[1:]
            if chain:
                filters = [{"name": "databricks_kong", "config": config} for config in chain]
                service["routes"][0]["filter_chains"] = [{"filters": filters}]
            services.append(service)
        jwt = {"name": "jwt", "config": {"key_claim_name": "iss", "claims_to_verify": ["exp"]}}
        services[1]["routes"][0]["plugins"] = [jwt]
        return {"_format_version": "3.0", "services": services, "consumers": [self.consumer()]}

    def consumer(self) -> dict[str, Any]:
        """Whoever has a token of the provider."""
        key = public_pem(private_key(self.parts.idp.private_key("rs"))).decode()
        secret = {"key": self.parts.idp.url("rs"), "algorithm": "RS256", "rsa_public_key": key}
        return {"username": "everybody", "jwt_secrets": [secret]}

    def stop(self) -> None:
        super().stop()
        self.upstream.stop()
