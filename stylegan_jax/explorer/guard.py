"""Protection of the page from other web pages in the same browser.

A page of another site can send requests to 127.0.0.1. It cannot read the responses
unless its own host name resolves to 127.0.0.1 (DNS rebinding), which the Host header
reveals. Its POST requests carry its Origin.
"""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HEADERS = {
    # Only files of this server, nothing inline, no framing by other pages.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Return True for the loopback addresses and names of this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_expected(host_header: str, listen: str) -> bool:
    """Return True if a Host header may refer to a server that listens on an address.

    The port is not compared, since a tunnel may change it. A host name that is not this
    machine's may belong to another site; a numeric address is safe from DNS rebinding.

    Args:
      host_header: value of the header.
      listen: the address of --host.
    """
    try:
        name = urlsplit(f"//{host_header}").hostname or ""
    except ValueError:
        return False
    if is_loopback(name):
        return True
    if is_loopback(listen):
        return False
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        own = {listen, socket.gethostname(), socket.getfqdn()}
        return name in {own_name.lower() for own_name in own}


class Guard:
    """An ASGI application that forwards only the requests of its own page."""

    def __init__(self, app: Callable[..., Awaitable[None]], listen: str):
        """Wrap an application.

        Args:
          app: the application to protect.
          listen: the address of --host.
        """
        self._app, self._listen = app, listen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or reject it with status 403."""
        if scope["type"] != "http":
            return
        problem = self._problem(scope["method"], Headers(scope=scope))
        if problem is not None:
            await PlainTextResponse(problem, 403)(scope, receive, send)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _problem(self, method: str, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin", "")
        if not is_expected(host, self._listen):
            return (
                f"the page was requested as {host[:100]!r}, which is not its address; "
                "open the address that the program printed, or start the program with "
                "--host and the name or address of this machine"
            )
        own = (f"http://{host}", f"https://{host}")  # https behind a proxy
        if method not in ("GET", "HEAD") and origin not in own:
            return (
                f"a request came from {(origin or 'no page')[:100]!r}; only the page "
                f"at {host} may send it"
            )
        return None
