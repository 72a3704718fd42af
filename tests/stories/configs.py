"""The filter configurations that the stories run against, by name. Nothing here knows of Envoy or Kong."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any
from collections.abc import Callable

import signing
from stack import (
    ACCOUNT_ID,
    ASSUMABLE_GROUP,
    ENTRA_CLIENT,
    ENTRA_SECRET,
    ENTRA_TENANT,
    FEED_SECRET,
    IDP_CLIENT_SECRET,
    REPO,
    SP_ETL,
    SP_FEDERATED,
    SP_GATEWAY,
    SP_SECOND,
    SP_SECRETS,
    WORKSPACE_ID,
    Idp,
    Workspace,
)

Config = dict[str, Any]

# What the gateway's environment holds for `{env: …}` secrets. DBX_TEST_UNSET is deliberately not there.
ENVIRONMENT = {
    "DBX_TEST_SECRET": SP_SECRETS[SP_ETL],
    "DBX_TEST_KEY": signing.AT_DATABRICKS.pem,
    "DBX_TEST_IDENTITY": signing.IDENTITY.pem,
    "DBX_TEST_NEXT_IDENTITY": signing.NEXT_IDENTITY.pem,
}


@dataclass
class Parts:
    """What a configuration is made from; the gateway under test says under which URL a configuration is reached."""

    idp: Idp
    workspace: Workspace
    public_url: Callable[[str], str]
    closed_port: int


@dataclass(frozen=True)
class Neighbour:
    """Another filter of the same route, crates/hostile-filter. It misbehaves at requests that have the header `x-misbehave`."""

    misdeed: str
    behind: bool = False  # whether it sees a request after our filter
    open: bool = False  # whether the host lets requests pass by it once it has trapped, instead of starting it anew


@dataclass
class Named:
    """A configuration and how its route is laid."""

    name: str
    make: Callable[[Parts, str], Any]
    prefix: str = ""  # stripped by the route before the filter looks
    tls: bool = False
    asks_for_certificate: bool = False  # whether its listener asks clients for a certificate, of whatever CA
    environment: dict[str, str] = field(default_factory=dict)
    neighbour: Neighbour | None = None


def provider(parts: Parts, issuer: str, **more: Any) -> Config:
    return {
        "name": issuer,
        "issuer": parts.idp.url(issuer),
        "audiences": ["databricks"],
        "upstream": f"idp_{issuer}",
        **more,
    }


def role(name: str, match: Config, credential: Config | None = None, **more: Any) -> Config:
    return {"name": name, "match": match, "credential": credential or {"type": "user_federation"}, **more}


def engineer() -> Config:
    return role("data-engineer", {"groups": ["data-engineering", "team-*"]})


def base(parts: Parts, name: str) -> Config:
    """Two providers, one found by discovery and one by its key URL, and one role."""
    return {
        "workspace": {
            "url": parts.workspace.url,
            "id": WORKSPACE_ID,
            "account_id": ACCOUNT_ID,
            "cloud": "azure",
            "public_url": parts.public_url(name),
            "upstream": "databricks",
        },
        "identity_providers": [
            provider(parts, "rs"),
            provider(parts, "es", jwks_url=parts.idp.issuers["es"]["jwks_url"], algorithms=["ES256"]),
        ],
        "roles": [engineer()],
    }


def with_issuers(*issuers: str, **callouts: Any) -> Callable[[Parts, str], Config]:
    def make(parts: Parts, name: str) -> Config:
        config = base(parts, name)
        config["identity_providers"] = [provider(parts, issuer) for issuer in issuers]
        if callouts:
            config["callouts"] = callouts
        return config

    return make


def with_feed(issuer: str, **limits: int) -> Callable[[Parts, str], Config]:
    """A provider whose callers can be cut off. Its feed is read every second."""

    def make(parts: Parts, name: str) -> Config:
        config = base(parts, name)
        feed = {
            "url": f"{parts.idp.url(issuer)}/revocations",
            "authorization": FEED_SECRET,
            "upstream": f"idp_{issuer}",
            "refresh": 1,
            **limits,
        }
        config["identity_providers"] = [provider(parts, issuer, revocation=feed)]
        return config

    return make


def introspection(url: str, **more: Any) -> Config:
    return {"url": url, "client_id": "gateway", "client_secret": IDP_CLIENT_SECRET, **more}


def opaque(parts: Parts, name: str) -> Config:
    """Two providers of opaque tokens. What such callers do, the gateway does with a credential of its own."""
    config = base(parts, name)
    config["identity_providers"] = [
        provider(parts, issuer, introspection=introspection(f"{parts.idp.url(issuer)}/token/introspection", cache=3))
        for issuer in ("opaque", "opaque_too")
    ]
    config["roles"] = [role("opaque-etl", {"groups": ["batch"]}, secret_of(SP_ETL))]
    return config


def asked(parts: Parts, name: str) -> Config:
    """A provider that is asked of every token."""
    config = base(parts, name)
    url = f"{parts.idp.url('asked')}/introspect"
    config["identity_providers"] = [provider(parts, "asked", introspection=introspection(url, when="always", cache=2))]
    return config


def signing_in(client_id: str = "gateway-login", **more: Any) -> Callable[[Parts, str], Config]:
    """A provider at which people sign in, and another that only has callers. It gives refresh tokens without `offline_access`, for which
    oidc-provider wants `prompt=consent`, as OpenID Connect has it and Okta, Entra ID, Keycloak and Auth0 do not."""

    def make(parts: Parts, name: str) -> Config:
        config = base(parts, name)
        login = {"client_id": client_id, "scope": "openid databricks", **more}
        config["identity_providers"] = [provider(parts, "rs"), provider(parts, "login", login=login)]
        return config

    return make


def secret_of(client_id: str) -> Config:
    return {"type": "service_principal_secret", "client_id": client_id, "client_secret": SP_SECRETS[client_id]}


def roles(parts: Parts, name: str) -> Config:
    """Every kind of role and credential; each story's callers are in the groups of one."""
    config = base(parts, name)
    config["roles"] = [
        role("etl", {"groups": ["batch"]}, secret_of(SP_ETL)),
        role("etl-jobs", {"groups": ["batch-jobs"]}, {**secret_of(SP_ETL), "scope": ["jobs"]}),
        role("first", {"groups": ["multi"]}, secret_of(SP_ETL)),
        role("second", {"groups": ["multi"]}, secret_of(SP_SECOND)),
        role("not-for-multi", {"groups": ["somebody-else"]}, secret_of(SP_SECOND)),
        role(
            "federated", {"groups": ["federated"]}, {"type": "service_principal_federation", "client_id": SP_FEDERATED}
        ),
        role("assumer", {"groups": ["assumers"]}, {"type": "user_federation", "assume_group": ASSUMABLE_GROUP}),
        role("scoped", {"groups": ["scoped"]}, {"type": "user_federation", "scope": ["jobs", "clusters"]}),
        role("as-is", {"groups": ["passthrough"]}, {"type": "passthrough"}),
        role("nobody", {"groups": ["egress"]}, {"type": "none"}),
        role("former", {"groups": ["former"]}, valid={"from": "2020-01-01T00:00:00Z", "until": "2020-02-01T00:00:00Z"}),
        role("future", {"groups": ["future"]}, valid={"from": "2100-01-01T00:00:00Z"}),
        role(
            "current", {"groups": ["current"]}, valid={"from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
        ),
        role("copilots", {"clients": ["copilot-app"], "groups": ["agents"]}),
        role("es-only", {"identity_providers": ["es"], "groups": ["es-only"]}),
        role("analytics", {"claims": {"department": ["analytics", "finance"]}}),
        role("one-person", {"subjects": ["the-one@example.com"]}),
    ]
    return config


def asserted(subject: str, key: Config) -> Config:
    return {
        "type": "gateway_assertion",
        "client_id": SP_GATEWAY,
        "issuer": "https://gw.example.com",
        "audience": "databricks",
        "subject": subject,
        "key": key,
        "scope": "minimal",
    }


def proofs(parts: Parts, name: str) -> Config:
    """What the gateway proves itself by. The stand-in for Entra ID listens where the workspace does."""
    config = base(parts, name)
    config["identity_providers"] = [provider(parts, "rs", audiences=["databricks", ENTRA_CLIENT])]
    entra = {
        "type": "entra_on_behalf_of",
        "tenant_id": ENTRA_TENANT,
        "client_id": ENTRA_CLIENT,
        "client_secret": ENTRA_SECRET,
        "authority": parts.workspace.url,
        "upstream": "databricks",
    }
    config["roles"] = [
        role("asserted", {"groups": ["asserted"]}, asserted("role:asserted", {"env": "DBX_TEST_KEY"})),
        role("distrusted", {"groups": ["distrusted"]}, asserted("role:distrusted", {"env": "DBX_TEST_KEY"})),
        role("entra", {"groups": ["entra"]}, entra),
    ]
    return config


def identity(parts: Parts, name: str) -> Config:
    """An internal service behind the gateway; the mock workspace stands in for it."""
    config = base(parts, name)
    config["roles"] = [
        role("reader", {"groups": ["egress"]}, {"type": "none"}, allow=[{"paths": ["GET /v1/prices/**"]}])
    ]
    keys = [{"env": "DBX_TEST_IDENTITY"}, {"env": "DBX_TEST_NEXT_IDENTITY"}]
    config["identity_header"] = {"name": "X-Caller-Identity", "keys": keys, "audience": "pricing", "ttl": 30}
    return config


def egress(parts: Parts, name: str) -> Config:
    """Code in the workspace calls, with the workspace's own token."""
    config = identity(parts, name)
    config["identity_providers"] = [
        {
            "name": "databricks",
            "issuer": f"https://adb-{WORKSPACE_ID}.8.azuredatabricks.net/oidc",
            "audiences": [WORKSPACE_ID],
            "jwks_url": f"{parts.workspace.url}/oidc/jwks.json",
            "upstream": "databricks",
        }
    ]
    config["roles"][0] |= {"name": "price-reader", "match": {"subjects": [SP_ETL]}}
    return config


def quota(parts: Parts, name: str) -> Config:
    return {**base(parts, name), "quota": {"per": "subject", "requests": 5, "window": 10}}


def certificate(parts: Parts, name: str) -> Config:
    return {**base(parts, name), "client_certificate": "bound"}


def certificate_header(parts: Parts, name: str) -> Config:
    return {**certificate(parts, name), "client_certificate_header": "Client-Cert"}


def policy(parts: Parts, name: str) -> Config:
    """Roles that may do something only; each story's callers are in the groups of one."""
    config = base(parts, name)
    config["roles"] = [
        role(
            "runner",
            {"groups": ["runners"]},
            allow=[
                {"operations": ["jobs.run_now", "jobs.get"], "resources": {"job": ["101", "30*"]}},
                {"operations": ["jobs.list", "clusters.list"]},
            ],
        ),
        role(
            "almost-all",
            {"groups": ["almost-all"]},
            allow=[{"operations": ["*"]}],
            deny=[
                {"operations": ["jobs.run_now"], "resources": {"job": ["202"]}},
                {"operations": ["clusters.*"]},
            ],
        ),
        role("all-but-named", {"groups": ["defaults"]}),
        role("minter", {"groups": ["minters"]}, allow=[{"operations": ["tokens.create"]}]),
        role("paths", {"groups": ["paths"]}, allow=[{"paths": ["GET /api/2.0/new-thing/**"]}]),
        role(
            "submitter", {"groups": ["submitters"]}, allow=[{"operations": ["jobs.submit"], "permit": ["git_source"]}]
        ),
        role("watched", {"groups": ["watched"]}, allow=[{"operations": ["jobs.list"]}], observe=True),
        role(
            "sql",
            {"groups": ["sql"]},
            allow=[
                {
                    "operations": ["statement_execution.execute_statement"],
                    "resources": {"warehouse": ["a7066a8ef796be84"]},
                }
            ],
        ),
        role("people", {"groups": ["people"]}, allow=[{"operations": ["jobs.*", "clusters.*"]}]),
        role(
            "modeller",
            {"groups": ["modellers"]},
            allow=[
                {"operations": ["ai_gateway.*"], "resources": {"model": ["main-model"]}},
                {
                    "operations": ["ai_gateway.*"],
                    "resources": {"model": ["main-model"], "model_provider": ["main.ai.openai"]},
                },
            ],
        ),
    ]
    config["agents"] = [
        {
            "name": "copilot",
            "match": {"clients": ["copilot-*"]},
            "allow": [{"operations": ["jobs.list", "jobs.get"]}],
        }
    ]
    return config


def least_privilege(parts: Parts, name: str) -> Config:
    """One job, one warehouse, one schema."""
    config = base(parts, name)
    warehouse = {"warehouse": ["a7066a8ef796be84"]}
    config["roles"] = [
        role(
            "runner",
            {"groups": ["runners"]},
            {"type": "user_federation", "scope": "minimal"},
            allow=[
                {
                    "operations": ["jobs.run_now", "jobs.get_run", "jobs.cancel_run"],
                    "resources": {"job": ["101"]},
                    "lookup": True,
                }
            ],
            deny=[{"operations": ["jobs.run_now"], "resources": {"job": ["202"]}}],
        ),
        role(
            "reader",
            {"groups": ["readers"]},
            {"type": "user_federation", "scope": "minimal"},
            allow=[
                {
                    "operations": ["statement_execution.execute_statement"],
                    "resources": {**warehouse, "table": ["main.sales.*"]},
                    "sql": ["select"],
                },
                {"operations": ["sql_sessions.create"], "resources": warehouse},
                {"operations": ["sql_sessions.delete", "statement_execution.get_statement"]},
            ],
        ),
        role(
            "thrift", {"groups": ["thrift"]}, allow=[{"operations": ["sql_warehouses.thrift"], "resources": warehouse}]
        ),
        role("everything", {"groups": ["everything"]}, allow=[{"operations": ["*"]}]),
    ]
    config["agents"] = [
        {
            "name": "copilot",
            "match": {"clients": ["copilot-*"]},
            "allow": [{"operations": ["jobs.run_now"], "resources": {"job": ["101"]}}],
        }
    ]
    return config


def audited(parts: Parts, name: str) -> Config:
    """A granted role, one that is watched only, one for SQL, and an agent."""
    config = policy(parts, name)
    runner = next(one for one in config["roles"] if one["name"] == "runner")
    runner["grant"] = {"approved_by": "carol@example.com", "ticket": "SEC-7", "break_glass": True}
    reads = {"warehouse": ["a7066a8ef796be84"], "table": ["main.sales.*"]}
    statements = {"operations": ["statement_execution.execute_statement"], "resources": reads, "sql": ["select"]}
    config["roles"] += [
        role("reader", {"groups": ["readers"]}, allow=[statements]),
        role("former", {"groups": ["former"]}, valid={"until": "2020-01-01T00:00:00Z"}, grant={"ticket": "OLD-1"}),
    ]
    return config


def audited_quietly(parts: Parts, name: str) -> Config:
    return {**audited(parts, name), "audit": {"log": False, "subject": "sha256", "sql_tables": False}}


def bypass(parts: Parts, name: str) -> Config:
    """The policy that the attempts of tests/bypass are made at."""
    policy, generated = (
        json.loads((REPO / f"tests/bypass/{file}.json").read_text()) for file in ("policy", "generated")
    )
    return {**base(parts, name), "roles": policy["roles"] + generated["roles"], "agents": policy["agents"]}


def nothing(parts: Parts, name: str) -> Config:
    """A role that is denied whatever the catalogue knows: its refusals name the operation."""
    config = base(parts, name)
    config["roles"] = [role("nothing", {"groups": ["nothing"]}, deny=[{"operations": ["*"]}])]
    return config


def minimal(parts: Parts, name: str) -> Config:
    config = base(parts, name)
    config["roles"] = [role("minimal", {"groups": ["minimal"]}, {"type": "user_federation", "scope": "minimal"})]
    return config


def id_as_number(parts: Parts, name: str) -> Config:
    """The id as people who forget the quotes write it: sixteen digits."""
    config = base(parts, name)
    config["workspace"]["id"] = int(WORKSPACE_ID)
    return config


def strict(parts: Parts, name: str) -> Config:
    """Claims found elsewhere, claims required, lifetimes bounded, small tokens only."""
    config = base(parts, name)
    config["identity_providers"] = [
        provider(
            parts,
            "rs",
            audiences=["databricks", "databricks-too"],
            clock_skew=5,
            max_lifetime=7200,
            claims={"groups": "/realm_access/roles", "subject": "email"},
            require={"email_verified": True, "tier": ["gold", "silver"]},
        )
    ]
    config["limits"] = {"token_bytes": 4096}
    return config


def token_endpoint_nowhere(parts: Parts, name: str) -> Config:
    config = base(parts, name)
    config["workspace"]["upstream"] = "nowhere"
    config["workspace"]["token_url"] = f"http://127.0.0.1:{parts.closed_port}/oidc/v1/token"
    config["callouts"] = {"timeout": 500, "attempts": 2}
    return config


def impatient(parts: Parts, name: str) -> Config:
    config = base(parts, name)
    config["callouts"] = {"timeout": 500, "attempts": 2}
    return config


def env_secret(parts: Parts, name: str) -> Config:
    config = base(parts, name)
    config["roles"] = [
        role("etl", {"groups": ["batch"]}, {**secret_of(SP_ETL), "client_secret": {"env": "DBX_TEST_SECRET"}})
    ]
    return config


# --- configurations that must never let a request through ---------------------------------------------------------------


def broken(change: Callable[[Config], None]) -> Callable[[Parts, str], Config]:
    def make(parts: Parts, name: str) -> Config:
        config = copy.deepcopy(base(parts, name))
        change(config)
        return config

    return make


def _two_roles_of_one_name(config: Config) -> None:
    config["roles"].append(engineer())


def _until_before_from(config: Config) -> None:
    config["roles"][0]["valid"] = {"from": "2026-12-01T00:00:00Z", "until": "2026-11-01T00:00:00Z"}


def _unknown_key(config: Config) -> None:
    config["workspaces"] = {}


def _no_audience(config: Config) -> None:
    config["identity_providers"][0]["audiences"] = []


def _hmac(config: Config) -> None:
    config["identity_providers"][0]["algorithms"] = ["RS256", "HS256"]


def _alg_none(config: Config) -> None:
    config["identity_providers"][0]["algorithms"] = ["none"]


def _plain_http(config: Config) -> None:
    config["identity_providers"][0]["jwks_url"] = "http://idp.example.com/jwks"


def _secret_not_set(config: Config) -> None:
    config["roles"][0]["credential"] = {**secret_of(SP_ETL), "client_secret": {"env": "DBX_TEST_UNSET"}}


def _no_roles(config: Config) -> None:
    config["roles"] = []


def _two_errors(config: Config) -> None:
    config["identity_providers"][1]["clock_skew"] = 301
    config["roles"][0]["credential"] = {"type": "user_federation", "assume_group": "not-a-number"}


# name of the configuration -> what the log must point at
BROKEN: dict[str, tuple[Callable[[Config], None], list[str]]] = {
    "bad_two_roles": (_two_roles_of_one_name, ["/roles/1"]),
    "bad_window": (_until_before_from, ["/roles/0/valid"]),
    "bad_key": (_unknown_key, ["workspaces"]),
    "bad_audience": (_no_audience, ["/identity_providers/0/audiences"]),
    "bad_hmac": (_hmac, ["/identity_providers/0/algorithms"]),
    "bad_none": (_alg_none, ["/identity_providers/0/algorithms"]),
    "bad_http": (_plain_http, ["/identity_providers/0/jwks_url"]),
    "bad_env": (_secret_not_set, ["/roles/0/credential/client_secret"]),
    "bad_no_roles": (_no_roles, ["/roles"]),
    "bad_two_errors": (_two_errors, ["/identity_providers/1/clock_skew", "/roles/0/credential/assume_group"]),
    "bad_not_json": (lambda _config: None, ["bad_not_json"]),
    "bad_empty": (lambda _config: None, ["bad_empty"]),
}


# tokens that the gateway can have by itself, before anybody asks: those of `roles` by secret, and of `opaque`
TOKENS_AHEAD = 6


def all_configs() -> list[Named]:
    named = [
        Named("main", base),
        Named("roles", roles),
        Named("minimal", minimal),
        Named("id_as_number", id_as_number),
        Named("proofs", proofs),
        Named("identity", identity),
        Named("egress", egress),
        Named("quota", quota),
        Named("certificate", certificate, tls=True, asks_for_certificate=True),
        Named("certificate_header", certificate_header),
        Named("policy", policy),
        Named("audited", audited),
        Named("audited_quietly", audited_quietly),
        Named("bypass", bypass),
        Named("nothing", nothing),
        Named("least", least_privilege),
        Named("least_tls", least_privilege, tls=True),
        Named("strict", strict),
        Named("impatient", impatient),
        Named("nowhere", token_endpoint_nowhere),
        Named("env_secret", env_secret),
        Named("prefix", base, prefix="/prod"),
        Named("tls", base, tls=True),
        Named("keys", with_issuers("rotate", "retire", "flood", "warm", "hasty", timeout=1000, attempts=2)),
        # for hundreds at once: how long that takes is the machine's affair
        Named("burst", with_issuers("burst", timeout=20000)),
        Named("cut", with_feed("cut", max_stale=600)),
        Named("opaque", opaque),
        Named("asked", asked),
        Named("login", signing_in()),
        Named("login_prefix", signing_in(), prefix="/prod"),
        Named("login_confidential", signing_in("gateway-confidential", client_secret=IDP_CLIENT_SECRET)),
        Named("login_wrong_secret", signing_in("gateway-confidential", client_secret="no-secret-of-the-gateway")),
        Named("login_elsewhere", signing_in("gateway-elsewhere")),
        Named("login_opaque", signing_in("gateway-opaque")),
        Named("cut_cold", with_feed("cut_cold", max_stale=3)),
        Named(
            "cold",
            with_issuers(
                "cold_refuse", "cold_status", "cold_slow", "cold_garbage", "cold_empty", timeout=400, attempts=2
            ),
        ),
    ]
    for name, (change, _) in BROKEN.items():
        named.append(Named(name, broken(change)))
    raw = {"bad_not_json": "{", "bad_empty": ""}
    for one in named:
        if one.name in raw:
            one.make = lambda _parts, name: raw[name]
    return named
