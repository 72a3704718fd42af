"""Which operations have bodies with the fields that src/databricks/features.rs looks for, and whether it looks there."""

import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent / "src/databricks/features.rs"


def not_inspected(sdk, rows):
    """(operation, fields) where the SDK can send such a field, no rule has to name the operation, and nobody looks."""
    fields, inspected = told()
    sensitive = {name for row in rows if row.sensitive for name in [row.name, *row.also]}
    for call in sdk.calls()[0]:
        found = sorted(field for field in body_fields(sdk, call) if folded(field) in fields)
        if found and call.name not in inspected and call.name not in sensitive:
            yield call.name, found


def told():
    """The fields and the operations that features.rs names."""
    text = SOURCE.read_text()
    fields = re.findall(r'"(\w+)"', " ".join(re.findall(r'\("\w+", &\[(.*?)\]\)', text)))
    inspected = re.search(r"const INSPECTED: [^=]*= \[(.*?)\];", text, re.S)
    return set(fields), set(re.findall(r'"([\w.]+)"', inspected[1]))


def folded(name):
    return name.replace("_", "").lower()


def body_fields(sdk, call):
    """The names of all fields of a call's body, however deep."""
    module = next((m for (m, _), service in sdk.services().items() if service == call.service), None)
    found, seen = set(), set()

    def visit(name, nested):
        found.add(name)
        if nested and nested not in seen:
            seen.add(nested)
            for key, below, _ in sdk.fields(*nested):
                visit(key, below)

    for name, annotation in call.body.items():
        visit(name, sdk.nested(module, annotation)[0])
    return found
