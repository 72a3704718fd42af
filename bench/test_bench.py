"""The arithmetic of the bench, and that the documents show what was measured."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path

import charts
import owners
import publish
import summary
import table


def script(name: str):
    """A script of this directory, as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(Path(__file__).with_name(name)))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def ways(**rounds: list[tuple[float, float]]) -> dict:
    """A result of these rounds: requests a second, and microseconds."""
    return {
        "contestants": {
            name: {
                "what": name,
                "rounds": [{"requests_per_second": one, "processor_us": other} for one, other in found],
            }
            for name, found in rounds.items()
        }
    }


class Arithmetic(unittest.TestCase):
    result = ways(bare=[(100, 10), (200, 20), (50, 12)], own=[(50, 15), (50, 40), (50, 13)])

    def test_ratios_are_taken_within_a_round(self):
        # the medians' ratio would be 0.5, too, but their spread would not
        self.assertEqual(summary.throughput(self.result, "own"), summary.Figure(0.5, 0.25, 1.0))
        self.assertEqual(summary.throughput(self.result, "bare"), summary.Figure(1, 1, 1))

    def test_differences_are_taken_within_a_round(self):
        self.assertEqual(summary.above(self.result, "own"), summary.Figure(5, 1, 20))

    def test_parts_are_differences_and_the_first_is_the_whole_of_bare(self):
        named = [{"name": "proxy", "of": "bare", "above": ""}, {"name": "rest", "of": "own", "above": "bare"}]
        found = summary.parts({**self.result, "parts": named})
        self.assertEqual(found, [("proxy", summary.Figure(12, 10, 20)), ("rest", summary.Figure(5, 1, 20))])

    def test_a_host_call_costs_the_difference_by_the_number_of_calls(self):
        calls = {"clock": {"what": "", "count": 100, "rounds_us": [30, 41, 52]}}
        result = {"host_calls": {"floor_us": [20, 21, 22], "calls": calls}}
        self.assertEqual(summary.host_call(result, "clock"), summary.Figure(0.2, 0.1, 0.3))

    def test_the_slowest_is_found_by_medians(self):
        self.assertEqual(summary.slowest_rate(self.result, ["bare", "own"]), 50)


class Owners(unittest.TestCase):
    def test_code_is_told_by_its_file(self):
        for file, expected in (
            ("[kernel.kallsyms]", owners.KERNEL),
            ("[guest.kernel.kallsyms]", owners.KERNEL),
            ("[vdso]", owners.LIBC),
            ("/usr/lib/x86_64-linux-gnu/libc.so.6", owners.LIBC),
            ("/usr/local/openresty/nginx/sbin/nginx", owners.NGINX),
            ("/somewhere/ngx_wasmx_module.so", owners.WASM_HOST),
            ("/usr/local/kong/lib/libwasmtime.so", owners.WASM_HOST),
            ("/usr/local/openresty/luajit/lib/libluajit-5.1.so.2.1.0", owners.LUA),
            ("/tmp/plugin/libdatabricks_kong.so", owners.LIBRARY),
            ("/opt/envoy-1.40.0", owners.ENVOY),
            ("/usr/lib/libpcre2-8.so.0", owners.OTHER),
        ):
            self.assertEqual(owners.owner(0, file, [], has_lua=True), expected, file)

    def test_code_without_a_file_is_a_modules_where_wasmtime_put_it_and_else_compiled_lua(self):
        for file in ("[JIT] tid 7", "//anon", "/tmp/perf-7.map", "[unknown]"):
            self.assertEqual(owners.owner(15, file, [range(10, 20)], has_lua=True), owners.MODULE, file)
            self.assertEqual(owners.owner(20, file, [range(10, 20)], has_lua=True), owners.LUA, file)
            self.assertEqual(owners.owner(20, file, [], has_lua=False), owners.MODULE, file)

    def test_lines_of_perf_are_read(self):
        for line, expected in (
            ("    7f884dcc0000 ([JIT] tid 7)", ("7f884dcc0000", "[JIT] tid 7")),
            ("          5f3a10 (/usr/local/bin/envoy)", ("5f3a10", "/usr/local/bin/envoy")),
        ):
            self.assertEqual(owners.SAMPLE.match(line).groups(), expected)

    def test_time_is_shared_out_by_samples_within_a_round(self):
        rounds = [
            {"processor_us": 10, "samples": {"nginx": 3, "the kernel": 1}},
            {"processor_us": 32, "samples": {"nginx": 1, "the kernel": 3}},
        ]
        self.assertEqual(summary.by_owner(rounds), {"nginx": 7.75, "the kernel": 13.25})
        named = {"bare": rounds[:1], "own": rounds[1:]}
        _, lines = table.owners({"owners": {"rounds": named}})
        self.assertEqual(lines, [["the kernel", "2", "22"], ["nginx", "8", "0"], ["all", "10", "22"]])


