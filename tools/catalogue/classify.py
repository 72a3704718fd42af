"""Joins the SDK's calls with additions.toml into the catalogue's rows.

Promises one `Row` for each shape of request: no two rows match the same method and path with equal right. Placeholders of a
segment are `{name}`; `{name...}` is one or more segments at the end; `{name}:verb` a segment that ends in `:verb`.
"""

import re
import tomllib
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from shapes import Shape, kinds_below, owners_of, without_its_purpose

READS = ("GET", "HEAD")
SUSPICIOUS = re.compile(
    r"(^|[._/:-])(permissions?|acls?|grants?|revoke|tokens?|credentials?|secrets?|passwords?|roles?|federation|shares?|recipients?|"
    r"webhooks?|owner|ownership|transfer|publish|published|ssh|proxy|tunnel|presigned|signed|urls?|uri|activation|assignments?|bindings?|"
    r"instance-profiles|networks?|init-scripts?|downloads?|installations|conf|settings|identity|allowlists?|impersonate)([._/:-]|$)"
)
# what a read may give away
REVEALING = re.compile(
    r"credentials?|tokens?|secrets?|passwords?|presigned|signed|urls?|uri|activation|downloads?|installations"
)


@dataclass
class Row:
    """One operation as it stands in operations.tsv."""

    name: str
    method: str
    template: str
    scope: str = ""
    sensitive: str = ""
    ids: list = field(default_factory=list)
    also: list = field(default_factory=list)
    body: object = None  # the shape of its body, if it has ids or features
    is_opaque: bool = False  # nobody reads its body

    @property
    def shape(self):
        return self.method, shape(self.template)


def shape(template):
    """The template without the names of its placeholders."""
    return re.sub(r"\{[^}.]*(\.\.\.)?\}", r"{\1}", template)


class Additions:
    """additions.toml, parsed."""

    def __init__(self, path):
        text = tomllib.loads(Path(path).read_text())
        self.sdk = text["sdk"]
        self.forms = text["forms"]
        self.left_out = text["left_out"]
        self.volumes = text["volumes"]["prefixes"]
        self.families = text["versions"]["families"]
        self.versions = text["versions"]["versions"]
        self.path_ids = dict(table(text["ids"]["path"]))
        self.reasons = {name: why for name, why in text["no_kind"].items() if name != "rows"}
        self.no_kind = dict(table(text["no_kind"]["rows"]))
        self.get_bodies = text["get_bodies"]
        self.crossing = text["crossing"]
        self.reach = dict(table_of_names(text["reach"]["rows"]))
        self.opaque = text["opaque"]
        self.scopes = sorted(table(text["ids"]["scopes"]), key=lambda row: len(row[0]))
        self.patterns = table(text["ids"]["sensitive"])
        self.sensitive = [(reason, method, pattern(path)) for reason, method, path in self.patterns]
        self.harmless = text["harmless"]
        self.operations = text["operations"]
        self.summaries = text["summaries"]
        self.added = [Row(row[0], row[1], row[2], ids=row[3:]) for row in table(text["added"]["rows"])]

    def summary(self, name):
        """What is said by hand of an operation, by the longest of the names that mean it."""
        return self.summaries.get(max((n for n in self.summaries if fnmatchcase(name, n)), key=len, default=""), "")


