"""Evaluation of a trained model on its test images, or on those of another dataset."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bigan_cli.config.load import load_config
from bigan_cli.data.external_test_set import load_external_test_set
from bigan_cli.data.masks import Masks, find_masks
from bigan_cli.data.prepare import TestSet, open_dataset
from bigan_cli.errors import RunDirectoryError, UsageError
from bigan_cli.evaluation import detector_evaluation
from bigan_cli.evaluation.detector_evaluation import Evaluation
from bigan_cli.scoring.calibration import check_fpr
from bigan_cli.scoring.detector import Detector
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.evaluation_files import EvaluationFiles
from bigan_cli.workflows.evaluation_remarks import (
    member_diagnostics,
    member_warnings,
    metric_warnings,
    remarks,
)
from bigan_cli.workflows.evaluation_result import EvaluationResult
from bigan_cli.workflows.model_self_test import find_self_test
from bigan_cli.workflows.models import (
    LoadedModel,
    find_model,
    load_model,
    open_test,
    report_notes,
    run_of,
)
from bigan_cli.workflows.reports.facts import check_report_file
from bigan_cli.workflows.reports.test_images import write_test_report
from bigan_cli.workflows.scored_test import ScoredTest, score_test, with_pixels

_UNTRAINED = "0"
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


def evaluate(
    *,
    run: Path,
    checkpoint: str = "best",
    device: str = "auto",
    plugins: Sequence[Path] = (),
    fpr: float | None = None,
    dataset: str | None = None,
    data_root: Path | None = None,
    inlier: Sequence[int | str] = (),
    outlier: Sequence[int | str] = (),
    sets: Sequence[str] = (),
    seed: int = 0,
    output: Path | None = None,
    report: bool | Path = False,
    callbacks: Callbacks | None = None,
) -> EvaluationResult:
    """Score the test images, compute the metrics, and write both with three figures.

    Where the run may only be read, a warning says so and the result is returned all the same.

    Args:
        run: The run directory.
        checkpoint: ``best``, ``last``, a saved epoch, or the path of a model file.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        plugins: Plugin files to run; those that the model names are not run otherwise.
        fpr: The false-positive rate of the threshold; by default the run's.
        dataset: Another dataset to evaluate on; by default the run's own test images.
        data_root: Where the data are; by default where they were at training.
        inlier: Normal classes of that other dataset.
        outlier: Anomalous classes of that other dataset.
        sets: Further settings of that other dataset, ``data.KEY=VALUE``.
        seed: Seed of the bootstrap confidence intervals.
        output: The folder to write to; by default a folder of the run.
        report: Whether to write an HTML report too, or the file to write it to; by default
            ``report.html`` in the run, or in the folder of the results if that is another.
        callbacks: Receive notes, warnings and progress.

    Raises:
        UsageError: There is no such run, the data are not where they were or do not fit the
            model, there are too few calibration images for *fpr*, or *output* holds files of the
            same names that no evaluation wrote.
        DataError: Images are unreadable.
        OSError: *output* cannot be created.
    """
    callbacks = callbacks or Callbacks()
    _check(fpr, dataset, inlier, outlier, sets)
    if isinstance(report, Path):
        check_report_file(report)
    source = find_model(run, checkpoint)
    directory = run_of(source, run, "pass 'run=DIR'")
    if output is not None:
        EvaluationFiles(directory, output).check_free()
    model = load_model(source.file, device, plugins, callbacks)
    detector = model.detector
    fpr = detector.default_fpr if fpr is None else fpr
    detector.calibration.check(fpr)
    if dataset is None:
        test = open_test(directory, model, data_root, callbacks)
    else:
        test = _external_test(model, dataset, data_root, inlier, outlier, sets, callbacks)
    if output is not None:  # after all that may be wrong with what was asked for
        output.mkdir(parents=True, exist_ok=True)
    masks = find_masks(test.images)
    keep_aspect = model.header.config.data.keep_aspect
    scores = score_test(detector, test, partial(callbacks.on_progress, "scoring"))
    untrained_scores = untrained = None
    before = _untrained(directory, model, test, device, plugins, callbacks)
    if before is not None:
        progress = partial(callbacks.on_progress, "scoring untrained")
        untrained_scores = score_test(before, test, progress)
        untrained = with_pixels(untrained_scores, before, test, masks, keep_aspect=keep_aspect)
    metrics = detector_evaluation.evaluate(
        test.images.outlier,
        test.images.labels,
        test.class_names,
        with_pixels(scores, detector, test, masks, keep_aspect=keep_aspect),
        detector.predict(scores, fpr),
        detector.calibration,
        fpr,
        untrained=untrained,
        seed=seed,
    )
    result = _result(run, source.file, dataset, model, test, masks, metrics)
    if dataset is None:
        tested = find_self_test(directory, model, fpr, data_root, device, plugins, callbacks)
        result = replace(result, self_test=tested)
    folder = output or directory.evaluation_folder(dataset, source.file)
    scored = ScoredTest(model, test, masks, scores, untrained_scores)
    result = _write(result, scored, EvaluationFiles(directory, folder), callbacks, strict=output)
    if not report or result.write_error is not None:
        return result
    file = report if isinstance(report, Path) else directory.report_file(folder)
    directory.claim(file)
    root = data_root if dataset is None else None
    write_test_report(file, directory, result, scored, root, callbacks)
    return replace(result, report=file)


def _write(
    result: EvaluationResult,
    scored: ScoredTest,
    files: EvaluationFiles,
    callbacks: Callbacks,
    *,
    strict: object,
) -> EvaluationResult:
    """Write the files and return the result with their names, or with the error.

    A folder that may not be written to is a warning unless *strict*.
    """
    try:
        files.write(
            result.as_dict(),
            scored.model.detector,
            scored.test,
            scored.scores,
            scored.untrained,
            result.evaluation,
        )
    except OSError as error:
        if strict or error.errno not in _READ_ONLY:
            return replace(result, files=files.existing(), write_error=error)
        callbacks.warn(
            f"the results are not saved: {files.evaluation.parent} cannot be written to "
            f"({error.strerror}); pass 'output=DIR' to save them elsewhere"
        )
        return result
    return replace(result, files=files.existing())


def _check(
    fpr: float | None,
    dataset: str | None,
    inlier: Sequence[int | str],
    outlier: Sequence[int | str],
    sets: Sequence[str],
) -> None:
    if fpr is not None:
        check_fpr(fpr)
    if dataset is None and (inlier or outlier or sets):
        raise UsageError(
            "'data.inlier', 'data.outlier' and further settings are for another dataset",
            "the run's own classes are part of it; name the other dataset with 'data.dataset'",
        )
    for text in sets:
        if not text.startswith("data."):
            raise UsageError(f"the setting {text} does not affect an evaluation", "only data.* do")


def _external_test(
    model: LoadedModel,
    dataset: str,
    data_root: Path | None,
    inlier: Sequence[int | str],
    outlier: Sequence[int | str],
    sets: Sequence[str],
    callbacks: Callbacks,
) -> TestSet:
    """Return the test images of another dataset than the run's."""
    config = load_config(
        sets=sets,
        settings={
            "data.dataset": dataset,
            "data.root": data_root,
            "data.inlier": list(inlier) or None,
            "data.outlier": list(outlier) or None,
        },
        registry=model.registry,
    ).config.data
    test = load_external_test_set(
        open_dataset(model.registry, config),
        config,
        model.detector.shape,
        progress=partial(callbacks.on_progress, "reading images"),
    )
    report_notes(test, callbacks)
    return test


