"""Another filter on the same route, before ours or behind it, that traps, answers, and changes what is not its own.

Before ours: what is decided is what is sent, whoever wrote it. Behind ours nothing holds what it changes, which the last stories show and
docs/security-model.md says. The neighbour is crates/hostile-filter; it misbehaves at requests with `x-misbehave`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

import configs
from configs import Named, Neighbour
from fixtures import stop_gateway
from gateway import EnvoyGateway, Gateway
from stack import RUN_NOW_PATH, Idp, Response, Workspace, wait_until
from world import World, assert_allowed, assert_refused

GET_JOB = "/api/2.2/jobs/get?job_id="
MINE, OTHER = '{"job_id": 101}', '{"job_id": 202}'
MISBEHAVE = {"x-misbehave": "yes"}

TRAPS = {
    "trap_in_request_headers": "trap_in_request_headers",
    "trap_in_request_body": "trap_in_request_body",
    "trap_in_callout": "trap_in_callout idp_rs",
    "trap_beside_callout": "trap_beside_callout idp_rs",
    "trap_in_response_headers": "trap_in_response_headers",
}
CHANGES = {
    "set_authorization": "set_authorization Bearer EVIL",
    "add_authorization": "add_authorization Bearer EVIL",
    "remove_authorization": "remove_authorization",
    "set_path_to_mine": f"set_path {GET_JOB}101",
    "set_path_to_another": f"set_path {GET_JOB}202",
    "set_body_to_mine": f"set_body {MINE}",
    "set_body_to_another": f"set_body {OTHER}",
    "answer": "answer hostile",
    "call_out": "call_out idp_rs",
    "resume_unasked": "resume_unasked idp_rs",
    "never_resume": "never_resume",
}


def route(name: str, behind: bool = False, open: bool = False) -> str:
    return f"{name}_{'behind' if behind else 'before'}{'_open' if open else ''}"


def routes() -> Iterator[Named]:
    for (name, misdeed), behind in itertools.product((TRAPS | CHANGES).items(), (False, True)):
        for open in (False, True) if name in TRAPS else (False,):
            yield Named(route(name, behind, open), configs.policy, neighbour=Neighbour(misdeed, behind, open))


@pytest.fixture(scope="module")
def beside(gateway: Gateway, run_dir: Path, idp: Idp, workspace: Workspace) -> Iterator[EnvoyGateway]:
    if not isinstance(gateway, EnvoyGateway):
        pytest.skip("the neighbour is told what to do by Envoy's configuration")
    directory = run_dir / "neighbours"
    directory.mkdir()
    started = EnvoyGateway(idp, workspace, directory, named=list(routes()))
    yield started
    stop_gateway(started)


@pytest.fixture
def world(beside: EnvoyGateway, idp: Idp, workspace: Workspace, run_dir: Path) -> Iterator[World]:
    workspace.clear_faults()
    workspace.forget_requests()
    one = World(beside, idp, workspace, run_dir, log_start=beside.log.size())
    yield one
    workspace.clear_faults()
    one.check_promises()


def run_now(world: World, config: str, body: str = MINE, hostile: bool = True, **more: object) -> Response:
    headers = MISBEHAVE if hostile else {}
    return world.send(config, "POST", RUN_NOW_PATH, body=body, headers=headers, **more)


def until_the_trap(world: World, name: str, config: str, body: str = MINE, **more: object) -> Response | None:
    """Nothing if nobody answers: Envoy leaves a request alone whose filter trapped while it held it."""
    if name != "trap_in_callout":
        return run_now(world, config, body, **more)
    try:
        return run_now(world, config, body, timeout=2, **more)
    except TimeoutError:
        return None


def get_job(world: World, config: str, job: int, **more: object) -> Response:
    return world.send(config, "GET", f"{GET_JOB}{job}", headers=MISBEHAVE, caller=world.user("runners"), **more)


# --- traps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("open", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("name", TRAPS)
def test_a_neighbour_that_traps_lets_nothing_on_undecided(world: World, name: str, behind: bool, open: bool):
    """Neither a request that is refused, nor the caller's own token (`world` looks at each request); and the next request is served."""
    config = route(name, behind, open)
    runner = world.user("runners")
    token = runner.token()
    before = world.gateway.logs().count("hostile-filter: trapping in")

    world.workspace.fault("token", "delay", delay_ms=300, times=1)
    # a request that ends first takes its callouts with it, and nothing traps: the workspace answers after the provider
    world.workspace.fault("api", "delay", delay_ms=300, times=1)
    reply = until_the_trap(world, name, config, token=token, caller=runner)
    wait_until("it traps", lambda: world.gateway.logs().count("hostile-filter: trapping in") > before)
    if reply is None:
        assert not world.api(), "a request that nobody answers has not been sent"
    elif open or name == "trap_beside_callout":
        # it goes on without the neighbour, but not without our decision
        assert reply.status in (200, 500, 503), str(reply)
    else:
        assert reply.status in (500, 503), str(reply)
    assert len(world.api()) <= 1, "the request was sent twice"

    served = wait_until(
        "the next request is served",
        lambda: (
            one if (one := run_now(world, config, hostile=False, token=token, caller=runner)).status == 200 else None
        ),
    )
    assert_allowed(served)
    # one that was let go before the neighbour trapped arrives cut off, and is 400 there
    assert {one.who for one in world.api() if one.status != 400} == {runner.sub}


