"""Writes the catalogue twice: operations.tsv for people, and table.rs, the same as a tree that the filter searches.

The tree's nodes are path segments. All text stands in one string, in which a text that is part of another takes no room. That string and
the numbers are packed into one string of bytes: see packing.py.
"""

from itertools import combinations

from classify import shape
from packing import column, pack, spans
from shapes import FEATURES, fold, kinds_below, places

METHODS = ["*", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]
COLUMNS = ["name", "method", "template", "scope", "sensitive", "ids", "also"]
PLACES = {"path": "p", "rest": "r", "absolute": "a", "query": "q", "header": "h", "body": "b", "unsaid": "n"}
NO_COLON = 0x8000
# in place of a body's shape, where nobody reads the body
OPAQUE = 0xFFFF


def ids_of(row):
    """All ids of a row, those of its body written out."""
    return [*row.ids, *(f"{kind}={where}" for kind, where in (places(row.body) if row.body else []))]


def tsv(rows, sdk_version):
    lines = [
        "# The operations of Databricks that the gateway knows. Made by `python3 tools/catalogue/generate --install` from",
        f"# databricks-sdk {sdk_version} and tools/catalogue/additions.toml: do not edit, add to additions.toml instead.",
        "# Method `*` is any; `{name}` is one segment, `{name...}` whatever follows; jobs and clusters also answer to the",
        "# versions 2.0, 2.1 and 2.2. Ids are `type=place`, their parts joined with dots where `+` stands between them.",
        "# Places: path:PLACEHOLDER, rest:N (the path from segment N), absolute:N (the same with its slash), query:NAME,",
        "# header:NAME, unsaid: (a part that may be any), body:JSON.PATH (`[*]` each of a list, `.*` each of free keys). Types with `@` are told from what stands there:",
        "# `@typed` by the type beside it, `@resource` by a resource name, `@sql`, `@expression` and `@code` by what SQL names that is kept, `@tool` is the tool that JSON-RPC calls, `@secret` is a scope in `{{secrets/SCOPE/KEY}}`. The last column has the other names by which the SDK sends the same request.",
        "# `!below`: it acts on all that stands in what it names; `!all:KIND`: on all of a kind, if none is named; `!any:KIND`: on some of a kind that it does not name.",
        "# " + "\t".join(COLUMNS),
    ]
    for row in rows:
        cells = [
            row.name,
            row.method,
            row.template,
            row.scope,
            row.sensitive,
            " ".join(ids_of(row)),
            " ".join(row.also),
        ]
        lines.append("\t".join(cell or "-" for cell in cells))
    return "\n".join(lines) + "\n"


def summaries(rows, calls, additions):
    """What each operation does, in a sentence: name and sentence."""
    said = {call.name: call.summary for call in reversed(calls) if call.summary}
    lines = [
        "# What each operation does, in a sentence, for `databricks-kong operations`. Made by `python3 tools/catalogue/generate",
        f"# --install` from the documentation of databricks-sdk {additions.sdk} (Apache-2.0) and additions.toml: do not edit.",
    ]
    names = sorted({name for row in rows for name in [row.name, *row.also]})
    return "\n".join([*lines, *(f"{name}\t{additions.summary(name) or said.get(name, '')}" for name in names)]) + "\n"


class Text:
    """One string that holds all others, in their order but for those that are part of another."""

    def __init__(self, strings):
        order = list(dict.fromkeys(strings))
        whole = ""
        for string in sorted(order, key=lambda s: (-len(s), s)):
            whole += "" if string in whole else f"\n{string}"
        kept = set(whole.split("\n"))
        self.whole = "".join(string for string in order if string in kept)
        self.spans = {string: (self.whole.index(string), len(string)) for string in order}
        assert len(self.whole) < 1 << 20 and max(map(len, order)) < 1 << 12 and self.whole.isascii()

    def columns(self, strings):
        return spans([self.spans[string] for string in strings])


class Node:
    def __init__(self):
        self.edges = {}  # literal, or `:verb`
        self.one = None  # the child of a placeholder
        self.rest = None  # the child of `{…...}`
        self.rows = []

    def child(self, segment):
        if segment.startswith("{"):
            verb = segment.partition("}")[2]
            if verb:
                return self.edges.setdefault(verb, Node())
            if segment.endswith("...}"):
                self.rest = self.rest or Node()
                return self.rest
            self.one = self.one or Node()
            return self.one
        assert not segment.startswith(":"), segment
        return self.edges.setdefault(segment, Node())


