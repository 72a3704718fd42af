"""`databricks`, the official command line tool."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from programs import Done, Person, environment, home_of, needs, person, setting, start
from stack import REPO
from world import World

pytestmark = needs("cli")

JOBS = "/api/2.2/jobs"
IMPORT_FILE = "/api/2.0/workspace-files/import-file/"
VOLUME = "dbfs:/Volumes/main/sales/landing"


@pytest.fixture
def developer(world: World, tmp_path: Path) -> Person:
    return person(world, tmp_path, "developers")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A checkout of the bundle."""
    return shutil.copytree(REPO / "tests/clients/bundle", tmp_path / "bundle")


def databricks(who: Person, *args: str, cwd: Path | None = None) -> Done:
    return start([home_of("cli") / "databricks", *args], cwd or who.home, who.env())


def ok(done: Done) -> str:
    assert done.code == 0, str(done)
    return done.out


def answer(done: Done) -> Any:
    return json.loads(ok(done))


def refused(done: Done, *words: str) -> None:
    """The user sees the gateway's sentence, and no riddle."""
    assert done.code != 0, str(done)
    for word in words:
        assert word in done.err, str(done)


def own_folder(who: Person) -> str:
    return f"/Workspace/Users/{who.caller.sub}"


def sent(who: Person, method: str, path: str) -> list[Any]:
    """What the workspace saw, all of it as this person."""
    found = [one for one in who.world.api() if one.method == method and one.path.startswith(path)]
    assert {one.who for one in found} <= {who.caller.sub}
    return found


# --- jobs and clusters ------------------------------------------------------------------------------------------------


def test_lists_and_gets(developer: Person):
    jobs = answer(databricks(developer, "jobs", "list", "--output", "json"))
    assert [job["job_id"] for job in jobs] == [101, 202]
    assert answer(databricks(developer, "jobs", "get", "101", "--output", "json"))["job_id"] == 101
    clusters = answer(databricks(developer, "clusters", "list", "--output", "json"))
    assert [one["cluster_id"] for one in clusters] == ["0923-164208-meows279", "0923-164209-barks042"]
    assert answer(databricks(developer, "current-user", "me"))["userName"] == developer.caller.sub


def test_runs_the_job_that_it_may(developer: Person):
    assert answer(databricks(developer, "jobs", "run-now", "101"))["state"]["result_state"] == "SUCCESS"
    refused(databricks(developer, "jobs", "run-now", "202"), "no rule of the caller's roles allows `jobs.run_now`")
    assert [json.loads(one.body) for one in sent(developer, "POST", f"{JOBS}/run-now")] == [{"job_id": 101}]


def test_what_is_sensitive_or_unknown_is_refused(developer: Person):
    refused(databricks(developer, "tokens", "create"), "`tokens.create` is sensitive")
    refused(databricks(developer, "secrets", "list-scopes"), "`secrets.list_scopes`")
    refused(databricks(developer, "api", "get", "/api/2.0/nothing"), "does not know this operation")
    developer.world.nothing_reached()


def test_a_profile_instead_of_the_environment(developer: Person):
    profile = setting("databrickscfg", developer.world, YOUR_TOKEN=developer.token)
    (developer.home / ".databrickscfg").write_text(profile)
    plain = environment(developer.world, developer.home)
    assert "job-101" in ok(
        start([home_of("cli") / "databricks", "jobs", "list", "-p", "gateway"], developer.home, plain)
    )


# --- files ------------------------------------------------------------------------------------------------------------


def test_syncs_a_folder_of_its_own(developer: Person, bundle: Path):
    ok(databricks(developer, "sync", ".", f"{own_folder(developer)}/synced", cwd=bundle))
    uploads = sent(developer, "POST", IMPORT_FILE)
    whole = f"Workspace%2FUsers%2F{developer.caller.sub}%2Fsynced%2Fsrc%2Freport.py"
    assert IMPORT_FILE + whole in {one.path for one in uploads}, "slashes of the path are encoded, and arrive so"
    assert (bundle / "src/report.py").read_bytes() in {one.body for one in uploads}
    listed = answer(databricks(developer, "workspace", "list", f"{own_folder(developer)}/synced", "-o", "json"))
    assert {one["path"].rsplit("/", 1)[1] for one in listed} == {"build_wheel.py", "databricks.yml", "src"}


def test_syncs_nothing_elsewhere(developer: Person, bundle: Path):
    for folder in ("/Workspace/Users/somebody@example.com/synced", "/Workspace/Shared/synced", "/Shared/synced"):
        refused(databricks(developer, "sync", ".", folder, cwd=bundle), "`workspace.get_status`")
    assert not sent(developer, "POST", "/api/2.0/workspace")


def test_imports_and_exports_folders(developer: Person, bundle: Path):
    folder = f"{own_folder(developer)}/imported"
    ok(databricks(developer, "workspace", "import-dir", "src", folder, cwd=bundle))
    ok(databricks(developer, "workspace", "export-dir", folder, "back", cwd=bundle))
    assert (bundle / "back/report.py").read_bytes() == (bundle / "src/report.py").read_bytes()
    done = databricks(developer, "workspace", "import-dir", "src", "/Workspace/Shared/imported", cwd=bundle)
    refused(done, "`workspace.mkdirs`")


