"""The plugin's files: Lua as it should be, and a library that exports what its header declares and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess

import nginx_gateway
import pytest
from stack import REPO


def test_the_lua_files_have_no_warnings() -> None:
    luacheck = shutil.which("luacheck")
    if not luacheck:
        pytest.skip("luacheck (Debian: lua-check) is not there")
    checked = subprocess.run(
        [luacheck, "--no-color", "kong/plugins", "kong/konnect", "tests/native/lua"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_library_exports_its_header() -> None:
    library = nginx_gateway.PLUGIN / "libdatabricks_kong.so"
    listed = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1] for line in listed.splitlines()}
    header = (REPO / "kong/plugins/databricks_kong.h").read_text()
    declared = set(re.findall(r"^\w[\w ]* \*?(dk_\w+)\(", header, re.MULTILINE))
    assert len(declared) > 10
    assert {name for name in exported if not name.startswith("rust_")} == declared


def test_both_handlers_are_of_the_packages_version() -> None:
    version = re.search(r'^version = "(.+)"', (REPO / "Cargo.toml").read_text(), re.MULTILINE)
    interface = (nginx_gateway.PLUGIN / "kong/plugins/databricks-kong/interface.lua").read_text()
    assert version and f'version = "{version[1]}"' in interface


def test_the_rock_has_every_file() -> None:
    (rockspec,) = (REPO / "kong").glob("*.rockspec")
    named = set(re.findall(r'= "(kong/plugins/[^"]+\.lua)"', rockspec.read_text()))
    assert named == {str(path.relative_to(REPO)) for path in (REPO / "kong/plugins").rglob("*.lua")}
    version = re.search(r'^version = "(.+)"', (REPO / "Cargo.toml").read_text(), re.MULTILINE)
    assert version and f'version = "{version[1]}-1"' in rockspec.read_text()
