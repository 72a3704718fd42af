"""The fenced blocks of the documents, and how each is to be tested."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<indent> {0,3})(?P<fence>```+)(?P<language>[\w-]*)\s*$")
NOTE = re.compile(r"<!-- (.*?) -->")
PICTURES = {"", "text"}
# documents whose blocks are run by tests of their own; here their links are followed only
ELSEWHERE = {
    "docs/audit.md": "tests/queries",
    "docs/audit": "tests/queries",
    "docs/metrics.md": "tests/dashboards",
    "compose": "tests/compose",
}


def documents() -> list[Path]:
    """Every document that a user reads."""
    found = [REPO / "README.md", REPO / "SECURITY.md", REPO / "CHANGELOG.md"]
    for folder in ("docs", "kong", "examples", "compose"):
        found += (REPO / folder).rglob("*.md")
    return sorted(found)


@dataclass
class Block:
    path: Path
    line: int  # of the first line within the fence
    language: str
    text: str
    notes: list[str]  # the HTML comments in the lines right above the fence

    def __str__(self) -> str:
        return f"{self.path.relative_to(REPO)}:{self.line}"

    @cached_property
    def not_run(self) -> str | None:
        """Why it is not run, if it says so itself."""
        return self.note("not run")

    def note(self, name: str) -> str | None:
        """What the document says of this block under `name`, in a comment that readers do not see."""
        for note in self.notes:
            key, _, value = note.partition(": ")
            if key == name:
                return value
        return None

    @property
    def is_console(self) -> bool:
        return self.language == "console" or (self.language in PICTURES and self.text.startswith("$ "))

    def commands(self) -> list[tuple[str, str]]:
        """Each command of a console block with the output that is shown for it."""
        found: list[tuple[str, str]] = []
        goes_on = False
        for line in self.text.splitlines():
            if goes_on:
                found[-1] = (found[-1][0] + "\n" + line, "")
            elif line.startswith("$ "):
                found.append((line[2:], ""))
            else:
                assert found, f"{self}: output before the first command"
                found[-1] = (found[-1][0], found[-1][1] + line + "\n")
                continue
            goes_on = line.endswith("\\") or not is_closed(found[-1][0])
        return found


def is_closed(command: str) -> bool:
    """Whether every quote of it is closed."""
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


def blocks_of(path: Path) -> list[Block]:
    found: list[Block] = []
    notes: list[str] = []
    open_fence: re.Match[str] | None = None
    body: list[str] = []
    start = 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if open_fence:
            if line.strip() == open_fence["fence"]:
                indent = len(open_fence["indent"])
                text = "".join(one[indent:] + "\n" for one in body)
                found.append(Block(path, start, open_fence["language"], text, notes))
                open_fence, notes, body = None, [], []
            else:
                body.append(line)
        elif match := FENCE.match(line):
            open_fence, start = match, number + 1
        elif line.strip().startswith("<!--"):
            notes = notes + NOTE.findall(line)
        elif line.strip():
            notes = []
    assert not open_fence, f"{path}: a fence that starts before line {start} has no end"
    return found


def is_elsewhere(path: Path) -> bool:
    name = str(path.relative_to(REPO))
    return any(name == one or name.startswith(f"{one}/") for one in ELSEWHERE)


def all_blocks() -> list[Block]:
    return [block for path in documents() if not is_elsewhere(path) for block in blocks_of(path)]
