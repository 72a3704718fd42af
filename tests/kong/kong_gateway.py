"""A real Kong as the gateway under test: one process with a route and a filter chain for each configuration."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import configs
import pytest
from gateway import FILTER, Gateway, hosts_for_443, tls_files
from growing import GrowingFile, ParsedLines
from stack import REPO, Idp, Workspace, free_ports, send, wait_until

# Kong's own validator refuses these by the filter's schema: it does not start with them.
SCHEMA_REFUSES = {"bad_key", "bad_audience", "bad_hmac", "bad_none", "bad_http", "bad_no_roles", "bad_two_errors"}


# what of a record is in `kong.ctx.shared` by itself
# a host trap throws the filter's instance away, with all that it remembers; Kong calls it an [error]
SERIOUS = (" [crit] ", " [alert] ", " [emerg] ", "host trap", "error while executing at wasm backtrace")


def all_names() -> list[str]:
    """The names of all configurations of the stories."""
    return [one.name for one in configs.all_configs()]


def record_in_entry(line: str) -> dict[str, Any] | None:
    audit = json.loads(line).get("databricks_audit")
    # the variable is empty where Kong itself refused a request
    return json.loads(audit) if audit else None


class KongGateway(Gateway):
    """Kong 3.9 by the executable in KONG_BIN. Configurations are told apart by a path prefix that the route strips."""

    speaks_http2 = True
    takes_trailers = False
    breaks_off_what_has_no_body = True
    blanks_headers = True
    normalizes_paths = True
    refuses_oddities = True
    retries_exchanges = False
    keeps_counts_back = True
    ships_records = True
    guards = True
    refused_at_load = frozenset(SCHEMA_REFUSES)
    counter_prefix = "pw_databricks_kong_"
    serious: tuple[str, ...] = SERIOUS
    listener = " http2"  # more words about each listener

    def __init__(
        self,
        idp: Idp,
        workspace: Workspace,
        run_dir: Path,
        with_filter: bool = True,
        named: list[configs.Named] | None = None,
        workers: int = 1,
    ):
        self.kong = os.environ["KONG_BIN"]
        self.prefix = run_dir / "kong"
        self.prefix.mkdir()
        self.with_filter = with_filter
        self.workers = workers
        self.port, self.admin_port, self.status_port, closed = free_ports(4)
        all_named = {one.name: one for one in named or configs.all_configs() if one.name not in self.refused_at_load}
        self.tls_hosts, self.no_tls = hosts_for_443([one.name for one in all_named.values() if one.tls])
        self.no_mtls = self.no_tls
        self.named = {name: one for name, one in all_named.items() if not one.tls or name in self.tls_hosts}
        self.ca, self.certificate, self.key = tls_files(run_dir, *self.tls_hosts.values(), "127.0.0.1")
        self.parts = configs.Parts(idp, workspace, self.url, closed)
        self.shipped = run_dir / "shipped.json"
        self.log = GrowingFile(self.prefix / "logs/error.log")
        self.audit = ParsedLines(self.shipped, record_in_entry)
        self.declaration = run_dir / "kong.json"
        self.declaration.write_text(json.dumps(self.declared(), indent=1))
        self.environment = self._environment()
        started = subprocess.run(
            [self.kong, "start"], env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        if started.returncode != 0:
            raise RuntimeError(f"kong start failed:\n{started.stdout}\n{started.stderr}\n{self.logs()[-4000:]}")
        wait_until("Kong answers", self._live, timeout=120)

    def host_settings(self) -> dict[str, str]:
        """What Kong needs to be told to find this package in it."""
        filters = self.prefix.parent / "filters"
        filters.mkdir()
        shutil.copy(FILTER, filters / "databricks_kong.wasm")
        shutil.copy(REPO / "filters/databricks_kong.meta.json", filters / "databricks_kong.meta.json")
        return {"WASM": "on", "WASM_FILTERS_PATH": str(filters)}

    def _environment(self) -> dict[str, str]:
        kong = {
            **self.host_settings(),
            "DATABASE": "off",
            "DECLARATIVE_CONFIG": str(self.declaration),
            "PREFIX": str(self.prefix),
            "NGINX_WORKER_PROCESSES": str(self.workers),
            "NGINX_USER": "root root",
            "LOG_LEVEL": "notice",
            "ANONYMOUS_REPORTS": "off",
            "PROXY_LISTEN": ", ".join(
                [
                    f"127.0.0.1:{self.port}{self.listener}",
                    *(f"{host}:443 ssl{self.listener}" for host in self.tls_hosts.values()),
                ]
            ),
            "SSL_CERT": str(self.certificate),
            "SSL_CERT_KEY": str(self.key),
            # a certificate of whatever CA may be shown: a bound token says which it must be
            "NGINX_PROXY_SSL_VERIFY_CLIENT": "optional_no_ca",
            "ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
            "STATUS_LISTEN": f"127.0.0.1:{self.status_port}",
            "ADMIN_GUI_LISTEN": "off",
            # set to itself, so that the redirect to Kong's page of errors keeps it
            "NGINX_PROXY_SET": "$databricks_audit $databricks_audit",
            "NGINX_HTTP_CLIENT_BODY_BUFFER_SIZE": "2m",
            "NGINX_PROXY_LINGERING_CLOSE": "off",
            # nginx passes on only the variables that it is told to
            "NGINX_MAIN_ENV": "; env ".join(configs.ENVIRONMENT),
        }
        return {**os.environ, **configs.ENVIRONMENT, **{f"KONG_{name}": value for name, value in kong.items()}}

    def declared(self) -> dict[str, Any]:
        workspace = self.parts.workspace.url
        services = [self.service("bare", workspace, None)]
        for one in self.named.values():
            services.append(self.service(one.name, workspace, one))
        services += self.chains()
        # for every route: the audit record to a log, and the page of metrics
        fields = {"databricks_audit": "return kong.ctx.shared.databricks_audit or ngx.var.databricks_audit"}
        # what the filter signs for the service behind it stands in the request's headers by then
        fields["request.headers.x-caller-identity"] = "return nil"
        shipped = {"path": str(self.shipped), "custom_fields_by_lua": fields, "reopen": True}
        plugins = [{"name": "file-log", "config": shipped}, {"name": "prometheus"}]
        return {"_format_version": "3.0", "services": services, "plugins": plugins}

    def chains(self) -> list[dict[str, Any]]:
        """Routes with a guard entry."""
        main = self.named["main"].make(self.parts, "main")
        decides_by_body = self.named["policy"].make(self.parts, "policy")
        return [
            self.chain("guarded", [main, {"mode": "guard"}]),
            self.chain("guarded_policy", [decides_by_body, {"mode": "guard"}]),
            self.chain("guard_alone", [{"mode": "guard"}]),
        ]

    def chain(self, name: str, entries: list[Any]) -> dict[str, Any]:
        service = self.service(name, self.parts.workspace.url, None)
        if self.with_filter:
            filters = [{"name": "databricks_kong", "config": config} for config in entries]
            service["routes"][0]["filter_chains"] = [{"filters": filters}]
        return service

    def service(self, name: str, url: str, one: configs.Named | None) -> dict[str, Any]:
        route: dict[str, Any] = {
            "name": name,
            "paths": [self.path(name)],
            "strip_path": True,
            "preserve_host": False,
            "path_handling": "v0",
            # as docs/install-kong.md has it: with it on, TLS holds back what a model says
            "response_buffering": False,
        }
        if name in self.tls_hosts:
            route |= {"paths": ["/"], "hosts": [self.tls_hosts[name]], "strip_path": False}
        if one and self.with_filter:
            self.attach(route, one)
        return {"name": name, "url": url, "routes": [route], "read_timeout": 30000, "retries": 0}

    def attach(self, route: dict[str, Any], one: configs.Named) -> None:
        """Puts a configuration on its route."""
        config = one.make(self.parts, one.name)
        route["filter_chains"] = [{"filters": [{"name": "databricks_kong", "config": config}]}]

    def url(self, config: str) -> str:
        if config in self.refused_at_load:
            pytest.skip("Kong does not start with this configuration")
        if config in self.tls_hosts:
            return f"https://{self.tls_hosts[config]}"
        return f"http://127.0.0.1:{self.port}{self.path(config)}"

    def path(self, config: str) -> str:
        """The prefix of a configuration's route. Its last segment keeps `/main` from taking what is for `/main2`."""
        one = self.named.get(config)
        return f"/{config}/gw{one.prefix if one else ''}"

    def records(self) -> list[dict[str, Any]]:
        return self.audit.all()

    def page(self) -> str:
        return send(f"http://127.0.0.1:{self.status_port}", "GET", "/metrics").text

    def counters(self) -> dict[str, int]:
        rows = (line.split(" ") for line in self.page().splitlines() if line.startswith(self.counter_prefix))
        return {name.removeprefix(self.counter_prefix): int(float(value)) for name, value in rows}

    def pages(self) -> dict[str, str]:
        return {"metrics": self.page()}

    def files(self) -> dict[str, str]:
        paths = [*(self.prefix / "logs").glob("*.log"), self.shipped]
        return {path.name: path.read_text(errors="replace") for path in paths if path.exists()}

    def complaints(self, since: int = 0) -> list[str]:
        return [line for line in self.logs(since).splitlines() if any(word in line for word in self.serious)]

    def stop(self) -> None:
        subprocess.run(
            [self.kong, "stop", "-p", str(self.prefix)], env=self.environment, capture_output=True, check=False
        )
        wait_until("Kong has ended", lambda: not (self.prefix / "pids/nginx.pid").exists(), timeout=30)

    def _live(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return send(f"http://127.0.0.1:{self.status_port}", "GET", "/status/ready").status == 200
        except OSError:
            return False
