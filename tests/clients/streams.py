"""What a model says, read by a program before the model has said all of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from stack import admin
from world import World


def read_before_the_second_word(world: World, argv: list[str | Path], env: dict[str, str], home: Path) -> float:
    """The program has the first word of two while the model is held, and then both; the seconds until it had the first."""
    admin(world.workspace.admin_url, "PUT", "/streams", {"held": True})
    try:
        with subprocess.Popen(
            argv, cwd=home, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as program:
            assert program.stdin and program.stdout
            first: dict[str, Any] = json.loads(program.stdout.readline())
            # the model has not been let go on, so this came through by itself
            assert first["first"] == "forty", first
            admin(world.workspace.admin_url, "POST", "/streams")
            program.stdin.write("\n")
            program.stdin.flush()
            assert json.loads(program.stdout.readline()) == {"ok": "forty-two"}
        assert program.returncode == 0
    finally:
        admin(world.workspace.admin_url, "PUT", "/streams", {"held": False})
    return first["seconds"]
