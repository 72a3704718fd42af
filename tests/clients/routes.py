"""The gateway's configurations that the clients go through."""

from __future__ import annotations

from configs import Config, Named, Parts, base, policy, role, with_issuers

WAREHOUSE = "a7066a8ef796be84"
OTHER_WAREHOUSE = "b7066a8ef796be84"
# Databricks gives a job its id when it is created; the mock workspace begins at 7001
BUNDLE_JOBS = ["7*"]
OWN_FOLDER = ["/Workspace/Users/${subject}", "/Workspace/Users/${subject}/**"]
MODEL = "main-model"
PROVIDER = "main.ai.openai"
OWN = ["/Users/${subject}/*"]
LANDING = ["main.sales.landing"]


def developer() -> list[Config]:
    """What a person may do who works in a folder of their own and with the jobs of their bundle."""
    return [
        {"operations": ["current_user.me", "jobs.list", "clusters.list", "telemetry.*"]},
        {
            "operations": [
                "workspace.get_status",
                "workspace.list",
                "workspace.mkdirs",
                "workspace.import_",
                "workspace.export",
                "workspace.delete",
                "workspace_files.*",
            ],
            "resources": {"path": OWN_FOLDER},
        },
        {"operations": ["jobs.create"], "resources": {"path": OWN_FOLDER}},
        {"operations": ["jobs.reset", "jobs.update"], "resources": {"job": BUNDLE_JOBS, "path": OWN_FOLDER}},
        {"operations": ["jobs.get", "jobs.delete", "jobs.run_now"], "resources": {"job": [*BUNDLE_JOBS, "101"]}},
        {
            "operations": ["jobs.get_run", "jobs.get_run_output"],
            "resources": {"job": [*BUNDLE_JOBS, "101"]},
            "lookup": True,
        },
        {"operations": ["files.*"], "resources": {"volume": LANDING}},
    ]


def clients(parts: Parts, name: str) -> Config:
    config = base(parts, name)
    thrift = {"operations": ["sql_warehouses.thrift", "telemetry.*"], "resources": {"warehouse": [WAREHOUSE]}}
    statements = {
        "operations": ["statement_execution.execute_statement"],
        "resources": {"warehouse": [WAREHOUSE], "table": ["main.sales.*"]},
        "sql": ["select"],
    }
    sessions = {"operations": ["sql_sessions.create"], "resources": {"warehouse": [WAREHOUSE]}}
    science = [
        {"operations": ["experiments.create_experiment"], "resources": {"volume": LANDING, "experiment_name": OWN}},
        {"operations": ["experiments.get_by_name"], "resources": {"experiment_name": OWN}},
        {"operations": ["experiments.get_experiment", "experiments.create_run", "experiments.search_runs"]},
        {"operations": ["experiments.get_run", "experiments.update_run", "experiments.log_*"]},
        {"operations": ["files.*"], "resources": {"volume": LANDING}},
    ]
    models = {"model_service": [MODEL]}
    asks = [
        {
            "operations": [
                "serving_endpoints.chat_completions",
                "serving_endpoints.anthropic_messages",
                "ai_gateway.anthropic_messages",
            ],
            "resources": {"serving_endpoint": [MODEL]},
        },
        {"operations": ["ai_gateway.chat_completions", "ai_gateway.responses"], "resources": models},
        {"operations": ["ai_gateway.*"], "resources": {"model": [MODEL], "model_provider": [PROVIDER]}},
    ]
    tools = [
        {"operations": ["mcp.sql"], "resources": {"mcp_method": ["initialize", "notifications/*", "tools/list"]}},
        {"operations": ["mcp.sql"], "resources": {"mcp_tool": ["execute_sql_read_only"]}},
    ]
    # what Terraform does for somebody: it reads what it made before it changes it
    platform = [
        {"operations": ["current_user.me"]},
        {"operations": ["jobs.create"], "resources": {"path": OWN_FOLDER}},
        # the provider says again as whom a job runs
        {"operations": ["jobs.reset"], "resources": {"job": BUNDLE_JOBS, "path": OWN_FOLDER}, "permit": ["run_as"]},
        {"operations": ["jobs.get", "jobs.delete"], "resources": {"job": BUNDLE_JOBS}},
        {"operations": [f"cluster_policies.{verb}" for verb in ("create", "get", "edit", "delete")]},
        {"operations": ["grants.get"], "resources": {"schema": ["main.sales"]}},
    ]
    config["roles"] = [
        role("platform", {"groups": ["platform"]}, allow=platform),
        role("tool-user", {"groups": ["tool-users"]}, allow=tools),
        role("scientist", {"groups": ["scientists"]}, allow=science),
        role("modeller", {"groups": ["modellers"]}, allow=asks),
        role("developer", {"groups": ["developers"]}, allow=developer()),
        role("sql", {"groups": ["sql"]}, allow=[thrift, {"operations": ["telemetry.*", "sql_connector.*"]}]),
        role(
            "tables",
            {"groups": ["tables"]},
            allow=[
                statements,
                sessions,
                {
                    "operations": [
                        "sql_sessions.delete",
                        "statement_execution.get_statement",
                        "statement_execution.close_statement",
                        "telemetry.*",
                    ]
                },
            ],
        ),
    ]
    return config


def limited(parts: Parts, name: str) -> Config:
    return {**clients(parts, name), "quota": {"per": "subject", "requests": 1, "window": 12}}


def brief(parts: Parts, name: str) -> Config:
    """For drivers, to which one query is some requests."""
    return {**clients(parts, name), "quota": {"per": "subject", "requests": 2, "window": 4}}


def short(parts: Parts, name: str) -> Config:
    """One limit for all bodies, prompts too."""
    return {**clients(parts, name), "limits": {"body_bytes": 65_536}}


def all_routes() -> list[Named]:
    cold = with_issuers("cold_refuse", timeout=400, attempts=2)
    return [
        # Kong builds routes of its own from these two
        Named("main", base),
        Named("policy", policy),
        Named("clients", clients, tls=True),
        Named("limited", limited, tls=True),
        Named("brief", brief, tls=True),
        Named("cold", cold, tls=True),
        Named("short", short, tls=True),
    ]
