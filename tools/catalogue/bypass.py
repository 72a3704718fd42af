#!/usr/bin/env python3
"""Makes tests/bypass/generated.tsv and generated.json: for every place where a request can carry an id, one that is refused there.

    bypass.py           writes both from src/databricks/catalogue/operations.tsv
    bypass.py --check   writes nothing; fails if the committed files differ

A refused id stands alone, for a caller to whom it is denied and nothing else is; and beside an allowed one in another place, for a caller
who may only do something about that one. An id that may stand for one of another kind, and does not tell for which, is tried against rules
about that kind. Each row says how the request must end.
"""

import json
import re
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote

REPO = Path(__file__).resolve().parent.parent.parent
OPAQUE = tomllib.loads((REPO / "tools/catalogue/additions.toml").read_text())["opaque"]
TABLE = REPO / "src/databricks/catalogue/operations.tsv"
OUT = REPO / "tests/bypass"
NUMBERS = {"job", "run", "repo", "experiment", "git_credential", "object_id"}
PATHS = {"path", "dbfs", "experiment_name"}
PARTS = {"schema": 2, "column": 4} | dict.fromkeys(
    (
        "table",
        "volume",
        "function",
        "model",
        "vector_index",
        "feature",
        "stream",
        "secret",
        "mcp_server",
        "model_service",
        "model_provider",
    ),
    3,
)
TOLD = {
    "@resource": "database_project",
    "@secret": "secret_scope",
    "@trace_location": "schema",
    "@typed": "table",
    "@files": "path",
    "@foreign_catalog": "table",
    "@sql": "table",
    "@expression": "table",
    "@code": "table",
    "@tool": "mcp_tool",
}
WORKSPACE = "7405619408829168"
NAMES = set()
# the path says something else, or a type that there is not
CONTRADICTED = ["400", "REQUEST_AMBIGUOUS", "-"]
DENIED = ["403", "RULE_DENIED", "-"]
NOT_ALLOWED = ["403", "NO_RULE", "-"]
NAMED_BY_PATH = {"experiment_name"}
# ids that rules about another kind see as their own
SEEN_AS = {"model_provider": "model_service"}
HIDING = {"table_id", "volume_id", "object_id"}


def hidden():
    """kind → the kinds that its ids may stand for without telling, as src/databricks/kind.rs says."""
    text = (REPO / "src/databricks/kind.rs").read_text()
    constants = dict(re.findall(r"const (\w+): &\[&str\] =\s*&\[(.*?)\];", text, re.DOTALL))
    rows = re.findall(r'^    kind\("(\w+)",.*\)\.hiding\((.*)\),$', text, re.MULTILINE)
    return {kind: re.findall(r'"(\w+)"', constants.get(of, of)) for kind, of in rows}


HIDDEN = hidden()
FORMS = {
    "existing_cluster_id",
    "new_cluster",
    "libraries",
    "notebook_task",
    "spark_jar_task",
    "spark_python_task",
    "spark_submit_task",
}
FORMS |= {"pipeline_task", "python_wheel_task", "dbt_task", "sql_task", "run_job_task"}
TWO_FORMS = [
    ({"tasks"}, FORMS),
    ({"served_entities"}, {"served_models"}),
    ({"alert_id"}, {"workspace_path"}),
    ({"schema"}, {"target"}),
]


def sample(kind, word):
    """An id of a kind: one that is allowed, or one that is not."""
    if kind in NUMBERS:
        return "101" if word == "good" else "666"
    if kind in PATHS:
        return f"/{word}/x"
    return ".".join([word] * PARTS.get(kind, 1))


class Place:
    """One place where an id may stand, of one or of several parts."""

    def __init__(self, text):
        self.kind, _, parts = text.partition("=")
        self.parts = [part.partition(":")[::2] for part in parts.split("+")]
        self.text = text

    @property
    def about(self):
        return TOLD.get(self.kind, self.kind)

    def values(self, word):
        if self.kind == "@typed":
            return ["table", sample("table", word)]
        if self.kind == "@resource":
            return [f"projects/{word}/branches/b"]
        if self.kind == "@secret":
            return [f"{{{{secrets/{word}/k}}}}"]
        if self.kind == "@foreign_catalog":
            return [True]
        if self.kind in ("@sql", "@expression"):
            # beside it the catalog and the schema of which it is independent
            return [f"SELECT * FROM {sample('table', word)}", *([word] * (len(self.parts) - 1))]
        if self.kind == "@code":
            return ["{}"]
        if self.kind == "@tool":
            return ["tools/call", {"name": word}]
        whole = sample(self.about, word)
        names = whole.split(".") if len(self.parts) > 1 else [whole]
        # an id that stands for a name: the parts before it are not said
        return [""] * (len(self.parts) - len(names)) + names


def put(body, path, value):
    """Sets `a.b[*].c` in a body: an object, a list of one, free keys."""
    steps = re.findall(r"([^.\[]+)(\[\*\])?", path)
    for number, (name, is_list) in enumerate(steps):
        last = number == len(steps) - 1
        name = "k" if name == "*" else name.partition("|")[0]
        if last:
            body[name] = [value] if is_list else value
        elif is_list:
            body = body.setdefault(name, [{}])[0]
        else:
            body = body.setdefault(name, {})


