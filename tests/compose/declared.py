"""docker-compose.yml, and the files that it mounts, as they are declared."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

REPO = Path(__file__).resolve().parents[2]
COMPOSE_FILE = REPO / "docker-compose.yml"


def read_yaml(path: Path | str) -> Any:
    return yaml.safe_load((REPO / path).read_text())


def read_json(path: Path | str) -> Any:
    return json.loads((REPO / path).read_text())


def stack() -> dict[str, Any]:
    return read_yaml(COMPOSE_FILE)


def services() -> dict[str, dict[str, Any]]:
    return stack()["services"]


def mounts(service: str) -> dict[PurePosixPath, str]:
    """Target in the container: what is mounted there, a path of this repository (`./…`) or the name of a volume."""
    found = {}
    for volume in services()[service].get("volumes", []):
        source, target, *_mode = volume.split(":")
        found[PurePosixPath(target)] = source
    return found


def filter_entries() -> list[dict[str, Any]]:
    """The configurations of the filter in compose/kong.yml, in the order of the chain."""
    (service,) = read_yaml("compose/kong.yml")["services"]
    (route,) = service["routes"]
    (chain,) = route["filter_chains"]
    return [one["config"] for one in chain["filters"]]


def plugin(name: str, file: str = "compose/kong.yml") -> dict[str, Any]:
    (found,) = [one for one in read_yaml(file)["plugins"] if one["name"] == name]
    return found["config"]


def program(name: str) -> str | None:
    """A program of Prometheus, from where scripts/prometheus found it, if it did."""
    folder = os.environ.get("PROMETHEUS_DIR")
    return str(Path(folder) / name) if folder else None
