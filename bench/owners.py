"""Whose code a sample was taken in, by the file that `perf` names for it."""

from __future__ import annotations

import re

KERNEL, LIBC, MODULE, LUA = "the kernel", "libc", "wasm modules, compiled", "LuaJIT, and Lua that it compiled"
NGINX, WASM_HOST, LIBRARY = "nginx", "Kong's wasm module and Wasmtime", "the native plugin's library"
ENVOY, OTHER = "Envoy, V8 in it", "other"

BY_FILE = [
    (r"^\[(kernel|guest)", KERNEL),
    (r"^(libc|libm|ld-linux)[-.]|^\[vdso\]$|^linux-vdso", LIBC),
    (r"^envoy", ENVOY),
    (r"^nginx", NGINX),
    (r"^(ngx_wasmx?_module|libwasmtime|libngx_wasm)", WASM_HOST),
    (r"^libluajit", LUA),
    (r"^libdatabricks_kong", LIBRARY),
]
SAMPLE = re.compile(r"^\s*([0-9a-f]+)\s+\((.+)\)$")


def owner(address: int, file: str, wasmtime: list[range], has_lua: bool) -> str:
    """Whose code is at an address that perf says is of this file."""
    name = file.rsplit("/", 1)[-1]
    for pattern, known in BY_FILE:
        if re.search(pattern, name):
            return known
    # what has no file was compiled by the process itself; `perf` has several names for it
    if not re.match(r"\[|anon|perf-\d|jitted|unknown", name):
        return OTHER
    return LUA if has_lua and not any(address in part for part in wasmtime) else MODULE
