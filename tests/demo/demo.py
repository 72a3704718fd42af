"""Walks through the main job and shows, for each request, what was sent, what Databricks received, what came back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stories"))

import yaml  # noqa: E402
from databricks.sdk import WorkspaceClient  # noqa: E402
from databricks.sdk.core import Config  # noqa: E402
from databricks.sdk.errors import PermissionDenied  # noqa: E402

import configs  # noqa: E402
import screen  # noqa: E402
from forge import Forger, new_rsa  # noqa: E402
from gateway import EnvoyGateway, build_mock  # noqa: E402
from stack import (  # noqa: E402
    RUN_NOW_PATH,
    SP_ETL,
    Headers,
    Idp,
    Process,
    Response,
    Seen,
    Workspace,
    free_ports,
    send,
    wait_until,
)

ALICE, BOB, PAT = "alice@example.com", "bob@example.com", "pat@example.com"
STATEMENTS_PATH = "/api/2.0/sql/statements"
POLICY = (Path(__file__).parent / "policy.yaml").read_text()
Claims = dict[str, Callable[[], bool]]


class Revocations:
    """`databricks-kong revocations`: the service that tells gateways who is cut off."""

    def __init__(self, idp: Idp, run_dir: Path):
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.program = os.environ["DATABRICKS_KONG_REVOCATIONS"]
        self.config = run_dir / "revocations.yml"
        provider = {"name": "rs", "issuer": idp.url("rs"), "audiences": ["databricks"]}
        settings = {"listen": f"127.0.0.1:{port}", "database": "revocations.db", "retention": 3600}
        settings["identity_providers"] = [provider]
        self.config.write_text(yaml.safe_dump(settings))
        self.process = Process("revocations", [self.program, "serve", "--config", str(self.config)], run_dir)
        try:
            wait_until("the revocation service answers", self.answers)
        except BaseException:
            self.process.stop()
            raise

    def answers(self) -> bool:
        if not self.process.alive():
            raise RuntimeError(f"the revocation service ended at its start:\n{self.process.tail()}")
        try:
            return send(self.url, "GET", "/healthz").status == 200
        except OSError:
            return False

    def cut_off(self, subject: str) -> str:
        """Runs the administrator's command, and returns it as it would be typed."""
        words = ["add", "--config", str(self.config), "--provider", "rs", "subject", subject, "--note", "INC-4711"]
        subprocess.run([self.program, *words], check=True, capture_output=True, timeout=30)
        words[2] = self.config.name
        return " ".join(["$ databricks-kong revocations", *words])


def configuration(revocations: Revocations) -> Callable[[configs.Parts, str], configs.Config]:
    def make(parts: configs.Parts, name: str) -> configs.Config:
        config = {**configs.base(parts, name), **yaml.safe_load(POLICY)}
        feed = {"url": f"{revocations.url}/feed/rs", "upstream": "revocations", "refresh": 1}
        config["identity_providers"][0]["revocation"] = feed
        return config

    return make


def job(job_id: int) -> str:
    return json.dumps({"job_id": job_id})


def statement(text: str) -> str:
    return json.dumps({"warehouse_id": "a7066a8ef796be84", "statement": text})


def refused(reply: Response, status: int, why: str) -> bool:
    return reply.status == status and reply.json()["details"][0]["reason"] == why


