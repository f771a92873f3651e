"""A bounded queue of images in front of one model, which scores them in batches."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import read_contents
from bigan_cli.data.decode_pipeline import DecodedImage
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.unreadable import UnreadableImage
from bigan_cli.report.drawing import to_rgb
from bigan_cli.report.heatmap import dimmed, overlay
from bigan_cli.scoring.regions import resize_heatmap
from bigan_cli.storage.score_table import ScoreRow
from bigan_cli.workflows.models import LoadedModel
from bigan_cli.workflows.score_batches import Rule, Scored, score_batch, with_regions

_Waiting = tuple[DecodedImage, "asyncio.Future[Scored]"]


@dataclass(frozen=True)
class Upload:
    """An image of a request.

    Attributes:
        name: Its name in results.
        contents: Of the image file.
    """

    name: str
    contents: bytes


@dataclass(frozen=True)
class ScoredUpload:
    """The outcome for one image.

    Attributes:
        row: Its score, or why it has none.
        overlay: A PNG file of the image with its heatmap, if one was wanted.
    """

    row: ScoreRow
    overlay: bytes | None


class ScoringQueue:
    """Scores images of many requests; used from one event loop.

    A single thread runs the model. While it scores a batch, images gather; they are the next
    batch, as far as it holds them. No image waits for others. A score does not depend on the
    batch, so it is the one that ``bigan score`` gives.

    Args:
        model: The model.
        rule: How images are labelled.
        options: How images are read.
        capacity: How many images may be decoded, wait or be scored at a time.
        decoders: Threads that decode images and draw overlays.
        on_batch: Called with the number of images of each batch.
    """

    def __init__(
        self,
        model: LoadedModel,
        rule: Rule,
        options: DecodeOptions,
        capacity: int,
        decoders: Executor,
        on_batch: Callable[[int], object],
    ) -> None:
        self.model = model
        self.rule = rule
        self.capacity = capacity
        self.images = 0
        self._options = options
        self._decoders = decoders
        self._on_batch = on_batch
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._score_batches, name="model", daemon=True)
        self._thread.start()

    def reserve(self, images: int) -> bool:
        """Return whether there is room for *images*, which is taken until each is scored."""
        if self.images + images > self.capacity:
            return False
        self.images += images
        return True

    def close(self) -> None:
        """Stop the thread, after the images that wait."""
        self._waiting.put(None)
        self._thread.join()

    async def score(self, upload: Upload, *, draw: bool = False) -> ScoredUpload:
        """Return the score of an image that has a reserved place, and its overlay if *draw*."""
        try:
            loop = asyncio.get_running_loop()
            image = await loop.run_in_executor(self._decoders, self._decode, upload)
            if image.pixels is None:
                return ScoredUpload(ScoreRow(upload.name, error=image.error), None)
            future: asyncio.Future[Scored] = loop.create_future()
            self._waiting.put((image, future))
            scored = await future
            return await loop.run_in_executor(self._decoders, self._finish, upload, scored, draw)
        finally:
            self.images -= 1

    def _decode(self, upload: Upload) -> DecodedImage:
        path = Path(upload.name)
        try:
            pixels, found = read_contents(upload.contents, self.model.detector.shape, self._options)
        except UnreadableImage as error:
            return DecodedImage(path, error=error.reason)
        return DecodedImage(path, pixels, found)

    def _finish(self, upload: Upload, scored: Scored, draw: bool) -> ScoredUpload:
        row, image, heat = scored
        row = replace(row, path=upload.name)
        row = with_regions(row, image, heat, self.model.detector.roi, None, self._options)
        if not draw or heat is None or row.error:
            return ScoredUpload(row, None)
        return ScoredUpload(row, self._overlay(upload, row, image, heat))

    def _overlay(
        self, upload: Upload, row: ScoreRow, image: DecodedImage, heat: NDArray[np.float32]
    ) -> bytes:
        assert image.found is not None  # noqa: S101  it was decoded
        size = (image.found.height, image.found.width)
        roi = self.model.detector.roi
        heat = resize_heatmap(heat, *size, roi, keep_aspect=self._options.keep_aspect)
        # Again, since the networks' copy is smaller.
        pixels, _ = read_contents(upload.contents, ImageShape(3, *size), self._options)
        shown = dimmed(to_rgb(pixels), None if roi is None else roi.at_size(*size))
        file = BytesIO()
        overlay(shown, heat, row.regions or ()).save(file, "png")
        return file.getvalue()

    def _score_batches(self) -> None:
        """Score what waits, batch by batch, until :meth:`close`; runs in a thread of its own."""
        size = self.model.detector.images_at_once
        last = False
        while not last:
            batch = [self._waiting.get()]
            while len(batch) < size and batch[-1] is not None and not self._waiting.empty():
                batch.append(self._waiting.get())
            last = batch[-1] is None
            images = [each for each in batch if each is not None]
            if images:
                self._on_batch(len(images))
                self._score(images)

    def _score(self, batch: list[_Waiting]) -> None:
        loop = batch[0][1].get_loop()
        try:
            scored = score_batch(self.model, [image for image, _ in batch], self.rule)
        except Exception as error:  # noqa: BLE001  each request answers for itself
            for _, future in batch:
                loop.call_soon_threadsafe(_fail, future, error)
            return
        for (_, future), each in zip(batch, scored, strict=True):
            loop.call_soon_threadsafe(_deliver, future, each)


def _deliver(future: asyncio.Future[Scored], scored: Scored) -> None:
    if not future.done():  # cancelled
        future.set_result(scored)


def _fail(future: asyncio.Future[Scored], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