def tree(rows, additions):
    root = Node()
    for row in rows:
        node = root
        for segment in row.template.split("/")[1:]:
            node = node.child(segment)
        taken = [other for other in node.rows if other.method == row.method or "*" in (other.method, row.method)]
        assert row.method in METHODS and not taken, (row, taken)
        node.rows.append(row)
    versions = root.edges["api"].edges
    for family in additions.families:
        [node] = [versions[v].edges[family] for v in additions.versions if family in versions[v].edges]
        for version in additions.versions:
            versions[version].edges[family] = node
    return root


def flatten(root):
    """All nodes, each once, the root first."""
    order, known = [root], {id(root)}
    for node in order:
        for child in [*(node.edges[label] for label in sorted(node.edges)), node.one, node.rest]:
            if child and id(child) not in known:
                known.add(id(child))
                order.append(child)
    return order


def encoded_ids(row):
    """`job=path:job_id` → `job=p5`: what the filter reads need not know the placeholders' names."""
    segments = [segment.partition(":")[0] for segment in row.template.split("/")[1:]]

    def part(text):
        place, _, value = text.partition(":")
        return PLACES[place] + (str(segments.index("{" + value + "}")) if place == "path" else value)

    found = [entry for entry in row.ids if entry.startswith("!")]
    for entry in row.ids:
        if entry.startswith("!"):
            continue
        kind, _, places = entry.partition("=")
        found.append(kind + "=" + "+".join(part(text) for text in places.split("+")))
    return " ".join(found)


# what is told by the value: the same numbers stand in shape.rs
CODES = {"": 0, "@resource": 250, "@secret": 251, "@trace_location": 252, "@files": 253, "@foreign_catalog": 254}


def one_of_each(shapes, number):
    """The shapes and all that nest in them, of those that are alike all the way down one. `number` gets the place of each by its id."""
    found = []

    def collect(each):
        if id(each) not in number:
            number[id(each)] = 0
            found.append(each)
            for member in each.members.values():
                if member.shape:
                    collect(member.shape)

    def form(each):
        members = (
            (m.name, m.kind, m.feature, m.is_list, m.is_map, m.is_any, number[id(m.shape)] if m.shape else None)
            for m in each.members.values()
        )
        return number[id(each)], each.is_open, tuple(each.composites), tuple(sorted(members, key=lambda m: m[0]))

    for each in shapes:
        collect(each)
    forms = 1
    # shapes nest in themselves: told apart from outside, step by step, until nothing more is
    while True:
        places = {}
        numbers = [places.setdefault(form(each), len(places)) for each in found]
        number.update((id(each), place) for each, place in zip(found, numbers))
        if len(places) == forms:
            return [found[numbers.index(place)] for place in range(forms)]
        forms = len(places)


class Bodies:
    """The shapes of all bodies as rows: each object once, its members sorted as they are looked up."""

    def __init__(self, rows, leaves):
        self.leaves = leaves
        self.number = {}
        for row in rows:
            if not row.body or not any(self.below(row.body)):
                row.body = None
        self.order = one_of_each([row.body for row in rows if row.body], self.number)

    def below(self, shape):
        return kinds_below(shape, set(self.leaves.types.values()), set(self.leaves.collections.values()))

    def members(self, shape):
        return [shape.members[name] for name in sorted(shape.members, key=lambda name: (fold(name), name))]

    def strings(self):
        """What must stand in the text."""
        composites = [" ".join(shape.composites) for shape in self.order]
        return composites, [name for shape in self.order for name in shape.members]

    def packed(self, text, lists, kinds):
        """The tables of shapes: how many rows each has, by its name, and all of them as columns."""
        place = {entry: index for index, entry in enumerate(lists)}
        names = sorted({name for shape in self.order for name in shape.members}, key=lambda name: (fold(name), name))
        name_of = {name: index for index, name in enumerate(names)}
        shapes, members, below_of, what_of = [], [], {}, {}
        for each in self.order:
            below = below_of.setdefault(self.masks(each, kinds), len(below_of))
            shapes.append((len(members), place[" ".join(each.composites)], below))
            for member in self.members(each):
                what = what_of.setdefault(self.what(member, kinds), len(what_of))
                members.append((name_of[member.name], what))
        shapes.append((len(members), 0, 0))
        assert len(below_of) <= 256, len(below_of)
        counts = {"SHAPES": len(shapes), "BELOW": len(below_of), "MEMBERS": len(members), "NAMES": len(names)}
        columns = [
            *(column(each, steps=True) for each in zip(*shapes)),
            *(column(each) for each in zip(*below_of)),
            *(column(each) for each in zip(*members)),
            text.columns(names),
            *(column(each, steps=True) for each in zip(*what_of)),
        ]
        return {**counts, "WHAT": len(what_of)}, columns

    def blocks(self, kinds):
        told = sorted({fold(m.name) for shape in self.order for m in shape.members.values() if m.feature})
        yield strings(
            "TELLING", told, "The names of all members that are features, in lower case and without underscores."
        )
        yield strings("FEATURES", FEATURES, "What a member's feature counts in.")
        types = [
            f'("{name.replace("_", "")}", {kinds.index(kind)})' for name, kind in sorted(self.leaves.types.items())
        ]
        yield block(
            "TYPES",
            "(&str, u8)",
            types,
            "What types of resources are called in requests, in lower case, and the kinds.",
        )
        collections = [f'("{name}", {kinds.index(kind)})' for name, kind in sorted(self.leaves.collections.items())]
        yield block("COLLECTIONS", "(&str, u8)", collections, "What resource names begin with, and the kinds.")

    def masks(self, shape, kinds):
        below, features = self.below(shape)
        mask = sum(1 << kinds.index(kind) for kind in below)
        bits = sum(1 << FEATURES.index(feature) for feature in features) | (0x8000 if shape.is_open else 0)
        return *(mask >> shift & 0xFFFFFFFF for shift in (0, 32, 64)), bits

    def what(self, member, kinds):
        code = CODES.get(member.kind)
        code = kinds.index(member.kind) + 1 if code is None else code
        form = member.is_list | member.is_map << 1 | member.is_any << 2
        feature = (FEATURES.index(member.feature) + 1) << 3 if member.feature else 0
        shape = self.number[id(member.shape)] + 1 if member.shape else 0
        return shape, code, form | feature


