"""A person with a browser who signs in, and the client that waits for them, as official clients do it."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

import requests

from stack import Response
from world import EVERY_SECRET, Caller, World

REDIRECT = "http://localhost:8020"
TOKEN = "/oidc/v1/token"
AUTHORIZE = "/oidc/v1/authorize"


def browse(url: str, person: Caller, redirect: str = REDIRECT) -> dict[str, str]:
    """Goes where it is sent and fills in the provider's form, until it is sent to the client's own machine: what it brings there."""
    claims = json.dumps({"groups": person.groups, "email": person.sub})
    session = requests.Session()
    session.trust_env = False
    reply = session.get(url, allow_redirects=False, timeout=20)
    for _ in range(12):
        if reply.status_code in (302, 303):
            where = urllib.parse.urljoin(reply.url, reply.headers["location"])
            if where.split("?")[0].rstrip("/") == redirect.rstrip("/"):
                return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(where).query))
            reply = session.get(where, allow_redirects=False, timeout=20)
        elif reply.status_code == 200 and 'name="sub"' in reply.text:
            reply = session.post(
                reply.url, data={"sub": person.sub, "claims": claims}, allow_redirects=False, timeout=20
            )
        else:
            raise AssertionError(f"no way on at {reply.url}: {reply.status_code} {reply.text[:500]}")
    raise AssertionError("the way does not end")


def keep_secret(*texts: str) -> None:
    EVERY_SECRET.update(texts)


@dataclass
class Client:
    """What a client does: it sends a person to sign in, and turns the code into tokens."""

    world: World
    config: str = "login"
    redirect: str = REDIRECT
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def __post_init__(self) -> None:
        keep_secret(self.verifier)

    @property
    def challenge(self) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")

    def parameters(self, **changes: str | None) -> dict[str, str]:
        parameters = {
            "response_type": "code",
            "client_id": "databricks-cli",
            "redirect_uri": self.redirect,
            "scope": "all-apis offline_access",
            "state": self.state,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def authorize(self, query: str | None = None, **changes: str | None) -> Response:
        query = urllib.parse.urlencode(self.parameters(**changes)) if query is None else query
        return self.world.send(self.config, "GET", f"{AUTHORIZE}?{query}")

    def code(self, person: Caller) -> str:
        """Of a sign-in that has gone well."""
        reply = self.authorize()
        assert reply.status == 302, str(reply)
        brought = browse(reply.header("location"), person, self.redirect)
        assert brought.get("state") == self.state, brought
        keep_secret(brought["code"])
        return brought["code"]

    def redeem(self, code: str, **changes: str | None) -> Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect,
            "code_verifier": self.verifier,
            "client_id": "databricks-cli",
            **changes,
        }
        return self.post(form)

    def refresh(self, token: str, **changes: str | None) -> Response:
        return self.post(
            {"grant_type": "refresh_token", "refresh_token": token, "client_id": "databricks-cli", **changes}
        )

    def post(self, form: dict[str, Any], method: str = "POST", target: str = TOKEN) -> Response:
        body = urllib.parse.urlencode({name: value for name, value in form.items() if value is not None})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = self.world.send(self.config, method, target, headers=kind, body=body)
        if reply.status == 200:
            tokens = reply.json()
            self.world.echoes_allowed = True
            self.world.remember(tokens["access_token"])
            keep_secret(tokens.get("refresh_token", tokens["access_token"]))
        return reply


def oauth_error(reply: Response) -> tuple[str, str]:
    body = reply.json()
    return body["error"], body["error_description"]
