"""The image files of a folder, each once it is complete."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigan_cli.errors import UsageError
from bigan_cli.image_files import UnlistableFolder, find_images, is_image_name

# How often the folder is listed: all there is when polling, and else for what no event told of.
_POLL_SECONDS = 1.0
_RESCAN_SECONDS = 30.0
# How often waiting files are looked at again.
_TICK = 0.2


_State = tuple[int, int]
"""The size of a file, and when it was changed."""


@dataclass(slots=True)
class _Waiting:
    """A file that may still be written: its size and time, and since when they are the same."""

    state: _State | None
    since: float


class Arrivals:
    """Yields the image files of a folder and below it, those that are there first.

    A file is complete when whoever wrote it closes it or moves it here, where the system reports
    that; else when its size and its time have not changed for *settle* seconds. Names that do not
    end like an image, or that begin with a dot, are not looked at.

    Args:
        folder: The folder.
        recursive: Whether folders below it are watched, too.
        settle: Seconds.
        poll: List the folder again and again, and ask the system for no events.
        should_stop: Ends :meth:`__iter__` when it returns True.
    """

    def __init__(
        self,
        folder: Path,
        *,
        recursive: bool,
        settle: float,
        poll: bool,
        should_stop: Callable[[], bool],
    ) -> None:
        self._folder = folder
        self._recursive = recursive
        self._settle = settle
        self._poll = poll
        self._should_stop = should_stop
        # The files that were yielded; of one that could not be read, its state then.
        self._seen: dict[str, _State | None] = {}
        self._in_progress: dict[str, _State] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._events: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def finish(self, path: Path, *, readable: bool) -> None:
        """Note what became of a file: one that could not be read is yielded again if it changes."""
        with self._lock:
            state = self._in_progress.pop(str(path))
            if not readable:
                self._seen[str(path)] = state

    def __iter__(self) -> Iterator[Path]:
        """Yield each file once, as it becomes complete.

        Raises:
            UnlistableFolder: The folder is missing, or cannot be listed.
        """
        interval = _POLL_SECONDS if self._poll else _RESCAN_SECONDS
        listed = -interval
        with _nothing() if self._poll else self._observer():
            while not self._should_stop():
                if time.monotonic() - listed >= interval:
                    self._list()
                    listed = time.monotonic()
                yield from self._complete()
                self._take_events()

    def _list(self) -> None:
        """Look for files that no event told of."""
        for found in find_images([self._folder], self._recursive):
            if isinstance(found, UnlistableFolder):
                if found.path == self._folder:
                    raise found
            elif self._is_new(str(found)):
                self._waiting.setdefault(str(found), _Waiting(None, time.monotonic()))

    def _take_events(self) -> None:
        """Wait a moment for events and take all that there are."""
        with suppress(queue.Empty):
            path, closed = self._events.get(timeout=_TICK)
            while True:
                self._note(path, closed=closed)
                path, closed = self._events.get_nowait()

    def _note(self, path: str, *, closed: bool) -> None:
        if _is_listed(Path(path).relative_to(self._folder)) and self._is_new(path):
            waiting = self._waiting.setdefault(path, _Waiting(None, time.monotonic()))
            if closed:
                waiting.since = -self._settle
                waiting.state = _state(path)

    def _complete(self) -> Iterator[Path]:
        """Yield the files that have not changed for long enough."""
        for path, waiting in list(self._waiting.items()):
            state = _state(path)
            if state is None:  # it is gone
                del self._waiting[path]
            elif state != waiting.state:
                waiting.state, waiting.since = state, time.monotonic()
            elif time.monotonic() - waiting.since >= self._settle:
                del self._waiting[path]
                with self._lock:
                    self._seen[path], self._in_progress[path] = None, state
                yield Path(path)
                if self._should_stop():
                    return

    def _is_new(self, path: str) -> bool:
        with self._lock:
            if path not in self._seen:
                return True
            unreadable = self._seen[path]
        return unreadable is not None and unreadable != _state(path)

    @contextmanager
    def _observer(self) -> Iterator[None]:
        """Put the events of the folder into the queue."""
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer

        events = self._events

        class Handler(FileSystemEventHandler):
            def on_created(self, event: Any) -> None:
                if not event.is_directory:
                    events.put((os.fsdecode(event.src_path), False))

            def on_closed(self, event: Any) -> None:
                events.put((os.fsdecode(event.src_path), True))

            def on_moved(self, event: Any) -> None:
                if not event.is_directory:
                    events.put((os.fsdecode(event.dest_path), True))

        observer = Observer()
        observer.schedule(Handler(), str(self._folder), recursive=self._recursive)
        try:
            observer.start()
        except OSError as error:  # too many watches, for one
            raise UsageError(
                f"the system gives no events of {self._folder}: {error.strerror}",
                "pass 'poll=True' to list it instead",
            ) from error
        try:
            yield
        finally:
            observer.stop()
            observer.join()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _is_listed(path: Path) -> bool:
    """Return whether a listing of the folder would give *path*, by its names."""
    return is_image_name(path.name) and not any(part.startswith(".") for part in path.parts)


def _state(path: str) -> _State | None:
    """Return the size and the time of change of a file; None if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116  a text, of which there may be many
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
