"""The banner of `clickmill up`, and the demo traffic of `--demo`."""

from __future__ import annotations

import asyncio
import shlex
import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console
from rich.table import Table

from api.access.key_records import Role
from deploy.processes.up import RunningStack
from ingest.simulator.traffic import demo_catalog, run_simulation, simulate

_SEED = 1
_DAYS = 14
_PAST_EVENTS = 20_000
_LIVE_RATE = 20.0  # events a second
_PROBE = 999_999_999  # publisher, advertiser and network of the clicks that measure freshness
_PROBE_NAMES = {
    "publishers": [{"publisher_id": _PROBE, "name": "Freshness probe"}],
    "advertisers": [{"advertiser_id": _PROBE, "name": "Freshness probe", "slug": "freshness-probe"}],
    "networks": [{"network_id": _PROBE, "name": "Freshness probe"}],
}

_PLAN = '{"accounts": [{"account_id": 7, "name": "You", "plan": "Business", "time_zone": "UTC"}]}'

console = Console(highlight=False, soft_wrap=True)


async def print_banner(stack: RunningStack) -> None:
    """Prints addresses and paths."""
    data_dir = stack.data_dir.path
    console.print(
        f"\n[bold]Clickmill is ready[/bold] at {stack.url} (open it in a browser); "
        f"Kafka at {stack.settings.kafka_url}; data in {data_dir}"
    )
    console.print(f"The admin key is in {data_dir / 'secrets.json'}. Stop with Ctrl-C; a second one ends it at once.\n")


async def serve_demo(stack: RunningStack) -> None:
    """Sends two weeks of clicks, prints requests that show them, then sends a few clicks every second."""
    await print_banner(stack)
    async with httpx.AsyncClient(base_url=stack.url, timeout=30) as client:
        admin = {"X-Api-Key": stack.settings.admin_key}
        for entries in (demo_catalog(_SEED), _PROBE_NAMES):
            (await client.put("/admin/catalog", json=entries, headers=admin)).raise_for_status()
        first_start = stack.data_dir.saved_secret("demo_account_key") is None
        account = await _key(stack, "account", account_id=1)
        publisher = await _key(stack, "publisher", publisher_id=1)
        ingest = await _key(stack, "ingest")
        stack.demo_keys.update(account=account, publisher=publisher)
        if first_start:
            await _send_past(stack)
        seconds = await _probe(client, ingest, stack)
        hours, clicks, event = _calls(stack.url, account, publisher, ingest)
        plan = f"echo '{_PLAN}' | clickmill catalog import --data-dir {shlex.quote(str(stack.data_dir.path))} -"
        mcp = f'claude mcp add --transport http clickmill {stack.url}/mcp --header "X-Api-Key: {publisher}"'
        shown = (
            ("Clicks by hour, in Asia/Seoul", hours),
            ("Clicks by day", clicks),
            ("Send a click, which counts once", event),
            ("Ask by MCP", mcp),
            ("Another account, which is on Personal until you say otherwise (code 1002: no whole account)", plan),
        )
        for title, call in shown:
            console.print(f"[bold]{title}[/bold]\n  {call}", markup=True)
        console.print()
        _show("First rows of clicks by hour", (await _get(client, hours))["result"], "ymd hour acesCnt pernCnt")
        columns = "click_date publisher_name advertiser_name network_name click_count"
        _show("First rows of clicks by day", (await _get(client, clicks))["data"], columns)
        console.print(f"From event sent to number served: [bold]{seconds:.2f} s[/bold]. ", end="")
        console.print(f"Demo traffic goes on with {_LIVE_RATE:.0f} events/s; stop with Ctrl-C.\n")
    await run_simulation(stack.collector.producer.send, seed=_SEED, count=None, rate=_LIVE_RATE, progress=False)


async def _key(stack: RunningStack, role: Role, **scope: int) -> str:
    """A key for the demo, the same at every start."""
    name = f"demo_{role}_key"
    kept = stack.data_dir.saved_secret(name)
    if kept and await stack.keys.resolve(kept):
        return kept
    _, key = await asyncio.to_thread(lambda: stack.keys.create(role, name="demo", **scope))
    stack.data_dir.save_secrets({name: key})
    return key


async def _send_past(stack: RunningStack) -> None:
    now_ms = int(time.time() * 1000)
    start = now_ms - _DAYS * 86_400_000
    waiting = [
        await stack.collector.producer.send(click) for click in simulate(_SEED, start, _DAYS * 86_400, _PAST_EVENTS)
    ]
    await asyncio.gather(*waiting)
    console.print(f"Sent {len(waiting):,} clicks of the last {_DAYS} days.")


async def _probe(client: httpx.AsyncClient, ingest: str, stack: RunningStack) -> float:
    """Seconds from sending an event until the Clicks API counts it, whose rate limit allows polling."""
    now = time.time()
    today = datetime.fromtimestamp(now, UTC).date().isoformat()
    parameters = {"start_date": today, "end_date": today, "publisher_id": str(_PROBE)}
    event = {
        "clicked_at": int(now * 1000),
        "publisher_id": _PROBE,
        "advertiser_id": _PROBE,
        "network_id": _PROBE,
    }

    async def count() -> int:
        headers = {"X-Api-Key": stack.settings.admin_key}
        response = await client.get("/api/v1/clicks", params=parameters, headers=headers)
        return sum(row["click_count"] for row in response.raise_for_status().json()["data"])

    before = await count()
    started = time.monotonic()
    (await client.post("/ingest/events", json=event, headers={"X-Api-Key": ingest})).raise_for_status()
    while await count() == before:
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def _calls(url: str, account: str, publisher: str, ingest: str) -> tuple[str, str, str]:
    """Ready-made command lines with working keys."""
    zone = next(entry["time_zone"] for entry in demo_catalog(_SEED)["accounts"] if entry["account_id"] == 1)
    today = datetime.now(ZoneInfo(zone)).date()
    start = today.fromordinal(today.toordinal() - _DAYS)
    event = '{"clicked_at": "%s", "account_id": 1, "domain": "go.example", "link_id": "hello", "visitor_id": "me"}'
    sent = event % datetime.now(ZoneInfo("UTC")).isoformat(timespec="seconds")
    return (
        f'curl -H "Authorization: APIKey {account}" "{url}/api/statistics/v2/clicks-by-hour?ymd={today}"',
        f'curl -H "X-Api-Key: {publisher}" "{url}/api/v1/clicks?start_date={start}&end_date={today}"',
        f"curl -H \"X-Api-Key: {ingest}\" -d '{sent}' {url}/ingest/events",
    )


async def _get(client: httpx.AsyncClient, command: str) -> Any:
    """The response to one of the printed command lines."""
    _, _, header, url = shlex.split(command)
    name, _, value = header.partition(": ")
    response = await client.get(url, headers={name: value})
    return response.raise_for_status().json()


def _show(title: str, rows: list[dict[str, Any]], columns: str) -> None:
    table = Table(*columns.split(), title=title, title_justify="left")
    for row in rows[:5]:
        table.add_row(*(str(row[column]) for column in columns.split()))
    console.print(table)