def table(text):
    return [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def table_of_names(text):
    return [(row[0], [f"!{mark}" for mark in row[1:]]) for row in table(text)]


def pattern(path):
    """`/a/{}/**` → a regular expression over shapes; `/**` also stands for nothing, `create-*` for the end of a segment."""
    if path.startswith("/**/"):
        return re.compile("(/[^/]+)*/" + re.escape(path[4:]).replace(r"\*", "[^/]*") + "(/.*)?$")
    expression = re.escape(path).replace(r"\{\}", "[^/]+").replace(r"/\*\*", "(/.*)?")
    return re.compile(expression.replace(r"\*", "[^/]*") + "$")


def build(sdk, additions, shapes):
    """Rows sorted by name, and what is left out: (call or text, reason)."""
    calls, unread = sdk.calls()
    left_out = [(text, additions.left_out.get(text.partition(":")[0])) for text in unread]
    rows, bodies = [], {}
    for call in calls:
        body = shapes.of_call(call, as_body(additions, call))
        bodies.setdefault((call.name, call.method), body)
        shapes.problems += not_written_out(additions, shapes, call)
        rows += [
            Row(call.name, call.method, t, ids=ids_of(additions, shapes.leaves, call, t), body=body)
            for t in templates(additions, call)
        ]
    for row in additions.added:
        by_hand = shapes.by_hand(row.name) if row.method not in READS or row.name in additions.get_bodies else None
        rows.append(replace(row, body=bodies.get((row.name, row.method)) or by_hand))
    rows = merge([expanded for row in rows for expanded in below_volumes(additions, row)])
    for row in rows:
        finish(additions, row)
        row.ids += [mark for name, marks in additions.reach.items() if means(name, row) for mark in marks]
        row.is_opaque = any(means(name, row) for name in additions.opaque)
        row.body = row.body and without_its_purpose(row.body, row)
    cover(rows)
    return sorted(rows, key=lambda row: (row.name, row.template, row.method)), left_out


def means(name, row):
    """Whether `reach` and `opaque` mean a row by a name, of which the end may be a star, or by a method and a template."""
    if " " in name:
        return name == f"{row.method} {row.template}"
    return any(fnmatchcase(known, name) for known in [row.name, *row.also])


def vain(additions, rows):
    """What `reach` and `opaque` say and nothing has, and opaque bodies that have ids."""
    yield from (n for n in [*additions.reach, *additions.opaque] if not any(means(n, row) for row in rows))


def not_written_out(additions, shapes, call):
    """Objects of the query that have ids, none of which `operations` writes out with dots."""
    for name in call.query:
        nested = shapes.type_of(shapes.modules.get(call.service), call.query_types.get(name))[0]
        written = any(f"query:{name}." in entry for entry in additions.operations.get(call.name, []))
        if nested and not written and kinds_below(shapes.of_class(*nested), set(), set())[0]:
            yield f"an object of the query with ids that nobody wrote out: {name} of {call.name}"


def as_body(additions, call):
    """Parameters of the query that clients also send as a JSON body: of every DELETE, and of what is listed."""
    return call.query if call.method == "DELETE" or call.name in additions.get_bodies else ()


def unclassified(additions, rows):
    """Writes that sound as if they were sensitive, and of which nobody said that they are not."""
    for row in rows:
        sounds = SUSPICIOUS.search(row.name) or SUSPICIOUS.search(shape(row.template))
        reveals = row.method not in READS or REVEALING.search(shape(row.template))
        if sounds and reveals and not row.sensitive and row.name not in additions.harmless:
            yield row


def templates(additions, call):
    """The paths of a call, its resource names written out."""
    forms = {name: [found] for name, found in call.formats.items()}
    forms.update(additions.forms.get(call.name, {}))
    paths = [call.path]
    for name, found in forms.items():
        paths = [path.replace("{" + name + "}", form) for path in paths for form in found]
    # `{catalog}.{schema}.{skill}` is one segment
    return [re.sub(r"(?:\{\w+\}\.)+\{(\w+)\}", r"{\1}", path) for path in paths]


def below_volumes(additions, row):
    """A path of several segments, also as the path of a volume and below one."""
    prefix, found, rest = row.template.partition("{")
    if prefix not in additions.volumes:
        return [row]
    name = rest.rstrip("}").removesuffix("...")
    volume = prefix + "Volumes/{catalog}/{schema}/{volume}"
    first = prefix.count("/") - 1
    volume_id = "volume=path:catalog+path:schema+path:volume"
    return [
        Row(row.name, row.method, row.template, ids=[f"path=absolute:{first}"]),
        Row(row.name, row.method, volume, ids=[f"path=absolute:{first}", volume_id]),
        Row(row.name, row.method, volume + "/{" + name + "...}", ids=[f"path=absolute:{first}", volume_id]),
    ]


def merge(rows):
    """One row for each shape; the other names of the same request go to `also`."""
    found = {}
    for row in sorted(rows, key=preference):
        first = found.setdefault(row.shape, row)
        if first is not row:
            first.also += [row.name] if row.name not in [first.name, *first.also] else []
            ids = renamed(row.ids, row.template, first.template)
            first.ids += [found_id for found_id in ids if found_id not in first.ids]
            first.body = joined(first.body, row.body)
    return list(found.values())


def renamed(ids, template, other):
    """The ids of one template by the placeholders of another of the same shape."""
    names = dict(zip(re.findall(r"\{(\w+)", template), re.findall(r"\{(\w+)", other)))
    return [re.sub(r"path:(\w+)", lambda found: f"path:{names[found[1]]}", entry) for entry in ids]


def joined(one, other):
    """The shape of a body that is of either form."""
    if not one or not other or one is other:
        return one or other
    composites = one.composites + [entry for entry in other.composites if entry not in one.composites]
    return Shape(one.name, {**other.members, **one.members}, composites, one.is_open or other.is_open)


def preference(row):
    """Which name a request with several goes by: not a newer twin's, not a generic one's, else the first in the alphabet."""
    service = row.name.rpartition(".")[0]
    return service.endswith("_v2"), service in ("bundle", "workspace"), row.name, row.template


def finish(additions, row):
    whole = shape(row.template)
    row.scope = [scope for prefix, scope in additions.scopes if (whole + "/").startswith(prefix.rstrip("/") + "/")][-1]
    for reason, method, expression in additions.sensitive:
        applies = method in ("*", row.method) or (method == "W" and row.method not in READS)
        if applies and expression.match(whole):
            row.sensitive = "" if reason == "-" else reason
            break


def cover(rows):
    """A literal path that a generic template covers too answers also to the generic operation's name."""
    for generic in [row for row in rows if "/permissions/{" in row.template]:
        covered = re.compile(re.sub(r"\{\}", "[^/]+", re.escape(shape(generic.template)).replace(r"\{\}", "{}")) + "$")
        for row in rows:
            if row is not generic and row.method == generic.method and covered.match(shape(row.template)):
                row.also += [name for name in [generic.name, *generic.also] if name not in row.also]


def ids_of(additions, leaves, call, template):
    """Where ids stand in path and query: `job=query:job_id`, `table=query:catalog_name+query:schema_name`."""
    ids = path_ids(additions, template)
    for name in call.query:
        kind, _ = leaves.find(leaves.sorts, owners_of(call.name), name)
        if kind and kind != "data":
            ids.append(f"{kind}=query:{name}")
    override = additions.operations.get(call.name, [])
    replaced = {entry.partition("=")[0] for entry in override}
    return [entry for entry in ids if entry.partition("=")[0] not in replaced] + override


def unexplained(additions, rows):
    """Placeholders that are the id of no kind and have no reason for it that holds, and reasons that nothing has."""
    used = set()
    for row in rows:
        segments = row.template.split("/")
        for index, segment in enumerate(segments):
            name = re.match(r"\{(\w+)(\.\.\.)?\}", segment)
            if not name or has_kind(row, name):
                continue
            rule = longest(additions.no_kind, segments[1:index])
            used.add(rule)
            if problem := broken(additions.no_kind.get(rule), row, segments[1:index]):
                yield f"{problem}: {segment} of {row.name} {row.method} {row.template}"
    yield from (f"no_kind says `{rule}`, which nothing has" for rule in additions.no_kind if rule not in used)
    keys = set(additions.no_kind.values())
    yield from (f"no_kind gives a reason wrongly: {key}" for key in keys ^ set(additions.reasons))


def has_kind(row, name):
    """Whether a placeholder is, or is a part of, an id."""
    parts = [part for entry in row.ids for part in entry.partition("=")[2].split("+")]
    return f"path:{name[1]}" in parts or (name[2] and any(part.startswith(("rest:", "absolute:")) for part in parts))


def broken(key, row, before):
    """Why a reason is none for this placeholder."""
    sensitive, reads = row.sensitive, row.method in READS
    if key is None:
        return "neither a kind nor a reason in no_kind"
    if key == "part" and not any(segment.startswith("{") for segment in before):
        return "a part of nothing"
    if (key == "sensitive" and not sensitive) or (key == "changes" and not (sensitive or reads)):
        return f"not sensitive, which `{key}` says"
    return None


def longest(table, segments):
    """The longest of the rows whose literals stand last in `segments`."""
    before = "/" + shape("/".join(segments))
    return max((rule for rule in table if before.endswith("/" + rule)), key=len, default=None)


def path_ids(additions, template):
    ids = []
    segments = template.split("/")
    for index, segment in enumerate(segments):
        name = re.fullmatch(r"\{(\w+)\}(:\w+)?", segment)
        if not name or name[1] == "account_id":
            continue
        kind = additions.path_ids.get(longest(additions.path_ids, segments[1:index]), "-")
        if kind == "@typed":
            ids.append(f"@typed=path:{segments[index - 1].strip('{}')}+path:{name[1]}")
        elif kind != "-":
            ids.append(f"{kind}=path:{name[1]}")
    return ids
