"""The generator on small texts of its own: what it must refuse, it refuses."""

import importlib.machinery
import importlib.util
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from classify import Additions, Row, broken, finish, merge, shape, unclassified, unexplained  # noqa: E402
from emit import Text, ambiguous, encoded_ids, literal, one_of_each, tree  # noqa: E402
from go_sdk import calls, lacking  # noqa: E402
from packing import column, pack, spans, unpacked  # noqa: E402
from sdk import documented_format, first_sentence  # noqa: E402
from shapes import Leaves, Member, Shape, Shapes  # noqa: E402

LOADER = importlib.machinery.SourceFileLoader("generate", str(HERE / "generate"))
GENERATE = importlib.util.module_from_spec(importlib.util.spec_from_loader("generate", LOADER))
LOADER.exec_module(GENERATE)
ADDITIONS = Additions(HERE / "additions.toml")


class NoMixins:
    def mixin_paths(self):
        return ["/api/2.0/fs/new-thing"]

    def calls(self):
        return [], []


class Summaries(unittest.TestCase):
    def test_a_summary_is_the_first_sentence_without_notes_and_marks(self):
        for doc, summary in [
            ("Stops a SQL warehouse.\n\n:param id: str", "Stops a SQL warehouse"),
            ("Gets a policy\nof v2.1 tables. Only admins may.", "Gets a policy of v2.1 tables"),
            ("**NOTE:** This endpoint is in Public Preview. Updates a webhook.", "Updates a webhook"),
            ("(Unimplemented) Delete a refresh\n\n:param x: y", "Delete a refresh"),
            (
                "Creates a `VPC endpoint <https://x.example/a>`__ for [PrivateLink](https://x.example).",
                "Creates a VPC endpoint for PrivateLink",
            ),
            ("See :method:`jobs/list`, ``all`` of it.", "See jobs/list, `all` of it"),
            (":param name: str", ""),
            ("", ""),
        ]:
            self.assertEqual(first_sentence(doc), summary)

    def test_what_the_sdk_does_not_document_has_words_by_hand_the_longest_name_first(self):
        self.assertIn("SQL", ADDITIONS.summary("mcp.sql"))
        self.assertIn("MCP server", ADDITIONS.summary("mcp.any_other"))
        self.assertEqual(ADDITIONS.summary("jobs.list"), "")


class Packing(unittest.TestCase):
    def test_what_is_packed_is_unpacked_the_same(self):
        for data in [
            b"",
            b"a",
            b"abc",
            b"a" * 5000,
            b"abcabcabcx" * 40,
            bytes(range(256)) * 3,
            b"/api/2.1/jobs/get" * 9,
        ]:
            self.assertEqual(unpacked(pack(data)), data)
        self.assertLess(len(pack(b"/api/2.0/clusters/create/api/2.0/clusters/delete")), 36)

    def test_a_column_has_its_lowest_bytes_first_and_may_be_of_differences(self):
        self.assertEqual(column([1, 258, 3]), bytes([2, 1, 2, 3, 0, 1, 0]))
        self.assertEqual(column([5, 7, 6], steps=True), bytes([0x81, 5, 2, 255]))
        self.assertEqual(spans([(0, 3), (3, 2), (0, 1)]), column([0, 0, 0xFFFFB]) + column([3, 2, 1]))

    def test_text_that_is_part_of_other_text_takes_no_room(self):
        text = Text(["ab", "cd", "xaby", "ab"])
        self.assertEqual(text.whole, "cdxaby")
        self.assertEqual(text.spans, {"ab": (3, 2), "cd": (0, 2), "xaby": (2, 4)})

    def test_bytes_are_written_as_rust_reads_them(self):
        self.assertIn('b"\\\n    a\\"\\\\\\x00\\xff";', literal("X", b'a"\\\x00\xff'))


