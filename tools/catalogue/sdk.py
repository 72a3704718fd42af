"""Reads the published databricks-sdk as text (`ast`; nothing of it is imported or run).

Promises one `Call` for each request that a method of a workspace or account client sends: the method, the path as the SDK
writes it, the name by which a user reaches it, and the fields of its query and body with the classes that nest in them.
"""

import ast
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

# resource names in a docstring: `projects/{project_id}/branches/{branch_id}`
FORMAT = re.compile(r"(?<![\w{/.])[a-z][\w-]*/\{[a-z_.{}]+\}(?:/[\w-]+(?:/\{[a-z_.{}]+\})?)*")
SINGLETON = re.compile(r"Format: ([a-z][a-z-]+)$")
MULTI_SEGMENT = "_escape_multi_segment_path_parameter("


@dataclass
class Call:
    """One request of one method of the SDK."""

    service: str  # the attribute of the client: `jobs`, `account.workspaces`, `settings.default_namespace`
    function: str
    method: str
    path: str  # placeholders as `{job_id}`; what fills several segments as `{file_path...}`
    formats: dict = field(default_factory=dict)  # placeholder → the resource name that its documentation gives
    query: list = field(default_factory=list)
    query_types: dict = field(default_factory=dict)  # parameter → annotation
    body: dict = field(default_factory=dict)  # field → class name or None
    summary: str = ""  # the first sentence of its documentation

    @property
    def name(self):
        return f"{self.service}.{self.function}"


class Sdk:
    """The sources of one release, parsed."""

    def __init__(self, root):
        self.root = Path(root)
        self.modules = {}
        for path in sorted(self.root.glob("service/*.py")):
            self.modules[path.stem] = ast.parse(path.read_text())
        self.classes = {
            (module, node.name): node
            for module, tree in self.modules.items()
            for node in tree.body
            if isinstance(node, ast.ClassDef)
        }
        self.version = re.search(r'"([^"]+)"', (self.root / "version.py").read_text())[1]

    @cache  # noqa: B019 (there is one Sdk, and it lives as long as the program)
    def calls(self):
        """Every call, in a stable order, and what could not be read, as text."""
        calls, unread = [], []
        services = self.services()
        for (module, name), cls in sorted(self.classes.items()):
            if not name.endswith("API"):
                continue
            sending = [f for f in cls.body if isinstance(f, ast.FunctionDef) and any(requests_of(f))]
            for function in sending:
                service = services.get((module, name)) or unreachable(name)
                for request in requests_of(function):
                    call = read_call(service, function, request)
                    if call:
                        calls.append(call)
                    else:
                        unread.append(f"{service}.{function.name}: {ast.unparse(request)[:100]}")
        return calls, unread

    def mixin_paths(self):
        """The literal beginnings of the paths that the hand-written parts of the SDK send."""
        text = "".join(path.read_text() for path in sorted(self.root.glob("mixins/*.py")))
        return sorted(set(re.findall(r"/api/\d\.\d/[a-z][\w/-]*|(?<=\")/serving-endpoints", text)))

    @cache  # noqa: B019
    def services(self):
        """(module, class) → the attribute path by which a client's user reaches it."""
        found = {}
        tree = ast.parse((self.root / "__init__.py").read_text())
        for client, prefix in (("WorkspaceClient", ""), ("AccountClient", "account.")):
            cls = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == client)
            for attribute, called in api_attributes(cls):
                self.reach(found, prefix + attribute, *self.class_of(called))
        return found

    def reach(self, found, service, module, name):
        found.setdefault((module, name), service)
        for attribute, called in api_attributes(self.classes[module, name]):
            self.reach(found, f"{service}.{attribute}", module, called)

    def class_of(self, called):
        """`pkg_jobs.JobsAPI` or, for a mixin, `JobsExt` → its module and its generated class."""
        if called.startswith("pkg_"):
            module, name = called[4:].split(".")
            return module, name
        name = {"_make_files_client": "FilesAPI"}.get(called, called.replace("Ext", "API"))
        return next((module, cls) for module, cls in self.classes if cls == name)

    @cache  # noqa: B019
    def keys(self, module, name):
        """The JSON fields of a data class: (key, attribute)."""
        as_dict = as_dict_of(self.classes[module, name])
        keys = {}
        for node in ast.walk(as_dict):
            if isinstance(node, ast.Assign) and (key := assigned_key(node, "body")):
                attributes = [n.attr for n in ast.walk(node.value) if is_self_attribute(n)]
                keys.setdefault(key, attributes[0] if attributes else key)
        return sorted(keys.items())

    def has_members(self, module, name):
        """Whether a class is one of data, not one of names."""
        return as_dict_of(self.classes[module, name]) is not None


