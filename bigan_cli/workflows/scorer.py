"""A model that is ready to score images, and how it labels them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.sources.image_source import Found
from bigan_cli.errors import UsageError
from bigan_cli.scoring.calibration import check_fpr
from bigan_cli.storage.partial_output import Header
from bigan_cli.storage.score_table import ScoreRow
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.map_files import MapFiles
from bigan_cli.workflows.models import LoadedModel, ModelSource, load_model, set_batch_size
from bigan_cli.workflows.score_batches import Counts, Rule, score_batches


@dataclass(frozen=True)
class ScorerSettings:
    """How images are scored and labelled; see :func:`bigan_cli.workflows.score.score_files`."""

    device: str = "auto"
    plugins: Sequence[Path] = ()
    batch_size: int | None = None
    fpr: float | None = None
    threshold: float | None = None
    review_fpr: float | None = None
    max_megapixels: int | None = None

    def __post_init__(self) -> None:
        if self.fpr is not None and self.threshold is not None:
            raise UsageError(
                "'score.fpr' and a threshold exclude each other", "each decides the label"
            )
        for rate in (self.fpr, self.review_fpr):
            if rate is not None:
                check_fpr(rate)
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise UsageError(f"'threshold={self.threshold}' is not a finite number")


@dataclass(frozen=True)
class Scorer:
    """A loaded model with its rule.

    Attributes:
        model: The model.
        rule: How images are labelled.
        options: How files are read.
        files: Where heatmaps and masks are written, or None.
        header: What the rows are computed with.
    """

    model: LoadedModel
    rule: Rule
    options: DecodeOptions
    files: MapFiles | None
    header: Header

    @classmethod
    def load(
        cls,
        source: ModelSource,
        settings: ScorerSettings,
        files: MapFiles | None,
        callbacks: Callbacks,
    ) -> Scorer:
        """Load the model; the folders of *files* are created.

        Raises:
            UsageError: The model has no heatmaps, or a setting does not fit it.
            DataError: There are too few calibration images for a rate.
        """
        model = load_model(source.file, settings.device, settings.plugins, callbacks)
        set_batch_size(model, settings.batch_size)
        rule = Rule.of(model.detector, settings.fpr, settings.threshold, settings.review_fpr)
        if files is not None:
            _check_heatmaps(model)
            files.create_folders()
        header = Header(
            model.header.sha256,
            rule.limit,
            model.detector.component_names,
            {} if files is None else files.as_dict(),
            rule.review_limit,
        )
        options = DecodeOptions.of(model.header.config.data, settings.max_megapixels)
        return cls(model, rule, options, files, header)

    def rows(
        self, inputs: Iterable[Found], counts: Counts, callbacks: Callbacks, *, strict: bool
    ) -> Iterator[list[ScoreRow]]:
        """Yield the rows of each batch, in the order of *inputs*, and count them."""
        return score_batches(
            self.model,
            inputs,
            self.rule,
            self.options,
            self.files,
            counts,
            callbacks,
            strict=strict,
        )


def _check_heatmaps(model: LoadedModel) -> None:
    if not model.detector.has_heatmaps:
        raise UsageError(
            "no score component of this model has heatmaps",
            "train with one that has, such as reconstruction, or leave out maps and masks",
        )