class Demo:
    def __init__(self, idp: Idp, workspace: Workspace, gateway: EnvoyGateway, revocations: Revocations):
        self.idp, self.workspace, self.gateway, self.revocations = idp, workspace, gateway, revocations
        self.url = gateway.url("demo")
        self.number = 0
        self.failed = 0

    def step(self, title: str, sent: list[str], came_back: list[str], claims: Claims) -> None:
        self.number += 1
        screen.title(self.number, title)
        screen.show("sent", sent)
        screen.show("Databricks", [line for one in self.seen() for line in screen.seen(one)] or ["sees nothing"])
        screen.show("came back", came_back)
        for claim, holds in claims.items():
            try:
                good = bool(holds())
            except Exception as error:
                good, claim = False, f"{claim} ({error!r})"
            self.failed += not good
            screen.verdict(claim, good)
        self.workspace.forget_requests()

    def request(
        self,
        title: str,
        token: str,
        who: str,
        claims: Callable[[Response], Claims],
        body: str | None = job(101),
        method: str = "POST",
        path: str = RUN_NOW_PATH,
        extra: Headers = (),
    ) -> Response:
        headers = [("Authorization", f"Bearer {token}"), ("Content-Type", "application/json"), *extra]
        reply = send(self.url, method, path, headers, body)
        sent = screen.request(method, path, token, who, body) + [screen.header(*one) for one in extra]
        self.step(title, sent, screen.answer(reply), claims(reply))
        return reply

    def refusal(self, title: str, token: str, who: str, status: int, why: str, **request: str) -> Response:
        def claims(reply: Response) -> Claims:
            return {
                f"refused: {status} {why}": lambda: refused(reply, status, why),
                "Databricks sees nothing of it": lambda: not self.seen(),
            }

        return self.request(title, token, who, claims, **request)

    def seen(self) -> list[Seen]:
        """But for the token of the pipeline's role, which the gateway's timers ask for at a time of their own, for no request."""
        return [one for one in self.workspace.seen() if not (one.is_exchange and one.form["scope"] == "all-apis")]

    def api(self) -> list[Seen]:
        return [one for one in self.seen() if not one.is_exchange]

    def exchanges(self) -> list[Seen]:
        return [one for one in self.seen() if one.is_exchange]

    def who(self) -> list[str | None]:
        return [one.who for one in self.api()]

    def free_of(self, token: str) -> bool:
        """Nowhere but as `subject_token`: not in a header, a path, a body."""
        signature = token.rsplit(".", 1)[1]
        return all(
            signature not in one.target + str(one.headers) and (one.is_exchange or signature.encode() not in one.body)
            for one in self.seen()
        )


def walk(demo: Demo) -> None:
    for sub in (ALICE, BOB, PAT):
        demo.workspace.add_user(sub, jobs=("101", "102"))
    alice = demo.idp.login("rs", ALICE, {"groups": ["data-engineering"]})
    bob = demo.idp.login("es", BOB, {"groups": ["marketing"]})
    allowed_and_refused(demo, alice, bob)
    whom_rules_hold(demo)
    false_tokens(demo)
    smuggled(demo, alice)
    workload(demo)
    with_sdk(demo, alice, bob)
    cut_off(demo, alice)


def allowed_and_refused(demo: Demo, alice: str, bob: str) -> None:
    first = demo.request(
        "An engineer runs job 101",
        alice,
        f"{ALICE}, group data-engineering",
        lambda reply: {
            "the job runs": lambda: reply.status == 200 and "run_id" in reply.json(),
            "with a token that Databricks gave for Alice herself": lambda: demo.who() == [ALICE],
            "and for jobs only (`scope: minimal`)": lambda: [one.form["scope"] for one in demo.exchanges()] == ["jobs"],
            "her own token went nowhere but into the exchange": lambda: demo.free_of(alice),
        },
    )
    demo.request(
        "She runs it again",
        alice,
        f"{ALICE}, the same token",
        lambda reply: {
            "another run": lambda: reply.json()["run_id"] != first.json()["run_id"],
            "no second exchange: the Databricks token was kept": lambda: not demo.exchanges() and demo.who() == [ALICE],
        },
    )
    demo.refusal("She tries job 102, which no rule names", alice, ALICE, 403, "NO_RULE", body=job(102))
    demo.request(
        "She reads a table of main.sales",
        alice,
        ALICE,
        lambda reply: {
            "the statement runs, as Alice": lambda: reply.status == 200 and demo.who() == [ALICE],
            "with another token, for SQL only": lambda: [one.form["scope"] for one in demo.exchanges()] == ["sql"],
        },
        body=statement("SELECT * FROM main.sales.orders"),
        path=STATEMENTS_PATH,
    )
    joined = statement("SELECT * FROM main.sales.orders JOIN main.hr.salaries USING (id)")
    demo.refusal("She joins a table of main.hr", alice, ALICE, 403, "NO_RULE", body=joined, path=STATEMENTS_PATH)
    demo.refusal("Somebody of marketing tries job 101", bob, f"{BOB}, group marketing", 403, "NO_ROLE")


