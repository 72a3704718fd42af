"""The main job: an IdP token goes in, a Databricks token of the right identity and scope comes out."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import PermissionDenied, Unauthenticated

from forge import REMOVE, expiry
from stack import ACCOUNT_ID, ASSUMABLE_GROUP, SP_ETL, SP_FEDERATED, SP_SECOND, SP_SECRETS, WORKSPACE_ID, wait_until
from world import JOBS_LIST, RUN_NOW, World, assert_allowed, assert_refused, token_digest

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"


def sdk(world: World, config: str, token: str) -> WorkspaceClient:
    url = world.gateway.url(config)
    return WorkspaceClient(config=Config(host=url, token=token, auth_type="pat", retry_timeout_seconds=10))


# --- an engineer runs a job -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("issuer", ["rs", "es"])
def test_engineer_runs_a_job(world: World, issuer: str):
    engineer = world.engineer(issuer)
    token = engineer.token()
    reply = world.send("main", "POST", RUN_NOW, token, engineer, body='{"job_id": 101}')
    assert "run_id" in assert_allowed(reply)

    [exchange] = world.exchanges()
    assert exchange.form == {
        "grant_type": EXCHANGE,
        "subject_token_type": JWT_TYPE,
        "subject_token": token,
        "scope": "all-apis",
    }
    assert exchange.header("content-type").split(";")[0] == "application/x-www-form-urlencoded"
    assert exchange.header("authorization") is None, "the exchange takes no client authentication"
    sent = world.the_request()
    assert (sent.method, sent.target, json.loads(sent.body)) == ("POST", RUN_NOW, {"job_id": 101})
    assert sent.who == engineer.sub and sent.principal["scope"] == "all-apis"


def test_engineer_runs_a_job_with_the_sdk(world: World):
    engineer = world.engineer()
    client = sdk(world, "main", engineer.token())
    run = client.jobs.run_now(job_id=101)
    assert run.run_id
    ran = [one for one in world.api() if one.path.endswith("/jobs/run-now")]
    assert [one.who for one in ran] == [engineer.sub]
    assert client.config.workspace_id == WORKSPACE_ID, "the SDK reads the gateway's metadata"
    assert client.config.account_id == ACCOUNT_ID


def test_sdk_reads_and_lists(world: World):
    engineer = world.engineer()
    client = sdk(world, "main", engineer.token())
    assert client.current_user.me().user_name == engineer.sub
    list(client.jobs.list())
    list(client.clusters.list())
    assert {one.who for one in world.api()} == {engineer.sub}
    assert len(world.exchanges()) == 1


def test_team_glob_matches(world: World):
    assert_allowed(world.send("main", caller=world.user("team-blue")))


def test_body_and_query_arrive_as_sent(world: World):
    engineer = world.engineer()
    body = json.dumps({"job_id": 101, "notebook_params": {"text": "ü" * 4000, "n": 1.50}})
    assert_allowed(world.send("main", "POST", RUN_NOW, caller=engineer, body=body))
    target = JOBS_LIST + "?limit=25&name=a%20b%2Fc&expand_tasks=true"
    assert_allowed(world.send("main", "GET", target, caller=engineer))
    first, second = world.api()
    assert first.body == body.encode() and second.target == target
    assert second.header("x-databricks-org-id") == WORKSPACE_ID


def test_a_workspace_id_without_quotes_keeps_its_digits(world: World):
    assert_allowed(world.send("id_as_number", "GET", JOBS_LIST, caller=world.engineer()))
    assert world.the_request().header("x-databricks-org-id") == WORKSPACE_ID


def test_large_body_arrives_whole(world: World):
    body = json.dumps({"job_id": 101, "notebook_params": {"blob": "x" * 300_000}})
    assert_allowed(world.send("main", "POST", RUN_NOW, caller=world.engineer(), body=body))
    assert world.the_request().body == body.encode()


def test_user_agent_is_stamped_and_kept(world: World):
    reply = world.send("main", caller=world.engineer(), headers={"User-Agent": "my-tool/1.0"})
    assert_allowed(reply)
    agent = world.the_request().header("user-agent")
    assert agent.startswith("my-tool/1.0 databricks-kong/"), agent


def test_native_errors_pass_unchanged(world: World):
    engineer = world.engineer()
    world.workspace.fault(
        "api",
        "status",
        status=404,
        headers={"x-canary": "kept"},
        body='{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Job 9 does not exist."}',
        times=1,
    )
    reply = world.send("main", "GET", "/api/2.2/jobs/get?job_id=9", caller=engineer)
    assert reply.status == 404 and reply.header("x-canary") == "kept"
    assert reply.json() == {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Job 9 does not exist."}


def test_throttling_by_the_workspace_passes_unchanged(world: World):
    world.workspace.fault("api", "status", status=429, headers={"retry-after": "7"}, body="{}", times=1)
    reply = world.send("main", caller=world.engineer())
    assert (reply.status, reply.header("retry-after")) == (429, "7")


# --- an analyst is refused --------------------------------------------------------------------------------------------


def test_analyst_without_the_group_is_refused(world: World):
    analyst = world.user("analysts", name="analyst")
    reply = world.send("main", "POST", RUN_NOW, caller=analyst, body='{"job_id": 101}')
    assert_refused(reply, 403, "NO_ROLE")
    world.nothing_reached()


def test_analyst_gets_the_sdks_typed_error(world: World):
    client = sdk(world, "main", world.user("analysts", name="analyst").token())
    with pytest.raises(PermissionDenied) as caught:
        client.jobs.run_now(job_id=101)
    assert caught.value.error_code == "PERMISSION_DENIED"
    infos = caught.value.get_error_info()
    assert [(info.reason, info.domain) for info in infos] == [("NO_ROLE", "databricks-kong")]
    world.nothing_reached()


def test_expired_token_gets_the_sdks_typed_error(world: World):
    engineer = world.engineer()
    client = sdk(world, "main", engineer.forge(exp=1_700_000_000, iat=1_699_990_000))
    with pytest.raises(Unauthenticated):
        client.jobs.run_now(job_id=101)
    world.nothing_reached()


@pytest.mark.parametrize(
    "groups", [REMOVE, [], "", None, "analysts, data-engineers", ["DATA-ENGINEERING"], ["xteam-a"]]
)
def test_groups_that_are_not_the_roles(world: World, groups: object):
    reply = world.send("main", token=world.engineer().forge(groups=groups))
    assert reply.status in (401, 403), str(reply)
    if reply.status == 401:  # a claim of the wrong type may be a malformed token
        assert groups is None
        assert_refused(reply, 401, "TOKEN_INVALID")
    else:
        assert_refused(reply, 403, "NO_ROLE")
    world.nothing_reached()


def test_groups_as_one_string_are_one_group(world: World):
    assert_allowed(world.send("main", token=world.engineer().forge(groups="data-engineering")))


@pytest.mark.parametrize(
    "groups", ["analysts data-engineering", "analysts,data-engineering", "a, data-engineering", "data-engineering "]
)
def test_one_string_is_not_taken_apart(world: World, groups: str):
    assert_refused(world.send("main", token=world.engineer().forge(groups=groups)), 403, "NO_ROLE")
    world.nothing_reached()


@pytest.mark.parametrize(
    "overage",
    [
        {
            "_claim_names": {"groups": "src1"},
            "_claim_sources": {"src1": {"endpoint": "https://graph.example.com/"}},
            "groups": REMOVE,
        },
        {"hasgroups": True, "groups": REMOVE},
    ],
    ids=["claim-names", "hasgroups"],
)
def test_group_overage_is_not_no_groups(world: World, overage: dict):
    assert_refused(world.send("main", token=world.engineer().forge(**overage)), 403, "GROUPS_OVERAGE")
    world.nothing_reached()


# --- the token is kept, for its owner alone ---------------------------------------------------------------------------


def test_second_request_uses_the_kept_token(world: World):
    engineer = world.engineer()
    token = engineer.token()
    for _ in range(5):
        assert_allowed(world.send("main", token=token, caller=engineer))
    assert len(world.exchanges()) == 1
    assert len({one.principal["token_sha256"] for one in world.api()}) == 1


def test_two_callers_never_share_a_user_token(world: World):
    alice, bob = world.engineer(name="alice"), world.engineer(name="bob")
    tokens = {one.sub: one.token() for one in (alice, bob)}
    for caller in (alice, bob, alice, bob, bob, alice):
        assert_allowed(world.send("main", token=tokens[caller.sub], caller=caller))
    assert [one.who for one in world.api()] == [c.sub for c in (alice, bob, alice, bob, bob, alice)]
    assert [one.form["subject_token"] for one in world.exchanges()] == [tokens[alice.sub], tokens[bob.sub]]


def test_one_subject_at_two_providers_is_two_callers(world: World):
    """`sub` is unique at its issuer only."""
    caller = world.engineer("rs")
    for_rs = caller.token()
    for_es = world.remember(world.idp.login("es", caller.sub, {"groups": caller.groups}))
    assert_allowed(world.send("main", token=for_rs))
    assert_allowed(world.send("main", token=for_es))
    assert [one.form["subject_token"] for one in world.exchanges()] == [for_rs, for_es]


def test_kept_token_does_not_outlive_the_callers(world: World):
    """The token that Databricks gave for a token of a few seconds is not used after them."""
    engineer = world.engineer()
    short, long = engineer.token(ttl=3), engineer.token(ttl=3600)
    assert_allowed(world.send("main", token=short))
    wait_until("the first token is over", lambda: time.time() > expiry(short) + 0.5)
    assert_allowed(world.send("main", token=long))
    assert [one.form["subject_token"] for one in world.exchanges()] == [short, long]
    last = world.api()[-1]
    [row] = [row for row in world.workspace.minted() if token_digest(row) == last.principal["token_sha256"]]
    assert last.status == 200, row


def test_401_from_the_workspace_drops_the_kept_token(world: World):
    engineer = world.engineer()
    token = engineer.token()
    assert_allowed(world.send("main", token=token, caller=engineer))
    world.workspace.fault(
        "api", "status", status=401, headers={"x-canary": "kept"}, body='{"error_code":401,"message":"native"}', times=1
    )
    reply = world.send("main", token=token, caller=engineer)
    assert (reply.status, reply.header("x-canary"), reply.json()["message"]) == (401, "kept", "native")
    assert len(world.exchanges()) == 1, "the reply itself passes on; nothing is repeated"
    assert_allowed(world.send("main", token=token, caller=engineer))
    assert len(world.exchanges()) == 2, "the token that was answered with 401 is not used again"


def test_403_for_an_invalid_token_drops_the_kept_token(world: World):
    """What Databricks answers to a token that it does not know or that has ended is no 401."""
    engineer = world.engineer()
    token = engineer.token()
    assert_allowed(world.send("main", token=token, caller=engineer))
    said = "Invalid access token."
    answer = {"headers": {"x-databricks-reason-phrase": said}, "body": f'{{"error_code":403,"message":"{said}"}}'}
    world.workspace.fault("api", "status", status=403, times=1, **answer)
    reply = world.send("main", token=token, caller=engineer)
    assert (reply.status, reply.json()["message"]) == (403, said), "the reply itself passes on"
    assert_allowed(world.send("main", token=token, caller=engineer))
    assert len(world.exchanges()) == 2, "the token that was called invalid is not used again"


def test_revoked_token_is_replaced(world: World):
    engineer = world.engineer()
    token = engineer.token()
    assert_allowed(world.send("main", token=token, caller=engineer))
    world.workspace.revoke(engineer.sub)
    assert world.send("main", token=token, caller=engineer).status == 401
    assert_allowed(world.send("main", token=token, caller=engineer))


def test_403_from_the_workspace_keeps_the_token(world: World):
    engineer = world.engineer()
    token = engineer.token()
    assert_allowed(world.send("main", token=token))
    world.workspace.fault(
        "api", "status", status=403, body='{"error_code":"PERMISSION_DENIED","message":"acl"}', times=1
    )
    assert world.send("main", token=token).status == 403
    assert_allowed(world.send("main", token=token))
    assert len(world.exchanges()) == 1


# --- the kinds of credential ------------------------------------------------------------------------------------------


def basic(client_id: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{SP_SECRETS[client_id]}".encode()).decode()


def test_service_principal_secret_is_shared_by_its_role(world: World):
    for caller in (world.user("batch"), world.user("batch")):
        assert_allowed(world.send("roles", caller=caller))
    exchanges = world.exchanges()
    assert len(exchanges) <= 1, "the second caller uses the role's token"
    assert [(one.principal["kind"], one.who) for one in world.api()] == [("service_principal", SP_ETL)] * 2


def test_service_principal_secret_goes_as_http_basic(world: World):
    assert_allowed(world.send("roles", caller=world.user("batch-jobs")))
    exchanges = world.exchanges()
    assert len(exchanges) <= 1, "where there are timers, one has asked before the caller came"
    for exchange in exchanges:
        assert exchange.form == {"grant_type": "client_credentials", "scope": exchange.form["scope"]}
        assert exchange.all("authorization") == [basic(SP_ETL)]
    assert world.the_request().principal["scope"] == "jobs"


def test_roles_do_not_share_tokens(world: World):
    """Two roles with the same service principal, scopes differing."""
    assert_allowed(world.send("roles", caller=world.user("batch")))
    assert_allowed(world.send("roles", caller=world.user("batch-jobs")))
    assert len({one.principal["token_sha256"] for one in world.api()}) == 2
    assert [one.principal["scope"] for one in world.api()] == ["all-apis", "jobs"]


def test_workload_with_client_credentials(world: World):
    token = world.remember(world.idp.workload("rs"))
    assert_allowed(world.send("roles", token=token))
    assert world.the_request().who == SP_ETL


def test_service_principal_federation(world: World):
    callers = [world.user("federated"), world.user("federated")]
    for caller in callers:
        world.workspace.add_federated_subject(world.idp.url("rs"), caller.sub)
    tokens = [caller.token() for caller in callers]
    for token in tokens + tokens:
        assert_allowed(world.send("roles", token=token))
    assert [one.form for one in world.exchanges()] == [
        {
            "grant_type": EXCHANGE,
            "subject_token_type": JWT_TYPE,
            "subject_token": token,
            "scope": "all-apis",
            "client_id": SP_FEDERATED,
        }
        for token in tokens
    ], "obtained with a caller's own JWT, so never for another caller"
    assert all(one.header("authorization") is None for one in world.exchanges())
    assert {one.who for one in world.api()} == {SP_FEDERATED}


def test_assume_group_is_passed(world: World):
    caller = world.user("assumers", assume=True)
    assert_allowed(world.send("roles", caller=caller))
    [exchange] = world.exchanges()
    assert exchange.form["assume_group"] == ASSUMABLE_GROUP
    sent = world.the_request()
    assert sent.who == caller.sub and str(sent.principal["assume_group"]) == ASSUMABLE_GROUP


def test_assume_group_refused_by_the_workspace(world: World):
    assert_refused(world.send("roles", caller=world.user("assumers", assume=False)), 403, "EXCHANGE_REFUSED")
    world.no_api_reached()


def test_scope_is_a_list(world: World):
    assert_allowed(world.send("roles", caller=world.user("scoped")))
    [exchange] = world.exchanges()
    assert exchange.form["scope"].split(" ") == ["jobs", "clusters"]


def test_scope_too_narrow_is_the_workspaces_own_refusal(world: World):
    reply = world.send("roles", "GET", "/api/2.0/sql/warehouses", caller=world.user("scoped"))
    assert reply.status == 403 and reply.header("server") == "databricks", str(reply)
    assert "required scopes" in reply.text


def test_minimal_scope_is_that_of_the_operation(world: World):
    caller = world.user("minimal")
    token = caller.token()
    assert_allowed(world.send("minimal", "GET", JOBS_LIST, token=token))
    assert_allowed(world.send("minimal", "GET", "/api/2.1/clusters/list", token=token))
    assert [one.form["scope"] for one in world.exchanges()] == ["jobs", "clusters"]
    assert [one.principal["scope"] for one in world.api()] == ["jobs", "clusters"]


def test_minimal_scope_is_never_guessed(world: World):
    """While the filter knows no operations, a role with `minimal` gets no token rather than one of every scope."""
    reply = world.send("minimal", caller=world.user("minimal"))
    if reply.status == 200:
        assert [one.form["scope"] for one in world.exchanges()] == ["jobs"]
    else:
        assert_refused(reply, 500, "INVALID_CONFIGURATION")
        world.nothing_reached()


def test_passthrough_sends_the_verified_token_itself(world: World):
    token = world.user("passthrough").token()
    world.passed_through.add(token)
    reply = world.send("roles", token=token)
    sent = world.the_request()
    assert sent.all("authorization") == [f"Bearer {token}"]
    assert not world.exchanges()
    assert reply.status in (401, 403) and reply.header("server") == "databricks", "this workspace takes no such token"


def test_none_sends_no_credential(world: World):
    world.anonymous_allowed = True
    reply = world.send("roles", token=world.user("egress").token())
    assert "".join(world.the_request().all("authorization")) == ""
    assert not world.exchanges()
    assert reply.status == 401 and reply.header("server") == "databricks", str(reply)


def test_secret_from_the_environment(world: World):
    assert_allowed(world.send("env_secret", caller=world.user("batch")))
    assert world.the_request().who == SP_ETL
    for exchange in world.exchanges():
        assert exchange.all("authorization") == [basic(SP_ETL)]


# --- which role -------------------------------------------------------------------------------------------------------


def test_first_matching_role_wins(world: World):
    assert_allowed(world.send("roles", caller=world.user("multi")))
    assert world.the_request().who == SP_ETL


def test_caller_asks_for_a_role(world: World):
    caller = world.user("multi")
    assert_allowed(world.send("roles", caller=caller, headers={"X-Databricks-Role": "second"}))
    assert_allowed(world.send("roles", caller=caller, headers={"X-Databricks-Role": "first"}))
    assert [one.who for one in world.api()] == [SP_SECOND, SP_ETL]


@pytest.mark.parametrize("asked", ["not-for-multi", "no-such-role", "second, first", ""])
def test_caller_asks_for_a_role_that_is_not_the_callers(world: World, asked: str):
    reply = world.send("roles", caller=world.user("multi"), headers={"X-Databricks-Role": asked})
    if asked == "" and reply.status == 200:
        assert world.the_request().who == SP_ETL  # an empty header asks for nothing
        return
    assert_refused(reply, 403, "NO_ROLE")
    world.nothing_reached()


@pytest.mark.parametrize("group", ["former", "future"])
def test_grant_outside_its_time(world: World, group: str):
    assert_refused(world.send("roles", caller=world.user(group)), 403, "GRANT_INACTIVE")
    world.nothing_reached()


def test_grant_inside_its_time(world: World):
    assert_allowed(world.send("roles", caller=world.user("current")))


def test_role_by_client(world: World):
    agent = world.user("agents")
    assert_refused(world.send("roles", token=agent.token()), 403, "NO_ROLE")
    assert_allowed(world.send("roles", token=agent.token(client="copilot-app")))


def test_role_by_provider(world: World):
    assert_refused(world.send("roles", caller=world.user("es-only", issuer="rs")), 403, "NO_ROLE")
    assert_allowed(world.send("roles", caller=world.user("es-only", issuer="es")))


def test_role_by_claim(world: World):
    assert_refused(world.send("roles", token=world.user().token(department="sales")), 403, "NO_ROLE")
    assert_allowed(world.send("roles", token=world.user().token(department="finance")))


def test_role_by_subject(world: World):
    world.workspace.add_user("the-one@example.com")
    world.subjects.add("the-one@example.com")
    token = world.remember(world.idp.login("rs", "the-one@example.com", {}))
    assert_allowed(world.send("roles", token=token))
    assert world.the_request().who == "the-one@example.com"


# --- claims found elsewhere, claims required --------------------------------------------------------------------------


def strict_claims(**changes: object) -> dict:
    claims = {"groups": REMOVE, "realm_access": {"roles": ["data-engineering"]}, "tier": "gold", "email_verified": True}
    return {**claims, **changes}


def test_claims_by_pointer_and_by_name(world: World):
    engineer = world.engineer()
    reply = world.send("strict", token=engineer.forge(email=engineer.sub, **strict_claims()))
    assert_allowed(reply)
    assert world.the_request().who == engineer.sub


@pytest.mark.parametrize("audience", ["databricks", "databricks-too", ["other", "databricks-too"], ["databricks"]])
def test_audience_as_string_or_array(world: World, audience: object):
    engineer = world.engineer()
    reply = world.send("strict", token=engineer.forge(email=engineer.sub, aud=audience, **strict_claims()))
    if audience == "databricks-too" or audience == ["other", "databricks-too"]:
        # good enough for the gateway, but the workspace's own policy names one audience only
        assert_refused(reply, 403, "EXCHANGE_REFUSED")
    else:
        assert_allowed(reply)


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": REMOVE},
        {"tier": "bronze"},
        {"tier": REMOVE},
    ],
    ids=str,
)
def test_required_claims(world: World, claims: dict):
    engineer = world.engineer()
    reply = world.send("strict", token=engineer.forge(email=engineer.sub, **strict_claims(**claims)))
    metadata = assert_refused(reply, 401, "TOKEN_INVALID")
    assert "claim_required" in json.dumps(metadata), metadata
    world.nothing_reached()


def test_required_claim_may_be_one_of_several(world: World):
    engineer = world.engineer()
    assert_allowed(world.send("strict", token=engineer.forge(email=engineer.sub, **strict_claims(tier="silver"))))


def test_lifetime_is_bounded(world: World):
    engineer, now = world.engineer(), int(time.time())
    claims = strict_claims(email=engineer.sub)
    assert_allowed(world.send("strict", token=engineer.forge(**claims, iat=now, exp=now + 7200)))
    for odd in (
        {"iat": now, "exp": now + 7201},
        {"iat": REMOVE, "exp": now + 60},
        {"iat": now - 7000, "exp": now + 3600},
    ):
        assert_refused(world.send("strict", token=engineer.forge(**{**claims, **odd})), 401, "TOKEN_INVALID")


def test_own_token_limit(world: World):
    engineer = world.engineer()
    token = engineer.forge(email=engineer.sub, **strict_claims(padding="x" * 4000))
    assert_refused(world.send("strict", token=token), 401, "TOKEN_INVALID")
    world.nothing_reached()


# --- the query of the workspace's own URL -----------------------------------------------------------------------------


def quote(**query: str) -> str:
    return f"{JOBS_LIST}?{urllib.parse.urlencode(query)}"


@pytest.mark.parametrize("name", ["o", "w"])
def test_workspace_in_the_query_must_be_this_one(world: World, name: str):
    engineer = world.engineer()
    assert_allowed(world.send("main", "GET", quote(**{name: WORKSPACE_ID}), caller=engineer))
    for odd in (
        quote(**{name: "1"}),
        quote(**{name: ""}),
        f"{quote(**{name: WORKSPACE_ID})}&{name}={WORKSPACE_ID}",
        f"{JOBS_LIST}?{name}",
    ):
        assert_refused(world.send("main", "GET", odd, caller=engineer), 400, "REQUEST_AMBIGUOUS")
    assert len(world.api()) == 1


@pytest.mark.parametrize("query", ["a=1", "aid=777", "aid=", "access_token=x", "%61id=777", "limit=5&aid=777"])
def test_query_that_must_be_absent(world: World, query: str):
    assert_refused(world.send("main", "GET", f"{JOBS_LIST}?{query}", caller=world.engineer()), 400, "REQUEST_AMBIGUOUS")
    world.nothing_reached()


def test_token_in_the_query_is_no_credential(world: World):
    token = world.engineer().token()
    reply = world.send("main", "GET", f"{JOBS_LIST}?access_token={token}")
    assert reply.status in (400, 401), str(reply)
    world.nothing_reached()
