"""The native plugin in nginx with its Lua module, Kong's part played by lua/standin.lua. It runs where no Kong can be."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import configs
import pytest
from gateway import Gateway
from growing import GrowingFile, ParsedLines
from stack import REPO, Idp, Process, Workspace, free_ports, send, wait_until

HERE = Path(__file__).resolve().parent
PLUGIN = Path(os.environ.get("KONG_PLUGIN_DIR", REPO / "target/plugin")).resolve()
PARTS = ("decision", "reason", "role", "subject", "operation")
# an [error] is the plugin's own word for what it could not do, which some stories provoke
SERIOUS = (
    " [crit] ",
    " [alert] ",
    " [emerg] ",
    "stack traceback",
    "attempt to ",
    "panicked",
    "Lua entry thread aborted",
)


def record_in_entry(line: str) -> dict[str, Any] | None:
    entry = json.loads(line)
    if not entry.get("databricks_audit"):
        return None
    record = json.loads(entry["databricks_audit"])
    assert entry["variable"] == entry["databricks_audit"] == entry["serialized"]["databricks_audit"], entry
    for part in PARTS:
        assert entry.get(f"databricks_{part}") == record.get(part), entry
    return record


class NginxGateway(Gateway):
    """One nginx; configurations are told apart by a path prefix that is stripped."""

    workers = 1
    # what Kong's configuration may declare, for the workers to share
    dictionary = ""

    decodes_slashes = True
    normalizes_paths = True
    sees_all_headers = True
    asks_ahead = 1
    waits_for_others = True
    refuses_oddities = True
    ships_records = True
    no_tls = "the stand-in for Kong has no TLS"
    no_mtls = no_tls
    refused_at_load = frozenset(one.name for one in configs.all_configs() if one.name.startswith("bad_"))

    def __init__(self, idp: Idp, workspace: Workspace, run_dir: Path, routes: list[dict[str, Any]] | None = None):
        self.dir = run_dir / "nginx"
        (self.dir / "logs").mkdir(parents=True)
        self.port, closed = free_ports(2)
        self.parts = configs.Parts(idp, workspace, self.url, closed)
        self.named = {
            one.name: one for one in configs.all_configs() if not one.tls and one.name not in self.refused_at_load
        }
        self.shipped = self.dir / "shipped.json"
        declared = {
            "shipped": str(self.shipped),
            "plugins": ["databricks-kong", "databricks-kong-late", *self.more_plugins()],
            "routes": routes if routes is not None else self.routes(),
        }
        (self.dir / "routes.json").write_text(json.dumps(declared))
        self.shipped.touch()
        self.log = GrowingFile(self.dir / "logs/error.log")
        self.plugin_entries = ParsedLines(self.shipped, json.loads)
        self.audit = ParsedLines(self.shipped, record_in_entry)
        (self.dir / "nginx.conf").write_text(self.configuration())
        environment = {**os.environ, **configs.ENVIRONMENT}
        argv = [nginx(), "-p", str(self.dir), "-c", "nginx.conf", "-e", "logs/error.log"]
        self.process = Process("nginx", argv, run_dir, env=environment)
        try:
            wait_until("nginx answers", self._live)
        except BaseException:
            self.stop()
            raise

    def more_plugins(self) -> list[str]:
        return []

    def routes(self) -> list[dict[str, Any]]:
        made = [{"name": name, "path": self.path(name), "plugins": self.plugins(name)} for name in self.named]
        return [*made, {"name": "bare", "path": self.path("bare"), "plugins": {}}]

    def plugins(self, name: str) -> dict[str, Any]:
        one = self.named[name]
        config = one.make(self.parts, one.name)
        return {
            "databricks-kong": json.loads(config) if isinstance(config, str) else config,
            "databricks-kong-late": {},
        }

    def path(self, config: str) -> str:
        one = self.named.get(config)
        return f"/{config}/gw{one.prefix if one else ''}"

    def url(self, config: str) -> str:
        if config in self.refused_at_load:
            pytest.skip("a configuration with an error is refused when it is loaded")
        return f"http://127.0.0.1:{self.port}{self.path(config)}"

    def configuration(self) -> str:
        modules = nginx_modules()
        return f"""
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;
daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes {self.workers};
pid logs/nginx.pid;
error_log logs/error.log notice;
events {{ worker_connections 4096; }}
http {{
  lua_package_path "{PLUGIN}/?.lua;{HERE}/lua/?.lua;;";
  lua_shared_dict counters 1m;
  {self.dictionary}
  lua_socket_log_errors off;
  access_log off;
  # as Kong has them
  underscores_in_headers on;
  client_body_buffer_size 8k;
  client_max_body_size 0;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  init_by_lua_block {{ require("standin").init("{self.dir}/routes.json") }}
  init_worker_by_lua_block {{ require("standin").init_worker() }}
  upstream workspace {{ server {self.parts.workspace.url.removeprefix("http://")}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{self.port};
    location = /-/metrics {{ content_by_lua_block {{ require("standin").metrics() }} }}
    location = /-/shared {{ content_by_lua_block {{ require("standin").shared() }} }}
    location / {{
      set $upstream_uri "";
      set $databricks_audit "";
      access_by_lua_block {{ require("standin").access() }}
      header_filter_by_lua_block {{ require("standin").header_filter() }}
      log_by_lua_block {{ require("standin").log() }}
      proxy_pass http://workspace$upstream_uri;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass_header Server;
      proxy_pass_header Date;
      proxy_next_upstream off;
    }}
  }}
}}
"""

    def entries(self) -> list[dict[str, Any]]:
        """What a log plugin would have written."""
        return self.plugin_entries.all()

    def records(self) -> list[dict[str, Any]]:
        return self.audit.all()

    def counters(self) -> dict[str, int]:
        rows = (line.split(" ") for line in self.pages()["metrics"].splitlines())
        prefix = "kong_databricks_kong_"
        return {name.removeprefix(prefix): int(value) for name, value in rows if name.startswith(prefix)}

    def pages(self) -> dict[str, str]:
        return {"metrics": send(f"http://127.0.0.1:{self.port}", "GET", "/-/metrics").text}

    def files(self) -> dict[str, str]:
        return {"log": self.logs(), "log plugin": self.shipped.read_text(errors="replace")}

    def complaints(self, since: int = 0) -> list[str]:
        return [line for line in self.logs(since).splitlines() if any(word in line for word in SERIOUS)]

    def stop(self) -> None:
        self.process.stop()

    def _live(self) -> bool:
        if not self.process.alive():
            raise RuntimeError(f"nginx ended at its start:\n{self.process.tail()}\n{self.logs()[-6000:]}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False


def nginx() -> str:
    return os.environ.get("NGINX_BIN") or shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"


def nginx_modules() -> str:
    return os.environ.get("NGINX_MODULES", "/usr/lib/nginx/modules")