def _mask_warnings(masks: Masks | None, result: Evaluation) -> tuple[str, ...]:
    if masks is None:
        return ()
    if not result.masked_images:
        return ("no component of the model has heatmaps: the masks are not used",)
    return masks.warnings()


def _untrained(
    run: RunDirectory,
    model: LoadedModel,
    test: TestSet,
    device: str,
    plugins: Sequence[Path],
    callbacks: Callbacks,
) -> Detector | None:
    """Return the detector of the untrained networks, if there is an AUROC to compare."""
    outlier = test.images.outlier
    if not outlier.any() or outlier.all() or model.header.epoch == 0:
        return None
    try:
        file = run.model_file(_UNTRAINED)
    except RunDirectoryError:
        callbacks.warn("the untrained network's model file is gone: no comparison with it")
        return None
    return load_model(file, device, plugins, callbacks).detector


def _result(
    run: Path,
    file: Path,
    dataset: str | None,
    model: LoadedModel,
    test: TestSet,
    masks: Masks | None,
    metrics: Evaluation,
) -> EvaluationResult:
    header = model.header
    return EvaluationResult(
        run=run,
        model=file,
        model_sha256=header.sha256,
        epoch=header.epoch,
        dataset=dataset or header.config.data.dataset,
        protocol=test.protocol,
        normal_classes=tuple(test.class_names[k] for k in test.normal_classes),
        outlier_portion=header.config.data.outlier_portion if dataset is None else "all",
        test_fingerprint=test.fingerprint or None,
        device=str(model.device),
        evaluation=metrics,
        diagnostics=tuple(member_diagnostics(header)),
        remarks=tuple(remarks(metrics)),
        warnings=(
            *_mask_warnings(masks, metrics),
            *metric_warnings(metrics),
            *member_warnings(header),
        ),
    )
