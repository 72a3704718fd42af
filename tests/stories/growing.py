"""Files that a host writes on and on, of which only what is new is read: whole logs at every test cost more than the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class GrowingFile:
    """A file that grows, which need not be there yet."""

    def __init__(self, path: Path):
        self.path = path
        self._read = 0

    def size(self) -> int:
        """How many bytes it has so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def text(self, since: int = 0) -> str:
        """What was written behind the first so many bytes."""
        if not self.path.exists():
            return ""
        with self.path.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def new_lines(self) -> list[str]:
        """The lines that are complete since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            complete, end, _ = file.read().rpartition(b"\n")
        self._read += len(complete) + len(end)
        return complete.decode(errors="replace").split("\n") if end else []


class ParsedLines(Generic[T]):
    """What the lines of a growing file say, each parsed once. Lines that say nothing are left out."""

    def __init__(self, path: Path, parse: Callable[[str], T | None]):
        self._file = GrowingFile(path)
        self._parse = parse
        self._parsed: list[T] = []

    def all(self) -> list[T]:
        """So far."""
        said = (self._parse(line) for line in self._file.new_lines() if line)
        self._parsed += [one for one in said if one is not None]
        return list(self._parsed)
