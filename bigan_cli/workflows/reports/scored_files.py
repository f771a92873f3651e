"""The report of scored image files, whose truth is not known."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.formatting import count
from bigan_cli.report.html.page import Command, Page, ScoredImages
from bigan_cli.report.html.render import write_page
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.storage.score_table import ANOMALY, ScoreRow
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.models import LoadedModel
from bigan_cli.workflows.reports.cards import file_source, make_cards
from bigan_cli.workflows.reports.facts import environment_of, now, run_options, training_command
from bigan_cli.workflows.reports.latent import latent_space
from bigan_cli.workflows.reports.training import training_of
from bigan_cli.workflows.score_batches import Rule


class ReportedRows:
    """The rows of a scoring, kept for a report at its end.

    Args:
        wanted: Whether there will be a report; else nothing is kept.
    """

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._rows: list[ScoreRow] = []
        self._skipped: list[ScoreRow] = []

    def add(self, rows: Sequence[ScoreRow]) -> None:
        """Keep the rows of one batch."""
        for row in rows if self._wanted else ():
            (self._skipped if row.score is None else self._rows).append(row)

    def write(
        self,
        file: Path,
        run: RunDirectory | None,
        model_file: Path,
        model: LoadedModel,
        rule: Rule,
        options: DecodeOptions,
        callbacks: Callbacks,
    ) -> None:
        """Write the report to *file*, whole or not at all; nothing if no image has a score.

        Raises:
            OSError: The file cannot be written.
        """
        if self._rows:
            page = self._page(file.name, run, model_file, model, rule, options, callbacks)
            write_page(file, page)

    def _page(
        self,
        name: str,
        run: RunDirectory | None,
        model_file: Path,
        model: LoadedModel,
        rule: Rule,
        options: DecodeOptions,
        callbacks: Callbacks,
    ) -> Page:
        detector = model.detector
        paths = [row.path for row in self._rows]
        images = ScoredImages(
            names=paths,
            score=np.array([row.score for row in self._rows], np.float64),
            p_value=np.array([row.p_value for row in self._rows], np.float64),
            anomalous=np.array([row.label == ANOMALY for row in self._rows]),
        )
        source = file_source(paths, detector.shape, options)
        progress = partial(callbacks.on_progress, "drawing pictures")
        cards, brightest = make_cards(detector, images, source, rule.fpr, progress)
        shown = np.array([card.index for card in cards], np.int64)
        words = run_options(run, model_file)
        limit = f"--threshold {rule.limit!r}" if rule.fpr is None else f"--fpr {rule.fpr:g}"
        repeat = Command(
            "Score images and write a report like this",
            f"bigan score PATH {words} {limit} --report {shlex.quote(name)}",
        )
        trained = () if run is None else (training_command(run),)
        return Page(
            title=f"{count(len(images), 'scored image')}",
            what="scored images",
            created=now(),
            images=images,
            calibration=detector.calibration,
            fpr=rule.fpr,
            threshold=rule.limit,
            skipped=len(self._skipped),
            operating_point=None,
            quality=None,
            cards=cards,
            brightest=brightest,
            decoded=detector.on_feature_map,
            training=None if run is None else training_of(run, model, None, callbacks),
            latent=latent_space(detector, source, shown),
            remarks=(),
            warnings=tuple(_skipped_remark(self._skipped)),
            score_command=f"bigan score PATH {words}",
            commands=(*trained, repeat),
            environment=environment_of(run, model_file, model),
        )


def _skipped_remark(skipped: Sequence[ScoreRow]) -> list[str]:
    if not skipped:
        return []
    example = f"{skipped[0].path}: {skipped[0].error}"
    return [f"{count(len(skipped), 'input')} could not be read, for instance {example}"]
