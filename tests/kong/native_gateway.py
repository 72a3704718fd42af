"""The native plugin on a real Kong: the same routes as with the filter, the plugin in the filter's place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import configs
import kong_gateway
from kong_gateway import KongGateway
from stack import REPO

PLUGIN = Path(os.environ.get("KONG_PLUGIN_DIR", REPO / "target/plugin")).resolve()
LUA_PATH = f"{PLUGIN}/?.lua;{PLUGIN}/?/init.lua;;"


class NativeKongGateway(KongGateway):
    """`databricks-kong` on each route, `databricks-kong-late` once for all."""

    blanks_headers = False
    breaks_off_what_has_no_body = False
    sees_all_headers = True
    asks_ahead = 1
    waits_for_others = True
    keeps_counts_back = False
    retries_exchanges = True
    guards = False
    # what Kong's schema and the core, which it asks, refuse at load
    refused_at_load = frozenset(name for name in kong_gateway.all_names() if name.startswith("bad_"))
    counter_prefix = "kong_databricks_kong_"
    serious = (*kong_gateway.SERIOUS, "stack traceback", "attempt to ", "panicked", "Lua entry thread aborted")

    def host_settings(self) -> dict[str, str]:
        return {
            "PLUGINS": "bundled,databricks-kong,databricks-kong-late",
            "LUA_PACKAGE_PATH": LUA_PATH,
            "NGINX_HTTP_LUA_SHARED_DICT": "prometheus_metrics 5m; lua_shared_dict databricks_kong 8m",
        }

    def declared(self) -> dict[str, Any]:
        declared = super().declared()
        declared["plugins"].append({"name": "databricks-kong-late"})
        return declared

    def chains(self) -> list[dict[str, Any]]:
        return []

    def attach(self, route: dict[str, Any], one: configs.Named) -> None:
        config = one.make(self.parts, one.name)
        config = json.loads(config) if isinstance(config, str) else config
        route["plugins"] = [{"name": "databricks-kong", "config": config}]
