"""Tests of test-table on what test runners print."""

import importlib.machinery
import importlib.util
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).with_name("test-table")


def load():
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("test_table", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("test_table", loader))
    sys.modules["test_table"] = module  # for its dataclass
    loader.exec_module(module)
    return module


table = load()
CARGO = """\
test a ... ok
test b ... ignored, takes an hour
test c ... ignored

test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.00s

test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
"""
PYTEST = """\
SKIPPED [2] test_soak.py:12: no KONG_BIN
SKIPPED [1] conftest.py:9: no root
2 failed, 10 passed, 3 skipped, 5 deselected, 1 error in 12.34s
"""
DECORATED = "======== 7 passed, 1 warning in 70.10s (0:01:10) ========\n"
UNITTEST = "....\n------\nRan 9 tests in 0.323s\n\nFAILED (failures=1, errors=1, skipped=2)\n"
PLAIN = "wasm: 400 passed in 2 programs\n9 passed, 0 failed\n"


def counted(log):
    row = table.read("x", log, 0, 1)
    return row.passed, row.failed, row.skipped


class Reading(unittest.TestCase):
    def test_runners_are_understood(self):
        self.assertEqual(counted(CARGO), (15, 1, 2))
        self.assertEqual(counted(PYTEST), (10, 3, 3))
        self.assertEqual(counted(DECORATED), (7, 0, 0))
        self.assertEqual(counted(UNITTEST), (5, 2, 2))
        self.assertEqual(counted("Ran 1 test in 0.1s\n\nOK\n"), (1, 0, 0))
        self.assertEqual(counted(PLAIN), (409, 0, 0))

    def test_reasons_are_kept(self):
        self.assertEqual(table.read("x", CARGO, 0, 1).reasons, {"takes an hour": 1, "c is ignored": 1})
        self.assertEqual(table.read("x", PYTEST, 0, 1).reasons, {"no KONG_BIN": 2, "no root": 1})


class Table(unittest.TestCase):
    def closing(self, parts, every=()):
        with tempfile.TemporaryDirectory() as work:
            for name, (log, code) in parts.items():
                Path(work, f"{name}.log").write_text(log)
                Path(work, f"{name}.end").write_text(f"{code} 65\n")
            Path(work, "go.skipped").write_text("go is missing\n")
            Path(work, "build.seconds").write_text("130\n")
            return table.table(Path(work), [*parts, "go"], [*parts, "go", *every])

    def test_it_says_what_ran_and_what_did_not(self):
        lines, well = self.closing({"envoy": (DECORATED, 0)}, ["demo"])
        self.assertTrue(well)
        self.assertEqual(lines[1].split(), ["envoy", "7", "0", "0", "1:05", "ok"])
        self.assertIn("go          skipped: go is missing", lines)
        self.assertIn("not asked for: demo (`make test-all` runs everything)", lines)
        self.assertEqual(lines[-2:], ["in 3:15, 2:10 of it building what parts share", "7 passed, 0 failed, 0 skipped"])

    def test_a_part_that_failed_or_ran_nothing_is_no_success(self):
        for log, code in ((PYTEST, 1), (DECORATED, 1), ("", 0), ("0 passed, 0 failed\n", 0)):
            lines, well = self.closing({"envoy": (log, code)})
            self.assertFalse(well, (log, code))
            self.assertNotIn(" 0 failed", lines[-1])


if __name__ == "__main__":
    unittest.main()
