"""What the documents say of the code and of its tests is so."""

from __future__ import annotations

import re
from pathlib import Path

from blocks import REPO, documents

NAMED_TEST = re.compile(r"`((?:tests|crates)/[\w/.-]+\.(?:rs|py))::(\w+)`")


def reasons() -> set[str]:
    """Every reason code of a refusal."""
    text = (REPO / "src/base/reason.rs").read_text()
    return set(re.findall(r'^    \w+ = "(\w+)" \d{3} "', text, re.MULTILINE))


def sources() -> str:
    return "".join(path.read_text() for path in sorted((REPO / "src").rglob("*.rs")))


def test_every_test_that_the_security_model_names_exists():
    text = (REPO / "docs/security-model.md").read_text()
    found = NAMED_TEST.findall(text)
    assert len(found) > 30
    missing = []
    for path, name in found:
        keyword = "fn" if path.endswith(".rs") else "def"
        if not (REPO / path).is_file() or not re.search(rf"\b{keyword} {name}\(", (REPO / path).read_text()):
            missing.append(f"{path}::{name}")
    assert missing == []


def test_every_guarantee_names_a_test():
    text = (REPO / "docs/security-model.md").read_text()
    section = text.split("## What is guaranteed, and which test says so")[1].split("\n## ")[0]
    rows = [row for row in section.splitlines() if row.startswith("| ") and not row.startswith(("| guarantee", "|---"))]
    assert len(rows) > 15
    assert [row for row in rows if not NAMED_TEST.search(row)] == []


def test_reasons_that_documents_name_are_reasons():
    known = reasons()
    # names of other things in capitals
    others = {
        "FAIL_CLOSED",
        "TERRAFORM_PROVIDER_DATABRICKS",
        "PERMISSION_DENIED",
        "REQUEST_TOO_LARGE",
        "SERVICE_PRINCIPAL_ID",
        "POLICY_ID",
        "ETL_CLIENT_SECRET",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "YOUR_TOKEN",
    }
    wrong = {}
    for path in (REPO / "docs").glob("*.md"):
        codes = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", path.read_text())) - known - others
        if codes := {code for code in codes if not code.startswith(("KONG_", "DATABRICKS_"))}:
            wrong[path.name] = codes
    assert wrong == {}


def rows_of_failures() -> list[list[str]]:
    text = (REPO / "docs/operations.md").read_text()
    section = text.split("## When something fails")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in row.strip("|").split("|")] for row in section.splitlines() if row.startswith("| ")
    ][1:]


def test_failures_name_reasons_with_their_status():
    documented = dict(re.findall(r"^### `(\w+)`\n\n(\d+)\n", (REPO / "docs/errors.md").read_text(), re.MULTILINE))
    assert set(documented) == reasons()
    rows = rows_of_failures()
    assert len(rows) > 10
    for row in rows:
        for status, reason in re.findall(r"(\d{3}) `([A-Z_]+)`", row[1]):
            assert documented[reason] == status, row


def test_log_lines_that_the_documents_quote_are_in_the_source():
    source = sources()
    for row in rows_of_failures():
        for quoted in re.findall(r"`([^`]+)`", row[2]):
            # the host's own word for a trap
            assert quoted in source or quoted == "wasm trap", quoted


def test_metrics_that_the_documents_name_exist():
    source = (REPO / "src/flow/metric.rs").read_text()
    known = set(re.findall(r'=> "(\w+)"', source)) | {f"denied_{reason.lower()}" for reason in reasons()}
    pattern = re.compile(r"`((?:requests|denied|keys_fetch|exchange|token_cache|verdict_cache)_[a-z_]+)`")
    for path in [REPO / "docs/operations.md", REPO / "docs/security-model.md", REPO / "docs/policy.md"]:
        assert set(pattern.findall(path.read_text())) - known == set(), path


def test_sizes_that_the_documents_say_are_so():
    from gateway import FILTER

    megabytes = f"{Path(FILTER).stat().st_size / 1e6:.2f} MB"
    for name in ("install-kong.md", "operations.md"):
        said = re.search(r"(\d\.\d\d MB)", (REPO / "docs" / name).read_text())
        assert said and abs(float(said[1].split()[0]) - float(megabytes.split()[0])) < 0.05, (
            f"{name}: it is {megabytes}"
        )


def test_bounds_of_memory_that_the_documents_say_are_so():
    source = sources()
    for constant in (
        "ROOM: Budget = Budget { entries: 10_000",
        "BACKOFFS: Budget = Budget { entries: 1024",
        "LONGEST_RETRY: u64 = 300",
        "60..=86_400",
    ):
        assert constant in source, f"docs/operations.md, `What it holds`: {constant} has changed"


def test_make_targets_that_documents_name_exist():
    targets = set(re.findall(r"^([a-z-]+):.*##", (REPO / "Makefile").read_text(), re.MULTILINE))
    for path in documents():
        named = set(re.findall(r"`make ([a-z-]+)`", path.read_text()))
        assert named - targets == set(), path


def test_files_that_documents_name_exist():
    pattern = re.compile(r"`((?:tests|scripts|src|kong|envoy|examples|docs|compose)/[\w/.-]+)`")
    for path in documents():
        # names of Helm charts look like files
        named = set(pattern.findall(path.read_text())) - {"kong/kong", "kong/ingress"}
        assert [name for name in sorted(named) if not (REPO / name).exists()] == [], path
