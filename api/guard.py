"""What stands around every HTTP part, the API, the collector and the worker alike."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from api.errors import install_error_handlers
from api.headers import StandingHeaders
from api.methods import HeadLikeGet
from api.patience import CallOff, LimitedBody
from api.request_id import RequestId
from api.strangers import PacedRefusals
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
