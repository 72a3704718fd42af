"""The generator on small texts of its own: what it must refuse, it refuses."""

import importlib.machinery
import importlib.util
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from classify import Additions, Row, finish, merge, shape, unclassified  # noqa: E402
from emit import ambiguous, encoded_ids, tree  # noqa: E402
from features import not_inspected, told  # noqa: E402
from sdk import Call, documented_format  # noqa: E402

LOADER = importlib.machinery.SourceFileLoader("generate", str(HERE / "generate"))
GENERATE = importlib.util.module_from_spec(importlib.util.spec_from_loader("generate", LOADER))
LOADER.exec_module(GENERATE)
ADDITIONS = Additions(HERE / "additions.toml")


class NoMixins:
    def mixin_paths(self):
        return ["/api/2.0/fs/new-thing"]

    def calls(self):
        return [], []


class Bodies:
    """An SDK with two calls, whose bodies have an instance profile in a nested object."""

    def calls(self):
        calls = [Call("new_things", "create", "POST", "/n", body={"settings": None})]
        return [*calls, Call("warehouses", "edit", "POST", "/w", body={"settings": None})], []

    def services(self):
        return {}

    def nested(self, module, annotation):
        return ("m", "Settings"), False

    def fields(self, module, name):
        return [("instance_profile_arn", None, False), ("more", ("m", "Settings"), False)]


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


class Features(unittest.TestCase):
    def test_a_body_that_nobody_looks_into_is_a_problem(self):
        fields, inspected = told()
        self.assertTrue({"runas", "instanceprofilearn", "gitsource"} <= fields)
        self.assertIn("jobs.submit", inspected)
        self.assertEqual(list(not_inspected(Bodies(), [])), [("new_things.create", ["instance_profile_arn"])])
        self.assertEqual(
            list(not_inspected(Bodies(), [Row("new_things.create", "POST", "/n", sensitive="settings")])), []
        )


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


if __name__ == "__main__":
    unittest.main()