def whom_rules_hold(demo: Demo) -> None:
    pat = demo.idp.login("rs", PAT, {"groups": ["platform"]})
    demo.request(
        "An administrator, whose rule says `*`, lists clusters",
        pat,
        f"{PAT}, group platform",
        lambda reply: {"allowed, as Pat": lambda: reply.status == 200 and demo.who() == [PAT]},
        method="GET",
        path="/api/2.1/clusters/list",
        body=None,
    )
    demo.refusal(
        "The administrator makes an access token, which would outlive the visit",
        pat,
        PAT,
        403,
        "OPERATION_SENSITIVE",
        path="/api/2.0/token/create",
        body='{"comment": "for later"}',
    )
    agent = demo.idp.login("rs", ALICE, {"groups": ["data-engineering"]}, client="copilot-app")
    acts = f"copilot-app for {ALICE}"
    demo.refusal("An AI agent tries job 101 for Alice, who may", agent, acts, 403, "AGENT_LIMIT")
    demo.request(
        "The agent reads sales for her",
        agent,
        acts,
        lambda reply: {"allowed, as Alice": lambda: reply.status == 200 and demo.who() == [ALICE]},
        body=statement("SELECT count(*) FROM main.sales.orders"),
        path=STATEMENTS_PATH,
    )


def false_tokens(demo: Demo) -> None:
    forger = Forger(demo.idp.url("rs"), demo.idp.private_key("rs"))
    now = int(time.time())
    expired = forger.token(ALICE, iat=now - 7200, exp=now - 3600)
    demo.refusal("Alice's token of this morning", expired, "an hour past its exp", 401, "TOKEN_EXPIRED")
    forged = forger.token(ALICE, key=new_rsa())
    demo.refusal("A forged token", forged, "Alice's name, an attacker's key", 401, "TOKEN_INVALID")
    elsewhere = demo.idp.login("rs", ALICE, {"groups": ["data-engineering"]}, audience="payroll")
    demo.refusal("Alice's token for another application", elsewhere, "audience payroll", 401, "TOKEN_INVALID")


def smuggled(demo: Demo, alice: str) -> None:
    headers = [
        ("X-Databricks-Workspace-Id", "1234"),
        ("X_Databricks_Org_Id", "1234"),
        ("Cookie", "session=stolen"),
        ("X-Databricks-Azure-SP-Management-Token", "stolen"),
    ]

    def plain(name: str) -> str:
        return name.lower().replace("_", "-")

    org = "x-databricks-org-id"
    names = {plain(name) for name, _ in headers} - {org}
    demo.request(
        "Alice adds headers that Databricks would obey",
        alice,
        ALICE,
        lambda reply: {
            "the job runs": lambda: reply.status == 200,
            "Databricks sees none of these headers": lambda: all(
                not names & {plain(name) for name, _ in one.headers} for one in demo.api()
            ),
            "but the gateway's own workspace id, once": lambda: (
                [value for one in demo.api() for name, value in one.headers if plain(name) == org]
                == [configs.WORKSPACE_ID]
            ),
        },
        extra=headers,
    )


def workload(demo: Demo) -> None:
    nightly = demo.idp.workload("rs")
    demo.request(
        "A nightly pipeline, whose role is a service principal",
        nightly,
        "client credentials, group batch",
        lambda reply: {
            "the job runs": lambda: reply.status == 200,
            "as the service principal, whose secret only the gateway knows": lambda: demo.who() == [SP_ETL],
            "the pipeline's own token went nowhere": lambda: demo.free_of(nightly),
        },
    )