def test_imports_a_notebook(developer: Person, bundle: Path):
    notebook = f"{own_folder(developer)}/report"
    how = ["--file", "src/report.py", "--language", "PYTHON", "--format", "SOURCE"]
    ok(databricks(developer, "workspace", "import", notebook, *how, cwd=bundle))
    assert ok(databricks(developer, "workspace", "export", notebook)) == (bundle / "src/report.py").read_text()
    done = databricks(developer, "workspace", "import", "/Shared/report", *how, cwd=bundle)
    refused(done, "`workspace.import_`")


def test_copies_files_of_a_volume(developer: Person):
    (developer.home / "day.csv").write_text("a,b\n")
    ok(databricks(developer, "fs", "cp", "day.csv", f"{VOLUME}/day.csv"))
    assert ok(databricks(developer, "fs", "ls", VOLUME)).split() == ["day.csv"]
    assert ok(databricks(developer, "fs", "cat", f"{VOLUME}/day.csv")) == "a,b\n"
    ok(databricks(developer, "fs", "cp", f"{VOLUME}/day.csv", "back.csv"))
    assert (developer.home / "back.csv").read_text() == "a,b\n"
    ok(databricks(developer, "fs", "rm", f"{VOLUME}/day.csv"))


def test_copies_nothing_into_another_volume(developer: Person):
    (developer.home / "day.csv").write_text("a,b\n")
    done = databricks(developer, "fs", "cp", "day.csv", "dbfs:/Volumes/main/hr/people/day.csv")
    # it asks with HEAD first, whose answer has no body, and shows nothing of the headers
    refused(done, "databricks-api error")
    refused(databricks(developer, "fs", "cat", "dbfs:/Volumes/main/hr/people/day.csv"), "`files.download`")
    developer.world.no_api_reached()


# --- an asset bundle --------------------------------------------------------------------------------------------------


def test_a_bundle_is_deployed_run_changed_and_destroyed(developer: Person, bundle: Path):
    ok(databricks(developer, "bundle", "validate", cwd=bundle))
    done = databricks(developer, "bundle", "deploy", cwd=bundle)
    ok(done)
    assert "Resources: 1 created" in done.err, str(done)
    [created] = sent(developer, "POST", f"{JOBS}/create")
    settings = json.loads(created.body)
    root = f"{own_folder(developer)}/.bundle/sales/dev"
    assert settings["tasks"][0]["notebook_task"]["notebook_path"] == f"{root}/files/src/report"
    wheel = f"{root}/artifacts/.internal/sales-0.1.0-py3-none-any.whl"
    assert settings["environments"][0]["spec"]["dependencies"] == [wheel]
    uploaded = [one.path for one in sent(developer, "POST", IMPORT_FILE)]
    for file in ("state/deploy.lock", "state/resources.json", "state/metadata.json", "files/src/report.py"):
        assert IMPORT_FILE + f"{root}/{file}".lstrip("/").replace("/", "%2F") in uploaded, f"{file} in {uploaded}"

    done = databricks(developer, "bundle", "run", "nightly", cwd=bundle)
    assert "Task totals:\ndone" in ok(done) and "TERMINATED SUCCESS" in done.err, str(done)

    text = (bundle / "databricks.yml").read_text()
    (bundle / "databricks.yml").write_text(text.replace("name: nightly sales", "name: sales of the night"))
    done = databricks(developer, "bundle", "deploy", cwd=bundle)
    ok(done)
    assert "1 changed" in done.err, str(done)
    [reset] = sent(developer, "POST", f"{JOBS}/reset")
    assert json.loads(reset.body)["new_settings"]["name"].endswith("sales of the night")

    done = databricks(developer, "bundle", "destroy", "--auto-approve", cwd=bundle)
    ok(done)
    assert "Destroy: 1 deleted" in done.err, str(done)
    assert len(sent(developer, "POST", f"{JOBS}/delete")) == 1


def test_a_bundle_is_not_deployed_elsewhere(developer: Person, bundle: Path):
    text = (bundle / "databricks.yml").read_text()
    text = text.replace("    mode: development\n", "")
    (bundle / "databricks.yml").write_text(text + "\nworkspace:\n  root_path: /Workspace/Shared/sales\n")
    refused(databricks(developer, "bundle", "deploy", cwd=bundle), "`workspace.")
    assert not sent(developer, "POST", "/api")


def test_a_bundle_runs_no_notebook_of_others(developer: Person, bundle: Path):
    text = (bundle / "databricks.yml").read_text()
    others = "/Workspace/Users/somebody@example.com/payroll"
    (bundle / "databricks.yml").write_text(text.replace("src/report.py", others))
    done = databricks(developer, "bundle", "deploy", cwd=bundle)
    refused(done, "no rule of the caller's roles allows `jobs.create`")
    assert not sent(developer, "POST", JOBS)


def test_a_bundle_that_runs_as_somebody_else_is_refused(developer: Person, bundle: Path):
    text = (bundle / "databricks.yml").read_text()
    run_as = "\n      run_as:\n        user_name: somebody@example.com\n"
    (bundle / "databricks.yml").write_text(
        text.replace("      name: nightly sales\n", f"      name: nightly sales{run_as}")
    )
    refused(databricks(developer, "bundle", "deploy", cwd=bundle), "`jobs.create`")
    assert not sent(developer, "POST", JOBS)
