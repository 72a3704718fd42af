"""Joins the SDK's calls with additions.toml into the catalogue's rows.

Promises one `Row` for each shape of request: no two rows match the same method and path with equal right. Placeholders of a
segment are `{name}`; `{name...}` is one or more segments at the end; `{name}:verb` a segment that ends in `:verb`.
"""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

NESTED_DEPTH = 7
READS = ("GET", "HEAD")
SUSPICIOUS = re.compile(
    r"(^|[._/:-])(permissions?|acls?|grants?|revoke|tokens?|credentials?|secrets?|passwords?|roles?|federation)([._/:-]|$)"
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
        self.fields = [(row[0], row[1], row[2:]) for row in table(text["ids"]["fields"])]
        self.scopes = sorted(table(text["ids"]["scopes"]), key=lambda row: len(row[0]))
        self.sensitive = [(reason, method, pattern(path)) for reason, method, path in table(text["ids"]["sensitive"])]
        self.harmless = text["harmless"]
        self.operations = text["operations"]
        self.added = [Row(row[0], row[1], row[2], ids=row[3:]) for row in table(text["added"]["rows"])]

    def type_of_field(self, service, path):
        """The resource type of a query or body field: a row for this service beats one for all."""
        names = [".".join(path.replace("[*]", "").split(".")[-count:]) for count in (1, 2)]
        rows = [(services, kind) for name, kind, services in self.fields if name in names]
        special = [kind for services, kind in rows if service in services]
        general = [kind for services, kind in rows if not services]
        return (special + general + [None])[0]


def table(text):
    return [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def pattern(path):
    """`/a/{}/**` → a regular expression over shapes; `/**` also stands for nothing."""
    expression = re.escape(path).replace(r"\{\}", "[^/]+")
    return re.compile(expression.replace(r"/\*\*", "(/.*)?") + "$")


def build(sdk, additions):
    """Rows sorted by name, and what is left out: (call or text, reason)."""
    calls, unread = sdk.calls()
    left_out = [(text, additions.left_out.get(text.partition(":")[0])) for text in unread]
    rows = list(additions.added)
    for call in calls:
        rows += [
            Row(call.name, call.method, t, ids=ids_of(sdk, additions, call, t)) for t in templates(additions, call)
        ]
    rows = merge([expanded for row in rows for expanded in below_volumes(additions, row)])
    for row in rows:
        finish(additions, row)
    cover(rows)
    return sorted(rows, key=lambda row: (row.name, row.template, row.method)), left_out


def unclassified(additions, rows):
    """Writes that sound as if they were sensitive, and of which nobody said that they are not."""
    for row in rows:
        sounds = SUSPICIOUS.search(row.name) or SUSPICIOUS.search(shape(row.template))
        if sounds and row.method not in READS and not row.sensitive and row.name not in additions.harmless:
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
            first.ids += [found_id for found_id in row.ids if found_id not in first.ids]
    return list(found.values())


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
            row.sensitive = reason
            break


def cover(rows):
    """A literal path that a generic template covers too answers also to the generic operation's name."""
    for generic in [row for row in rows if "/permissions/{" in row.template]:
        covered = re.compile(re.sub(r"\{\}", "[^/]+", re.escape(shape(generic.template)).replace(r"\{\}", "{}")) + "$")
        for row in rows:
            if row is not generic and row.method == generic.method and covered.match(shape(row.template)):
                row.also += [name for name in [generic.name, *generic.also] if name not in row.also]


def ids_of(sdk, additions, call, template):
    """Where ids stand: `job=body:job_id`, `table=query:catalog_name+query:schema_name`."""
    ids = path_ids(additions, template)
    for name in call.query:
        if kind := additions.type_of_field(call.service, name):
            ids.append(f"{kind}=query:{name}")
    ids += [f"{kind}=body:{path}" for kind, path in sorted(body_ids(sdk, additions, call))]
    override = additions.operations.get(call.name)
    if override is not None:
        replaced = {entry.partition("=")[0] for entry in override}
        ids = [entry for entry in ids if entry.partition("=")[0] not in replaced] + override
    return ids


def path_ids(additions, template):
    ids = []
    segments = template.split("/")
    for index, segment in enumerate(segments):
        name = re.fullmatch(r"\{(\w+)\}(:\w+)?", segment)
        if not name or name[1] == "account_id":
            continue
        before = shape("/".join(segments[1:index]))
        rules = [rule for rule in additions.path_ids if ("/" + before).endswith("/" + rule)]
        kind = additions.path_ids[max(rules, key=len)] if rules else "-"
        if kind != "-":
            ids.append(f"{kind}=path:{name[1]}")
    return ids


def body_ids(sdk, additions, call):
    """(type, JSON path) for the fields of the body, also of what nests in it."""
    module = next((m for (m, name), service in sdk.services().items() if service == call.service), None)
    found = set()

    def visit(path, nested, is_list, seen):
        kind = additions.type_of_field(call.service, path)
        if kind and not nested:
            found.add((kind, path + ("[*]" if is_list else "")))
        repeats = len(seen) - len(set(seen))
        if nested and len(seen) < NESTED_DEPTH and (nested not in seen or not repeats):
            inner = path + ("[*]" if is_list else "")
            for key, below, many in sdk.fields(*nested):
                visit(f"{inner}.{key}" if inner else key, below, many, (*seen, nested))

    for key, annotation in call.body.items():
        nested, is_list = sdk.nested(module, annotation)
        visit(key, nested, is_list, ())
    return found
