"""The report of an evaluation: a run, and its test images with a known truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.report.drawing import to_rgb
from bigan_cli.report.html.page import Command, Page, Quality, ScoredImages
from bigan_cli.report.html.render import write_page
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.evaluation_result import EvaluationResult
from bigan_cli.workflows.reports.cards import ImageSource, make_cards
from bigan_cli.workflows.reports.facts import (
    dataset_name,
    environment_of,
    now,
    run_options,
    training_command,
)
from bigan_cli.workflows.reports.latent import latent_space
from bigan_cli.workflows.reports.training import training_of
from bigan_cli.workflows.scored_test import ScoredTest

if TYPE_CHECKING:
    from bigan_cli.contracts import RawImage


def write_test_report(
    file: Path,
    run: RunDirectory,
    result: EvaluationResult,
    scored: ScoredTest,
    data_root: Path | None,
    callbacks: Callbacks,
) -> None:
    """Write the report of an evaluation, whole or not at all.

    Args:
        file: The HTML file.
        run: The run directory.
        result: The metrics.
        scored: The images and their scores.
        data_root: Where the data of the run are now, if they were moved.
        callbacks: Receive details and progress.

    Raises:
        OSError: The file cannot be written.
    """
    write_page(file, _page(run, result, scored, data_root, callbacks))


def _page(
    run: RunDirectory,
    result: EvaluationResult,
    scored: ScoredTest,
    data_root: Path | None,
    callbacks: Callbacks,
) -> Page:
    model, test, metrics = scored.model, scored.test, result.evaluation
    point = metrics.operating_point
    images = ScoredImages(
        names=test.images.names,
        score=scored.scores.score,
        p_value=scored.scores.p_value,
        anomalous=model.detector.predict(scored.scores, point.fpr),
        outlier=test.images.outlier,
        labels=test.images.labels,
        class_names=test.class_names,
    )
    source = _source(scored)
    progress = partial(callbacks.on_progress, "drawing pictures")
    options = run_options(run, result.model)
    rate = "" if point.fpr == model.detector.default_fpr else f" --fpr {point.fpr:g}"
    quality = None
    if metrics.trained.auroc is not None:
        quality = Quality(
            metrics.trained, metrics.untrained, metrics.gain, metrics.classes, metrics.masked_images
        )
    cards, brightest = make_cards(model.detector, images, source, point.fpr, progress)
    subject = dataset_name(model.header.config, result.dataset)
    return Page(
        title=f"{subject}, normal: {', '.join(result.normal_classes)}",
        what="test images",
        created=now(),
        images=images,
        calibration=model.detector.calibration,
        fpr=point.fpr,
        threshold=point.threshold,
        skipped=0,
        operating_point=point,
        quality=quality,
        cards=cards,
        brightest=brightest,
        decoded=model.detector.on_feature_map,
        training=training_of(run, model, data_root, callbacks),
        latent=latent_space(model.detector, source, np.arange(len(images))),
        remarks=result.remarks,
        warnings=(*test.warnings, *result.warnings),
        score_command=f"bigan score PATH {options}",
        commands=(
            training_command(run),
            Command("Evaluate it and write this report", f"bigan report {options}{rate}"),
            Command(
                "Score new images and write a report of them",
                f"bigan score PATH {options}{rate} --report scores.html",
            ),
        ),
        environment=environment_of(run, result.model, model),
    )


def _source(scored: ScoredTest) -> ImageSource:
    images = scored.test.images

    def original(index: int) -> RawImage:
        if images.sources is not None:
            return images.sources[index]
        return to_rgb(np.asarray(images.pixels[index]))

    return ImageSource(
        original,
        lambda index: np.asarray(images.pixels[index]),
        DecodeOptions.of(scored.model.header.config.data),
        scored.masks,
    )
