"""These tests need a real Kong: `KONG_BIN=… tests/kong/run --native`."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("STORIES_HOST") == "kong-native" else ["test_*.py"]
