"""Every relative link of the documents leads somewhere."""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path

import pytest
from blocks import REPO, documents, is_elsewhere

LINK = re.compile(r"(?<!!)\[(?:[^\]]|`[^`]*`)*?\]\(([^)\s]+)\)")


def prose(path: Path) -> str:
    """Without fenced blocks, in which nothing is a link."""
    return re.sub(r"^( {0,3})```.*?^ {0,3}```\s*?$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings, and those that the document sets itself."""
    text = prose(path)
    found = set(re.findall(r'<a id="([^"]+)"', text))
    seen: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} (.+?)\s*$", text, flags=re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = seen.get(anchor, 0)
        seen[anchor] = number + 1
        found.add(f"{anchor}-{number}" if number else anchor)
    return found


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(REPO)))
def test_links_lead_somewhere(path: Path):
    broken = []
    for link in LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = urllib.parse.unquote(link).partition("#")
        where = (path.parent / target).resolve() if target else path
        if not where.exists() or (anchor and (where.suffix != ".md" or anchor not in anchors(where))):
            broken.append(link)
    assert broken == []


def test_the_index_has_every_document():
    index = (REPO / "docs/README.md").read_text()
    own = [path for path in (REPO / "docs").glob("*.md") if path.name != "README.md" and not is_elsewhere(path)]
    assert [path.name for path in own if f"({path.name})" not in index] == []
