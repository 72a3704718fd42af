"""Terraform or OpenTofu with the provider of Databricks: plan, apply, change and destroy, and what its user sees of a refusal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from programs import Done, Person, home_of, needs, person, start
from stack import REPO
from world import World

PROVIDER = os.environ.get("TERRAFORM_PROVIDER_DATABRICKS", "")
NO_PROVIDER = "no provider: it is on no registry that the tests reach, and TERRAFORM_PROVIDER_DATABRICKS names none"
pytestmark = needs("tofu") if PROVIDER else pytest.mark.skip(NO_PROVIDER)


class Terraform:
    """A person's folder with what they declare, and the provider that is there already in the place of the registry's."""

    def __init__(self, who: Person):
        self.program = home_of("tofu") / "tofu"
        self.who = who
        self.folder = shutil.copytree(REPO / "tests/clients/terraform", who.home / "terraform")
        plugins = who.home / "plugins"
        plugins.mkdir()
        (plugins / "terraform-provider-databricks").symlink_to(Path(PROVIDER).resolve())
        overrides = f'dev_overrides {{\n "databricks/databricks" = "{plugins}"\n}}\n direct {{}}'
        (who.home / "cli.tfrc").write_text(f"provider_installation {{\n{overrides}\n}}\n")

    def run(self, command: str, **variables: str) -> Done:
        given = {f"TF_VAR_{name}": value for name, value in {"owner": self.who.caller.sub, **variables}.items()}
        env = self.who.env(TF_CLI_CONFIG_FILE=str(self.who.home / "cli.tfrc"), **given)
        agreed = ["-auto-approve"] if command in ("apply", "destroy") else []
        return start([self.program, command, *agreed, "-no-color", "-input=false"], self.folder, env, 200)

    def ok(self, command: str, **variables: str) -> str:
        done = self.run(command, **variables)
        assert done.code == 0, str(done)
        return done.out


def changed(world: World) -> list[str]:
    """The calls that change something, by the last word of their path."""
    return sorted(one.path.rpartition("/")[2] for one in world.api() if one.method != "GET")


def test_plans_applies_changes_and_destroys_a_job_and_a_cluster_policy(world: World, tmp_path: Path):
    terraform = Terraform(person(world, tmp_path, "platform"))
    assert "Plan: 2 to add, 0 to change, 0 to destroy." in terraform.ok("plan")
    assert changed(world) == []
    assert "2 added, 0 changed, 0 destroyed" in terraform.ok("apply")
    assert changed(world) == ["create", "create"]
    assert "No changes." in terraform.ok("plan")
    world.workspace.forget_requests()
    assert "0 added, 2 changed, 0 destroyed" in terraform.ok("apply", workers="2")
    assert changed(world) == ["edit", "reset"]
    world.workspace.forget_requests()
    assert "2 destroyed" in terraform.ok("destroy", workers="2")
    assert changed(world) == ["delete", "delete"]
    assert {one.who for one in world.api()} == {terraform.who.caller.sub}


def test_a_grant_is_refused_with_words_and_the_rest_is_applied(world: World, tmp_path: Path):
    terraform = Terraform(person(world, tmp_path, "platform"))
    done = terraform.run("apply", grants="true")
    assert done.code != 0 and "`grants.update`" in done.err and "sensitive" in done.err, str(done)
    assert changed(world) == ["create", "create"]


def test_anothers_folder_is_refused_with_words(world: World, tmp_path: Path):
    terraform = Terraform(person(world, tmp_path, "platform"))
    done = terraform.run("apply", owner="somebody.else@example.com")
    assert done.code != 0 and "no rule of the caller's roles allows `jobs.create`" in done.err, str(done)


def test_an_expired_token_is_said_to_be_expired(world: World, tmp_path: Path):
    expired = world.user("platform").forge(exp=1_700_000_000, iat=1_699_999_000)
    done = Terraform(person(world, tmp_path, "platform", token=expired)).run("apply")
    assert done.code != 0 and "the token has expired" in done.err, str(done)
    world.nothing_reached()