def as_dict_of(cls):
    return next((f for f in cls.body if isinstance(f, ast.FunctionDef) and f.name == "as_dict"), None)


def api_attributes(cls):
    """`self._jobs = pkg_jobs.JobsAPI(…)` in `__init__` → ("jobs", "pkg_jobs.JobsAPI")."""
    init = next((f for f in cls.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    local = {}
    for node in ast.walk(init) if init else []:
        if not isinstance(node, ast.Assign):
            continue
        target = ast.unparse(node.targets[0])
        value = node.value
        called = ast.unparse(value.func) if isinstance(value, ast.Call) else local.get(ast.unparse(value), "")
        if re.search(r"(API|Ext|_make_files_client)$", called):
            if target.startswith("self._"):
                yield target[6:], called
            else:
                local[target] = called


def unreachable(name):
    """A service that no client offers goes by its class: `BundleAPI` → `bundle`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.removesuffix("API")).lower()


def requests_of(function):
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "do":
            yield node


def read_call(service, function, request):
    if len(request.args) != 2 or not isinstance(request.args[0], ast.Constant):
        return None
    path, placeholders = read_path(request.args[1])
    if path is None:
        return None
    body, query = fields_of(function)
    doc = ast.get_docstring(function) or ""
    formats = {name: found for name in placeholders if (found := documented_format(doc, name))}
    sends = {keyword.arg for keyword in request.keywords}
    return Call(
        service=service,
        function=function.name,
        method=request.args[0].value,
        path=path,
        formats=formats,
        query=sorted(query) if "query" in sends else [],
        query_types=query,
        body=body if "body" in sends else {},
        summary=first_sentence(doc),
    )


def first_sentence(doc):
    """What a method does, in one line without marks of reStructuredText; notes of a preview before it are left out."""
    paragraphs = [re.sub(r"\s+", " ", paragraph) for paragraph in re.split(r"\n\n|\n(?=:)", doc)]
    text = next((p for p in map(without_note, paragraphs) if p and not p.startswith(":")), "")
    text = re.sub(r":(?:method|class|attr):`?([\w/.]+)`?", r"\1", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)|`([^`<]*?) <[^>]*>`__?", lambda link: link[1] or link[2], text)
    sentence = re.split(r"(?<=[\w`)*\"'])\.(?=\s|$)", text)[0]
    return sentence.replace("**", "").replace("``", "`").rstrip(".: ")


def without_note(text):
    return re.sub(r"^(?:\*\*[A-Za-z ]+:?\*\*:? [^.]*\.|\(Unimplemented\)|\[[^\]]*\](?!\())\s*", "", text).strip()


def read_path(node):
    """An f-string → `/api/2.2/jobs/{job_id}` and the names in it."""
    if isinstance(node, ast.Constant):
        return node.value, []
    if not isinstance(node, ast.JoinedStr):
        return None, []
    text, names = "", []
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += part.value
            continue
        source = ast.unparse(part.value)
        if source.startswith(MULTI_SEGMENT):
            name = source[len(MULTI_SEGMENT) : -1]
            text += "/{" + name + "...}"
        else:
            name = source.removesuffix(".value").rpartition(".")[2]
            text += "{" + name + "}"
        names.append(name)
    return text, names


def documented_format(doc, name):
    """The resource name that the documentation of a parameter shows, if it is one of several segments."""
    found = re.search(rf":param {name}: (.*?)(?=\n:param|\n:returns|\Z)", doc, re.S)
    text = re.sub(r"\s+", " ", found[1]).strip() if found else ""
    shown = FORMAT.search(text) or SINGLETON.search(text)
    return shown[0].removeprefix("Format: ").rstrip(".") if shown else None


def fields_of(function):
    """The keys written into `body` and `query`; for the body with the class that the value is made of."""
    types = {a.arg: a.annotation for a in function.args.args + function.args.kwonlyargs}
    body, query = {}, {}
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        names = [n.id for n in ast.walk(node.value) if isinstance(n, ast.Name) and n.id in types]
        annotation = types[names[0]] if names else None
        if key := assigned_key(node, "query"):
            query[key] = annotation
        elif key := assigned_key(node, "body"):
            body[key] = annotation
        elif ast.unparse(node.targets[0]) == "body" and annotation is not None:
            body[""] = annotation
    return body, query


def assigned_key(node, variable):
    """`variable["key"] = …` → key."""
    target = node.targets[0]
    if isinstance(target, ast.Subscript) and ast.unparse(target.value) == variable:
        return target.slice.value if isinstance(target.slice, ast.Constant) else None
    return None


def is_self_attribute(node):
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
