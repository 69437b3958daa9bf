"""Who may speak to the studio: pages of its own address only; and what its pages may load."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LONGEST_BODY = 1_000_000  # bytes
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


def guarded(app: App, *, port: int) -> App:
    """`app` behind the checks: Host (against DNS rebinding), Origin (against other pages), type and size of a body."""
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
    if port == 80:
        hosts |= {"127.0.0.1", "localhost"}

    async def guard(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *own]}
            await send(message)

        refused = _refusal(scope, hosts)
        if refused is None:
            await app(scope, receive, send_with_headers)
            return
        status, reason = refused
        body = json.dumps({"error": reason}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send_with_headers({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return guard


def _refusal(scope: MutableMapping[str, Any], hosts: set[str]) -> tuple[int, str] | None:
    """The status and the reason why the request is refused; None when it may pass."""
    if scope["type"] != "http":
        return 400, "only HTTP is spoken here."
    given: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        given.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    host, origin = given.get("host", []), given.get("origin", [])
    if len(host) != 1 or host[0].lower() not in hosts:
        return 403, "the address is not the studio's: open the address that it printed."
    if origin and origin != [f"http://{host[0].lower()}"]:
        return 403, "another page asked: the studio answers its own page only."
    if scope["method"] in ("GET", "HEAD"):
        return None
    if not origin:
        return 403, "the request names no origin: the studio answers its own page only."
    if given.get("content-type", [""])[0].partition(";")[0].strip().lower() != "application/json":
        return 415, "the body must be application/json."
    length = given.get("content-length", [""])[0]
    if not length.isdigit():
        return 411, "the request does not say how long its body is."
    if int(length) > LONGEST_BODY:
        return 413, f"the body has {length} bytes: at most {LONGEST_BODY} are read."
    return None
