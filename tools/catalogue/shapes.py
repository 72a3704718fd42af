"""What may stand in the bodies of requests: every member of every class that the SDK can send, each leaf of it classified.

Promises for every call a `Shape`, in which each leaf is the id of a kind, or data of which leaves.txt says why it reaches nothing; which
members are features that a rule has to permit; and a list of problems: leaves that nobody classified, lines of leaves.txt that mean
nothing, members that fold to one name.
"""

import ast
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

SCALARS = re.compile(r"^(int|bool|float|Timestamp|Duration|datetime|FieldMask)$")
SMELLS = re.compile(
    r"(^|_)(ids?|names?|paths?|urls?|uris?|arns?|users?|owners?|principals?|emails?|tokens?|secrets?|passwords?|credentials?|keys?|"
    r"locations?|catalogs?|schemas?|tables?|volumes?|functions?|models?|hosts?|endpoints?|accounts?|uuid|scopes?|files?|directory|"
    r"folders?|roles?|groups?|parent|sources?|destinations?|targets?|repository|jar|whl|egg|links?|images?|instances?|space|share|"
    r"recipients?|providers?|clusters?|jobs?|warehouse|pipelines?|notebooks?|dashboards?|query|branch|project|experiments?|run)($|_)"
    r"|[a-z](Id|Name|Path|Url|Uri)s?($|[A-Z])",
    re.I,
)
SMELLS_IN_TEXT = re.compile(
    r"\b(identifier|ID\b|full name|name of|path|URL|URI|principal|credential|secret|token|user ?name)", re.I
)
# names that say so little that an entry for them must say whose they are
VAGUE = {
    "name",
    "id",
    "path",
    "parent",
    "full_name",
    "table",
    "endpoint",
    "source",
    "destination",
    "model",
    "value",
    "ids",
    "names",
}


@dataclass
class Member:
    """One member of an object."""

    name: str
    kind: str = ""  # the kind of the id, `@…` where the value tells it, `` for data
    shape: object = None  # what nests in it
    is_list: bool = False
    is_map: bool = False  # its keys are free
    is_any: bool = False  # nothing is said of what stands in it
    feature: str = ""


@dataclass
class Shape:
    """An object's members by name, and the ids that several of them make together."""

    name: str
    members: dict = field(default_factory=dict)
    composites: list = field(default_factory=list)  # `table=catalog_name+schema_name+name`
    is_open: bool = False  # takes members of any name


class Leaves:
    """leaves.txt, parsed."""

    def __init__(self, path):
        self.sorts, self.features, self.composites = {}, {}, {}
        self.forms, self.types, self.collections = {}, {}, {}
        self.used = set()
        heading = None
        for line in path.read_text().splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if found := re.fullmatch(
                r"\[(id|feature|data:|of several parts|two forms|types|collections) ?(.*)\]", line
            ):
                heading = found[1], found[2]
                continue
            what, value = heading
            if what == "of several parts":
                owner, *entries = line.split()
                self.composites.setdefault(owner, []).extend(entries)
                continue
            if what in ("two forms", "types", "collections"):
                key, text = line.split()
                {"two forms": self.forms, "types": self.types, "collections": self.collections}[what][key] = text
                continue
            for pattern in line.split():
                into = self.features if what == "feature" else self.sorts
                assert pattern not in into, f"leaves.txt has `{pattern}` twice"
                into[pattern] = value if what != "data:" else "data"

    def find(self, table, owners, name):
        """The entry for a leaf: for one of its owners, the most exact first, then for its name alone, then for a pattern of names."""
        for owner in owners:
            key = f"{owner}.{name}"
            if key in table:
                self.used.add(key)
                return table[key], key
        if name in table:
            self.used.add(name)
            return table[name], name
        for pattern in table:
            if "*" in pattern and fnmatchcase(name, pattern):
                self.used.add(pattern)
                return table[pattern], pattern
        return None, None

    def vain(self):
        return [entry for entry in [*self.sorts, *self.features] if entry not in self.used] + [
            owner for owner in [*self.composites, *self.forms] if owner not in self.used
        ]