class Ambiguity(unittest.TestCase):
    def pairs(self, *templates, methods=("GET", "GET")):
        rows = [Row("a.b", method, template) for method, template in zip(methods, templates)]
        return len(list(ambiguous(rows)))

    def test_templates_that_cross_are_ambiguous(self):
        for a, b in [
            ("/api/2.0/{a}/x", "/api/2.0/y/{b}"),
            ("/api/2.0/a/{b}", "/api/2.0/a/{c}"),
            ("/api/{a}/x/{rest...}", "/api/y/{b}/{rest...}"),
            ("/a/{rest...}", "/a/{other...}"),
            ("/a/{b}/c/{d}:go", "/a/b/{c}/{d}:go"),
        ]:
            self.assertEqual(self.pairs(a, b), 1, (a, b))
            self.assertEqual(self.pairs(a, b, methods=("*", "POST")), 1, (a, b))
            self.assertEqual(self.pairs(a, b, methods=("GET", "POST")), 0, (a, b))

    def test_templates_of_which_one_is_more_exact_are_not(self):
        for a, b in [
            ("/api/2.0/a/{b}", "/api/2.0/a/b"),
            ("/api/2.0/{a}/{b}", "/api/2.0/a/{b}"),
            ("/api/2.0/a/{b}", "/api/2.0/a/{b}/c"),
            ("/a/{rest...}", "/a/b/{rest...}"),
            ("/a/{rest...}", "/a/{b}"),
            ("/a/{b}:go", "/a/{b}:run"),
            ("/a/{b}:go", "/a/{b}"),
        ]:
            self.assertEqual(self.pairs(a, b), 0, (a, b))


class Forms(unittest.TestCase):
    def test_the_form_of_a_name_is_read_from_its_documentation(self):
        doc = ":param name: str\n  The name. Format:\n  ``projects/{project_id}/branches/{branch_id}``.\n:param x: str\n  y/{z}\n\n:returns: q"
        self.assertEqual(documented_format(doc, "name"), "projects/{project_id}/branches/{branch_id}")
        self.assertEqual(documented_format(doc, "x"), "y/{z}")
        self.assertIsNone(documented_format(doc, "other"))
        self.assertIsNone(documented_format(":param name: str\n  The name of the app.", "name"))

    def test_a_collection_that_is_a_placeholder_is_a_problem(self):
        def found(template):
            return [
                p
                for p in GENERATE.problems(ADDITIONS, NoMixins(), [Row("a.b", "GET", template)], [])
                if "placeholder" in p
            ]

        self.assertEqual(len(found("/api/2.0/{name}")), 1)
        self.assertEqual(len(found("/api/2.1/{name}/examples")), 1)
        self.assertEqual(len(found("/{name}")), 1)
        self.assertEqual(found("/api/2.0/domains/{name}"), [])

    def test_what_is_left_out_needs_a_reason(self):
        problems = list(
            GENERATE.problems(ADDITIONS, NoMixins(), [], [("a.b: do(url=…)", None), ("c.d: do(url=…)", "elsewhere")])
        )
        self.assertEqual(len([p for p in problems if "a.b" in p]), 1)
        self.assertEqual(len([p for p in problems if "c.d" in p]), 0)
        self.assertEqual(len([p for p in problems if "new-thing" in p]), 1)


class Classified(unittest.TestCase):
    """What leaves.txt does not say is a problem, and what it says in vain too."""

    def problems(
        self,
        name,
        kind,
        text="",
        leaves="[id cluster]\ncluster_id\n\n[data: x]\nrun_name name Tag.name\n",
        owner="new.Thing",
    ):
        import ast
        import tempfile

        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(leaves)
            file.flush()
            shapes = Shapes(Nothing(), Leaves(Path(file.name)), {})
        member = shapes.member(owner, "new", name, ast.parse(kind).body[0].value, text)
        return shapes.problems, member

    def test_a_leaf_that_smells_and_stands_nowhere_is_a_problem(self):
        for name in ("secret_path", "warehouseId", "owner", "jar"):
            self.assertEqual(len(self.problems(name, "Optional[str]")[0]), 1, name)
        self.assertEqual(len(self.problems("thing", "Optional[str]", "The ID of the thing")[0]), 1)
        for name, kind in (("size", "Optional[int]"), ("retry", "str"), ("run_name", "str"), ("cluster_id", "str")):
            self.assertEqual(self.problems(name, kind)[0], [], name)

    def test_a_name_that_says_little_needs_an_entry_of_its_own(self):
        self.assertEqual(len(self.problems("name", "str")[0]), 1)
        self.assertEqual(self.problems("name", "str", owner="new.Tag")[0], [])

    def test_an_id_is_one_in_lists_and_in_free_keys(self):
        member = self.problems("cluster_id", "Optional[List[str]]")[1]
        self.assertEqual((member.kind, member.is_list, member.is_map), ("cluster", True, False))
        member = self.problems("cluster_id", "Dict[str, str]")[1]
        self.assertEqual((member.kind, member.is_list, member.is_map), ("cluster", False, True))


