"""Ensures that the URL leads to one ClickHouse server, the same throughout a session.

Behind a load balancer, or in ClickHouse Cloud, a claim could read the markers of one replica and insert into another
that is behind: clicks would be lost or counted twice (docs/delivery.md, "Cluster").
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass

from ingest.errors import OperatorError
from rollups.clickhouse import ClickHouse

MANY_CONNECTIONS, FEW_CONNECTIONS = 8, 3
_SECONDS = 10.0

_WHO = """
SELECT hostName(), toString(serverUUID()),
    (SELECT toString(uuid) FROM system.databases WHERE name = currentDatabase()),
    (SELECT count() FROM system.tables WHERE database = currentDatabase() AND engine LIKE 'Shared%')
        + (SELECT count() FROM system.settings WHERE name = 'cloud_mode' AND value = '1')
"""


class SeveralServers(OperatorError):
    """The URL leads to several servers, or not to the expected one."""


@dataclass(frozen=True, slots=True)
class _Server:
    host: str
    uuid: str
    database: str
    shared: bool


class SingleServerGuard:
    """The server behind the URL during one session. `name` is its `hostName()`, empty for any single server."""

    def __init__(self, db: ClickHouse, name: str) -> None:
        self._db = db
        self._name = name
        self._known: tuple[str, str] | None = None

    def check(self, connections: int) -> None:
        """Queries over so many new connections, open at once. Raises SeveralServers and ClickHouseError. Blocks."""
        if self._db.embedded:
            return
        servers = self._ask(connections)
        hosts = sorted({server.host for server in servers})
        where = f"ClickHouse at {self._db.address}"
        if len(servers) > 1:
            raise SeveralServers(
                f"{where}: {len(servers)} servers answer ({', '.join(hosts)}), and inserts must go to one: let "
                "CLICKMILL_CLICKHOUSE_URL of the workers name that server, not a balancer"
            )
        [server] = servers
        if self._name and server.host != self._name:
            raise SeveralServers(f"{where}: {server.host} answers, not {self._name} of CLICKMILL_CLICKHOUSE_SERVER")
        if server.shared and not self._name:
            raise SeveralServers(
                f"{where} is one of several servers over one storage (ClickHouse Cloud): let "
                "CLICKMILL_CLICKHOUSE_SERVER say which one takes the inserts, by its hostName()"
            )
        if self._known and self._known != (server.host, server.uuid):
            raise SeveralServers(f"{where}: {server.host} answers now, and {self._known[0]} did before")
        self._known = server.host, server.uuid

    def _ask(self, connections: int) -> set[_Server]:
        with ExitStack() as opened:
            separate = [self._db.separate_socket(_SECONDS) for _ in range(connections)]
            for db in separate:
                opened.enter_context(closing(db))
            answers = [db.query(_WHO)[0] for db in (self._db, *separate)]
        return {_Server(host, uuid, database, bool(shared)) for host, uuid, database, shared in answers}
