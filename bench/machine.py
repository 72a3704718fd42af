"""What was measured on, and which versions of what: nothing that says whose machine it is."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import contestants
from stack import REPO


def machine() -> dict[str, Any]:
    cpus = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpus, re.MULTILINE)
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": re.split(r"[-+]", platform.release())[0],
        # of the minute before: what else the machine did
        "load_average": round(os.getloadavg()[0], 2),
    }


def said(*argv: str) -> str:
    run = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=REPO)
    return run.stdout.strip()


def versions(gateway: contestants.Gateway) -> dict[str, Any]:
    changed = said("git", "status", "--porcelain", "--untracked-files=no", "--", "src", "kong", "crates", "Cargo.lock")
    wrk = re.search(r"wrk (?:debian/)?([\w.]+)", said("sh", "-c", "wrk -v 2>&1 || true"))
    return {
        gateway.name: gateway.version(),
        "databricks-kong": contestants.package_version(),
        "commit": said("git", "rev-parse", "--short=10", "HEAD") + (" and changes" if changed else ""),
        "module_bytes": contestants.module_size(),
        "rustc": said("rustc", "--version").split(" ")[1],
        "wrk": wrk[1] if wrk else "unknown",
    }