@pytest.mark.parametrize("open", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("name", TRAPS)
def test_what_is_refused_is_refused_whatever_a_neighbour_traps_at(world: World, name: str, behind: bool, open: bool):
    config = route(name, behind, open)
    for body, token in ((OTHER, world.user("runners").token()), (MINE, world.user("strangers").token()), (MINE, None)):
        reply = until_the_trap(world, name, config, body=body, token=token)
        assert reply is None or reply.status in (401, 403, 500, 503), str(reply)
    world.no_api_reached()


# --- before ours: what is decided is what is sent ---------------------------------------------------------------------


def test_a_credential_that_a_neighbour_sets_is_judged_as_any_other(world: World):
    reply = run_now(world, route("set_authorization"), caller=world.user("runners"))
    assert_refused(reply, 401, "TOKEN_INVALID")
    world.nothing_reached()


def test_a_second_credential_is_ambiguous(world: World):
    reply = run_now(world, route("add_authorization"), caller=world.user("runners"))
    assert reply.status in (400, 401), str(reply)
    assert_refused(reply, reply.status, "REQUEST_AMBIGUOUS" if reply.status == 400 else "TOKEN_INVALID")
    world.nothing_reached()


def test_without_a_credential_nobody_is_let_in(world: World):
    assert_refused(run_now(world, route("remove_authorization"), caller=world.user("runners")), 401, "TOKEN_MISSING")
    world.nothing_reached()


def test_the_path_that_is_decided_is_the_path_that_is_sent(world: World):
    assert_refused(get_job(world, route("set_path_to_another"), 101), 403, "NO_RULE")
    world.nothing_reached()
    assert_allowed(get_job(world, route("set_path_to_mine"), 202))
    assert world.the_request().target == f"{GET_JOB}101"


def test_the_body_that_is_decided_is_the_body_that_is_sent(world: World):
    refused = run_now(world, route("set_body_to_another"), MINE, caller=world.user("runners"))
    assert_refused(refused, 403, "NO_RULE")
    world.nothing_reached()
    assert_allowed(run_now(world, route("set_body_to_mine"), OTHER, caller=world.user("runners")))
    assert world.the_request().body.decode() == MINE


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_a_neighbours_answer_is_not_the_workspaces(world: World, behind: bool):
    reply = run_now(world, route("answer", behind), caller=world.user("runners"))
    assert (reply.status, reply.text) == (200, "hostile")
    world.no_api_reached()
    if behind:
        assert_refused(run_now(world, route("answer", behind), OTHER, caller=world.user("runners")), 403, "NO_RULE")


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_a_callout_of_a_neighbours_is_not_ours(world: World, behind: bool):
    """Its answer arrives while ours waits for one."""
    world.workspace.fault("token", "delay", delay_ms=400, times=1)
    runner = world.user("runners")
    assert_allowed(run_now(world, route("call_out", behind), caller=runner))
    assert world.the_request().who == runner.sub


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_a_neighbour_lets_nothing_go_that_ours_holds(world: World, behind: bool):
    """It resumes a request that it does not hold, while ours waits for the exchange."""
    config = route("resume_unasked", behind)
    runner = world.user("runners")
    for body in (MINE, None):
        world.workspace.fault("token", "delay", delay_ms=400, times=1)
        reply = run_now(world, config, body, token=runner.token(), caller=runner)
        assert reply.status in (200, 403, 500, 503), str(reply)
        world.workspace.fault("token", "delay", delay_ms=400, times=1)
        stranger = world.user("runners", known=False)
        refused = run_now(world, config, body, token=stranger.token(), caller=stranger)
        assert refused.status in (403, 500, 503), str(refused)
    assert {one.who for one in world.api()} <= {runner.sub}


def test_a_neighbour_that_never_lets_go_holds_the_request_alone(world: World):
    with pytest.raises(TimeoutError):
        run_now(world, route("never_resume"), caller=world.user("runners"), timeout=1)
    world.nothing_reached()


# --- behind ours: nothing holds it ------------------------------------------------------------------------------------
# Envoy shows a filter no change of those behind it. This is why ours stands last among those that change requests.


def test_behind_ours_a_neighbour_can_send_another_credential(world: World):
    run_now(world, route("set_authorization", behind=True), caller=world.user("runners"))
    assert world.the_request().all("authorization") == ["Bearer EVIL"]
    world.workspace.forget_requests()
    run_now(world, route("remove_authorization", behind=True), caller=world.user("runners"))
    assert world.the_request().all("authorization") == []
    world.workspace.forget_requests()


def test_behind_ours_a_neighbour_can_send_what_was_not_decided(world: World):
    runner = world.user("runners")
    get_job(world, route("set_path_to_another", behind=True), 101)
    assert world.the_request().target == f"{GET_JOB}202"
    world.workspace.forget_requests()
    run_now(world, route("set_body_to_another", behind=True), MINE, caller=runner)
    assert world.the_request().body.decode() == OTHER


def test_behind_ours_a_neighbour_does_not_see_the_callers_token(world: World):
    """What it could send on of the request is what goes to the workspace, whose headers `world` looks at."""
    runner = world.user("runners")
    assert_allowed(run_now(world, route("never_resume", behind=True), hostile=False, caller=runner))
    with pytest.raises(TimeoutError):
        run_now(world, route("never_resume", behind=True), caller=runner, timeout=1)
    assert len(world.api()) == 1
