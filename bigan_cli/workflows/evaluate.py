"""What ``bigan evaluate`` does: score the test images, compute the figures, write and print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.evaluation import (
    COLUMNS,
    figures_table,
    health_document,
    health_warnings,
    remarks,
    warnings,
)
from bigan_cli.config.load import load_config
from bigan_cli.data.external import load_external_test_set
from bigan_cli.data.masks import Masks, load_masks
from bigan_cli.data.prepare import TestSet, open_dataset
from bigan_cli.errors import GateFailed, RunDirectoryError, UsageError
from bigan_cli.evaluation.evaluation import Evaluation, PixelScores, TestScores, evaluate
from bigan_cli.scoring.detector import Detector, Scores
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.evaluation_files import Files, write_all
from bigan_cli.workflows.models import (
    Model,
    find_model,
    load_model,
    open_test,
    progress_bar,
    show_notes,
)

_UNTRAINED = "0"
# Images scored between two moves of the progress bar; a multiple of any batch worth using.
_CHUNK = 1024


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line.

    Attributes:
        run: The run directory.
        checkpoint: Which model of it, or a model file.
        device: Name of the device.
        plugins: Plugin files to load.
        fpr: The false-positive rate, or None for the run's.
        dataset: Another data set to evaluate on, or None for the run's own test images.
        data_root: Where the data lie, or None for where they lay.
        inlier: Normal classes of that other data set.
        outlier: Anomalous classes of that other data set.
        sets: More about that data set, ``data.KEY=VALUE``.
        seed: Of the bootstrap.
        min_auroc: The AUROC below which the command fails.
        as_json: Whether standard output gets JSON.
    """

    run: Path
    checkpoint: str
    device: str
    plugins: Sequence[Path]
    fpr: float | None
    dataset: str | None
    data_root: Path | None
    inlier: Sequence[int | str]
    outlier: Sequence[int | str]
    sets: Sequence[str]
    seed: int
    min_auroc: float | None
    as_json: bool


def run_evaluation(terminal: Terminal, request: Request) -> None:
    """Evaluate the model that *request* names.

    Raises:
        UsageError: There is no such run, or the data do not fit the model.
        DataError: Images are missing, or there are too few normals for the rate.
        GateFailed: The AUROC is below the wanted one, or cannot be known.
    """
    _check(request)
    source = find_model(request.run, request.checkpoint)
    if source.run is None:
        raise RunDirectoryError(
            f"no run in {request.run} (run.json missing)",
            "a model file alone does not know its test images: pass --run DIR",
        )
    model = load_model(terminal, source.file, request.device, request.plugins)
    fpr = model.detector.default_fpr if request.fpr is None else request.fpr
    model.detector.calibration.check(fpr)
    test = _test_images(terminal, source.run, model, request)
    masks = load_masks(test.images)
    scores = _score(terminal, model.detector, test, "scoring")
    untrained = compared = None
    before = _untrained(terminal, source.run, model, test, request)
    if before is not None:
        untrained = _score(terminal, before, test, "scoring untrained")
        compared = _with_pixels(untrained, before, test, masks)
    result = evaluate(
        test.images.outlier,
        test.images.labels,
        test.class_names,
        _with_pixels(scores, model.detector, test, masks),
        model.detector.calibration,
        fpr,
        untrained=compared,
        seed=request.seed,
    )
    folder = source.run.evaluation_folder(request.dataset, source.file)
    files = Files.of(source.run, folder)
    document = _document(source.file, model, test, request, result)
    write_all(files, document, model.detector, test, scores, untrained, result)
    if request.as_json:
        terminal.json(document)
    else:
        terminal.table(COLUMNS, figures_table(result))
    for text in remarks(result):
        terminal.note(text)
    for text in (*_mask_warnings(masks, result), *warnings(result), *health_warnings(model.header)):
        terminal.warn(text)
    terminal.note(f"written to {folder}: {', '.join(files.present())}")
    _gate(request.min_auroc, result)