class Shapes:
    """The shapes of all calls of an SDK, with what is added by hand."""

    def __init__(self, sdk, leaves, extra):
        self.sdk, self.leaves, self.extra = sdk, leaves, extra
        self.counts, self.problems = Counter(), []
        self.seen_leaves, self.classes = set(), {}
        self.by_name, self.modules = {}, {}
        for (module, _), service in sdk.services().items():
            self.modules.setdefault(service, module)

    def of_call(self, call, as_body):
        """The shape of a call's body. `as_body` are parameters of the query that clients also send as members of the body."""
        module = self.modules.get(call.service)
        shape = Shape(call.name)
        for name, annotation in call.body.items():
            if name:
                shape.members[name] = self.member(call.name, module, name, annotation, "")
            elif nested := self.type_of(module, annotation)[0]:
                whole = self.of_class(*nested)
                shape.members.update(whole.members)
                shape.composites += whole.composites
        for name in call.query:
            found = self.member(call.name, module, name, call.query_types.get(name), "")
            if name in as_body:
                shape.members.setdefault(name, found)
        self.add_extra(call.name, shape)
        return shape

    def by_hand(self, owner):
        """The shape of an operation that the SDK lacks; None if nothing is known of its body."""
        if owner not in self.extra and owner + " open" not in self.extra:
            return None
        shape = Shape(owner)
        self.add_extra(owner, shape)
        return shape

    def of_class(self, module, name):
        if (module, name) in self.classes:
            return self.classes[module, name]
        shape = self.classes[module, name] = Shape(f"{module}.{name}")
        cls = self.sdk.classes[module, name]
        types = {n.target.id: n.annotation for n in cls.body if isinstance(n, ast.AnnAssign)}
        texts = documentation(cls)
        for key, attribute in self.sdk.keys(module, name):
            shape.members[key] = self.member(shape.name, module, key, types.get(attribute), texts.get(attribute, ""))
        self.add_extra(shape.name, shape)
        return shape

    def add_extra(self, owner, shape):
        for member, spec in self.extra.get(owner, []):
            shape.members[member] = self.specified(owner, member, spec)
            self.leaves.used.add(owner)
        shape.is_open = shape.is_open or bool(self.extra.get(owner + " open"))
        for name in owners_of(owner):
            if name in self.leaves.composites:
                self.leaves.used.add(name)
                shape.composites += [c for c in self.leaves.composites[name] if c not in shape.composites]
            if form := self.leaves.forms.get(name):
                self.leaves.used.add(name)
                shape.composites += [f"!={form}"] if f"!={form}" not in shape.composites else []
        folded = Counter(fold(name) for name in shape.members)
        self.problems += [f"members of {owner} fold to one name: {name}" for name, count in folded.items() if count > 1]

    def of_hand(self, name):
        """A shape that extra_shapes.txt gives a name: one for all that it stands in, itself among them."""
        assert name in self.extra, f"extra_shapes.txt does not say what `+{name}` is"
        if name not in self.by_name:
            shape = self.by_name[name] = Shape(name)
            self.add_extra(name, shape)
        return self.by_name[name]

    def specified(self, owner, name, spec):
        """A member as extra_shapes.txt writes it: a kind, `data`, `any`, or a class, with `[]` for a list and `{}` for a map."""
        is_list, is_map = spec.endswith("[]"), spec.endswith("{}")
        spec = spec.removesuffix("[]").removesuffix("{}")
        feature, _ = self.leaves.find(self.leaves.features, owners_of(owner), name)
        member = Member(name, is_list=is_list, is_map=is_map, feature=feature or "")
        if "." in spec and tuple(spec.split(".")) in self.sdk.classes:
            member.shape = self.of_class(*spec.split("."))
        elif spec.startswith("+"):
            member.shape = self.of_hand(spec[1:])
        elif spec == "any":
            member.is_any = True
        elif spec != "data":
            member.kind = spec
        self.counts["id" if member.kind else "by hand"] += 0 if member.shape else 1
        return member

    def member(self, owner, module, name, annotation, text):
        nested, base, is_list, is_map = self.type_of(module, annotation)
        feature, _ = self.leaves.find(self.leaves.features, owners_of(owner), name)
        member = Member(name, is_list=is_list, is_map=is_map, feature=feature or "")
        first = (owner, name) not in self.seen_leaves
        self.seen_leaves.add((owner, name))
        if feature and first:
            self.counts["feature"] += 1
        if nested:
            member.shape = self.of_class(*nested)
            return member
        member.is_any = base == "any"
        sort = (
            self.sort_of(owner, name, base, text)
            if not feature
            else self.leaves.find(self.leaves.sorts, owners_of(owner), name)[0] or "plain"
        )
        if sort not in ("data", "plain"):
            member.kind = sort
        if first:
            self.counts["id" if member.kind else sort] += 1
        return member

    def sort_of(self, owner, name, base, text):
        """`data` (with a reason in leaves.txt), `plain` (neither its type nor its name can be one of an id), or the kind of an id."""
        sort, entry = self.leaves.find(self.leaves.sorts, owners_of(owner), name)
        if owner.startswith("account.") and (not sort or sort == "data" or "." not in entry):
            return sort if sort and sort != "data" and not sort.startswith("@") else "data"
        if base in ("scalar", "enum"):
            return sort if base == "scalar" and sort not in (None, "data") else "plain"
        smells = SMELLS.search(name) or SMELLS_IN_TEXT.search(text)
        if sort is None:
            if smells:
                self.problems.append(f"not classified: {owner}.{name}: {text[:80]}")
            return "plain"
        if sort == "data" and name in VAGUE and "." not in entry:
            self.problems.append(f"vague, say whose: {owner}.{name}: {text[:80]}")
        return sort

    def type_of(self, module, annotation):
        """What an annotation means: (the class that nests or None, `str`, `scalar`, `enum` or `any`, whether a list, whether a map)."""
        text = ast.unparse(annotation) if annotation else "any"
        is_list, is_map = "List[" in text, "Dict[" in text
        inner = re.sub(r"^(Optional\[|List\[|Dict\[str, ?|Iterator\[)+", "", text).rstrip("]")
        where, _, name = inner.rpartition(".")
        where = where.removeprefix("pkg_") or module
        if (where, name) in self.sdk.classes:
            nested = self.sdk.has_members(where, name)
            return ((where, name) if nested else None), "enum", is_list, is_map
        base = "scalar" if SCALARS.match(name or inner) else "str" if inner == "str" else "any"
        return None, base, is_list, is_map


