"""Limits on the bodies of requests: size, time, and memory of all together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class BodyLimits:
    """An ASGI middleware that refuses bodies that are too large or too slow.

    Args:
        app: The application.
        most: Bytes of one body; more are answered with 413.
        together: Bytes of the bodies of all requests in progress; more are answered with 429.
        seconds: From the first to the last byte of a body; more are answered with 408.
    """

    def __init__(self, app: App, *, most: int, together: int, seconds: float) -> None:
        self._app = app
        self._most = most
        self._together = together
        self._seconds = seconds
        self._held = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI calls an application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self, receive)
        try:
            self.check_size(_declared_length(scope))
            await self._app(scope, body.receive, send)
        except Refused as error:
            await _answer(error, send)
        finally:
            self._held -= body.size

    def take(self, size: int, more: int) -> None:
        """Count *more* bytes of a body that has *size* so far, or raise :class:`Refused`."""
        self.check_size(size + more)
        if self._held + more > self._together:
            raise Refused(429, "too many bytes are being received", close=True)
        self._held += more

    def check_size(self, size: int) -> None:
        """Raise :class:`Refused` if a body of *size* bytes is too large."""
        if size > self._most:
            raise Refused(413, f"the body is larger than {self._most / 1e6:g} MB", close=True)

    @property
    def seconds(self) -> float:
        """Time for a whole body."""
        return self._seconds


class Refused(Exception):  # noqa: N818  an answer, not a defect
    """A request that is answered with an error.

    Args:
        code: HTTP status of the answer.
        reason: What is wrong.
        close: Whether the connection ends, since the body is not read to its end.
    """

    def __init__(self, code: int, reason: str, *, close: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.close = close


class _Body:
    """The body of one request: how much of it has been read, and until when it may be."""

    def __init__(self, limits: BodyLimits, receive: Receive) -> None:
        self.size = 0
        self._limits = limits
        self._receive = receive
        self._ended = False
        self._deadline = asyncio.get_running_loop().time() + limits.seconds

    async def receive(self) -> Message:
        if self._ended:  # then it waits for the client to leave
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise Refused(408, "the body took too long to arrive", close=True) from None
        more = len(message.get("body", b""))
        self._limits.take(self.size, more)
        self.size += more
        self._ended = not message.get("more_body", False)
        return message


def _declared_length(scope: MutableMapping[str, Any]) -> int:
    """Return the length that a request's headers declare, or 0."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _answer(error: Refused, send: Send) -> None:
    content = json.dumps({"error": error.reason}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    if error.close:
        headers.append((b"connection", b"close"))
    if error.code == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": error.code, "headers": headers})
    await send({"type": "http.response.body", "body": content})
