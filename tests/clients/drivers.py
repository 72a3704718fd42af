"""SQL drivers, each in the small program of its language: what somebody asks and is told."""

from __future__ import annotations

import json
import sys
from typing import Any

from programs import Person, setting, start, told, trust_store
from routes import WAREHOUSE
from stack import REPO
from world import World


def jdbc_url(world: World, warehouse: str, shown_as: str = "jdbc", route: str = "clients") -> str:
    """As docs/clients.md has it, and where to find the test CA, which nobody asks for revocations of."""
    trust = f"SSLTrustStore={trust_store(world)};SSLTrustStorePwd=changeit;SSLTrustStoreType=PKCS12"
    shown = setting(shown_as, world, route, **{WAREHOUSE: warehouse}).strip()
    return f"{shown};{trust};CheckCertRevocation=0"


def query(
    who: Person,
    language: str,
    text: str,
    warehouse: str = WAREHOUSE,
    route: str = "clients",
    patience: int = 0,
    sea: bool = False,
) -> dict[str, Any]:
    """Over Thrift, or where `sea` is said, by REST (Python). `patience` is for how many seconds the driver goes on trying, if it is said."""
    url = jdbc_url(who.world, warehouse, route=route)
    if patience:
        url += f";TemporarilyUnavailableRetryTimeout={patience}"
    env = {
        "DATABRICKS_HOST": who.world.gateway.url(route),
        "HTTP_PATH": f"/sql/1.0/warehouses/{warehouse}",
        "JDBC_URL": url,
        "RETRY_SECONDS": str(patience),
        "SEA": "yes" if sea else "",
    }
    if language == "python":
        done = start([sys.executable, REPO / "tests/clients/python/selected.py", text], who.home, who.env() | env, 300)
        assert done.code == 0 and done.out, str(done)
        return json.loads(done.out.splitlines()[-1])
    return told(who, language, "sql", text, **env)


def by_rest(who: Person, text: str, warehouse: str = WAREHOUSE) -> dict[str, Any]:
    """JDBC without Thrift."""
    return told(who, "java", "sql", text, JDBC_URL=jdbc_url(who.world, warehouse, "jdbc-rest"))
