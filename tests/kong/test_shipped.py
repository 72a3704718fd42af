"""The shipped kong.yml and kong.conf, byte for byte, on a real Kong: only addresses and certificates are this machine's."""

from __future__ import annotations

import json
import time
from pathlib import Path

import signing
from shipped import DEVELOPMENT, EGRESS, OFFICE, PRODUCTION, Around, Client, Kong, machine, reason
from stack import REPO, SP_ETL, SP_SECRETS, Response, Workspace, send, wait_until

RUN_NOW, JOBS_LIST = "/api/2.2/jobs/run-now", "/api/2.2/jobs/list"


def reached(workspace: Workspace) -> list[str | None]:
    return [one.who for one in workspace.seen() if not one.is_exchange]


def test_production_runs_a_permitted_job_as_the_caller(alice: Client, around: Around):
    reply = alice.ask(PRODUCTION, "POST", RUN_NOW, '{"job_id": 101}')
    assert reply.status == 200, reply
    assert reached(around.production) == ["alice@example.com"]


def test_production_refuses_another_job_and_nothing_is_sent(alice: Client, around: Around):
    reply = alice.ask(PRODUCTION, "POST", RUN_NOW, '{"job_id": 999}')
    assert (reply.status, reason(reply)) == (403, "NO_RULE"), reply
    assert reached(around.production) == []


def test_production_insists_on_a_client_certificate_of_the_company(alice: Client, around: Around):
    alice.certificate = None
    reply = alice.ask(PRODUCTION, "GET", JOBS_LIST)
    assert (reply.status, reply.json()["error_code"]) == (401, "UNAUTHENTICATED"), reply
    alice.certificate = around.stranger.issue("stranger")
    reply = alice.ask(PRODUCTION, "GET", JOBS_LIST)
    assert reply.status == 400, reply
    assert "certificate" in reply.text.lower()
    assert reached(around.production) == []
    # development asks for none
    alice.certificate = None
    assert alice.ask(DEVELOPMENT, "GET", JOBS_LIST).status == 200


def test_production_is_for_the_companys_addresses_as_the_load_balancer_tells_them(alice: Client, around: Around):
    alice.address = "203.0.113.9"
    reply = alice.ask(PRODUCTION, "GET", JOBS_LIST)
    assert reply.status == 403 and "not allowed" in reply.text, reply
    alice.address = OFFICE
    assert alice.ask(PRODUCTION, "GET", JOBS_LIST).status == 200
    assert reached(around.production) == ["alice@example.com"]


def test_the_nightly_pipeline_is_a_service_principal_whose_secret_comes_from_the_environment(
    kong: Kong, around: Around, employee: tuple[Path, Path]
):
    token = around.token("nightly", client_id="nightly-etl")
    nightly = Client(kong, around, token, certificate=employee)
    reply = nightly.ask(PRODUCTION, "POST", RUN_NOW, '{"job_id": 303}')
    assert reply.status == 200, reply
    assert reached(around.production) == [SP_ETL]
    kept = [
        record for record in kong.prefix.rglob("*.conf") if SP_SECRETS[SP_ETL] in record.read_text(errors="replace")
    ]
    assert not kept, "the secret is in no file that Kong writes"
    assert SP_SECRETS[SP_ETL] not in kong.logs()


def test_an_agent_can_do_no_more_than_its_entry_whoever_it_acts_for(
    kong: Kong, around: Around, employee: tuple[Path, Path]
):
    token = around.token("alice", "job-runners", client_id="copilot-app")
    copilot = Client(kong, around, token, certificate=employee)
    assert copilot.ask(PRODUCTION, "GET", JOBS_LIST).status == 200
    reply = copilot.ask(PRODUCTION, "POST", RUN_NOW, '{"job_id": 101}')
    assert (reply.status, reason(reply)) == (403, "AGENT_LIMIT"), reply


def test_analysts_read_one_schema(kong: Kong, around: Around, employee: tuple[Path, Path]):
    bob = Client(kong, around, around.token("bob", "analysts"), certificate=employee)

    def run(statement: str) -> Response:
        body = {"statement": statement, "warehouse_id": "a7066a8ef796be84", "wait_timeout": "30s"}
        return bob.ask(PRODUCTION, "POST", "/api/2.0/sql/statements", json.dumps(body))

    assert run("SELECT 42 FROM main.sales.orders").status == 200
    for statement in ("SELECT * FROM main.hr.people", "DELETE FROM main.sales.orders"):
        reply = run(statement)
        assert (reply.status, reason(reply)) == (403, "NO_RULE"), reply
    # larger than the default buffer of nginx (8k): read all the same
    assert run("SELECT 42 FROM main.sales.orders -- " + "x" * 30_000).status == 200