class Placeholders(unittest.TestCase):
    def problems(self, template, ids=(), sensitive="", method="DELETE"):
        row = Row("a.b", method, template, sensitive=sensitive, ids=list(ids))
        return [problem for problem in unexplained(ADDITIONS, [row]) if "a.b" in problem]

    def test_a_placeholder_has_a_kind_or_a_reason_that_holds(self):
        for template, ids, sensitive, problem in [
            ("/api/2.0/new/{x}", [], "", "neither"),
            ("/api/2.0/new/{x...}", [], "", "neither"),
            ("/api/2.0/new/{x}/{y}", ["job=path:y"], "", "neither"),
            ("/api/2.0/quality-monitors/x/{y}", ["job=path:y"], "", None),
            ("/api/2.0/new/{x}", ["job=path:x"], "", None),
            ("/api/2.0/new/{x...}", ["path=absolute:4"], "", None),
            ("/api/2.0/jobs/{x}/tags/{y}", ["job=path:x"], "", None),
            ("/api/2.0/ip-access-lists/{x}", [], "network", None),
            ("/api/2.0/ip-access-lists/{x}", [], "", "not sensitive"),
            ("/api/2.0/lakebox/ssh-keys/{x}", [], "", "not sensitive"),
        ]:
            found = self.problems(template, ids, sensitive)
            self.assertEqual([problem in text for text in found], [True] if problem else [], (template, found))
        self.assertEqual(self.problems("/api/2.0/ip-access-lists/{x}", method="GET"), [])
        self.assertEqual(len(self.problems("/api/2.0/lakebox/ssh-keys/{x}", method="GET")), 1)
        self.assertEqual(broken("part", Row("a.b", "GET", "/x/{y}"), ["x"]), "a part of nothing")


class Alike(unittest.TestCase):
    def nested(self, name, kind):
        inner = Shape(name, {"x": Member("x", kind)})
        return Shape(f"{name}s", {"inner": Member("inner", shape=inner)})

    def test_shapes_that_are_alike_all_the_way_down_are_one(self):
        numbers = {}
        a, b, c = self.nested("a", "job"), self.nested("b", "job"), self.nested("c", "run")
        self.assertEqual(len(one_of_each([a, b, c], numbers)), 4)
        self.assertEqual(numbers[id(a)], numbers[id(b)])
        self.assertNotEqual(numbers[id(a)], numbers[id(c)])

    def test_a_shape_in_itself_is_told_from_one_that_ends(self):
        def endless(kind):
            shape = Shape("a", {"x": Member("x", kind)})
            shape.members["next"] = Member("next", shape=shape)
            return shape

        numbers = {}
        a, b, c = endless("job"), endless("job"), endless("run")
        self.assertEqual(len(one_of_each([a, b, c], numbers)), 2)
        self.assertEqual(numbers[id(a)], numbers[id(b)])


class Nothing:
    classes = {}

    def services(self):
        return {}


