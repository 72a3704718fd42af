"""The native plugin on other ways in and out than plain HTTP/1.1, and clients and providers that do not behave, on a real Kong."""

from __future__ import annotations

import copy
import json
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway import tls_files
from native_gateway import NativeKongGateway
from stack import WORKSPACE_ID, Idp, Process, Response, Workspace, free_ports, send, send_http2, wait_until
from wire import request

LIST = "/api/2.1/clusters/list"
# what runs on a cluster and is served through the workspace
NOTEBOOK = f"/driver-proxy/o/{WORKSPACE_ID}/0923-164208-meows279/8888/ws"
HERE = Path(__file__).resolve().parent


class Upstream:
    """What upstream.mjs serves."""

    def __init__(self, run_dir: Path):
        self.process = Process("upstream", ["node", str(HERE / "upstream.mjs")], run_dir)
        self.ports: dict[str, int] = self.process.first_json_line()

    def seen(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.process.out.read_text().splitlines()[1:]]


class World:
    """One Kong with the plugin on each of its routes."""

    def __init__(self, gateway: NativeKongGateway, idp: Idp, workspace: Workspace):
        self.gateway, self.idp, self.workspace = gateway, idp, workspace

    def token(self, subject: str = "alice", group: str = "data-engineering") -> str:
        self.workspace.add_user(subject)
        return self.idp.login("rs", subject, {"groups": [group]}, audience="databricks")

    def ask(self, token: str | None, target: str = LIST, **headers: str) -> Response:
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        return send(self.gateway.url("main"), "GET", target, {**sent, **headers})

    def reached(self) -> list[str]:
        return [f"{one.method} {one.target}" for one in self.workspace.sent_on()]

    def exchanges(self) -> int:
        return len([one for one in self.workspace.seen() if one.is_exchange])


Start = Callable[..., World]


@pytest.fixture
def start(tmp_path: Path, idp: Idp, workspace: Workspace) -> Iterator[Start]:
    import configs

    started: list[NativeKongGateway] = []

    def begin(settings: dict[str, str] | None = None, change: Callable[..., None] = lambda *_: None) -> World:
        class One(NativeKongGateway):
            def _environment(self) -> dict[str, str]:
                return {**super()._environment(), **{f"KONG_{name}": value for name, value in (settings or {}).items()}}

            def declared(self) -> dict[str, Any]:
                declared = super().declared()
                change(declared, self)
                return declared

        named = [one for one in configs.all_configs() if one.name == "main"]
        started.append(One(idp, workspace, tmp_path, named=named))
        workspace.forget_requests()
        return World(started[-1], idp, workspace)

    yield begin
    for one in started:
        one.stop()
        assert not one.complaints()


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    one = Upstream(tmp_path)
    yield one
    one.process.stop()


def plugin_of(declared: dict[str, Any]) -> dict[str, Any]:
    (main,) = [one for one in declared["services"] if one["name"] == "main"]
    return main["routes"][0]["plugins"][0]


# --- WebSocket --------------------------------------------------------------------------------------------------------------


def upgrade(port: int, target: str, token: str | None) -> tuple[bytes, socket.socket]:
    """The head of the answer, and the connection."""
    connection = socket.create_connection(("127.0.0.1", port), 10)
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    connection.sendall(request("GET", target, "gateway", headers))
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096) or pytest.fail(f"closed after {head!r}")
    return head, connection


