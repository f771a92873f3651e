"""How a run was trained, for its report: sizes, curves, diagnostics and some of its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.data.image_set import ImageSet
from bigan_cli.data.prepare import open_dataset, reopen_normals
from bigan_cli.errors import BiganError
from bigan_cli.report.drawing import to_rgb
from bigan_cli.report.html.page import Thumbnail, Training
from bigan_cli.report.html.pictures import data_uri
from bigan_cli.report.html.wording import sentence
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.evaluation_remarks import member_diagnostics, member_warnings
from bigan_cli.workflows.models import LoadedModel, data_config
from bigan_cli.workflows.reports.facts import dataset_name
from bigan_cli.workflows.self_test_result import SelfTest, read_self_test

_SAMPLES, _STRANGEST = 24, 8
_THUMBNAIL = 160
# More calibration images than this are sampled: scoring them all would take too long.
_MOST_SCORED = 1000


def training_of(
    run: RunDirectory, model: LoadedModel, data_root: Path | None, callbacks: Callbacks
) -> Training:
    """Return how the run of *model* was trained.

    Pictures are left out where the training images cannot be read any more.

    Args:
        run: The run directory.
        model: The model of the report.
        data_root: Where the data are now, if they were moved.
        callbacks: Receive details and progress.

    Raises:
        RunDirectoryError: Files of the run are damaged.
    """
    info, config = run.info(), model.header.config
    data: Mapping[str, Any] = info.get("data", {})
    quiet = replace(callbacks, note=callbacks.detail)  # the test images were noted already
    samples: tuple[Thumbnail, ...] = ()
    strangest: tuple[Thumbnail, ...] = ()
    try:
        training, calibration = reopen_normals(
            open_dataset(model.registry, data_config(run, model, data_root, quiet).data),
            config,
            samples=_SAMPLES,
            most=0 if model.detector.is_tiled else _MOST_SCORED,
            shape=model.detector.shape,
            roi=model.detector.roi,
        )
    except BiganError as error:
        callbacks.detail(f"the report has no pictures of training images: {error}")
    else:
        samples = tuple(_thumbnail(training, i) for i in range(len(training)))
        strangest = _strangest(model, calibration)
    warnings = tuple(member_warnings(model.header))
    tested = read_self_test(run)
    health = "Training shows no sign of collapse, of a saturated discriminator, or of divergence."
    cross_fitted = model.detector.calibration.cross_fitted
    return Training(
        dataset=dataset_name(config, str(data.get("dataset", config.data.dataset))),
        protocol=str(data.get("protocol", "")),
        normal_classes=tuple(data.get("normal_classes", ())),
        image_shape=str(model.detector.shape),
        images=data.get("images", {}),
        architecture=config.model.architecture,
        parameters=info.get("parameters", 0),
        seconds=info.get("seconds", 0.0),
        records=[record for record in run.metrics() if record["member"] == 1],
        chosen_epoch=model.header.members[0].epoch,
        health=sentence("; ".join(warnings)) if warnings else health,
        diagnostics=member_diagnostics(model.header)[0]["values"],
        self_test=None if tested is None else tested.as_dict(),
        samples=samples,
        strangest=strangest,
        strangest_of="training images" if cross_fitted else "calibration images",
        remarks=() if tested is None else _remarks(tested),
    )


def _remarks(tested: SelfTest) -> tuple[str, ...]:
    lines = (tested.verdict(), *tested.shortcomings())
    return tuple(sentence(f"self-test: {text}") for text in lines)


def _strangest(model: LoadedModel, normals: ImageSet) -> tuple[Thumbnail, ...]:
    """Return the normal images with the highest scores, the highest first."""
    if not len(normals):
        return ()
    scores = _scores(model, normals)
    order = np.argsort(-scores, kind="stable")[:_STRANGEST]
    return tuple(_thumbnail(normals, int(i), float(scores[i])) for i in order)


def _scores(model: LoadedModel, normals: ImageSet) -> NDArray[np.float64]:
    """Return the scores of the calibration images, ``[N]``.

    With cross-fitting those by networks that were trained without each image.
    """
    kept = [member.cross_fitted for member in model.detector.members]
    fitted = [each.scores for each in kept if each is not None and len(each.scores) == len(normals)]
    if fitted:
        return np.asarray(np.mean(fitted, axis=0), np.float64)
    return model.detector.score(normals.pixels).score


def _thumbnail(images: ImageSet, index: int, score: float | None = None) -> Thumbnail:
    picture = data_uri(to_rgb(np.asarray(images.pixels[index])), longest=_THUMBNAIL)
    return Thumbnail(picture, Path(images.names[index]).name, score)
