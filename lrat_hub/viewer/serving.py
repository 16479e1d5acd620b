"""A server for the page of some runs, for a browser on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
"""Names by which browsers may call the server."""

HEADERS = {
    # The data are scripts, which pages from anywhere could load otherwise, and read what they say.
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": b"frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    # Another page may be at this address the next time.
    b"cache-control": b"no-cache",
}


def create_app(folder: Path) -> Starlette:
    """The service as an ASGI application: it gives files of the folder, to GET and HEAD alone.

    Args:
        folder: What `build_bundle` wrote.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    class Files(StaticFiles):
        """Files at one address each: from others, such as `index.html/`, the page's relative links lead nowhere."""

        def get_path(self, scope: Scope) -> str:
            path = super().get_path(scope)
            if scope["path"] not in ("/", f"/{path}"):
                raise HTTPException(404)
            return path

    return Starlette(
        routes=[Mount("/", Files(directory=folder, html=True))],
        # A page from elsewhere, whose name its owner lets point to this machine, must not read the runs.
        middleware=[
            Middleware(_WithHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
        ],
    )


class _WithHeaders:
    """Adds `HEADERS` to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS.items()]
            await send(message)

        await self._app(scope, receive, send_with_headers)
