"""Runs a client as its user would: in a home of its own, with nothing but its documented settings."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clients import client
from stack import REPO
from world import Caller, World


@dataclass
class Done:
    """What the user sees of a finished program."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def __str__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out[-4000:]}\n--- stderr\n{self.err[-4000:]}"


def needs(*names: str) -> pytest.MarkDecorator:
    """Marks a test: these clients are set up for it, and without them it is skipped."""
    return pytest.mark.needs(*names)


def each(*names: str) -> list[Any]:
    """Parameters of a test that is told of each of these clients, and needs that one."""
    return [pytest.param(name, marks=needs(name)) for name in names]


def home_of(name: str) -> Path:
    """The folder of a client that is set up."""
    one = client(name)
    assert not one.missing(), f"{one.missing()}; the test is to be marked with `needs`"
    return one.home


def environment(world: World, home: Path, **more: str) -> dict[str, str]:
    """No setting of whoever runs the tests, and the test CA in every way that clients look for one."""
    ca = str(world.gateway.ca)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "SSL_CERT_FILE": ca,
        "REQUESTS_CA_BUNDLE": ca,
        "NODE_EXTRA_CA_CERTS": ca,
        **more,
    }


def setting(name: str, world: World, route: str = "clients", **given: str) -> str:
    """A setting as docs/clients.md shows it, with the host of this run and other words replaced."""
    text = (REPO / "docs/clients.md").read_text()
    found = re.search(rf"<!-- clients: {name} -->\n```text\n(.*?)```", text, re.DOTALL)
    assert found, f"docs/clients.md has no block `{name}`"
    host = world.gateway.url(route).removeprefix("https://")
    shown = found[1].replace("databricks.gw.example.com", host)
    for word, value in given.items():
        assert word in shown, f"the block `{name}` lacks {word}"
        shown = shown.replace(word, value)
    return shown


def start(argv: list[str | Path], cwd: Path, env: dict[str, str], timeout: float = 120) -> Done:
    done = subprocess.run(
        argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass
class Person:
    """Somebody at a terminal: a caller, a home, and the workspace's host in the environment."""

    world: World
    caller: Caller
    home: Path
    token: str

    def env(self, **more: str) -> dict[str, str]:
        host = self.world.gateway.url("clients")
        return environment(self.world, self.home, DATABRICKS_HOST=host, DATABRICKS_TOKEN=self.token, **more)


def person(world: World, home: Path, *groups: str, token: str | None = None) -> Person:
    caller = world.user(*groups)
    return Person(world, caller, home, token or caller.token())


def story(who: Person, language: str) -> list[str | Path]:
    """How the program of a language is started."""
    home = home_of(language)
    if language == "go":
        return [home / "story"]
    if language == "node":
        return ["node", home / "story.mjs"]
    return java(who.world, who.home, "Story")


def java(world: World, person: Path, main: str) -> list[str | Path]:
    """A Java program of somebody whose home is `person`, which Java does not read in the environment."""
    home = home_of("java")
    properties = {
        "user.home": person,
        "javax.net.ssl.trustStore": trust_store(world),
        "javax.net.ssl.trustStorePassword": "changeit",
    }
    desktop = ["--patch-module", f"java.desktop={home / 'target/desktop'}"]
    given = [f"-D{name}={value}" for name, value in properties.items()]
    # it lives for some seconds only: a start without the second compiler
    brief = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    return ["java", *brief, *given, *desktop, "-cp", f"{home / 'target/classes'}:{home / 'lib'}/*", main]


def trust_store(world: World) -> Path:
    """A key store with the test CA in it, as `keytool` makes one; the only setting by which Java trusts a CA."""
    store = world.run_dir / "trust.p12"
    if not store.exists():
        words = ["-importcert", "-noprompt", "-alias", "test", "-storetype", "PKCS12", "-storepass", "changeit"]
        done = start(
            ["keytool", *words, "-file", world.gateway.ca, "-keystore", store], world.run_dir, dict(os.environ)
        )
        assert done.code == 0, str(done)
    return store


def told(who: Person, language: str, *args: str, **env: str) -> dict[str, Any]:
    """What the program of a language says: `ok` with what came, or `error` as its client shows it."""
    done = start([*story(who, language), *args], who.home, who.env() | env, 300)
    assert done.code == 0 and done.out.strip(), str(done)
    return json.loads(done.out.strip().splitlines()[-1])