class Rows(unittest.TestCase):
    def test_one_request_has_one_row_and_keeps_its_other_names(self):
        rows = merge([Row("groups_v2.list", "GET", "/g/{id}", ids=["a=path:id"]), Row("groups.list", "GET", "/g/{x}")])
        self.assertEqual([(row.name, row.also) for row in rows], [("groups.list", ["groups_v2.list"])])
        self.assertEqual(shape("/g/{id}/{p...}/{q}:go"), "/g/{}/{...}/{}:go")

    def test_the_longest_scope_and_the_first_reason_win(self):
        row = Row("a.b", "POST", "/api/2.0/accounts/{account_id}/federationPolicies")
        finish(ADDITIONS, row)
        self.assertEqual((row.scope, row.sensitive), ("authentication", "mints_credentials"))
        row = Row("a.b", "GET", "/api/2.0/sqlx/history")
        finish(ADDITIONS, row)
        self.assertEqual((row.scope, row.sensitive), ("all-apis", ""))

    def test_a_write_that_sounds_sensitive_must_be_classified(self):
        def found(method, name, template):
            return len(list(unclassified(ADDITIONS, [Row(name, method, template)])))

        self.assertEqual(found("POST", "a.grantor", "/api/2.0/a"), 0)
        self.assertEqual(found("POST", "a.b", "/api/2.0/agents/{a}/permissions:grant"), 1)
        self.assertEqual(found("POST", "tokens.new", "/api/2.0/a"), 1)
        self.assertEqual(found("GET", "tokens.new", "/api/2.0/a"), 0)
        self.assertEqual(found("POST", "tokens.delete", "/api/2.0/token/delete"), 0)

    def test_an_id_that_stands_nowhere_in_its_template_is_an_error(self):
        row = Row("a.b", "GET", "/x/{y}", ids=["job=path:y"])
        self.assertEqual(encoded_ids(row), "job=p1")
        with self.assertRaises(ValueError):
            encoded_ids(Row("a.b", "GET", "/x/{y}", ids=["job=path:z"]))

    def test_two_operations_of_one_request_are_an_error(self):
        for methods in (("GET", "*"), ("*", "GET"), ("GET", "GET")):
            with self.assertRaises(AssertionError):
                tree([Row("a.b", methods[0], "/x/{y}"), Row("c.d", methods[1], "/x/{z}")], ADDITIONS)


GO = """
func (a *jobsImpl) RunNow(ctx context.Context) error {
	path := "/api/2.2/jobs/run-now"
	return a.client.Do(ctx, http.MethodPost, path, headers)
}
func (a *aISearchImpl) internalListIndexes(ctx context.Context) error {
	path := fmt.Sprintf("/api/2.0/ai-search/%v/indexes", *request.Parent)
	return a.client.Do(ctx, http.MethodGet, path, headers)
}
func (a *domainsImpl) GetDomain(ctx context.Context) error {
	path := fmt.Sprintf("/api/2.0/%v", *request.Name)
	return a.client.Do(ctx, http.MethodGet, path, headers)
}
"""


class Go(unittest.TestCase):
    RUN = ("POST", "/api/2.2/jobs/run-now", "jobs.run_now")
    LIST = ("GET", "/api/2.0/ai-search/{}/indexes", "ai_search.list_indexes")
    DOMAIN = ("GET", "/api/2.0/{}", "domains.get_domain")

    def test_calls_are_read_with_method_path_and_name(self):
        self.assertEqual(list(calls(GO)), [self.RUN, self.LIST, self.DOMAIN])

    def test_what_no_row_is_is_lacking(self):
        self.assertEqual(list(lacking(calls(GO), [])), sorted([self.RUN, self.LIST, self.DOMAIN]))

    def test_a_full_resource_name_may_be_several_segments(self):
        rows = [("x.y", "GET", "/api/2.0/ai-search/endpoints/{endpoint}/indexes")]
        self.assertNotIn(self.LIST, lacking(calls(GO), rows))
        self.assertIn(self.LIST, lacking(calls(GO), [("x.y", "POST", rows[0][2])]))

    def test_a_path_that_might_be_any_is_known_by_its_name_alone(self):
        self.assertIn(self.DOMAIN, lacking(calls(GO), [("jobs.list", "GET", "/api/2.0/jobs")]))
        self.assertNotIn(self.DOMAIN, lacking(calls(GO), [("domains.get_domain", "GET", "/api/2.0/domains/{domain}")]))


if __name__ == "__main__":
    unittest.main()
