"""Small declarations of Kong's, and what it needs to run them beside `Around`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from shipped import OKTA, PRODUCTION, PRODUCTION_WORKSPACE, Around, machine
from stack import REPO

ENGINEERS = {"name": "engineer", "match": {"groups": ["data-engineering"]}, "credential": {"type": "user_federation"}}
RUNNERS = {
    "name": "runner",
    "match": {"groups": ["job-runners"]},
    "credential": {"type": "user_federation"},
    "allow": [{"operations": ["jobs.run_now"], "resources": {"job": ["101"]}}],
}
GUARD = {"mode": "guard"}


def config(*roles: dict[str, Any]) -> dict[str, Any]:
    url = "https://adb-7405619408829168.8.azuredatabricks.net"
    return {
        "workspace": {"url": url, "id": PRODUCTION_WORKSPACE, "public_url": f"https://{PRODUCTION}"},
        "identity_providers": [{"name": "okta", "issuer": OKTA, "audiences": ["databricks"]}],
        "roles": list(roles) or [ENGINEERS, RUNNERS],
    }


def declaration(*chain: Any, plugins: list[Any] | None = None) -> dict[str, Any]:
    """One route with these configurations of the filter as its chain, or with these plugins."""
    return {"_format_version": "3.0", "services": [service("databricks", PRODUCTION, *chain, plugins=plugins)]}


def service(name: str, host: str, *chain: Any, plugins: list[Any] | None = None) -> dict[str, Any]:
    """The production workspace for requests to `host`, through these configurations of the filter and these plugins."""
    route: dict[str, Any] = {"name": name, "hosts": [host], "paths": ["/"], "protocols": ["http"], "strip_path": False}
    if chain:
        route["filter_chains"] = [{"filters": [{"name": "databricks_kong", "config": one} for one in chain]}]
    if plugins:
        route["plugins"] = plugins
    url = "https://adb-7405619408829168.8.azuredatabricks.net"
    return {"name": name, "url": url, "retries": 0, "routes": [route]}


def shipped_pre_function() -> dict[str, Any]:
    """The plugin that kong/minimal.yml puts before the filter."""
    (plugin,) = yaml.safe_load((REPO / "kong/minimal.yml").read_text())["plugins"]
    return plugin


def settings(around: Around, path: Path, declared: dict[str, Any]) -> dict[str, str]:
    """Kong's settings for a declaration, which is written to `path`."""
    path.write_text(json.dumps(declared))
    kept = {name: value for name, value in machine(around).items() if "RESOLVER" in name or "TRUSTED_CERT" in name}
    kept |= {"NGINX_PROXY_LINGERING_CLOSE": "off", "UNTRUSTED_LUA_SANDBOX_REQUIRES": "resty.wasmx.proxy_wasm"}
    return {**kept, "DATABASE": "off", "DECLARATIVE_CONFIG": str(path), "WASM": "on"}
