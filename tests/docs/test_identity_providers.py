"""docs/identity-providers.md against the examples, the Databricks SDK and the Databricks CLI."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
import yaml
from blocks import REPO, Block, blocks_of
from databricks.sdk.service.oauth2 import FederationPolicy

DOCUMENT = REPO / "docs/identity-providers.md"
FACTS = json.loads((REPO / "tests/docs/facts.json").read_text())
BLOCKS = blocks_of(DOCUMENT)
POLICIES = [block for block in BLOCKS if block.note("policy of")]


def commands(block: Block) -> list[list[str]]:
    """The commands' words. What is in quotes may go on over lines."""
    return [shlex.split(one) for one in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]]


def configured(example: str) -> dict[str, Any]:
    document = yaml.safe_load((REPO / f"examples/{example}/kong.yml").read_text())
    config = document["services"][0]["routes"][0]["filter_chains"][0]["filters"][0]["config"]
    (provider,) = config["identity_providers"]
    return provider


def policies(block: Block) -> list[tuple[list[str], dict[str, Any]]]:
    return [(words[:-1], json.loads(words[-1])) for words in commands(block)]


@pytest.mark.parametrize("block", POLICIES, ids=str)
def test_the_sdk_knows_every_field_of_a_policy(block: Block):
    for words, policy in policies(block):
        read = FederationPolicy.from_dict(policy)
        assert read.as_dict() == policy, "the SDK drops what it does not know"
        assert read.oidc_policy
        # as the SDK's documentation of `subject` says
        assert bool(read.oidc_policy.subject) == ("service-principal-federation-policy" in words)


@pytest.mark.parametrize("block", POLICIES, ids=str)
def test_a_policy_agrees_with_the_example_of_its_provider(block: Block):
    provider = configured(str(block.note("policy of")))
    for words, policy in policies(block):
        oidc = policy["oidc_policy"]
        assert oidc["issuer"] == provider["issuer"]
        assert set(oidc["audiences"]) <= set(provider["audiences"])
        if "federation-policy" in words:
            assert oidc["audiences"] == provider["audiences"]
        claim = provider.get("claims", {}).get("subject", "sub")
        if differs := block.note("subject claim"):
            assert oidc["subject_claim"] == differs.split(",")[0] != claim
        else:
            assert oidc.get("subject_claim", "sub") == claim


def test_every_provider_has_a_policy_and_an_example():
    headings = {line[3:] for line in DOCUMENT.read_text().splitlines() if line.startswith("## ")}
    providers = {block.note("policy of") for block in POLICIES}
    assert providers == {"okta", "entra-id", "keycloak", "auth0", "cognito", "google", "github-actions"}
    for provider in providers:
        assert provider.replace("-", " ") in {heading.lower() for heading in headings}
        assert f"(../examples/{provider}/kong.yml)" in DOCUMENT.read_text()


@pytest.mark.parametrize(
    "words",
    [
        words
        for block in BLOCKS
        if block.is_console
        for words in commands(block)
        if words[:2] == ["databricks", "account"]
    ],
    ids=lambda words: " ".join(words[2:4]),
)
def test_commands_are_those_of_the_databricks_cli(words: list[str]):
    known = FACTS["databricks cli account commands"]
    group, command, *rest = words[2:]
    arguments, flags = known[group][command]["arguments"], known[group][command]["flags"]
    positional = [word for index, word in enumerate(rest) if not word.startswith("--") and rest[index - 1] not in flags]
    if command == "create":
        positional = [word for word in rest if word in {"SERVICE_PRINCIPAL_ID"}]
    assert positional == arguments
    assert {word for word in rest if word.startswith("--")} <= set(flags)


def test_the_pull_requests_of_the_github_example_have_a_subject_of_their_own():
    document = yaml.safe_load((REPO / "examples/github-actions/policy-tests.yaml").read_text())
    subjects = {test["claims"]["sub"] for test in document["tests"]}
    (block,) = [block for block in POLICIES if block.note("policy of") == "github-actions"]
    for _, policy in policies(block):
        assert policy["oidc_policy"]["subject"] in subjects