def with_sdk(demo: Demo, alice: str, bob: str) -> None:
    def run(token: str) -> tuple[int, Exception | None]:
        config = Config(host=demo.url, token=token, auth_type="pat", retry_timeout_seconds=10)
        try:
            return WorkspaceClient(config=config).jobs.run_now(job_id=101).run_id, None
        except Exception as error:
            return 0, error

    def code(token: str) -> list[str]:
        return [
            f'client = WorkspaceClient(host="{demo.url}", token="{screen.short(token)}")',
            "client.jobs.run_now(job_id=101)",
        ]

    run_id, error = run(alice)
    demo.step(
        "The Databricks SDK, as it is, with the gateway as its host",
        code(alice),
        [repr(error) if error else f"run_id={run_id}"],
        {"the job runs, as Alice": lambda: run_id and demo.who() == [ALICE]},
    )
    _, error = run(bob)
    demo.step(
        "The SDK, with the token of somebody of marketing",
        code(bob),
        [f"{type(error).__name__}: {str(error).partition('. Config:')[0]}"],
        {
            "the SDK raises its own PermissionDenied": lambda: isinstance(error, PermissionDenied),
            "Databricks sees nothing of it": lambda: not demo.seen(),
        },
    )


def cut_off(demo: Demo, alice: str) -> None:
    headers = [("Authorization", f"Bearer {alice}")]
    run_id = send(demo.url, "POST", RUN_NOW_PATH, headers, job(101)).json()["run_id"]
    demo.workspace.forget_requests()
    path = f"/api/2.2/jobs/runs/get?run_id={run_id}"
    demo.request(
        "Alice asks how her run is doing",
        alice,
        ALICE,
        lambda reply: {
            "the rule is about jobs, so the gateway first asked whose run it is": lambda: len(demo.api()) == 2,
            "allowed": lambda: reply.status == 200 and set(demo.who()) == {ALICE},
        },
        method="GET",
        path=path,
        body=None,
    )
    typed = demo.revocations.cut_off(ALICE)
    since = time.monotonic()

    def ask() -> Response:
        demo.workspace.forget_requests()
        return send(demo.url, "GET", path, headers)

    last = wait_until("Alice is refused", lambda: (reply := ask()).status != 200 and reply, timeout=10, step=0.2)
    took = time.monotonic() - since
    demo.step(
        "An administrator cuts her off; she asks again, with the same token",
        [typed, *screen.request("GET", path, alice, ALICE, None)],
        screen.answer(last),
        {
            f"refused after {took:.1f} s: 401 TOKEN_REVOKED": lambda: took < 3 and refused(last, 401, "TOKEN_REVOKED"),
            "Databricks sees nothing of it, although her token there would still be good": lambda: not demo.seen(),
        },
    )


def show_record(demo: Demo) -> None:
    def of_agent() -> dict | None:
        return next((one for one in demo.gateway.records() if one["reason"] == "AGENT_LIMIT"), None)

    screen.heading("The audit record of the agent that was held:")
    screen.record(wait_until("the record is there", of_agent))


def verdict(demo: Demo) -> str:
    if demo.failed:
        return f"{screen.RED}{demo.failed} did not hold.{screen.PLAIN}"
    return f"{screen.GREEN}All as claimed.{screen.PLAIN}"


def main() -> int:
    run_dir = Path(tempfile.mkdtemp(prefix="databricks-kong-demo-"))
    failed = True
    try:
        with ExitStack() as stack:
            print("demo: starting identity provider, mock workspace, revocation service and Envoy ...", file=sys.stderr)
            idp = Idp(Path(os.environ["STORIES_DIR"]), run_dir)
            stack.callback(idp.process.stop)
            workspace = Workspace.start(build_mock(), idp, run_dir)
            stack.callback(workspace.process.stop)
            revocations = Revocations(idp, run_dir)
            stack.callback(revocations.process.stop)
            named = [configs.Named("demo", configuration(revocations))]
            gateway = EnvoyGateway(idp, workspace, run_dir, named=named, clusters={"revocations": revocations.url})
            stack.callback(gateway.stop)
            print(f"\nidentity provider  {idp.url('rs')}")
            print(f"gateway            {gateway.url('demo')}")
            print(f"Databricks         {workspace.url} (a mock)")
            screen.heading("The policy:")
            print(POLICY, end="")
            demo = Demo(idp, workspace, gateway, revocations)
            walk(demo)
            show_record(demo)
            failed = demo.failed > 0
            print(f"\n{verdict(demo)} {demo.number} requests; tokens are shown by their first characters only.")
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
