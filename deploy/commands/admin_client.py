"""The admin calls as the command line makes them."""

from __future__ import annotations

from typing import Any

import httpx

from deploy.embedded.data_dir import DataDir
from deploy.settings import Settings


class AdminError(RuntimeError):
    """The API refused an admin call, or could not be reached."""


class AdminClient:
    """Speaks to the API of a running `up`, or to CLICKMILL_API_URL with CLICKMILL_ADMIN_KEY."""

    def __init__(self, settings: Settings) -> None:
        data_dir = DataDir(settings.data_dir)
        self._url = settings.api_url or data_dir.addresses().http
        self._key = settings.admin_key or data_dir.saved_secret("admin_key") or ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a successful call, None if it has no body."""
        try:
            answer = httpx.request(
                method, f"{self._url}{path}", json=body, headers={"X-Api-Key": self._key}, timeout=30
            )
        except httpx.HTTPError as error:
            raise AdminError(f"the API at {self._url} cannot be reached: {error}") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            fault = answer.json()["error"]
        except (ValueError, KeyError) as error:
            raise AdminError(f"{self._url}{path} answered {answer.status_code}") from error
        where = f" ({fault['details']['field']})" if fault.get("details") else ""
        raise AdminError(f"{fault['message']}{where}")
