"""The `clickmill` command. Exit status: 0 done, 1 failed, 2 used wrongly."""

from __future__ import annotations

import logging

import click

from deploy.commands.admin import catalog, keys
from deploy.commands.audit import audit
from deploy.commands.dlq import dlq
from deploy.commands.failover import failover, rejoin
from deploy.commands.options import read_settings
from deploy.commands.send_clicks import import_file, simulate
from deploy.commands.serve import api, collector, migrate, up, worker


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="clickmill")
def main() -> None:
    """Click pipeline: events in, clicks and users by hour and day out.

    Clicks are exact. Numbers of users are exact up to 65,536, apart from an occasional one or two too few, and
    estimates above that, to about 1 %.

    Settings are CLICKMILL_* environment variables; docs/settings.md lists them.
    """
    level = read_settings().log_level
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("faust", "mode", "aiokafka", "rollups.consumer.faust_transport", "mcp"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for reported_by_us in ("aiokafka", "clickhouse_connect", "urllib3"):
        logging.getLogger(reported_by_us).setLevel(logging.CRITICAL)


_SERVE = (up, collector, worker, api, migrate)
_OPERATE = (import_file, simulate, catalog, keys, audit, dlq, failover, rejoin)
for command in _SERVE + _OPERATE:
    main.add_command(command)