def request(template, placed):
    """Target, headers and body of a request with these values in these places."""
    path, query, headers, body = template, [], [], {}
    if not any(place.kind == "@typed" for place, _ in placed):
        path = re.sub(r"\{(on_)?securable_type\}", "table", path)
    for place, word in placed:
        for (where, name), value in zip(place.parts, place.values(word)):
            if where == "path":
                path = re.sub(r"\{" + name + r"\}", quote(value, safe="."), path)
            elif where in ("absolute", "rest"):
                path = path.replace(re.search(r"\{\w+\.\.\.\}", path)[0], value.lstrip("/"))
            elif where == "query":
                query.append(f"{name}={quote(value, safe='/.')}")
            elif where == "header":
                headers.append(f"{name}: {value}")
            elif name and not name.endswith("."):
                number = int(value) if place.kind in ("job", "run") and value.isdigit() else value
                put(body, name, number)
    path = re.sub(r"\{org_id\}|(?<=/ai-search/workspaces/)\{\w+\}", WORKSPACE, path)
    path = re.sub(r"\{\w+\.\.\.\}", "y/z", path)
    path = re.sub(r"\{\w+\}", "1", path)
    return path + ("?" + "&".join(query) if query else ""), " | ".join(headers), body


def is_opaque(name):
    return any(fnmatchcase(name, pattern) for pattern in OPAQUE)


def rows():
    for line in TABLE.read_text().splitlines():
        if line.startswith("#"):
            continue
        name, method, template, _, sensitive, ids, _ = line.split("\t")
        if ids == "-":
            continue
        places, seen = [], set()
        for place in (Place(text) for text in ids.split() if not text.startswith("!")):
            if method in ("GET", "HEAD") and place.parts[0][0] == "body":
                continue
            # another workspace is refused whatever a rule says: src/databricks/target.rs
            if place.kind == "workspace" and "/ai-search/" in template:
                continue
            # the whole of a path is tried where all of it is open
            where, first = place.parts[0]
            if where in ("rest", "absolute") and not template.split("/")[int(first) + 1].endswith("...}"):
                continue
            # one of each name, however deep; the shapes that hold it are the same
            key = place.about, place.parts[-1][0], place.parts[-1][1].rpartition(".")[2]
            if key not in seen:
                seen.add(key)
                places.append(place)
        stands_apart = is_opaque(name) or "!apart" in ids.split()
        yield name, "POST" if method == "*" else method, template, sensitive != "-", places, stands_apart


def line(name, caller, method, made, end):
    target, headers, body = made
    # one name may cover several paths
    name = name if name not in NAMES else f"{name} {target}"
    NAMES.add(name)
    text = json.dumps(body, separators=(",", ":")) if body else "-"
    return "\t".join([name, "generated", caller, method, target, headers or "-", text, "-", *end, "-"])


def disagrees(a, b):
    """Whether two places are one field, or two forms of one thing."""
    same = {(where, name) for where, name in a.parts if where != "path"} and a.parts[-1][1] == b.parts[-1][1]
    if same and a.parts[-1][0] != b.parts[-1][0] and "path" not in (a.parts[-1][0], b.parts[-1][0]):
        return True
    steps = [re.split(r"[.\[]", part) for where, part in (a.parts[-1], b.parts[-1]) if where == "body"]
    if len(steps) < 2:
        return False
    names = [set(step) for step in steps]
    return any(x & names[0] and y & names[1] or x & names[1] and y & names[0] for x, y in TWO_FORMS)


def contradicts(place, template):
    """Whether it is a member of the body that says again what the path says, and so must say the same."""
    return any(where == "body" and "{" + name + "}" in template for where, name in place.parts)


def generated():
    """The rows, the kinds of the callers to whom one is denied, and the sensitive operations that callers are allowed."""
    lines, sensitive = [], {}
    for name, method, template, is_sensitive, places, stands_apart in rows():
        about = {place.about for place in places}
        if is_sensitive:
            for kind in about:
                sensitive.setdefault(kind, set()).add(name)
        for place, again in said_again(template, method, places) if not stands_apart else ():
            if place.kind.startswith("@"):
                continue
            what = (
                f"{place.about} of the path beside another in the body, {name} {method} {again.text.partition('=')[2]}"
            )
            made = request(template, [(place, "good"), (again, "bad")])
            lines.append(line(f"an allowed {what}", f"g-{place.about}", method, made, CONTRADICTED))
        for place in places:
            what = f"{place.about}, {name} {method} {place.text.partition('=')[2]}"
            end = CONTRADICTED if contradicts(place, template) else DENIED
            lines.append(line(f"a denied {what}", f"d-{place.about}", method, request(template, [(place, "bad")]), end))
        for a, b in ((first_of(b, places), b) for b in places):
            if (
                a is b
                or a.about != b.about
                or a.about in HIDING
                or {part for part in a.parts} & {part for part in b.parts}
            ):
                continue
            what = f"{a.about} beside another, {name} {method} {b.text.partition('=')[2]}"
            contradicted = disagrees(a, b) or contradicts(a, template) or contradicts(b, template)
            end = CONTRADICTED if contradicted else NOT_ALLOWED
            made = request(template, [(a, "good"), (b, "bad")])
            lines.append(line(f"an allowed {what}", f"g-{a.about}", method, made, end))
        lines += behind_ids(name, method, template, places)
        lines += seen_as_others(name, method, template, places)
    return lines, sensitive


