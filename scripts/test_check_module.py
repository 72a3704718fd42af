"""Tests of check-module on modules that are put together here, byte by byte."""

import importlib.machinery
import importlib.util
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).with_name("check-module")


def load():
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("check_module", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_module", loader))
    loader.exec_module(module)
    return module


check = load()
BYTES = {"i": 0x7F, "I": 0x7E}


def u32(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def vector(items):
    return u32(len(items)) + b"".join(items)


def name(text):
    return u32(len(text)) + text.encode()


def section(number, body):
    return bytes([number]) + u32(len(body)) + body


def signature(text):
    before, after = text.split(">")
    return b"\x60" + vector([bytes([BYTES[c]]) for c in before]) + vector([bytes([BYTES[c]]) for c in after])


def build(imports=(), functions=(), memory=True):
    """imports: (module, name, signature); functions: (name, signature). Bodies are not read, so there are none."""
    types = [signature(s) for *_, s in [*imports, *functions]]
    exports = [name(n) + b"\0" + u32(len(imports) + i) for i, (n, _) in enumerate(functions)]
    if memory:
        exports.append(name("memory") + b"\2\0")
    return (
        b"\0asm\1\0\0\0"
        + section(1, vector(types))
        + section(2, vector([name(m) + name(n) + b"\0" + u32(i) for i, (m, n, _) in enumerate(imports)]))
        + section(3, vector([u32(len(imports) + i) for i in range(len(functions))]))
        + section(0, name("custom") + b"anything" * 50)
        + section(7, vector(exports))
    )


GOOD = [(names[-1], sig) for names, sig in check.EXPORTS]
ALLOWED = check.read_allowed("# comment\nenv proxy_log iii>i # why\n\nwasi_snapshot_preview1 proc_exit i>\n")


class CheckModule(unittest.TestCase):
    def problems(self, *args, **options):
        return check.problems(build(*args), ALLOWED, **options)

    def test_a_good_module_has_no_problem(self):
        imports = [("env", "proxy_log", "iii>i"), ("wasi_snapshot_preview1", "proc_exit", "i>")]
        self.assertEqual(self.problems(imports, GOOD), [])

    def test_an_import_that_hosts_lack(self):
        found = self.problems([("env", "proxy_done", ">i")], GOOD)
        self.assertEqual([c for c, _ in found], ["imports"])
        self.assertIn("env.proxy_done", found[0][1])

    def test_the_same_name_in_another_module_is_not_allowed(self):
        self.assertEqual([c for c, _ in self.problems([("wasi", "proxy_log", "iii>i")], GOOD)], ["imports"])

    def test_an_import_with_another_signature(self):
        found = self.problems([("env", "proxy_log", "iiI>i")], GOOD)
        self.assertEqual(found, [("imports", "env.proxy_log is iiI>i here and iii>i in the hosts")])

    def test_each_export_is_needed(self):
        for missing, _ in GOOD:
            found = self.problems([], [f for f in GOOD if f[0] != missing])
            self.assertEqual([c for c, _ in found], ["exports"], missing)
            self.assertIn(missing, found[0][1])

    def test_either_allocator_will_do(self):
        for allocator in ("malloc", "proxy_on_memory_allocate"):
            others = [f for f in GOOD if f[0] != "malloc"]
            self.assertEqual(self.problems([], [*others, (allocator, "i>i")]), [])

    def test_an_export_with_another_signature(self):
        found = self.problems([], [(n, "i>i" if n == "proxy_on_configure" else s) for n, s in GOOD])
        self.assertEqual(found, [("exports", "proxy_on_configure is i>i and must be ii>i")])

    def test_memory_and_start(self):
        self.assertEqual(self.problems([], GOOD, False), [("exports", "memory is missing")])
        self.assertEqual(len(self.problems([], [*GOOD, ("_start", ">")])), 1)

    def test_size(self):
        length = len(build([], GOOD))
        self.assertEqual(self.problems([], GOOD, limit=length + 1), [])
        self.assertEqual([c for c, _ in self.problems([], GOOD, limit=length)], ["size"])
        self.assertEqual(self.problems([], GOOD, limit=length, skip=["size"]), [])

    def test_cut_at_every_byte_is_an_error_and_never_a_crash(self):
        data = build([("env", "proxy_log", "iii>i")], GOOD)
        for end in range(len(data)):
            try:
                check.problems(data[:end], ALLOWED)
            except check.BadModule:
                continue

    def test_not_a_module(self):
        with self.assertRaises(check.BadModule):
            check.problems(b"\0asm\2\0\0\0", ALLOWED)

    def test_the_real_list_can_be_read(self):
        allowed = check.read_allowed(check.IMPORTS.read_text())
        self.assertEqual(allowed["env", "proxy_http_call"], "i" * 10 + ">i")
        self.assertNotIn(("env", "proxy_done"), allowed)

    def test_as_a_command(self):
        with tempfile.NamedTemporaryFile(suffix=".wasm") as file:
            file.write(build([("env", "proxy_done", ">i")], GOOD))
            file.flush()
            run = subprocess.run([sys.executable, SCRIPT, file.name], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertTrue(run.stderr.startswith("check-module: imports: env.proxy_done"), run.stderr)


if __name__ == "__main__":
    unittest.main()