class Tables(unittest.TestCase):
    def test_columns_are_as_wide_as_their_widest_cell(self):
        self.assertEqual(table.aligned(["a", "bb"], [["ccc", "d"]]), "a    bb\nccc   d")

    def test_markdown_has_a_line_below_its_head(self):
        self.assertEqual(table.markdown(["a", "b"], [["1", "2"]]), "| a | b |\n| --- | --- |\n| 1 | 2 |")

    def test_a_scale_ends_at_a_round_number(self):
        self.assertEqual([charts.nice(most) for most in (0.9, 1, 130, 260, 999)], [1, 1, 200, 500, 1000])


class Published(unittest.TestCase):
    found = publish.results()

    def test_results_have_every_round_of_every_way(self):
        self.assertEqual(set(self.found), {"envoy", "kong"})
        for name, result in self.found.items():
            rounds = result["parameters"]["rounds"]
            self.assertGreaterEqual(rounds, 5, name)
            for way, one in result["contestants"].items():
                self.assertEqual(len(one["rounds"]), rounds, way)
            for call, one in result["host_calls"]["calls"].items():
                self.assertEqual(len(one["rounds_us"]), rounds, call)
            named = {part[key] for part in result["parts"] for key in ("of", "above")} - {""}
            self.assertLessEqual(named, set(result["contestants"]))

    def test_results_name_no_machine(self):
        for path in publish.RESULTS.glob("*.json"):
            self.assertNotRegex(path.read_text(), r"/(home|root|work|tmp|usr)/", path.name)

    def test_documents_say_what_the_results_say(self):
        for path in publish.DOCUMENTS:
            text = path.read_text()
            self.assertIn("<!-- bench: ", text, path.name)
            self.assertEqual(publish.written(text, self.found), text, f"bench/publish.py writes {path.name} anew")

    def test_pictures_show_what_the_results_say(self):
        for name, picture in publish.images(self.found).items():
            ET.fromstring(picture)
            self.assertEqual((publish.IMAGES / name).read_text(), picture, f"bench/publish.py draws {name} anew")
            shown = [path.name for path in publish.DOCUMENTS if name in path.read_text()]
            self.assertTrue(shown, f"no document shows {name}")

    def test_a_result_is_json_that_reads_as_it_was_written(self):
        for name, result in self.found.items():
            text = (publish.RESULTS / f"{name}.json").read_text()
            self.assertEqual(json.dumps(result, indent=1, ensure_ascii=False) + "\n", text)


class Instructions(unittest.TestCase):
    counted = script("instructions")

    def test_the_cost_of_a_part_is_its_own_and_that_of_its_calls(self):
        profile = """events: Ir
fn=(1) parts::main::part_digest
+10 4
cfn=(2) compress
calls=1 0
* 90

fn=(2)
12 90

fn=(3) parts::main::part_record
7 5
fn=(1)
+2 1
"""
        self.assertEqual(self.counted.instructions(profile), {"digest": 95, "record": 5})

    def test_what_is_worse_than_before_is_found_and_what_is_better_is_not(self):
        def costs(instructions: int, allocations: int) -> dict[str, int]:
            return {"instructions": instructions, "allocations": allocations}

        known = {name: costs(1000, 3) for name in ("same", "slower", "heavier", "faster", "gone")}
        now = {
            "same": costs(1050, 3),
            "slower": costs(1051, 3),
            "heavier": costs(1000, 4),
            "faster": costs(1, 0),
            "new": costs(1, 1),
        }
        found = [fault.split(":")[0] for fault in self.counted.faults(now, known)]
        self.assertEqual(sorted(found), ["gone", "heavier", "new", "slower"])


if __name__ == "__main__":
    unittest.main()
