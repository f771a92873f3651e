"""Scoring of image files as they arrive in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bigan_cli.errors import UsageError
from bigan_cli.extras import require_extra
from bigan_cli.formatting import count, one_line, path_text
from bigan_cli.missing_paths import require_folder
from bigan_cli.scoring.calibration import check_fpr
from bigan_cli.storage.completed_inputs import CompletedInputs
from bigan_cli.storage.growing_output import continue_output, growing_output
from bigan_cli.storage.partial_output import Header, exclusive
from bigan_cli.storage.score_table import SUFFIXES, ScoreRow, file_format
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.map_files import map_files
from bigan_cli.workflows.models import LoadedModel, find_model, load_model, set_batch_size
from bigan_cli.workflows.watching.arrivals import Arrivals
from bigan_cli.workflows.watching.flagged import FLAGGED, FlaggedFiles
from bigan_cli.workflows.watching.webhook import Webhook

if TYPE_CHECKING:
    from bigan_cli.data.image_file import DecodeOptions
    from bigan_cli.workflows.map_files import MapFiles
    from bigan_cli.workflows.score_batches import Counts, Rule


@dataclass(frozen=True)
class WatchResult:
    """What was done until the watching ended.

    Attributes:
        scored: How many images have a score, those of earlier calls included.
        resumed: How many of them earlier calls had scored.
        skipped: How many files could not be read.
        anomalies: How many images are labelled anomalous, those of earlier calls included.
        reviews: How many are labelled for a review, of those scored now.
    """

    scored: int
    resumed: int
    skipped: int
    anomalies: int
    reviews: int


@dataclass(frozen=True)
class FlaggedImages:
    """What is done with flagged images.

    Attributes:
        folder: Where they are copied to, or None.
        move: Whether they are moved there instead.
        webhook: Where their rows are posted to, or None.
    """

    folder: Path | None = None
    move: bool = False
    webhook: str | None = None


def watch(
    folder: Path,
    *,
    run: Path,
    output: Path,
    checkpoint: str = "best",
    device: str = "auto",
    plugins: Sequence[Path] = (),
    fpr: float | None = None,
    review_fpr: float | None = None,
    max_megapixels: int | None = None,
    recursive: bool = True,
    poll: bool = False,
    settle: float = 1.0,
    maps: Path | None = None,
    map_format: str | None = None,
    masks: Path | None = None,
    flagged: FlaggedImages | None = None,
    callbacks: Callbacks | None = None,
) -> WatchResult:
    """Score the image files in *folder* and those that arrive, until ``should_stop``.

    Each file has one row; a file that could not be read is tried again when it is written again,
    or by the next call. A call continues the output of an earlier one, even of a killed process,
    without losing or repeating a file. Files are told apart by their paths.

    Args:
        folder: The folder to watch.
        run: The run directory, or a model file.
        output: The .csv or .jsonl file to which rows are appended.
        checkpoint: ``best``, ``last``, a saved epoch, or the path of a model file.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        plugins: Plugin files to run.
        fpr: The false-positive rate of the labels; by default the model's own.
        review_fpr: A larger rate, at which images are labelled for a review.
        max_megapixels: Images of more million pixels are not read; by default the run's limit.
        recursive: Whether folders below *folder* are watched, too.
        poll: List the folder every second instead of waiting for events of the system.
        settle: Seconds without a change after which a file is complete, where no event tells.
        maps: A folder to write a heatmap of each image to.
        map_format: ``overlay`` (the default), ``png16`` or ``npy``.
        masks: A folder to write a mask of the anomalous pixels of each image to.
        flagged: What is done with images that are anomalous or to be reviewed.
        callbacks: Receive a line for each flagged image, and warnings.

    Raises:
        UsageError: Arguments contradict each other, the rows in *output* come from another model,
            or a package is missing.
        DataError: The folder cannot be listed any more, or the model is damaged.
        OSError: A row, a map or a copy cannot be written.
    """
    callbacks, flagged = callbacks or Callbacks(), flagged or FlaggedImages()
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  follows no links
    _check(folder, output, flagged)
    for rate in (fpr, review_fpr):
        if rate is not None:
            check_fpr(rate)
    if not poll:
        require_extra("watch", "watchdog", otherwise="pass 'poll=True'")
    files = map_files([folder], maps, map_format, masks)
    source = find_model(run, checkpoint)

    from bigan_cli.data.image_file import DecodeOptions
    from bigan_cli.workflows.score_batches import Counts, Rule

    model = load_model(source.file, device, plugins, callbacks)
    set_batch_size(model, None)
    rule = Rule.of(model.detector, fpr, None, review_fpr)
    if files is not None:
        if not model.detector.has_heatmaps:
            raise UsageError("no score component of this model has heatmaps")
        files.create_folders()
    arrivals = Arrivals(
        folder, recursive=recursive, settle=settle, poll=poll, should_stop=callbacks.should_stop
    )
    options = DecodeOptions.of(model.header.config.data, max_megapixels)
    work = _Watch(model, rule, options, files, output, arrivals, Counts(), callbacks)
    resumed = work.run(folder, flagged)
    counts = work.counts
    return WatchResult(counts.scored, resumed, counts.skipped, counts.anomalies, counts.reviews)


def _check(folder: Path, output: Path, flagged: FlaggedImages) -> None:
    require_folder(folder)
    if output.is_dir() or output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{output} is neither a .csv nor a .jsonl file")
    if flagged.move and flagged.folder is None:
        raise UsageError("flagged images can be moved only to a folder", "pass 'flagged=DIR' too")
    target = flagged.folder
    if target is not None and target.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"the folder {target} is inside the watched folder {folder}",
            "its files would be taken for new ones; name a folder elsewhere",
        )


@dataclass(eq=False)
class _Watch:
    """The loop from arriving files to rows, and what it works with."""

    model: LoadedModel
    rule: Rule
    options: DecodeOptions
    files: MapFiles | None
    output: Path
    arrivals: Arrivals
    counts: Counts
    callbacks: Callbacks

    def run(self, folder: Path, wanted: FlaggedImages) -> int:
        """Work until the arrivals end; return how many images earlier calls had scored."""
        header = self._header()
        row_format = file_format(self.output, header.components)
        copies = None
        if wanted.folder is not None:
            copies = FlaggedFiles(wanted.folder, folder, wanted.move)
        with ExitStack() as stack:
            stack.enter_context(exclusive(self.output))
            if copies is not None:
                copies.create_folder()
            earlier = continue_output(
                self.output, header, row_format, None if copies is None else copies.finish
            )
            self.counts.scored, self.counts.anomalies = earlier.scored, earlier.anomalies
            webhook = None
            if wanted.webhook is not None:
                webhook = Webhook(wanted.webhook, self.callbacks)
                stack.callback(webhook.close)
            so_far = count(earlier.scored, "image")
            self.callbacks.note(f"watching {folder}: {so_far} scored so far")
            write = stack.enter_context(growing_output(self.output))
            for rows, paths in self._scored(earlier):
                self._finish(
                    rows, paths, lambda rows: write(row_format.lines(rows)), copies, webhook
                )
        return earlier.scored

    def _finish(
        self,
        rows: Sequence[ScoreRow],
        paths: Mapping[str, Path],
        write: Callable[[Sequence[ScoreRow]], None],
        copies: FlaggedFiles | None,
        webhook: Webhook | None,
    ) -> None:
        """Write the rows of a batch, and do what is wanted with its flagged images.

        A kill between any two of these steps loses nothing: they are done again.
        """
        flagged = [row for row in rows if row.label in FLAGGED]
        if copies is not None:
            for row in flagged:
                copies.copy(paths[row.path])
        write(rows)
        if copies is not None:
            for row in flagged:
                copies.remove(paths[row.path])
        if webhook is not None:
            for row in flagged:
                webhook.send(row.as_dict())
        self._report(rows)

    def _header(self) -> Header:
        rule, written = self.rule, {} if self.files is None else self.files.as_dict()
        names = self.model.detector.component_names
        return Header(self.model.header.sha256, rule.limit, names, written, rule.review_limit)

    def _scored(self, earlier: CompletedInputs) -> Iterator[tuple[list[ScoreRow], dict[str, Path]]]:
        """Yield the rows of each batch of new files, and the paths of files by those of rows."""
        from bigan_cli.workflows.score_batches import score_batches

        paths: dict[str, Path] = {}
        # A stop ends the arrivals; what has arrived is scored.
        quiet = replace(Callbacks(), warn=self.callbacks.warn)
        for rows in score_batches(
            self.model,
            self._new(earlier, paths),
            self.rule,
            self.options,
            self.files,
            self.counts,
            quiet,
            strict=False,
        ):
            yield rows, paths
            for row in rows:
                if row.path in paths:  # else it is of a folder that cannot be listed
                    self.arrivals.finish(paths.pop(row.path), readable=not row.error)

    def _new(self, earlier: CompletedInputs, paths: dict[str, Path]) -> Iterator[Path]:
        """Yield the files that have no row yet, and note their paths by the text of their row."""
        for path in self.arrivals:
            text = path_text(path)
            if not earlier.claim(text):
                paths[text] = path
                yield path

    def _report(self, rows: Sequence[ScoreRow]) -> None:
        for row in rows:
            if row.score is not None and row.p_value is not None:
                figures = f"p={row.p_value:.4g} score={row.score:.4g}"
                line = f"{row.label}: {one_line(row.path)} {figures}"
                (self.callbacks.note if row.label in FLAGGED else self.callbacks.detail)(line)