def test_development_lets_engineers_do_what_is_not_sensitive_and_not_deleting(alice: Client, around: Around):
    assert alice.ask(DEVELOPMENT, "GET", "/api/2.1/clusters/list").status == 200
    reply = alice.ask(DEVELOPMENT, "POST", "/api/2.2/jobs/delete", '{"job_id": 101}')
    assert (reply.status, reason(reply)) == (403, "RULE_DENIED"), reply
    reply = alice.ask(DEVELOPMENT, "POST", "/api/2.0/token/create", "{}")
    assert (reply.status, reason(reply)) == (403, "OPERATION_SENSITIVE"), reply
    assert reached(around.development) == ["alice@example.com"]
    assert around.production.seen() == []


def test_egress_lets_a_service_principal_of_the_workspace_read_prices_and_shows_a_certificate_instead_of_its_token(
    kong: Kong, around: Around
):
    token = workspace_token(around)
    principal = Client(kong, around, token)
    reply = principal.ask(EGRESS, "GET", "/v1/prices/widget")
    assert (reply.status, reply.json()) == (200, {"price": 42}), reply
    (_, _, headers, _) = around.pricing.drain()[0]
    assert [value for name, value in headers if name.lower() == "authorization" and value] == []
    assert token.rsplit(".", 1)[1] not in str(headers)
    assert around.pricing_door.visitors[-1] == "kong-egress"
    # the service looks at who is calling, with the keys that it fetches itself
    (assertion,) = [value for name, value in headers if name.lower() == "x-databricks-kong-identity"]
    key_set = kong.ask(EGRESS, "GET", "/.well-known/databricks-kong/jwks.json", [], None, None, around.authority.path)
    claims = signing.verified(assertion, key_set.json()["keys"])
    assert (claims["iss"], claims["aud"], claims["sub"]) == (f"https://{EGRESS}", "pricing", SP_ETL)
    reply = principal.ask(EGRESS, "POST", "/v1/prices/widget", "{}")
    assert (reply.status, reason(reply)) == (403, "OPERATION_UNKNOWN"), reply
    # a token of the company's provider is no token here
    reply = Client(kong, around, around.token("alice", "job-runners")).ask(EGRESS, "GET", "/v1/prices/widget")
    assert (reply.status, reason(reply)) == (401, "TOKEN_INVALID"), reply
    assert around.pricing.drain() == []


def workspace_token(around: Around) -> str:
    """What code in the workspace has: a token of the workspace's own issuer."""
    reply = send(
        around.production.url,
        "POST",
        "/oidc/v1/token",
        [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Authorization", basic(SP_ETL, SP_SECRETS[SP_ETL])),
        ],
        "grant_type=client_credentials&scope=all-apis",
    )
    return reply.json()["access_token"]


def basic(name: str, password: str) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_an_upstream_with_a_certificate_of_a_stranger_gets_nothing(around: Around):
    """Kong by itself would not look. The route is the shipped one; only the name leads elsewhere."""
    names = around.names.addresses
    real, impostor = names["pricing.internal.example.com"], around.impostor("pricing.internal.example.com")
    names["pricing.internal.example.com"] = impostor.address
    kong = Kong(around.run_dir / "kong-impostor", machine(around), REPO / "kong/kong.conf")
    try:
        reply = Client(kong, around, workspace_token(around)).ask(EGRESS, "GET", "/v1/prices/widget")
        assert reply.status == 502, reply
        assert "upstream SSL certificate verify error" in kong.logs()
        assert around.pricing.drain() == []
    finally:
        kong.stop()
        names["pricing.internal.example.com"] = real
        impostor.stop()


def test_the_gateway_slows_down_who_asks_too_often(kong: Kong, around: Around):
    connection = kong.connect(DEVELOPMENT, around.authority.path)
    headers = [("X-Forwarded-For", "10.66.66.66")]
    replies = []
    while len(replies) < 1300 and (not replies or replies[-1].status == 401):
        replies.append(kong.ask(DEVELOPMENT, "GET", JOBS_LIST, headers, connection=connection))
    connection.close()
    assert replies[-1].status == 429, f"{len(replies)} requests, the last {replies[-1]}"
    assert int(replies[-1].header("retry-after")) >= 1
    # others are not slowed down
    reply = kong.ask(DEVELOPMENT, "GET", JOBS_LIST, [("X-Forwarded-For", OFFICE)], trust=around.authority.path)
    assert reply.status == 401


def test_bodies_have_a_limit(alice: Client, around: Around):
    reply = alice.ask(DEVELOPMENT, "POST", "/api/2.0/dbfs/put", "x" * (16 * 1024 * 1024 + 1))
    assert reply.status == 413, reply
    assert reached(around.development) == []


def test_headers_with_underscores_do_not_arrive(alice: Client, around: Around):
    assert alice.ask(DEVELOPMENT, "GET", JOBS_LIST, X_Databricks_Org_Id="1").status == 200
    (request,) = [one for one in around.development.seen() if not one.is_exchange]
    assert request.header("x_databricks_org_id") is None
    assert request.header("x-databricks-org-id") == "984752964297111"


