"""A real Keycloak with the realm of docker-compose.yml, and a person with a real browser."""

from __future__ import annotations

import base64
import json
import os
import shutil
import urllib.parse
from pathlib import Path
from typing import Any

from programs import home_of
from stack import REPO, Process, Response, free_ports, send, wait_until
from world import EVERY_SECRET

REALM = REPO / "compose/realm.json"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ADMIN = "admin-of-this-run"


class Keycloak:
    """Its distribution as it is published, started as in production but for TLS, with a database of its own in a file."""

    def __init__(self, run_dir: Path):
        given = home_of("keycloak")
        home = run_dir / "keycloak-home"
        # hard links: it keeps its data beside its programs
        shutil.copytree(given / "keycloak", home, copy_function=os.link)
        (home / "data/import").mkdir(parents=True)
        shutil.copy(REALM, home / "data/import/realm.json")
        port, management = free_ports(2)
        self.url = f"http://127.0.0.1:{port}"
        self.realm = f"{self.url}/realms/{json.loads(REALM.read_text())['realm']}"
        settings = [
            "--import-realm",
            "--http-enabled=true",
            "--http-host=127.0.0.1",
            f"--http-port={port}",
            f"--http-management-port={management}",
            f"--hostname={self.url}",
        ]
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            # it lives for some minutes only: a start without the second compiler
            "JAVA_OPTS_APPEND": "-Xmx512m -XX:TieredStopAtLevel=1",
            "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
            "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN,
        }
        self.process = Process("keycloak", [str(home / "bin/kc.sh"), "start", "--optimized", *settings], run_dir, env)
        try:
            wait_until("Keycloak has imported its realm", self._answers, timeout=400, step=0.5)
        except BaseException:
            self.process.stop()
            raise
        self.people = {
            one["username"]: one["credentials"][0]["value"] for one in json.loads(REALM.read_text())["users"]
        }

    def _answers(self) -> bool:
        if not self.process.alive():
            raise RuntimeError(f"Keycloak ended at its start:\n{self.process.tail()}")
        try:
            return send(self.realm, "GET", "/.well-known/openid-configuration").status == 200
        except OSError:
            return False

    # --- tokens, as programs get them ---

    def token(self, **form: str) -> Response:
        return send(self.realm, "POST", "/protocol/openid-connect/token", FORM, urllib.parse.urlencode(form))

    def of_person(self, name: str) -> str:
        """By the grant that compose/README.md shows for a terminal."""
        form = {"grant_type": "password", "client_id": "databricks-cli", "username": name}
        return kept(self.token(**form, password=self.people[name]))["access_token"]

    def of_pipeline(self, name: str) -> str:
        return kept(self.token(grant_type="client_credentials", client_id=name, client_secret=self.secret(name)))[
            "access_token"
        ]

    def of_agent(self, name: str, subject_token: str) -> str:
        """For a person, by RFC 8693."""
        form = {"grant_type": TOKEN_EXCHANGE, "subject_token": subject_token, "subject_token_type": ACCESS_TOKEN}
        return kept(self.token(**form, client_id=name, client_secret=self.secret(name)))["access_token"]

    @staticmethod
    def secret(name: str) -> str:
        return next(one["secret"] for one in json.loads(REALM.read_text())["clients"] if one["clientId"] == name)

    # --- what its administrators do ---

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": ADMIN}
        master = f"{self.url}/realms/master"
        reply = send(master, "POST", "/protocol/openid-connect/token", FORM, urllib.parse.urlencode(form))
        headers = {"Authorization": f"Bearer {reply.json()['access_token']}", "Content-Type": "application/json"}
        realm = self.realm.rpartition("/")[2]
        text = None if body is None else json.dumps(body)
        reply = send(f"{self.url}/admin/realms/{realm}", method, path, headers, text)
        assert reply.status < 300, str(reply)
        return reply.json() if reply.body else None

    def set_attributes(self, name: str, **attributes: str) -> None:
        """Of a client, as the console's fields are called in its API."""
        (found,) = self.admin("GET", f"/clients?clientId={name}")
        found["attributes"] |= {key.replace("_", "."): value for key, value in attributes.items()}
        self.admin("PUT", f"/clients/{found['id']}", found)

    def end_session_of(self, token: str) -> None:
        """The one in which this access token was issued: "Sign out" in the console's list of sessions."""
        payload = token.split(".")[1]
        session = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sid"]
        self.admin("DELETE", f"/sessions/{session}")

    def log_out(self, name: str) -> None:
        """Ends all sessions of a person: "Logout all sessions" in the console."""
        (person,) = self.admin("GET", f"/users?exact=true&username={urllib.parse.quote(name)}")
        self.admin("POST", f"/users/{person['id']}/logout")


def kept(reply: Response) -> dict[str, Any]:
    """What a token endpoint gave; its tokens must be in no log."""
    assert reply.status == 200, str(reply)
    tokens = reply.json()
    EVERY_SECRET.update(tokens[name] for name in ("access_token", "refresh_token") if name in tokens)
    return tokens


class Browser:
    """A command that clients find as this machine's browser."""

    def __init__(self, run_dir: Path):
        home = home_of("browser")
        self.chromium = (home / "chromium").read_text()
        self.log = run_dir / "browser.jsonl"
        self.folder = run_dir / "browser"
        self.folder.mkdir()
        # like xdg-open it comes back at once, for some clients listen only then
        script = f'#!/bin/sh\n"{home}/venv/bin/python" "{home}/person.py" "$1" >>"{self.log}.err" 2>&1 </dev/null &\n'
        for name in ("browser", "xdg-open"):
            (self.folder / name).write_text(script)
            (self.folder / name).chmod(0o755)

    def environment(self, person: str, password: str) -> dict[str, str]:
        return {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "BROWSER": str(self.folder / "browser"),
            "PERSON_NAME": person,
            "PERSON_PASSWORD": password,
            "PERSON_LOG": str(self.log),
            "PERSON_CHROMIUM": self.chromium,
        }

    def visits(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]

    def last_visit(self, before: int) -> dict[str, Any]:
        """The one that has ended since there were so many."""
        wait_until("the person has closed the browser", lambda: len(self.visits()) > before, timeout=60)
        visit = self.visits()[-1]
        assert "error" not in visit, visit
        return visit
