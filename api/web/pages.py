"""The pages: their HTML, their Content-Security-Policy, and the files that they load."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from api.http.errors import ApiError, Unauthorized, error_response, to_problem
from api.web.assets import PREFIX, Assets

_MAIN = "static/app/main.js"
_THEME = "static/app/theme.js"  # before the first paint, so it is no module
_ICON = "static/app/icon.svg"
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
_CALLS = ("/api/", "/mcp", "/admin/", "/ingest/")
_HTML = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Clickmill</title>
<link rel="icon" href="{icon}">
{styles}
<script src="{theme}"></script>
<script type="importmap">{import_map}</script>
{preloads}
</head>
<body>
<div id="app">{content}</div>
<noscript>This page needs JavaScript. The API does not: <a href="/api/v1/schema">OpenAPI</a>.</noscript>
{script}
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its path, its title, and the module that draws it."""

    path: str
    title: str
    module: str


PAGES = (
    Page("/", "Start", "static/home/page.js"),
    Page("/dashboard", "Dashboard", "static/dashboard/page.js"),
    Page("/playground", "Playground", "static/playground/page.js"),
)


class WebPages:
    """The handlers. `demo` holds the keys of a demonstration by role, which the first page offers."""

    def __init__(self, demo: Mapping[str, str]) -> None:
        self._assets, self._demo = Assets(), demo
        self._import_map = json.dumps(self._assets.import_map(), separators=(",", ":"))
        digest = base64.b64encode(hashlib.sha256(self._import_map.encode()).digest()).decode()
        self._policy = (
            f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; img-src 'self' blob: data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def install(self, app: FastAPI) -> None:
        """Adds the routes, and pages in place of errors for browsers."""
        router = APIRouter(include_in_schema=False)
        for page in PAGES:
            router.get(page.path)(partial(self.page, page))
        router.get(PREFIX + "{name:path}")(self.asset)
        router.get("/demo-keys")(self.demo_keys)
        app.include_router(router)
        for kind in (HTTPException, ApiError):
            app.add_exception_handler(kind, self.error)

    async def page(self, page: Page) -> Response:
        return self._html(page.title, module=page.module)

    async def asset(self, request: Request) -> Response:
        asset = self._assets.at(request.url.path)
        if asset is None:
            raise HTTPException(404, "There is no such file; its page may be of another version. Load the page again.")
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.compressed, 200, _FOREVER | {"Content-Encoding": "gzip"}, asset.media_type)
        return Response(asset.body, 200, _FOREVER, asset.media_type)

    async def demo_keys(self) -> Response:
        """Keys by role; none but under `clickmill up --demo`."""
        return JSONResponse(dict(self._demo))

    async def error(self, request: Request, error: Exception) -> Response:
        """A page for a browser that went to an address that fails, the API's own response for any other client."""
        response = await error_response(request, error)
        if not _is_for_a_browser(request):
            return response
        problem = to_problem(error, "Bearer")
        phrase = HTTPStatus(problem.status).phrase
        sign_in = " Sign in there with an API key." if isinstance(error, Unauthorized) else ""
        content = (
            f'<main class="error-page"><h1>{problem.status} · {escape(phrase)}</h1><p>{escape(problem.message)}</p>'
            f'<p><a href="/">Start page</a>{sign_in}</p></main>'
        )
        kept = {name: value for name, value in response.headers.items() if name not in _OF_THE_BODY}
        return self._html(phrase, content=content, status=problem.status, headers=kept)

    def _html(
        self, title: str, *, module: str = "", content: str = "", status: int = 200, headers: Mapping[str, str] = {}
    ) -> HTMLResponse:
        assets = self._assets
        modules = assets.modules(_MAIN, module) if module else []
        body = _HTML.format(
            title=escape(title),
            icon=assets[_ICON].url,
            styles="\n".join(f'<link rel="stylesheet" href="{url}">' for url in assets.styles()),
            theme=assets[_THEME].url,
            import_map=self._import_map,
            preloads="\n".join(f'<link rel="modulepreload" href="{url}">' for url in modules),
            content=content,
            script=f'<script type="module" src="{modules[0]}"></script>' if modules else "",
        )
        return HTMLResponse(body, status, {**headers, "Content-Security-Policy": self._policy})


_OF_THE_BODY = {"content-length", "content-type", "content-security-policy"}


def _is_for_a_browser(request: Request) -> bool:
    """Calls answer in JSON whatever `Accept` says, except to a browser that navigates: some clients name HTML first."""
    navigates = request.headers.get("sec-fetch-mode") == "navigate"
    return "text/html" in request.headers.get("accept", "") and (navigates or not request.url.path.startswith(_CALLS))