def test_each_answer_has_kongs_request_id_and_the_correlation_id(alice: Client):
    reply = alice.ask(DEVELOPMENT, "GET", JOBS_LIST, X__Correlation__ID="ticket-7")
    assert reply.header("x-kong-request-id")
    assert reply.header("x-correlation-id") == "ticket-7"
    assert alice.ask(DEVELOPMENT, "GET", JOBS_LIST).header("x-correlation-id")


def test_the_log_plugin_gets_every_request_and_no_token(alice: Client, kong: Kong, around: Around):
    ids = {}
    for name, ask in {
        "allowed": lambda: alice.ask(DEVELOPMENT, "GET", JOBS_LIST, Cookie="session=stolen-cookie"),
        "refused": lambda: alice.ask(DEVELOPMENT, "POST", "/api/2.0/token/create", "{}"),
        "in the query": lambda: alice.ask(DEVELOPMENT, "GET", f"{JOBS_LIST}?access_token={alice.token}"),
    }.items():
        ids[name] = ask().header("x-kong-request-id")
    records = around.log_entries(*ids.values())
    assert records[ids["allowed"]]["response"]["status"] == 200
    assert records[ids["refused"]]["response"]["status"] == 403
    assert records[ids["in the query"]]["request"]["uri"] == JOBS_LIST
    text = json.dumps(records)
    minted = [one["token"] for one in around.development.minted()]
    for secret in (alice.token, "stolen-cookie", *minted):
        assert secret.rsplit(".", 1)[-1] not in text


def test_metrics_are_on_the_status_listener(alice: Client, kong: Kong):
    assert alice.ask(DEVELOPMENT, "GET", JOBS_LIST).status == 200
    # Kong's own counters are written once a second
    expected = 'kong_http_requests_total{service="databricks-development"'
    wait_until("the request is counted", lambda: expected in kong.metrics())


def test_the_filters_counters_are_among_the_metrics_and_count(alice: Client, kong: Kong):
    def counters() -> dict[str, int]:
        rows = (line.split(" ") for line in kong.metrics().splitlines() if line.startswith("pw_databricks_kong_"))
        return {name.removeprefix("pw_databricks_kong_"): int(value) for name, value in rows}

    before = counters()
    assert alice.ask(DEVELOPMENT, "GET", JOBS_LIST).status == 200
    assert reason(alice.ask(DEVELOPMENT, "POST", "/api/2.2/jobs/delete", '{"job_id": 101}')) == "RULE_DENIED"
    alice.token = "no-token"
    assert reason(alice.ask(DEVELOPMENT, "GET", JOBS_LIST)) == "TOKEN_INVALID"
    after = counters()
    counted = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    outcomes = {"requests_allowed": 1, "requests_denied": 1, "requests_unauthenticated": 1}
    reasons = {"denied_rule_denied": 1, "denied_token_invalid": 1}
    assert {
        name: value for name, value in counted.items() if name.startswith(("requests_", "denied_"))
    } == outcomes | reasons
    # without labels; counters are what `rate` is for
    kinds = {name: "gauge" if name.endswith("_timestamp_seconds") else "counter" for name in after}
    lines = kong.metrics().splitlines()
    assert all(f"# TYPE pw_databricks_kong_{name} {kind}" in lines for name, kind in kinds.items())
    # the key set that alice's token was verified with was fetched in this run
    assert 0 <= time.time() - after["keys_fetch_timestamp_seconds"] < 3600


def test_without_a_secret_of_its_configuration_a_route_lets_nobody_through_and_the_log_names_the_variable(
    around: Around, employee: tuple[Path, Path]
):
    changes = machine(around)
    del changes["DATABRICKS_ETL_CLIENT_SECRET"]
    kong = Kong(around.run_dir / "kong-without-secret", changes, REPO / "kong/kong.conf")
    try:
        alice = Client(kong, around, around.token("alice", "job-runners"), certificate=employee)
        reply = alice.ask(PRODUCTION, "GET", JOBS_LIST)
        assert (reply.status, reason(reply)) == (500, "INVALID_CONFIGURATION"), reply
        assert not reached(around.production)
        assert "the environment variable `DATABRICKS_ETL_CLIENT_SECRET` is not set" in kong.logs()
    finally:
        kong.stop()


def test_the_minimal_file_needs_four_settings(around: Around):
    changes = {name: value for name, value in machine(around).items() if "RESOLVER" in name or "TRUSTED_CERT" in name}
    del changes["NGINX_WASM_RESOLVER"]
    changes |= {"DATABASE": "off", "DECLARATIVE_CONFIG": str(REPO / "kong/minimal.yml"), "WASM": "on"}
    kong = Kong(around.run_dir / "kong-minimal", changes)
    try:
        headers = {
            "Authorization": f"Bearer {around.token('alice', 'job-runners')}",
            "Content-Type": "application/json",
        }
        reply = kong.ask(PRODUCTION, "POST", RUN_NOW, headers, '{"job_id": 101}')
        assert reply.status == 200, reply
        assert reached(around.production) == ["alice@example.com"]
        assert not kong.complaints()
    finally:
        kong.stop()