def owners_of(owner):
    """How an owner may be named: `jobs.submit`, `submit`-less `jobs.*`; `compute.Library`, `Library`, `compute.*`."""
    first, _, last = owner.rpartition(".")
    return [owner, last, f"{first}.*"] if last[:1].isupper() else [owner, f"{first}.*"]


def documentation(cls):
    found, last = {}, None
    for node in cls.body:
        if isinstance(node, ast.AnnAssign):
            last = node.target.id
        elif last and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[last], last = " ".join(str(node.value.value).split()), None
    return found


def fold(name):
    return name.replace("_", "").lower()


def read_extra(path):
    """extra_shapes.txt: owner → [(member, specification)]."""
    found = {}
    for line in path.read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        for owner in line.split()[0].split(","):
            for entry in line.split()[1:]:
                if entry == "...":
                    found[owner + " open"] = True
                    continue
                name, _, spec = entry.partition(":")
                found.setdefault(owner, []).append((name, spec or "data"))
    return found


# the kinds of which an id may be whose kind the value tells
TOLD = {
    "@secret": ["secret_scope"],
    "@trace_location": ["experiment", "schema", "table_id"],
    "@files": ["path"],
    "@foreign_catalog": ["table_id"],
    "@sql": ["function", "path", "sql_text", "table"],
    "@expression": ["function", "path", "sql_text", "table"],
    "@code": ["sql_text"],
    "@tool": ["mcp_tool"],
}


def kinds_below(shape, typed, collections):
    """The kinds of which an id may stand anywhere in a shape, and the features."""
    kinds, features, seen = set(), set(), set()

    def visit(shape):
        if id(shape) in seen:
            return
        seen.add(id(shape))
        for composite in shape.composites:
            kind = composite.partition("=")[0]
            kinds.update(typed if kind == "@typed" else TOLD.get(kind, [kind]) if kind != "!" else [])
        for member in shape.members.values():
            if member.feature:
                features.add(member.feature)
            if member.kind == "@resource":
                kinds.update(collections)
            elif member.kind in TOLD:
                kinds.update(TOLD[member.kind])
            elif member.kind:
                kinds.add(member.kind)
            if member.shape:
                visit(member.shape)

    visit(shape)
    return kinds, features


def places(shape):
    """(kind, JSON path) of all ids, in the order in which the filter lists them: a shape is gone into once in itself."""
    found = []

    def visit(shape, path, above):
        for composite in shape.composites:
            kind, _, parts = composite.partition("=")
            if kind != "!":
                found.append((kind, "+".join(f"body:{path}{part}" for part in parts.split("+"))))
        for name in sorted(shape.members, key=lambda name: (fold(name), name)):
            member = shape.members[name]
            here = path + name + ("[*]" if member.is_list else ".*" if member.is_map else "")
            if member.kind:
                found.append((member.kind, f"body:{here}"))
            if member.shape and above.count(id(member.shape)) < 2:
                visit(member.shape, here + ".", [*above, id(member.shape)])

    visit(shape, "", [id(shape)])
    return found


FEATURES = [
    "run_as", "new_cluster", "init_scripts", "instance_profile", "docker_image", "access_control_list", "git_source", "spark_env_vars",
    "single_user_name", "external_links", "owner", "embed_credentials", "unknown_fields",
]  # fmt: skip
# what a sensitive operation is for needs no further permission
PURPOSES = {"changes_acl": {"access_control_list", "owner"}, "cloud_role": {"instance_profile"}}


def without_its_purpose(shape, row):
    """The shape of a sensitive operation, without the features that the operation is there for."""
    purposes = (
        PURPOSES.get(row.sensitive, set())
        if row.name not in ("clusters.create", "clusters.edit", "clusters.update")
        else set()
    )
    members = {
        name: replace(member, feature="") if member.feature in purposes else member
        for name, member in shape.members.items()
    }
    return Shape(shape.name, members, shape.composites, shape.is_open)
