"""Every method of the real SDK, called once through the gateway: the refusal names the operation, and it is the method's own name.

The role of `nothing` is denied every operation, so that each request is refused with its operation's name; a request that the catalogue
does not know would be refused as unknown.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from databricks.sdk import AccountClient, WorkspaceClient
from databricks.sdk.core import Config

from sdk_calls import Arguments, Method, methods
from stack import ACCOUNT_ID, REPO
from world import World

OTHERS = REPO / "tools/catalogue/sdk_methods.tsv"
TABLE = REPO / "src/databricks/catalogue/operations.tsv"


def rows(path: Any) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines() if line and not line.startswith("#")]


# all names of one request: each finds the others
NAMES: dict[str, set[str]] = {}
for row in rows(TABLE):
    names = {row[0], *(row[6].split(" ") if row[6] != "-" else [])}
    for name in names:
        NAMES.setdefault(name, set()).update(names)


class Recorder:
    """What the gateway answered to each request of the SDK."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.answers: list[tuple[str, str, str]] = []
        send = requests.Session.send

        def recording(session: requests.Session, request: requests.PreparedRequest, **more: Any) -> requests.Response:
            response = send(session, request, **more)
            self.answers.append((request.method or "", request.path_url, operation_of(response)))
            return response

        monkeypatch.setattr(requests.Session, "send", recording)


def operation_of(response: requests.Response) -> str:
    """The operation that a refusal names; otherwise what the answer was."""
    try:
        info = response.json()["details"][0]
    except (ValueError, KeyError, TypeError):
        # answers to HEAD have no body
        said = response.headers.get("x-databricks-reason-phrase", "")
        found = re.search(r"denied `([\w.]+)`", said)
        return found[1] if found else f"{response.status_code} {said}"
    return info.get("metadata", {}).get("operation") or f"{response.status_code} {info['reason']}"


def run(method: Method, arguments: dict[str, Any]) -> str:
    """Calls it; what the SDK itself had to say against the call, if anything."""
    try:
        result = method.bound(**arguments)
        if isinstance(result, types.GeneratorType | Iterator):
            next(result, None)
    except Exception as error:  # the gateway's refusal, as a rule
        return f"{type(error).__name__}: {error}"[:160]
    return ""


def clients(world: World) -> Iterator[tuple[str, Any]]:
    token = world.user("nothing").token()
    for prefix, cls in (("", WorkspaceClient), ("account.", AccountClient)):
        config = Config(
            host=world.gateway.url("nothing"),
            token=token,
            auth_type="pat",
            account_id=ACCOUNT_ID,
            retry_timeout_seconds=1,
            http_timeout_seconds=10,
        )
        yield prefix, cls(config=config)


def is_right(method: Method, found: str) -> bool:
    """A method that only calls others may send any operation of its service: `create_and_wait` creates, `wait_get_run` gets."""
    if found in NAMES.get(method.name, {method.name}):
        return True
    service = method.name.rpartition(".")[0]
    return not method.sends and any(name.rpartition(".")[0] == service for name in NAMES.get(found, ()))


@pytest.mark.timeout(300)
def test_every_method_is_classified_as_its_own_name(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)  # some methods write a file before they ask for it
    recorder, arguments = Recorder(monkeypatch), Arguments()
    others = {row[0]: row[1] for row in rows(OTHERS)}
    driven, wrong, silent = {}, [], {}
    for prefix, client in clients(world):
        for method in methods(client, prefix):
            why = ""
            for one in arguments.sets(method):
                recorder.answers.clear()
                why = run(method, one)
                for verb, path, found in recorder.answers[:1]:
                    driven[method.name] = driven.get(method.name, method.sends)
                    if found != others[method.name] if method.name in others else not is_right(method, found):
                        wrong.append(f"{method.name}: {verb} {path} was {found}")
            if method.name not in driven:
                silent[method.name] = why or "sends nothing"
    sending = sum(driven.values())
    known = sum(1 for row in rows(TABLE) if any(name in driven for name in NAMES[row[0]]))
    print(
        f"\nmethods of the SDK driven: {len(driven)}, of which {sending} send a request of their own; not driven: {len(silent)}"
    )
    print(f"rows of the catalogue that they cover: {known} of {len(rows(TABLE))}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(sorted(set(wrong)))
    unexcused = {name: why for name, why in silent.items() if others.get(name) != "-"}
    assert not unexcused, f"{len(unexcused)} sent nothing:\n" + json.dumps(unexcused, indent=1)
    outdated = {name for name, found in others.items() if (found == "-") == (name in driven)}
    assert not outdated, f"no longer as {OTHERS.name} says: {sorted(outdated)}"
    # a class that no client offers sends what another sends too
    lacking = {name for name in arguments.forms if not NAMES.get(name, {name}) & driven.keys()} - others.keys()
    assert not lacking, f"requests in the SDK's text that no method of a client sent: {sorted(lacking)}"
    world.nothing_reached()