def kinds_of(rows, bodies):
    kinds = {entry.partition("=")[0] for row in rows for entry in row.ids if not entry.startswith("!")}
    kinds |= {kind for shape in bodies.order for kind in bodies.below(shape)[0]}
    kinds |= {*bodies.leaves.types.values(), *bodies.leaves.collections.values()}
    kinds = sorted(kind for kind in kinds if not kind.startswith("@"))
    assert len(kinds) <= 96, len(kinds)
    return kinds


def rust(rows, additions, leaves):
    order = flatten(tree(rows, additions))
    number = {id(node): index for index, node in enumerate(order)}
    ordered = [row for node in order for row in node.rows]
    bodies = Bodies(ordered, leaves)
    composites, members = bodies.strings()
    lists = sorted({encoded_ids(row) for row in rows} | {" ".join(row.also) for row in rows} | {"", *composites})
    labels = [label for node in order for label in sorted(node.edges)]
    aliases = sorted((name, index) for index, row in enumerate(ordered) for name in row.also)
    names = [*(row.template for row in ordered), *(row.name for row in ordered), *(name for name, _ in aliases)]
    text = Text([*names, *labels, *lists, *sorted(members, key=lambda name: (fold(name), name))])
    targets = [number[id(node.edges[label])] for node in order for label in sorted(node.edges)]
    by_name = sorted(range(len(ordered)), key=lambda i: (ordered[i].name, ordered[i].template, ordered[i].method))
    counts, of_shapes = bodies.packed(text, lists, kinds_of(rows, bodies))
    counts = {
        "TEXT": len(text.whole),
        "OPERATIONS": len(ordered),
        **counts,
        "NODES": len(order) + 1,
        "EDGES": len(labels),
        "LISTS": len(lists),
        "ALIASES": len(aliases),
    }
    columns = [
        text.whole.encode(),
        *operations(ordered, rows, lists, text, bodies),
        *of_shapes,
        *(column(each, steps=True) for each in zip(*nodes(order, number))),
        text.columns(labels),
        column(targets, steps=True),
        text.columns(lists),
        column(by_name, steps=True),
        text.columns([name for name, _ in aliases]),
        column([index for _, index in aliases], steps=True),
    ]
    parts = [
        "//! operations.tsv as a tree. Made by `python3 tools/catalogue/generate --install`: do not edit.\n",
        *kinds_and_codes(rows, bodies),
        *bodies.blocks(kinds_of(rows, bodies)),
        prefixes(rows, additions),
        *(f"pub(super) const {name}: usize = {count};" for name, count in counts.items()),
        "\n/// The text and the rows of all that is counted above, as packed.rs reads them.",
        literal("PACKED", pack(b"".join(columns))),
    ]
    return "\n".join(parts) + "\n"


