"""The picture of docs/scaling.md shows what the tool says."""

from __future__ import annotations

import scaling


def test_the_picture_shows_what_the_tool_says():
    assert scaling.IMAGE.read_text() == scaling.picture(), "bench/scaling.py draws it anew"
