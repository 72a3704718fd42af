"""The SQL connector, unmodified: its own exchange on port 443, then Thrift or REST through the gateway."""

from __future__ import annotations

import logging

import pytest
from databricks import sql

from world import World

HTTP_PATH = "/sql/1.0/warehouses/a7066a8ef796be84"


def connect(world: World, token: str, config: str = "tls", http_path: str = HTTP_PATH, **more: object):
    if world.gateway.no_tls:
        pytest.skip(world.gateway.no_tls)
    return sql.connect(
        server_hostname=world.gateway.url(config).removeprefix("https://"),
        http_path=http_path,
        access_token=token,
        _tls_trusted_ca_file=str(world.gateway.ca),
        _retry_stop_after_attempts_count=1,
        _retry_delay_max=1,
        _socket_timeout=15,
        enable_telemetry=False,
        **more,
    )


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "exchange" in record.getMessage().lower()]


def test_sql_connector_selects(world: World, caplog: pytest.LogCaptureFixture):
    """Thrift: OpenSession, ExecuteStatement, FetchResults."""
    engineer = world.engineer()
    with caplog.at_level(logging.WARNING), connect(world, engineer.token()) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert [tuple(row) for row in cursor.fetchall()] == [(1,)]
    assert not warnings_of(caplog), "the connector's own exchange was answered"
    thrift = [one for one in world.api() if one.path == HTTP_PATH]
    assert len(thrift) >= 2 and {one.who for one in thrift} == {engineer.sub}
    assert len(world.exchanges()) == 1


def test_sql_connector_without_a_role(world: World):
    with pytest.raises(sql.exc.Error) as caught:
        connect(world, world.user("analysts").token())
    text = str(caught.value) + str(getattr(caught.value, "context", ""))
    assert "NO_ROLE" in text or "role" in text.lower(), f"the connector shows why: {text}"
    world.nothing_reached()


def test_sql_connector_with_an_expired_token(world: World):
    with pytest.raises(sql.exc.Error):
        connect(world, world.engineer().forge(exp=1_700_000_000, iat=1_699_999_000))
    world.nothing_reached()


def test_sql_connector_over_rest(world: World):
    """`use_sea`: the statement execution API instead of Thrift."""
    engineer = world.engineer()
    with connect(world, engineer.token(), use_sea=True, use_cloud_fetch=False) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert [tuple(row) for row in cursor.fetchall()] == [(1,)]
    sent = [one for one in world.api() if one.path.startswith("/api/2.0/sql/")]
    assert sent and {one.who for one in sent} == {engineer.sub}
