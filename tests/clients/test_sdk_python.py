"""The Python SDK, in this process: what only it sends. The stories of tests/stories do the rest."""

from __future__ import annotations

import io

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import DatabricksError, PermissionDenied
from databricks.sdk.service.workspace import ImportFormat

from world import World


def sdk(world: World, token: str) -> WorkspaceClient:
    config = Config(host=world.gateway.url("clients"), token=token, auth_type="pat", retry_timeout_seconds=10)
    return WorkspaceClient(config=config)


@pytest.fixture(autouse=True)
def trusts_the_test_ca(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(world.gateway.ca))


def test_uploads_a_workspace_file_as_a_form(world: World):
    developer = world.user("developers")
    client = sdk(world, developer.token())
    path = f"/Workspace/Users/{developer.sub}/numbers.csv"
    client.workspace.upload(path, io.BytesIO(b"1,2\n"), format=ImportFormat.RAW, overwrite=True)
    [upload] = [one for one in world.api() if one.path == "/api/2.0/workspace/import"]
    assert upload.header("content-type").startswith("multipart/form-data"), "a form, whose fields name the path"
    assert client.workspace.download(path).read() == b"1,2\n"
    with pytest.raises(PermissionDenied):
        client.workspace.upload("/Workspace/Shared/numbers.csv", io.BytesIO(b"1,2\n"), format=ImportFormat.RAW)
    assert len([one for one in world.api() if one.path == "/api/2.0/workspace/import"]) == 1


def test_uploads_a_file_of_a_volume(world: World):
    """It asks for presigned URLs first, which are sensitive and refused, and sends the file itself then."""
    developer = world.user("developers")
    client = sdk(world, developer.token())
    path = "/Volumes/main/sales/landing/numbers.csv"
    client.files.upload(path, io.BytesIO(b"1,2\n" * 1000), overwrite=True)
    assert client.files.download(path).contents.read() == b"1,2\n" * 1000


def test_a_body_that_is_too_large_is_said_to_be(world: World):
    """A rule that names jobs has to read the body, and reads so much of it at most."""
    client = sdk(world, world.user("developers").token())
    with pytest.raises(DatabricksError, match="longer than the gateway reads") as caught:
        client.jobs.run_now(job_id=101, notebook_params={"x": "y" * 70_000})
    assert [info.reason for info in caught.value.get_error_info()] == ["BODY_TOO_LARGE"]
    world.no_api_reached()
