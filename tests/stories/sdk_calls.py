"""Calls every method of the SDK's clients with arguments made up from its signatures."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import io
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import databricks.sdk
from databricks.sdk.common.types.fieldmask import FieldMask

from stack import REPO, WORKSPACE_ID

sys.path.insert(0, str(REPO / "tools/catalogue"))

from classify import Additions  # noqa: E402
from sdk import Sdk  # noqa: E402

SIMPLE = (str, int, float, bool)
DEEPEST = 6


@dataclass
class Method:
    """A method that a user of the SDK can call."""

    name: str  # `jobs.run_now`, `account.workspaces.create`
    bound: Any
    sends: bool  # whether it sends a request of its own, and does not just call others


def methods(client: Any, prefix: str) -> Iterator[Method]:
    """Those of all services that a client offers, and of the services below them."""
    for attribute in properties(client):
        api = getattr(client, attribute)
        if is_service(api):
            yield from of_service(api, prefix + attribute)


def of_service(api: Any, name: str) -> Iterator[Method]:
    for function, bound in inspect.getmembers(api, inspect.ismethod):
        if not function.startswith("_"):
            yield Method(f"{name}.{function}", bound, "_api.do(" in inspect.getsource(bound))
    for attribute in properties(api):
        below = getattr(api, attribute)
        if is_service(below):
            yield from of_service(below, f"{name}.{attribute}")


def properties(value: Any) -> list[str]:
    return [
        name for name, member in inspect.getmembers(type(value)) if isinstance(member, property) and name != "config"
    ]


def is_service(value: Any) -> bool:
    names = [cls.__name__ for cls in type(value).__mro__]
    return any(name.endswith(("API", "Ext")) for name in names) and type(value).__module__.startswith("databricks.sdk")


class Arguments:
    """What methods are called with. Names of resources have the forms that their documentation gives."""

    def __init__(self) -> None:
        sdk = Sdk(Path(databricks.sdk.__file__).parent)
        given = Additions(REPO / "tools/catalogue/additions.toml").forms
        self.forms: dict[str, dict[str, list[str]]] = {}
        for call in sdk.calls()[0]:
            found = {name: [form] for name, form in call.formats.items()} | given.get(call.name, {})
            self.forms.setdefault(call.name, {}).update(found)

    def sets(self, method: Method) -> Iterator[dict[str, Any]]:
        """Arguments for as many calls as there are forms; first with the optional ones that are plain, then without."""
        forms = self.forms.get(method.name, {})
        count = max([len(found) for found in forms.values()], default=1)
        for index in range(count):
            chosen = {name: filled(found[index % len(found)]) for name, found in forms.items()}
            yield self.one(method, chosen, optional=True)
            yield self.one(method, chosen, optional=False)

    def one(self, method: Method, chosen: dict[str, str], optional: bool) -> dict[str, Any]:
        hints = typing.get_type_hints(method.bound)
        arguments: dict[str, Any] = {}
        for name, parameter in inspect.signature(method.bound).parameters.items():
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            hint = hints.get(name, str)
            if parameter.default is not parameter.empty:
                plain = without_none(hint)
                needed = method.name == "dbfs.open" and name == "read"
                if needed:
                    arguments[name] = True
                if (
                    needed
                    or not optional
                    or plain not in SIMPLE
                    or name in ("timeout", "part_size", "parallelism", "write")
                ):
                    continue
            arguments[name] = chosen.get(name) or self.special(method, name) or value(name, hint, 0)
        return arguments

    def special(self, method: Method, name: str) -> str | None:
        """What must be a place of a certain kind."""
        if method.name == "files.upload_from" and name == "source_path":
            return __file__
        # below /Volumes this service leaves it to another
        return "/x" if method.name.startswith("dbfs.") and name in ("path", "src", "dst") else None


def filled(form: str) -> str:
    """`projects/{project_id}` → `projects/x`; a workspace that a path begins with can only be the gateway's own."""
    own = {"workspaces/{workspace_id}", "workspaces/{workspace}"}
    begin = "/".join(form.split("/")[:2])
    form = form.replace(begin, f"workspaces/{WORKSPACE_ID}", 1) if begin in own else form
    return "/".join("x" if segment.startswith("{") else segment for segment in form.split("/"))


def without_none(hint: Any) -> Any:
    members = [member for member in typing.get_args(hint) if member is not type(None)]
    return members[0] if type(None) in typing.get_args(hint) and members else hint


def value(name: str, hint: Any, depth: int) -> Any:
    """Something of this type."""
    hint = without_none(hint)
    origin = typing.get_origin(hint)
    if origin in (list, typing.Sequence) or hint is list:
        return [value(name, (typing.get_args(hint) or (str,))[0], depth)]
    if origin is dict or hint is dict:
        return {"x": "x"}
    if origin is typing.Union:
        return value(name, typing.get_args(hint)[0], depth)
    if hint is str:
        return "/Volumes/a/b/c/d" if name.endswith("path") else "x"
    if hint in (int, float):
        return 101
    if hint is bool:
        return True
    if hint is bytes:
        return b"x"
    if inspect.isclass(hint):
        return instance(hint, depth)
    return io.BytesIO(b"x") if "IO" in str(hint) else "x"


def instance(cls: Any, depth: int) -> Any:
    if issubclass(cls, enum.Enum):
        return next(iter(cls))
    if issubclass(cls, timedelta):
        return timedelta(seconds=1)
    if issubclass(cls, datetime):
        return datetime(2026, 1, 1)
    if issubclass(cls, FieldMask):
        return FieldMask(field_mask=["x"])
    if dataclasses.is_dataclass(cls):
        hints = typing.get_type_hints(cls)
        required = [field for field in dataclasses.fields(cls) if no_default(field) and depth < DEEPEST]
        return cls(**{field.name: value(field.name, hints[field.name], depth + 1) for field in required})
    if issubclass(cls, io.IOBase) or "IO" in cls.__name__:
        return io.BytesIO(b"x")
    try:
        return cls()
    except TypeError:
        return "x"


def no_default(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