def read_exactly(connection: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        read += connection.recv(size - len(read)) or pytest.fail(f"closed after {read!r}")
    return read


def test_a_websocket_is_decided_on_once_and_carries_bytes_both_ways(start: Start, upstream: Upstream) -> None:
    def change(declared: dict[str, Any], gateway: NativeKongGateway) -> None:
        url = f"http://127.0.0.1:{upstream.ports['websocket']}"
        plugin = copy.deepcopy(plugin_of(declared))
        plugin["config"]["roles"][0]["allow"] = [{"operations": ["clusters.driver_proxy"]}]
        route = {"name": "sockets", "paths": ["/sockets"], "strip_path": True, "plugins": [plugin]}
        declared["services"].append({"name": "sockets", "url": url, "routes": [route]})

    world = start(change=change)
    token = world.token()
    head, connection = upgrade(world.gateway.port, f"/sockets{NOTEBOOK}", token)
    with connection:
        assert head.startswith(b"HTTP/1.1 101 "), head
        for turn in (b"one", b"two " * 100):
            connection.sendall(turn)
            assert read_exactly(connection, len(b"echo ") + len(turn)) == b"echo " + turn
    (seen,) = wait_until("the upstream was reached", upstream.seen)
    assert (seen["kind"], seen["target"]) == ("websocket", NOTEBOOK)
    assert seen["headers"]["authorization"].startswith("Bearer ") and token not in str(seen["headers"])
    assert seen["headers"]["upgrade"] == "websocket" and "upgrade" in seen["headers"]["connection"].lower()
    for bad, status in ((None, b"401"), ("x.y.z", b"401"), (world.token("bob", "nobody"), b"403")):
        head, connection = upgrade(world.gateway.port, f"/sockets{NOTEBOOK}", bad)
        connection.close()
        assert head.split(b" ")[1] == status, head
    assert len(upstream.seen()) == 1


# --- HTTP/2 and gRPC ----------------------------------------------------------------------------------------------------------


def test_grpc_calls_are_decided_on_and_refused_in_the_form_of_http(start: Start, upstream: Upstream) -> None:
    def change(declared: dict[str, Any], gateway: NativeKongGateway) -> None:
        url = f"grpc://127.0.0.1:{upstream.ports['grpc']}"
        route = {"name": "calls", "paths": ["/spark.connect"], "protocols": ["grpc"], "plugins": [plugin_of(declared)]}
        route["strip_path"] = False
        declared["services"].append({"name": "calls", "url": url, "routes": [route]})

    world = start(change=change)
    port = world.gateway.port
    token = world.token()
    message = b"\x00\x00\x00\x00\x03abc"
    target = "/spark.connect.SparkConnectService/ExecutePlan"

    def call(token: str | None) -> Response:
        headers = [("Content-Type", "application/grpc"), ("TE", "trailers")]
        headers += [("Authorization", f"Bearer {token}")] if token else []
        return send_http2(f"http://127.0.0.1:{port}", "POST", target, headers, pieces=[message])

    reply = call(token)
    assert (reply.status, reply.body) == (200, message), str(reply)
    (seen,) = upstream.seen()
    assert (seen["kind"], seen["method"], seen["target"]) == ("grpc", "POST", target)
    assert seen["headers"]["authorization"].startswith("Bearer ") and token not in str(seen["headers"])
    for bad, status in ((None, 401), (world.token("bob", "nobody"), 403)):
        refused = call(bad)
        assert refused.status == status and refused.json()["error_code"], str(refused)
    assert len(upstream.seen()) == 1


# --- TLS with client certificates ---------------------------------------------------------------------------------------------


def test_a_listener_that_wants_client_certificates_takes_them_and_the_token(start: Start, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (port,) = free_ports(1)
    ca, certificate, key = tls_files(theirs, "127.0.0.1")
    settings = {
        "PROXY_LISTEN": f"127.0.0.1:{port} ssl",
        "NGINX_PROXY_SSL_VERIFY_CLIENT": "on",
        "NGINX_PROXY_SSL_CLIENT_CERTIFICATE": str(ca),
    }

    class Secure(World):
        def ask_securely(self, with_certificate: bool, token: str | None) -> bytes:
            context = ssl.create_default_context(cafile=str(self.gateway.ca))
            if with_certificate:
                context.load_cert_chain(certificate, key)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            sent = request("GET", self.gateway.path("main") + LIST, "127.0.0.1", {**headers, "Connection": "close"})
            with socket.create_connection(("127.0.0.1", port), 10) as plain:
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                    connection.sendall(sent)
                    received = b""
                    while chunk := connection.recv(65536):
                        received += chunk
            return received

    started = start(settings=settings, change=lambda _, gateway: setattr(gateway, "port", port))
    world = Secure(started.gateway, started.idp, started.workspace)
    token = world.token()
    refused = world.ask_securely(False, token)
    assert b" 400 " in refused.split(b"\r\n")[0] and b"certificate" in refused, refused
    assert world.reached() == []
    assert b" 200 " in world.ask_securely(True, token).split(b"\r\n")[0]
    assert b" 401 " in world.ask_securely(True, None).split(b"\r\n")[0]
    assert world.reached() == [f"GET {LIST}"]


# --- routes by host only --------------------------------------------------------------------------------------------------------


def children(gateway: NativeKongGateway) -> set[str]:
    """The processes of its workers, of those that end their last requests, too."""
    master = (gateway.prefix / "pids/nginx.pid").read_text().strip()
    return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())


def reload(gateway: NativeKongGateway) -> None:
    argv = [gateway.kong, "reload", "-p", str(gateway.prefix)]
    subprocess.run(argv, env=gateway.environment, check=True, capture_output=True)


def reads(gateway: NativeKongGateway) -> int:
    """Of how many requests it has begun to read the head."""
    page = send(f"http://127.0.0.1:{gateway.status_port}", "GET", "/status").json()
    return page["server"]["connections_reading"]


def test_requests_that_a_worker_reads_while_it_ends_get_their_tokens(start: Start) -> None:
    """Kong's timers do not run then, other than nginx's own."""
    world = start()
    tokens = [world.token(f"late-{number}") for number in range(6)]
    world.workspace.fault("token", "delay", delay_ms=700)
    path = world.gateway.path("main") + LIST
    sent = [
        request("GET", path, "gateway", {"Authorization": f"Bearer {token}", "Connection": "close"}) for token in tokens
    ]
    (old,) = children(world.gateway)
    connections = [socket.create_connection(("127.0.0.1", world.gateway.port), 20) for _ in sent]
    for connection, one in zip(connections, sent, strict=True):
        connection.sendall(one[:-2])
    wait_until("its worker reads them all", lambda: reads(world.gateway) >= len(sent))
    reload(world.gateway)
    wait_until("another worker began", lambda: children(world.gateway) - {old})
    # one after another takes longer than Kong's timers go on for
    for connection, one in zip(connections, sent, strict=True):
        assert old in children(world.gateway)
        with connection:
            connection.sendall(one[-2:])
            head = b""
            while chunk := connection.recv(65536):
                head += chunk
            assert head.startswith(b"HTTP/1.1 200 "), head
    wait_until("the old worker has ended", lambda: old not in children(world.gateway), timeout=60)


def test_a_route_by_host_only_sends_nobody_the_path_of_another_also_after_reloads(start: Start) -> None:
    """Kong's router may give a request the path of another while its workers begin; without the plugin such requests are sent."""

    def change(declared: dict[str, Any], gateway: NativeKongGateway) -> None:
        route = {"name": "by-host", "hosts": ["by-host"], "plugins": [plugin_of(declared)]}
        declared["services"].append({"name": "by-host", "url": gateway.parts.workspace.url, "routes": [route]})

    world = start(change=change)
    token = f"Bearer {world.token()}"
    ended, statuses = threading.Event(), dict[int, int]()

    def client(number: int) -> None:
        turn = 0
        while not ended.is_set():
            turn += 1
            target = f"/api/{'2.2/jobs' if turn % 2 else '2.1/clusters'}/list?offset={number}{turn:06}"
            headers = {"Authorization": token, "Host": "by-host", "X-Test-Asked": target}
            try:
                status = send(f"http://127.0.0.1:{world.gateway.port}", "GET", target, headers).status
            except OSError:
                status = 0
            statuses[status] = statuses.get(status, 0) + 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            goal = sum(statuses.values()) + 60
            wait_until("there is load", lambda goal=goal: sum(statuses.values()) >= goal, timeout=120)
            before = children(world.gateway)
            reload(world.gateway)
            # the command ends before the master has heard of it; and nginx's alert of open sockets is for whoever stops Kong while a
            # worker still ends its last requests, so there is none here
            wait_until("its workers are others", lambda was=before: not was & children(world.gateway), timeout=60)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    seen = [(one.header("x-test-asked"), one.target) for one in world.workspace.sent_on()]
    assert [(asked, sent) for asked, sent in seen if asked != sent] == []
    assert len(seen) > 300 and statuses.get(200, 0) > 300, statuses
    # a reload closes connections; what Kong mixed up is a refusal
    assert set(statuses) <= {0, 200, 500}, statuses


# --- clients that leave, providers that drip ------------------------------------------------------------------------------------


def test_a_client_that_leaves_while_its_token_is_exchanged(start: Start) -> None:
    world = start()
    world.ask(world.token("warms-the-keys"))
    token = world.token("leaves")
    world.workspace.forget_requests()
    world.workspace.fault("token", "delay", delay_ms=700)
    headers = {"Authorization": f"Bearer {token}"}
    with socket.create_connection(("127.0.0.1", world.gateway.port), 10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(request("GET", world.gateway.path("main") + LIST, "gateway", headers))
        wait_until("the exchange is under way", world.exchanges)
    time.sleep(1)
    reached = world.reached()
    assert len(reached) <= 1, "the request of a client that left goes on at most once"
    # the exchange outlived its client: nobody asks again
    assert world.ask(token).status == 200
    assert world.exchanges() == 1
    assert world.reached() == [*reached, f"GET {LIST}"]
    assert {one.who for one in world.workspace.sent_on()} == {"leaves"}


class Dripping:
    """A provider whose answer comes a byte at a time, each well within any timeout of a socket."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._drip, args=(client,), daemon=True).start()

    @staticmethod
    def _drip(client: socket.socket) -> None:
        try:
            client.recv(65536)
            for byte in (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n" + b" " * 100
            ):
                client.sendall(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass
        finally:
            client.close()


def test_an_answer_that_drips_ends_at_the_deadline_of_the_whole_callout(start: Start) -> None:
    dripping = Dripping()

    def change(declared: dict[str, Any], gateway: NativeKongGateway) -> None:
        config = plugin_of(declared)["config"]
        config["identity_providers"][0]["jwks_url"] = f"http://127.0.0.1:{dripping.port}/keys"
        config["callouts"] = {"timeout": 800, "attempts": 1}

    world = start(change=change)
    begun = time.monotonic()
    reply = world.ask(world.token())
    spent = time.monotonic() - begun
    assert (reply.status, reply.json()["details"][0]["reason"]) == (503, "KEYS_UNAVAILABLE"), str(reply)
    assert 0.7 < spent < 6, spent
    assert world.reached() == []
    dripping.listener.close()
