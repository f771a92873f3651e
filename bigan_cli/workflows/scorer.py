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
    """How images are scored and labelled, wherever the rows go.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        plugins: Plugin files to run; those that the model names are not run otherwise.
        batch_size: Images per forward pass; by default the model's own on a CPU, and 16 times
            that on a GPU.
        fpr: The false-positive rate of the threshold; by default the run's.
        threshold: Label images above this score anomalous, in place of *fpr*.
        review_fpr: Label other images for a review that are anomalous at this larger rate.
        max_megapixels: Images of more million pixels are not read; by default the run's limit.
        strict: Whether an unreadable input is an error.

    Raises:
        UsageError: They contradict each other, or a rate is none.
    """

    device: str = "auto"
    plugins: Sequence[Path] = ()
    batch_size: int | None = None
    fpr: float | None = None
    threshold: float | None = None
    review_fpr: float | None = None
    max_megapixels: int | None = None
    strict: bool = False

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
        strict: Whether an unreadable input is an error.
    """

    model: LoadedModel
    rule: Rule
    options: DecodeOptions
    files: MapFiles | None
    header: Header
    strict: bool

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
            UsageError: The model has no heatmaps, a setting does not fit it, or there are too few
                calibration images for a rate.
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
        return cls(model, rule, options, files, header, settings.strict)

    def rows(
        self, inputs: Iterable[Found], counts: Counts, callbacks: Callbacks
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
            strict=self.strict,
        )


def _check_heatmaps(model: LoadedModel) -> None:
    if not model.detector.has_heatmaps:
        raise UsageError(
            "no score component of this model has heatmaps",
            "train with one that has, such as reconstruction, or leave out maps and masks",
        )
