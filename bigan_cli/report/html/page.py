"""The content of a report, as plain data: what a workflow gathers and the templates show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.evaluation.detector_evaluation import ClassResult, OperatingPoint, Ranking
from bigan_cli.evaluation.metrics import Estimate
from bigan_cli.scoring.calibration import Calibration

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """All N images of the report, as numbers.

    Attributes:
        names: Paths, or names in a dataset.
        score: float64 ``[N]``.
        p_value: float64 ``[N]``.
        anomalous: bool ``[N]``, whether the image is flagged at the threshold of the report.
        outlier: bool ``[N]``, whether it is an anomaly; None where the truth is not known.
        labels: int64 ``[N]``, its class; None where that is not known.
        class_names: Class names by label.
    """

    names: Sequence[str]
    score: Floats
    p_value: Floats
    anomalous: NDArray[np.bool_]
    outlier: NDArray[np.bool_] | None = None
    labels: Ints | None = None
    class_names: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class Box:
    """A frame around a region of an image, in percent of the image's width and height."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Card:
    """The pictures of one image. Pictures are data URIs, or empty where there is none.

    Attributes:
        index: Its place among :class:`ScoredImages`.
        width: Of the image itself, in pixels.
        height: Likewise.
        original: The image.
        reconstruction: G(E(x)).
        heatmap: The image with its heatmap laid over it.
        mask: The ground truth: the outline of the anomalous pixels, transparent elsewhere.
        boxes: Its regions above the threshold of a pixel.
        peak: Where the heatmap is highest, in percent from the left and the top; None where it
            exceeds no threshold.
        components: Name -> standardised value.
    """

    index: int
    width: int
    height: int
    original: str
    reconstruction: str = ""
    heatmap: str = ""
    mask: str = ""
    boxes: tuple[Box, ...] = ()
    peak: tuple[float, float] | None = None
    components: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Thumbnail:
    """A small picture with a caption; *picture* is a data URI."""

    picture: str
    caption: str
    score: float | None = None


@dataclass(frozen=True)
class Training:
    """How the run was trained.

    Attributes:
        dataset: Its name, or that of its folder.
        protocol: ``one-class``, ``leave-one-out`` or ``folder``.
        normal_classes: Names of the classes that are normal.
        image_shape: As in ``3x256x256``.
        images: Part -> number of images.
        architecture: Its name.
        parameters: Of all networks.
        seconds: Duration of the training.
        records: One per epoch of the first member, as in ``metrics.jsonl``.
        chosen_epoch: The epoch that is scored with.
        health: What the diagnostics mean, in one sentence.
        remarks: What the self-test found, and what training did not gain, in sentences.
        diagnostics: Name -> value at the end, as in ``evaluation.json``; None where unknown.
        self_test: Contents of ``self_test.json``, or None.
        samples: Some images that were trained on.
        strangest: Normal images with the highest scores.
        strangest_of: What they are, as in ``calibration images``.
    """

    dataset: str
    protocol: str
    normal_classes: tuple[str, ...]
    image_shape: str
    images: Mapping[str, int]
    architecture: str
    parameters: int
    seconds: float
    records: Sequence[Mapping[str, Any]]
    chosen_epoch: int
    health: str
    diagnostics: Mapping[str, float] | None
    self_test: Mapping[str, Any] | None
    samples: tuple[Thumbnail, ...] = ()
    strangest: tuple[Thumbnail, ...] = ()
    strangest_of: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """Encoded images E(x), on their two directions of the largest variance.

    Attributes:
        index: int64 ``[M]``, their places among :class:`ScoredImages`.
        points: float64 ``[M, 2]``.
        explained: Share of the variance on each of the two directions.
        sprite: A data URI of all M pictures, *side* pixels each, in rows of *columns*.
        side: In pixels.
        columns: Pictures per row.
    """

    index: Ints
    points: Floats
    explained: tuple[float, float]
    sprite: str
    side: int
    columns: int


@dataclass(frozen=True)
class Command:
    """A command line, and what it does."""

    purpose: str
    line: str


@dataclass(frozen=True)
class Quality:
    """The metrics of a test set with both normal images and anomalies.

    Attributes:
        trained: Of the detector.
        untrained: Of the untrained networks, or None.
        gain: AUROC trained minus untrained, or None.
        classes: Of each class.
        masked_images: Number of images with pixel metrics.
    """

    trained: Ranking
    untrained: Ranking | None
    gain: Estimate | None
    classes: tuple[ClassResult, ...]
    masked_images: int


@dataclass(frozen=True, eq=False)
class Page:
    """A report.

    Attributes:
        title: What it is about.
        what: The scored images in words, as in ``test images``.
        created: Date and time.
        images: All of them, as numbers.
        calibration: The scores of the calibration images.
        fpr: The false-positive rate of the threshold; None if the threshold itself was given.
        threshold: An image is flagged if its score exceeds this.
        skipped: Number of inputs that could not be read.
        operating_point: The rates at the threshold; None for images that are not a test set.
        quality: None unless there are both normal images and anomalies with a known truth.
        cards: Pictures of the most and the least anomalous images, and of the worst mistakes.
        brightest: The value of the brightest colour of the heatmaps, in thresholds of a pixel.
        decoded: Whether a decoder draws the reconstructions from features, and has no part in
            the score.
        training: How the run was trained; None for a model file without its run.
        latent: None with fewer than three pictures.
        remarks: Explanations of the metrics.
        warnings: What may be wrong.
        score_command: A command that scores new images, without ``--fpr``.
        commands: Commands that repeat the run and the report.
        environment: Name -> value.
    """

    title: str
    what: str
    created: str
    images: ScoredImages
    calibration: Calibration
    fpr: float | None
    threshold: float
    skipped: int
    operating_point: OperatingPoint | None
    quality: Quality | None
    cards: tuple[Card, ...]
    brightest: float
    decoded: bool
    training: Training | None
    latent: LatentSpace | None
    remarks: tuple[str, ...]
    warnings: tuple[str, ...]
    score_command: str
    commands: tuple[Command, ...]
    environment: Mapping[str, str]
