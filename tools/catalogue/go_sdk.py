"""The requests that the SDK for Go sends, read from its source: CLI and Terraform provider send through it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

MODULE = "github.com/databricks/databricks-sdk-go"
VERSIONS = Path(__file__).resolve().parent.parent.parent / "tests/clients/versions.env"

CALL = re.compile(r"\nfunc \(a \*(\w+)Impl\) (\w+)\(.*?\n}", re.DOTALL)
PATH = re.compile(r'path := (?:fmt\.Sprintf\()?"([^"]+)"')
METHOD = re.compile(r"\.Do\(ctx, http\.Method(\w+), path")


def snake(name):
    name = name[0].upper() + name[1:]  # of `aISearchImpl`
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def calls(text):
    """Method, path with `{}` for what is filled in, and name of each call in a file of the SDK."""
    for call in CALL.finditer(text):
        name = f"{snake(call[1])}.{snake(call[2]).removeprefix('internal_')}"
        for path in PATH.findall(call[0]):
            for method in METHOD.findall(call[0]):
                yield method.upper(), re.sub("%[vs]", "{}", path), name


def lacking(found, rows):
    """Those of `found` that no row (name, method, template) is. What is filled in may be several segments: a full resource name."""
    exact, names = set(), set()
    for name, method, template in rows:
        exact.add((method, re.sub(r"\{[^}]*\}", "{}", template)))
        names.add(name)
    for method, path, name in sorted(found):
        if (method, path) in exact or ("*", path) in exact or name in names:
            continue
        collection = path.split("/")[3] if path.startswith("/api/") else path.split("/")[1]
        pattern = re.compile(re.escape(path).replace(r"\{\}", ".+"))
        # a path that begins with what is filled in would be any path
        if collection.startswith("{}") or not any(a in (method, "*") and pattern.fullmatch(b) for a, b in exact):
            yield method, path, name


def fetch():
    """The newest version that the module proxy serves, else the one that the tests' clients are built with: version and folder."""
    if shutil.which("go") is None:
        return None, "there is no `go` on this machine"
    pinned = re.search(r"^SDK_GO=(\S+)$", VERSIONS.read_text(), re.MULTILINE)[1]
    for version in ("latest", pinned):
        done = subprocess.run(["go", "mod", "download", "-json", f"{MODULE}@{version}"], capture_output=True, text=True)
        told = json.loads(done.stdout) if done.stdout.strip() else {}
        if "Dir" in told:
            return told["Version"], Path(told["Dir"])
    return None, told.get("Error", done.stderr)


def read(folder):
    return {call for path in sorted((folder / "service").rglob("impl.go")) for call in calls(path.read_text())}
