"""MCP over plain HTTP, as the vendor's clients speak it: no session, only the required fields."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from fastapi.testclient import TestClient

Headers = dict[str, str]


@dataclass
class Tool:
    """The result of a tool call, and the HTTP headers of the response."""

    result: dict[str, Any]
    headers: dict[str, str]

    @property
    def failed(self) -> bool:
        return bool(self.result["isError"])

    @property
    def body(self) -> Any:
        return self.result["structuredContent"]

    @property
    def text(self) -> str:
        (content,) = self.result["content"]
        return str(content["text"])


@dataclass
class RawMcp:
    """Sends the same messages as the vendor's clients."""

    client: TestClient
    headers: Headers = field(default_factory=dict)
    ids: Any = field(default_factory=lambda: itertools.count(1))

    def post(self, message: Any, headers: Headers | None = None, path: str = "/mcp") -> Any:
        sent = {"Host": "localhost", "Accept": "application/json", "Content-Type": "application/json"}
        content = message if isinstance(message, str | bytes) else json.dumps(message)
        return self.client.post(path, content=content, headers={**sent, **self.headers, **(headers or {})})

    def answer(self, method: str, params: Any = None, **options: Any) -> Any:
        """The HTTP response to a request."""
        message = {"jsonrpc": "2.0", "id": next(self.ids), "method": method}
        return self.post(message if params is None else {**message, "params": params}, **options)

    def result(self, method: str, params: Any = None, **options: Any) -> Any:
        answer = self.answer(method, params, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def call(self, name: str, arguments: Any = None, headers: Headers | None = None, path: str = "/mcp") -> Tool:
        answer = self.answer("tools/call", {"name": name, "arguments": arguments}, headers=headers, path=path)
        assert answer.status_code == 200, answer.text
        return Tool(answer.json()["result"], dict(answer.headers))