def literal(name, data):
    """A string of bytes, in lines of text."""
    shown = {ord("\\"): "\\\\", ord('"'): '\\"'}
    pieces = [shown.get(byte) or (chr(byte) if 0x20 < byte < 0x7F else f"\\x{byte:02x}") for byte in data]
    lines, line = [], ""
    for piece in pieces:
        if len(line) + len(piece) > 114:
            lines.append(line)
            line = ""
        line += piece
    body = "\\\n    ".join([*lines, line])
    return f'pub(super) static {name}: &[u8] = b"\\\n    {body}";'


def prefixes(rows, additions):
    """Patterns of sensitive paths that hold for what nobody knows too: those with an open end, an open name or open methods."""
    reasons = reasons_of(rows)
    entries = [
        f'({reasons.index(reason)}, "{method}", "{path}")'
        for reason, method, path in additions.patterns
        if ("*" in path or method in ("W", "*")) and reason in reasons
    ]
    return block(
        "PREFIXES", "(u8, &str, &str)", entries, "Reason, methods and pattern of what is sensitive by its path."
    )


def kinds_and_codes(rows, bodies):
    """What the numbers of a row count in."""
    yield strings("METHODS", METHODS, "What a row's method counts in; `*` is any.")
    yield strings("SCOPES", scopes_of(rows), "What a row's scope counts in.")
    yield strings("REASONS", reasons_of(rows), "Why an operation is sensitive; the first is that it is not.")
    yield strings("KINDS", kinds_of(rows, bodies), "The types of resources that any operation has an id of.")


def scopes_of(rows):
    return sorted({row.scope for row in rows})


def reasons_of(rows):
    return ["", *sorted({row.sensitive for row in rows} - {""})]


def operations(ordered, rows, lists, text, bodies):
    """The operations by node: spans of their names and templates, and what else a row has, as columns."""
    scopes, reasons = scopes_of(rows), reasons_of(rows)
    place = {entry: index for index, entry in enumerate(lists)}
    yield text.columns([row.name for row in ordered])
    yield text.columns([row.template for row in ordered])
    yield column([place[encoded_ids(row)] for row in ordered])
    yield column([place[" ".join(row.also)] for row in ordered])
    yield column([scopes.index(row.scope) for row in ordered])
    yield column([reasons.index(row.sensitive) for row in ordered])
    yield column([METHODS.index(row.method) for row in ordered])
    yield column([bodies.number[id(row.body)] + 1 if row.body else OPAQUE if row.is_opaque else 0 for row in ordered])


def nodes(order, number):
    """Where the edges and the operations of each node begin, and its two other children; one more to end the last."""
    edge = operation = 0
    for node in order:
        colon = NO_COLON if any(label.startswith(":") for label in node.edges) else 0
        one, rest = (number[id(child)] if child else 0 for child in (node.one, node.rest))
        yield edge, operation, one | colon, rest
        edge, operation = edge + len(node.edges), operation + len(node.rows)
    yield edge, operation, 0, 0


def strings(name, values, doc):
    return block(name, "&str", [f'"{value}"' for value in values], doc)


def block(name, kind, values, doc):
    values = [str(value) for value in values]
    lines, line = [], "   "
    for value in values:
        if len(line) + len(value) > 117:
            lines.append(line)
            line = "   "
        line += f" {value},"
    body = "\n".join([*lines, line])
    return f"/// {doc}\npub(super) static {name}: [{kind}; {len(values)}] = [\n{body}\n];\n"


def ambiguous(rows):
    """Pairs of templates that match one request with neither more exact than the other, segment by segment."""
    split = [(row, shape(row.template).split("/")) for row in rows]
    for (a, a_segments), (b, b_segments) in combinations(split, 2):
        same_method = a.method == b.method or "*" in (a.method, b.method)
        if same_method and clash(a_segments, b_segments):
            yield a, b


def clash(a, b):
    """Whether a path exists that both match, and none of them is the more exact one wherever they differ."""
    a_wins = b_wins = False
    for x, y in zip(a, b):
        if "..." in x or "..." in y:
            # what follows loses to whatever is more exact
            return (a_wins or "..." not in x) == (b_wins or "..." not in y)
        if x == y:
            continue
        if x[:1] != "{" and y[:1] != "{" or x[:1] == y[:1] == "{":
            # other literals, other verbs; and a placeholder takes no colon where verbs are
            return False
        a_wins, b_wins = a_wins or y[:1] == "{", b_wins or x[:1] == "{"
    return len(a) == len(b) and a_wins == b_wins
