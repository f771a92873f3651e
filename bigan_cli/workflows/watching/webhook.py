"""Posts of flagged images to a URL, which never hold up the scoring."""

from __future__ import annotations

import json
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from bigan_cli.errors import UsageError
from bigan_cli.workflows.callbacks import Callbacks

_MOST_WAITING = 1000
_TIMEOUT_SECONDS = 10.0
# Seconds before each further attempt.
_PAUSES = (1.0, 2.0, 4.0, 8.0)
# How long posts may take when the watching ends.
_LAST_SECONDS = 5.0


class Webhook:
    """Posts JSON documents from a thread of its own, in order.

    A post that fails is tried again up to four times, within about 15 seconds and the time that
    the attempts take, and is then dropped with a warning. The rows are the record; a post that is
    pending when the process is killed is lost.

    Args:
        url: http or https.
        callbacks: Receive warnings.

    Raises:
        UsageError: *url* is no such address.
    """

    def __init__(self, url: str, callbacks: Callbacks) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"'{url}' is no address of a webhook", "it starts with http or https")
        self._url = url
        self._host = parts.hostname
        self._callbacks = callbacks
        self._waiting: queue.Queue[Mapping[str, Any] | None] = queue.Queue(_MOST_WAITING)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._post_all, name="webhook", daemon=True)
        self._thread.start()

    def send(self, document: Mapping[str, Any]) -> None:
        """Post *document* soon; returns at once. It is dropped if too many wait."""
        try:
            self._waiting.put_nowait(document)
        except queue.Full:
            self._callbacks.warn(f"the webhook {self._host} is too slow: a post is dropped")

    def close(self) -> None:
        """Wait a few seconds for the posts that are left, and drop the others."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=_LAST_SECONDS)
        self._thread.join(_LAST_SECONDS)
        self._stop.set()
        if self._thread.is_alive():
            self._callbacks.warn(
                f"posts to the webhook {self._host} are dropped: {self._waiting.qsize()} or more"
            )

    def _post_all(self) -> None:
        while (document := self._waiting.get()) is not None:
            self._post(json.dumps(document).encode())

    def _post(self, body: bytes) -> None:
        reason = ""
        for pause in (*_PAUSES, None):
            try:
                request = urllib.request.Request(  # noqa: S310  its scheme was checked
                    self._url, body, {"Content-Type": "application/json"}, method="POST"
                )
                with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310
                    return
            except urllib.error.HTTPError as error:
                reason = f"status {error.code}"
                error.close()
            except (OSError, ValueError) as error:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
            if pause is None or self._stop.wait(pause):
                break
        self._callbacks.warn(f"the webhook {self._host} does not take a post: {reason}")
