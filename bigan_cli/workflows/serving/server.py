"""The HTTP server: uvicorn, with a limit on slow headers, stopped by a callback."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from bigan_cli.errors import UsageError

if TYPE_CHECKING:
    from starlette.applications import Starlette

# From the start of a connection, or from the last answer, to the end of a request's headers.
_HEADER_SECONDS = 15.0
_MOST_HEADER_BYTES = 64 * 1024
# How long requests in progress may take when the server is to stop.
_GRACE_SECONDS = 30


def open_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes any free one.

    Raises:
        UsageError: There is no such address, or another process listens there.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        # Not the text of Python, which repeats the address.
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", str(error))
        raise UsageError(
            f"cannot listen on {host}, port {port}: {reason}",
            "choose another 'host=ADDRESS' or 'port=N'",
        ) from error


def run_server(
    application: Starlette,
    listening: socket.socket,
    most_connections: int,
    should_stop: Callable[[], bool],
) -> None:
    """Answer requests until *should_stop* returns True and those in progress are answered.

    Connections beyond *most_connections* are answered with 503.
    """
    config = uvicorn.Config(
        application,
        http=_Protocol,
        ws="none",
        loop="asyncio",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=most_connections,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    asyncio.run(_Server(config, should_stop).serve(sockets=[listening]))


class _Server(uvicorn.Server):
    """Leaves the signals of the process alone, and asks *should_stop* instead."""

    def __init__(self, config: uvicorn.Config, should_stop: Callable[[], bool]) -> None:
        super().__init__(config)
        self._should_stop = should_stop

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def on_tick(self, counter: int) -> bool:
        if self._should_stop():
            self.should_exit = True
        return await super().on_tick(counter)


class _Protocol(H11Protocol):
    """Closes connections whose next request does not arrive in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(_HEADER_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        if cycle is None or cycle.response_complete:
            self.transport.close()
