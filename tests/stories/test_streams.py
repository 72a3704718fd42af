"""What a model says reaches its client word by word."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator

import pytest

from stack import admin
from world import World

QUESTION = {"model": "main-model", "stream": True, "messages": [{"role": "user", "content": "six times seven?"}]}


@pytest.fixture
def held(world: World) -> Iterator[None]:
    """The model says one word, and the rest once the test lets it."""
    admin(world.workspace.admin_url, "PUT", "/streams", {"held": True})
    yield
    admin(world.workspace.admin_url, "PUT", "/streams", {"held": False})


@pytest.mark.parametrize("config", ["main", "tls"])
def test_an_event_is_passed_on_before_the_next_one_is_there(world: World, held: None, config: str):
    """By TLS too: nginx gathers what it encrypts into records, unless its route is told to pass on what comes."""
    if config == "tls" and world.gateway.no_tls:
        pytest.skip(world.gateway.no_tls)
    caller = world.engineer()
    headers = {"Authorization": f"Bearer {caller.token()}", "Content-Type": "application/json"}
    url = urllib.parse.urlsplit(world.gateway.url(config))
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=str(world.gateway.ca))
        connection = http.client.HTTPSConnection(url.netloc, timeout=20, context=context)
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=20)
    connection.request("POST", f"{url.path}/serving-endpoints/chat/completions", json.dumps(QUESTION), headers)
    reply = connection.getresponse()
    assert (reply.status, reply.getheader("content-type")) == (200, "text/event-stream; charset=utf-8")
    first = reply.readline()
    assert b'"forty"' in first, first
    # only now does the model go on
    admin(world.workspace.admin_url, "POST", "/streams")
    rest = reply.read()
    connection.close()
    assert b'"two"' in rest and rest.endswith(b"data: [DONE]\n\n"), rest
    assert world.the_request().who == caller.sub