def _check(request: Request) -> None:
    if request.fpr is not None and not 0 < request.fpr < 1:
        raise UsageError(f"--fpr {request.fpr:g} does not lie between 0 and 1")
    if request.min_auroc is not None and not 0 <= request.min_auroc <= 1:
        raise UsageError(f"--min-auroc {request.min_auroc:g} does not lie between 0 and 1")
    if request.dataset is None and (request.inlier or request.outlier or request.sets):
        raise UsageError(
            "--inlier, --outlier and --set are for another data set",
            "the run's own classes are part of it; name the other data set with --dataset",
        )
    for text in request.sets:
        if not text.startswith("data."):
            raise UsageError(f"--set {text} has no bearing on an evaluation", "only data.* has")


def _test_images(terminal: Terminal, run: RunDirectory, model: Model, request: Request) -> TestSet:
    """Return the run's own test images, or those of the data set asked for."""
    if request.dataset is None:
        return open_test(terminal, run, model, request.data_root)
    config = load_config(
        sets=request.sets,
        settings={
            "data.dataset": request.dataset,
            "data.root": request.data_root,
            "data.inlier": list(request.inlier) or None,
            "data.outlier": list(request.outlier) or None,
        },
        registry=model.registry,
    ).config.data
    dataset = open_dataset(model.registry, config)
    with progress_bar(terminal, "reading images") as advance:
        test = load_external_test_set(dataset, config, model.detector.shape, progress=advance)
    show_notes(terminal, test)
    return test


def _score(terminal: Terminal, detector: Detector, test: TestSet, what: str) -> Scores:
    pixels = test.images.pixels
    chunk = max(_CHUNK // detector.batch_size, 1) * detector.batch_size
    parts: list[Scores] = []
    with progress_bar(terminal, what) as advance:
        for start in range(0, max(len(pixels), 1), chunk):
            parts.append(detector.score(pixels[start : start + chunk]))
            advance(min(start + chunk, len(pixels)), len(pixels))
    return Scores(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.p_value for part in parts]),
        {
            name: np.concatenate([part.components[name] for part in parts])
            for name in detector.component_names
        },
        np.concatenate([part.members for part in parts], axis=1),
    )


def _with_pixels(
    scores: Scores, detector: Detector, test: TestSet, masks: Masks | None
) -> TestScores:
    """Return *scores* with the heatmaps of the images whose pixels are known, if there are any."""
    heatmaps = None if masks is None else detector.heatmaps(test.images.pixels[masks.index])
    if masks is None or heatmaps is None:
        return TestScores(scores.score, scores.components, members=scores.members)
    pixels = PixelScores(masks.anomalous, heatmaps)
    return TestScores(scores.score, scores.components, pixels, scores.members)


def _mask_warnings(masks: Masks | None, result: Evaluation) -> tuple[str, ...]:
    if masks is None:
        return ()
    if not result.masked_images:
        return ("no component of the model draws maps: the masks are not used",)
    return masks.warnings()


def _untrained(
    terminal: Terminal, run: RunDirectory, model: Model, test: TestSet, request: Request
) -> Detector | None:
    """Return the detector of the same networks before training, where there is use for it."""
    outlier = test.images.outlier
    if not outlier.any() or outlier.all() or model.header.epoch == 0:
        return None
    try:
        file = run.model_file(_UNTRAINED)
    except RunDirectoryError:
        terminal.warn("the untrained network's model file is gone: no comparison with it")
        return None
    return load_model(terminal, file, request.device, request.plugins).detector


def _document(
    file: Path, model: Model, test: TestSet, request: Request, result: Evaluation
) -> dict[str, Any]:
    header = model.header
    return {
        "run": str(request.run),
        "model": str(file),
        "epoch": header.epoch,
        "dataset": request.dataset or header.config.data.dataset,
        "protocol": test.protocol,
        "normal_classes": [test.class_names[k] for k in test.normal_classes],
        "outlier_portion": header.config.data.outlier_portion if request.dataset is None else "all",
        "test_fingerprint": test.fingerprint or None,
        "device": str(model.device),
        **result.as_dict(),
        "health": health_document(model.header),
    }


def _gate(min_auroc: float | None, result: Evaluation) -> None:
    if min_auroc is None:
        return
    area = result.trained.auroc
    if area is None:
        raise GateFailed(
            f"--min-auroc {min_auroc:g}: AUROC cannot be known without both normals and anomalies"
        )
    if area.value < min_auroc:
        raise GateFailed(f"AUROC {area.value:.4f} is below --min-auroc {min_auroc:g}")
