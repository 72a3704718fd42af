"""Walks through the main job and shows, for each request, what was sent, what Databricks received, what came back."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stories"))

from databricks.sdk import WorkspaceClient  # noqa: E402
from databricks.sdk.core import Config  # noqa: E402
from databricks.sdk.errors import PermissionDenied  # noqa: E402

import configs  # noqa: E402
from forge import Forger, new_rsa  # noqa: E402
from gateway import EnvoyGateway, build_mock  # noqa: E402
from stack import RUN_NOW_PATH, SP_ETL, Headers, Idp, Response, Seen, Workspace, send  # noqa: E402

ALICE, BOB = "alice@example.com", "bob@example.com"
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
BOLD, DIM, GREEN, RED, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if COLOUR else ("",) * 5
LABEL = 12


def configuration(parts: configs.Parts, name: str) -> configs.Config:
    config = configs.base(parts, name)
    config["roles"].append(configs.role("nightly", {"groups": ["batch"]}, configs.secret_of(SP_ETL)))
    return config


def short(token: str) -> str:
    return token[:10] + "…"


def clip(text: str, width: int = 150) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def shown_header(name: str, value: str) -> str:
    kind, _, rest = value.partition(" ")
    return f"{name}: {kind} {short(rest)}" if name.lower() == "authorization" else f"{name}: {value}"


class Demo:
    def __init__(self, idp: Idp, workspace: Workspace, gateway: EnvoyGateway):
        self.idp, self.workspace, self.gateway = idp, workspace, gateway
        self.url = gateway.url("demo")
        self.minted_for: dict[str, str] = {}
        self.number = 0
        self.failed = 0

    # --- printing ---

    def line(self, label: str, text: str) -> None:
        print(f"   {label:<{LABEL}}{text}")

    def step(self, title: str, claims: dict[str, Callable[[], bool]], sent: list[str], came_back: list[str]) -> None:
        self.number += 1
        print(f"\n{BOLD}{self.number:>2} {title}{PLAIN}")
        for n, text in enumerate(sent):
            self.line("" if n else "sent", text)
        received = self.received()
        for n, text in enumerate(received or [f"{DIM}nothing{PLAIN}"]):
            self.line("" if n else "Databricks", text)
        for n, text in enumerate(came_back):
            self.line("" if n else "came back", text)
        for claim, holds in claims.items():
            try:
                good = bool(holds())
            except Exception as error:
                good, claim = False, f"{claim} ({error!r})"
            self.failed += not good
            word = "ok" if good else "NOT SO"
            print(f"   {GREEN if good else RED}{word:<{LABEL}}{PLAIN}{claim}")
        self.workspace.forget_requests()

    def received(self) -> list[str]:
        lines = []
        for one in self.seen():
            if one.is_exchange:
                form = one.form
                shown = {key: short(value) if key == "subject_token" else value for key, value in form.items()}
                shown["grant_type"] = form.get("grant_type", "").rsplit(":", 1)[-1]
                shown.pop("subject_token_type", None)
                basic = ["Authorization: Basic …"] if one.header("authorization") else []
                lines.append("  ".join(["POST /oidc/v1/token", *basic, *(f"{k}={v}" for k, v in shown.items())]))
                continue
            token = (one.header("authorization") or "").removeprefix("Bearer ")
            who = one.who or "nobody that it knows"
            lines.append(f"{one.method} {one.target}  Authorization: Bearer {short(token)} (a token of {who})")
            stamp = one.header("user-agent") or ""
            lines.append(
                f"{DIM}X-Databricks-Org-Id: {one.header('x-databricks-org-id')}  User-Agent: {clip(stamp, 90)}{PLAIN}"
            )
        return lines

    # --- asking ---

    def seen(self) -> list[Seen]:
        return self.workspace.seen()

    def api(self) -> list[Seen]:
        return [one for one in self.seen() if not one.is_exchange]

    def exchanges(self) -> list[Seen]:
        return [one for one in self.seen() if one.is_exchange]

    def run_job(
        self, title: str, token: str, who: str, claims: Callable[[Response], dict], extra: Headers = ()
    ) -> None:
        headers = [("Authorization", f"Bearer {token}"), ("Content-Type", "application/json"), *extra]
        body = '{"job_id": 101}'
        reply = send(self.url, "POST", RUN_NOW_PATH, headers, body)
        sent = [f"POST {RUN_NOW_PATH}  Authorization: Bearer {short(token)} ({who})  {body}"]
        sent += [shown_header(name, value) for name, value in extra]
        self.step(title, claims(reply), sent, came_back(reply))

    def nothing(self) -> bool:
        return not self.seen()

    def free_of(self, token: str) -> bool:
        """Nowhere but as `subject_token`: not in a header, a path, a body."""
        signature = token.rsplit(".", 1)[1]
        return all(
            signature not in one.target + str(one.headers) and (one.is_exchange or signature.encode() not in one.body)
            for one in self.seen()
        )


def came_back(reply: Response) -> list[str]:
    lines = [f"{reply.status} {clip(reply.text)}"]
    if reply.status >= 400 and "details" in reply.text:
        body = reply.json()
        info = body["details"][0]
        code = f" ({info['metadata']['code']})" if "code" in info.get("metadata", {}) else ""
        lines = [f"{reply.status} {body['error_code']}, reason {info['reason']}{code}: {body['message']}"]
    for name in ("www-authenticate", "retry-after"):
        if value := reply.header(name):
            lines.append(f"{name}: {value}")
    return lines


def reason(reply: Response) -> str:
    return reply.json()["details"][0]["reason"]


def refused(reply: Response, status: int, why: str) -> bool:
    return reply.status == status and reason(reply) == why


def walk(demo: Demo) -> None:
    idp, workspace = demo.idp, demo.workspace
    for sub in (ALICE, BOB):
        workspace.add_user(sub)
    alice = idp.login("rs", ALICE, {"groups": ["data-engineering"]})
    bob = idp.login("es", BOB, {"groups": ["analysts"]})
    forger = Forger(idp.url("rs"), idp.private_key("rs"))
    now = int(time.time())

    demo.run_job(
        "An engineer runs a job",
        alice,
        f"{ALICE}, group data-engineering",
        lambda reply: {
            "the job runs": lambda: reply.status == 200 and "run_id" in reply.json(),
            "with a token that Databricks gave for Alice herself": lambda: [one.who for one in demo.api()] == [ALICE],
            "and her IdP token went nowhere but into the exchange": lambda: demo.free_of(alice),
        },
    )
    demo.run_job(
        "She runs it again",
        alice,
        f"{ALICE}, the same token",
        lambda reply: {
            "no second exchange: the Databricks token was kept": lambda: reply.status == 200 and not demo.exchanges(),
            "and it is Alice's": lambda: [one.who for one in demo.api()] == [ALICE],
        },
    )
    demo.run_job(
        "An analyst tries the same",
        bob,
        f"{BOB}, group analysts, another provider, ES256",
        lambda reply: {
            "refused, 403 NO_ROLE": lambda: refused(reply, 403, "NO_ROLE"),
            "Databricks has seen nothing": demo.nothing,
        },
    )
    expired = forger.token(ALICE, iat=now - 7200, exp=now - 3600)
    demo.run_job(
        "Alice's token of this morning",
        expired,
        "signed by the provider, an hour past its exp",
        lambda reply: {
            "refused, 401 TOKEN_EXPIRED": lambda: refused(reply, 401, "TOKEN_EXPIRED"),
            "Databricks has seen nothing": demo.nothing,
        },
    )
    forged = forger.token(ALICE, key=new_rsa())
    demo.run_job(
        "A forged token",
        forged,
        "Alice's name, the provider's kid, the attacker's key",
        lambda reply: {
            "refused, 401 TOKEN_INVALID": lambda: refused(reply, 401, "TOKEN_INVALID"),
            "Databricks has seen nothing": demo.nothing,
        },
    )
    elsewhere = idp.login("rs", ALICE, {"groups": ["data-engineering"]}, audience="payroll")
    demo.run_job(
        "Alice's token for another application",
        elsewhere,
        "audience payroll",
        lambda reply: {
            "refused, 401 TOKEN_INVALID": lambda: refused(reply, 401, "TOKEN_INVALID"),
            "Databricks has seen nothing": demo.nothing,
        },
    )
    smuggled = [
        ("X-Databricks-Workspace-Id", "1234"),
        ("X_Databricks_Org_Id", "1234"),
        ("Cookie", "session=stolen"),
        ("X-Databricks-Azure-SP-Management-Token", "stolen"),
    ]
    names = {name.lower().replace("_", "-") for name, _ in smuggled} - {"x-databricks-org-id"}
    demo.run_job(
        "Alice smuggles what Databricks would obey",
        alice,
        ALICE,
        lambda reply: {
            "the job runs": lambda: reply.status == 200,
            "Databricks saw none of these headers": lambda: all(
                not names & {name.lower().replace("_", "-") for name, _ in one.headers} for one in demo.api()
            ),
            "and the gateway's own workspace id, once": lambda: (
                [
                    value
                    for one in demo.api()
                    for name, value in one.headers
                    if name.lower().replace("_", "-") == "x-databricks-org-id"
                ]
                == [configs.WORKSPACE_ID]
            ),
        },
        smuggled,
    )
    nightly = idp.workload("rs")
    demo.run_job(
        "A nightly workload, whose role is a service principal",
        nightly,
        "client credentials, group batch",
        lambda reply: {
            "the job runs": lambda: reply.status == 200,
            "as the role's service principal, whose secret only the gateway knows": lambda: (
                [one.who for one in demo.api()] == [SP_ETL]
            ),
            "and the IdP token went nowhere": lambda: demo.free_of(nightly),
        },
    )
    with_sdk(demo, alice, bob)


def with_sdk(demo: Demo, alice: str, bob: str) -> None:
    def client(token: str) -> WorkspaceClient:
        return WorkspaceClient(config=Config(host=demo.url, token=token, auth_type="pat", retry_timeout_seconds=10))

    run_id, failure = 0, ""
    try:
        run_id = client(alice).jobs.run_now(job_id=101).run_id
    except Exception as error:
        failure = repr(error)
    code = f"WorkspaceClient(host={demo.url!r}, token={short(alice)!r}).jobs.run_now(job_id=101)"
    demo.step(
        "The Databricks SDK, unmodified, with the gateway as its host",
        {
            "the job runs, as Alice": lambda: run_id and [one.who for one in demo.api()] == [ALICE],
        },
        [code],
        [clip(failure) or f"run_id={run_id}"],
    )

    caught: Exception | None = None
    try:
        client(bob).jobs.run_now(job_id=101)
    except Exception as error:
        caught = error
    demo.step(
        "The SDK in the analyst's hands",
        {
            "raises its own PermissionDenied": lambda: isinstance(caught, PermissionDenied),
            "Databricks has seen nothing": demo.nothing,
        },
        [code.replace(short(alice), short(bob))],
        [f"{type(caught).__name__}: {clip(str(caught))}"],
    )


def main() -> int:
    run_dir = Path(tempfile.mkdtemp(prefix="databricks-kong-demo-"))
    failed = True
    try:
        with ExitStack() as stack:
            print("demo: starting the identity provider ...", file=sys.stderr)
            idp = Idp(Path(os.environ["STORIES_DIR"]), run_dir)
            stack.callback(idp.process.stop)
            print("demo: starting the mock workspace ...", file=sys.stderr)
            workspace = Workspace.start(build_mock(), idp, run_dir)
            stack.callback(workspace.process.stop)
            print("demo: starting Envoy with the filter (some seconds) ...", file=sys.stderr)
            gateway = EnvoyGateway(idp, workspace, run_dir, named=[configs.Named("demo", configuration)])
            stack.callback(gateway.stop)
            print(f"\nGateway {gateway.url('demo')}   identity provider {idp.url('rs')}   Databricks {workspace.url}")
            demo = Demo(idp, workspace, gateway)
            walk(demo)
            failed = demo.failed > 0
            verdict = f"{RED}{demo.failed} claims did not hold{PLAIN}" if failed else f"{GREEN}All as claimed.{PLAIN}"
            print(f"\n{verdict} {demo.number} requests; tokens are shown by their first characters only.")
            if failed:
                print(f"\nlog of the gateway:\n{gateway.logs()[-3000:]}", file=sys.stderr)
    finally:
        if failed:
            print(f"logs: {run_dir}", file=sys.stderr)
        else:
            shutil.rmtree(run_dir)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
