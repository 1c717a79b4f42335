"""What stands around every HTTP part, the API, the collector and the worker alike."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from api.http.errors import install_error_handlers
from api.http.failed_auth_throttle import PacedRefusals
from api.http.headers import StandingHeaders
from api.http.methods import HeadLikeGet
from api.http.patience import CallOff, LimitedBody
from api.http.request_id import RequestId
from ingest.settings import Settings, listed

_MCP = ["Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version", "Mcp-Session-Id"]
_ASKED = ["Authorization", "Content-Encoding", "Content-Type", "If-None-Match", "X-Api-Key", "X-Request-Id", *_MCP]
_ANSWERED = ["ETag", "Retry-After", "X-Data-As-Of", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]


def guard(app: FastAPI, settings: Settings) -> None:
    """Request ids, standing headers, limited bodies and patience, paced refusals, error envelopes; CORS if wanted."""
    app.add_middleware(CallOff)
    app.add_middleware(LimitedBody)
    app.add_middleware(StandingHeaders)
    app.add_middleware(PacedRefusals)
    app.add_middleware(HeadLikeGet)
    app.add_middleware(RequestId)
    origins = listed(settings.cors_origins)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=_ASKED,
            expose_headers=[*_ANSWERED, "X-Request-Id"],
            max_age=600,
        )
    install_error_handlers(app)