def behind_ids(name, method, template, places):
    """Ids that do not tell of what kind or where something is: for a caller to whom one such is denied, and beside one that is allowed."""
    for place in places:
        if place.kind not in HIDDEN or first_of(place, places) is not place or contradicts(place, template):
            continue
        made = request(template, [(place, "good")])
        # an address tells by its form
        for kind in (
            HIDDEN[place.kind] if place.kind not in PATHS | {"storage_url"} or place.kind in NAMED_BY_PATH else ()
        ):
            what = f"{place.kind}, {name} {method} {place.text.partition('=')[2]}"
            yield line(f"any {kind} denied behind a {what}", f"d-{kind}", method, made, DENIED)
            told = next((other for other in places if other.about == kind and not other.kind.startswith("@")), None)
            if told and not contradicts(told, template) and not disagrees(told, place):
                both = request(template, [(told, "good"), (place, "good")])
                yield line(f"an allowed {kind} beside a {what}", f"g-{kind}", method, both, NOT_ALLOWED)


def seen_as_others(name, method, template, places):
    """Ids that rules about another kind see as their own: for a caller to whom one such is denied, and beside one that is allowed."""
    for place in places:
        kind = SEEN_AS.get(place.kind)
        if not kind:
            continue
        what = f"{place.kind}, {name} {method} {place.text.partition('=')[2]}"
        yield line(
            f"a denied {kind} that is a {what}", f"d-{kind}", method, request(template, [(place, "bad")]), DENIED
        )
        told = next((other for other in places if other.about == kind), None)
        if told:
            both = request(template, [(told, "good"), (place, "bad")])
            yield line(f"an allowed {kind} beside a {what}", f"g-{kind}", method, both, NOT_ALLOWED)


def said_again(template, method, places):
    """For each id of the path that the body has no place for: the place, and the same name as a member of the body."""
    known = {name for place in places for where, name in place.parts if where == "body"}
    for place in places:
        [(where, name), *rest] = place.parts
        if where == "path" and not rest and name not in known and method not in ("GET", "HEAD", "*"):
            yield place, Place(f"{place.kind}=body:{name}")


def first_of(place, places):
    """The first place of an id of the same kind."""
    return next(other for other in places if other.about == place.about)


def policy(callers, sensitive):
    permit = [
        "run_as", "new_cluster", "init_scripts", "instance_profile", "docker_image", "access_control_list", "git_source",
        "spark_env_vars", "single_user_name", "external_links", "owner", "embed_credentials",
    ]  # fmt: skip
    credential = {"type": "user_federation"}

    def role(name, group, allow, deny=()):
        matches = {"groups": [f"bypass-{group}"]}
        return {"name": name, "match": matches, "credential": credential, "allow": allow} | (
            {"deny": deny} if deny else {}
        )

    everything = ["*", *sorted(set().union(*sensitive.values()))]
    roles = [role("g-everything", "denied-one", [{"operations": everything, "permit": permit}])]
    groups = {}
    for caller in sorted(callers):
        sort, kind = caller.split("-", 1)
        if sort == "d":
            groups[caller] = ["bypass-denied-one", f"bypass-{caller}"]
            denied = {"operations": ["*"], "resources": {kind: [sample(kind, "bad")]}}
            roles.append(role(caller, caller, [], [denied]))
            continue
        groups[caller] = [f"bypass-{caller}"]
        allowed = {"operations": ["*", *sorted(sensitive.get(kind, ()))], "resources": {kind: [sample(kind, "good")]}}
        roles.append(role(caller, caller, [allowed | {"permit": permit}]))
    return {"callers": {caller: {"groups": groups[caller]} for caller in sorted(callers)}, "roles": roles}


def main():
    lines, sensitive = generated()
    callers = {text.split("\t")[2] for text in lines}
    head = (
        "# Made by tools/catalogue/bypass.py from operations.tsv: do not edit. The columns are those of attempts.tsv.\n"
    )
    files = {
        OUT / "generated.tsv": head + "\n".join(lines) + "\n",
        OUT / "generated.json": json.dumps(policy(callers, sensitive), indent=1) + "\n",
    }
    different = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    print(f"{len(lines)} rows")
    if "--check" in sys.argv:
        print("\n".join(f"{path} is not what bypass.py makes" for path in different), file=sys.stderr)
        return 1 if different else 0
    for path in different:
        path.write_text(files[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
