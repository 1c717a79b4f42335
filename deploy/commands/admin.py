"""`clickmill catalog` and `clickmill keys`: commands over the admin endpoints."""

from __future__ import annotations

import json
from typing import Any, TextIO

import click
import httpx

from deploy.commands.options import data_dir_option, read_settings
from deploy.embedded.data_dir import DataDir
from deploy.settings import Settings
from ingest.errors import ClickmillError


@click.group()
def catalog() -> None:
    """Names of ids: accounts, links, groups, publishers, advertisers, networks."""


@catalog.command("import")
@data_dir_option
@click.argument("file", type=click.File(encoding="utf-8"))
def catalog_import(file: TextIO) -> None:
    """Add or change entries from a JSON FILE, or - for standard input, in the form of PUT /admin/catalog.

    Example: clickmill catalog import catalog.json
    """
    try:
        entries = json.load(file)
    except ValueError as error:
        raise click.ClickException(f"{file.name} is not JSON: {error}") from error
    click.echo(json.dumps(admin_call("PUT", "/admin/catalog", entries)))


@click.group()
def keys() -> None:
    """API keys: create, list, rotate, revoke."""


@keys.command("create")
@data_dir_option
@click.option("--role", type=click.Choice(["admin", "publisher", "account", "ingest"]), required=True)
@click.option("--publisher-id", type=int, help="With role publisher.")
@click.option("--account-id", type=int, help="With role account.")
@click.option("--name", default="", help="What the key is for.")
@click.option(
    "--expires-at", metavar="TIME", help="Time of expiry in RFC 3339: YYYY-MM-DDThh:mm:ssZ.  [default: never]"
)
@click.option("--requests-per-hour", type=int, help="Its own limit.  [default: CLICKMILL_REQUESTS_PER_HOUR]")
def keys_create(**wish: Any) -> None:
    """Create a key; it is shown once.

    Example: clickmill keys create --role account --account-id 1
    """
    created = admin_call(
        "POST", "/admin/keys", {field: value for field, value in wish.items() if value not in (None, "")}
    )
    click.echo(json.dumps(created, indent=1))


@keys.command("list")
@data_dir_option
def keys_list() -> None:
    """List keys, without the keys themselves.

    Example: clickmill keys list
    """
    click.echo(json.dumps(admin_call("GET", "/admin/keys"), indent=1))


@keys.command("rotate")
@data_dir_option
@click.argument("key_id")
@click.option("--overlap-hours", type=float, default=24, show_default=True, help="How long the old key remains valid.")
def keys_rotate(key_id: str, overlap_hours: float) -> None:
    """Replace the key with this id by a new one for the same purpose; it is shown once.

    Example: clickmill keys rotate 4f1c9a0b2d3e5f60 --overlap-hours 1
    """
    wish = {"overlap_seconds": round(overlap_hours * 3600)}
    click.echo(json.dumps(admin_call("POST", f"/admin/keys/{key_id}/rotate", wish), indent=1))


@keys.command("revoke")
@data_dir_option
@click.argument("key_id")
def keys_revoke(key_id: str) -> None:
    """Revoke a key by its id.

    Example: clickmill keys revoke 4f1c9a0b2d3e5f60
    """
    admin_call("DELETE", f"/admin/keys/{key_id}")
    click.echo(f"{key_id} is revoked")


def admin_call(method: str, path: str, body: Any = None) -> Any:
    """The JSON of a successful response, or None without body. Any failure is a ClickException. Blocks.

    The API is that of a running `up`, or CLICKMILL_API_URL with CLICKMILL_ADMIN_KEY.
    """
    url, key = _url_and_key(read_settings())
    try:
        response = httpx.request(method, f"{url}{path}", json=body, headers={"X-Api-Key": key}, timeout=30)
    except httpx.HTTPError as error:
        raise click.ClickException(f"the API at {url} cannot be reached: {error}") from error
    if response.is_success:
        return response.json() if response.content else None
    try:
        fault = response.json()["error"]
    except (ValueError, KeyError) as error:
        raise click.ClickException(f"{url}{path} answered {response.status_code}") from error
    where = f" ({fault['details']['field']})" if fault.get("details") else ""
    raise click.ClickException(f"{fault['message']}{where}")


def _url_and_key(settings: Settings) -> tuple[str, str]:
    data_dir = DataDir(settings.data_dir)
    try:
        url = settings.api_url or data_dir.addresses().http
        return url, settings.admin_key or data_dir.saved_secret("admin_key") or ""
    except (ClickmillError, OSError) as error:
        raise click.ClickException(str(error)) from error
