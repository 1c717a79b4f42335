"""Where settings come from: the environment, files of secrets, and passwords apart from URLs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from deploy.settings import Settings

ODD = """p@s:s/w#o%r$d"'`\\ ?&é]]>"""


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("clickhouse_url", "clickhouse_password"),
        ("clickhouse_read_url", "clickhouse_read_password"),
        ("redis_url", "redis_password"),
    ],
)
def test_a_password_apart_from_its_url_may_have_any_characters(
    url: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CLICKMILL_{url.upper()}", "scheme://me:not this@host:1/place")
    monkeypatch.setenv(f"CLICKMILL_{password.upper()}", ODD)
    parts = urlsplit(getattr(Settings(), url))
    assert (parts.username, unquote(parts.password or "")) == ("me", ODD)
    assert (parts.hostname, parts.port, parts.path) == ("host", 1, "/place")


def test_without_a_password_a_url_stays_as_it_is() -> None:
    url = "clickhouse://me:a%40b@host:1/place?x=1"
    assert Settings(clickhouse_url=url).clickhouse_url == url


def test_a_secret_is_read_from_its_file_unless_the_environment_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clickmill_admin_key").write_text("from a file, with a line end\n")
    assert Settings(_secrets_dir=tmp_path).admin_key == "from a file, with a line end"
    monkeypatch.setenv("CLICKMILL_ADMIN_KEY", "from the environment")
    assert Settings(_secrets_dir=tmp_path).admin_key == "from the environment"


def test_no_password_is_shown() -> None:
    settings = Settings(
        clickhouse_url="clickhouse://me@host/db",
        clickhouse_password="hidden",
        clickhouse_read_password="hidden",
        redis_password="hidden",
        kafka_password="hidden",
    )
    assert "hidden" not in repr(settings)
