"""The HTML page of a comparison: scores per class, and pictures of what the runs disagree on."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import BiganError
from bigan_cli.evaluation.metrics import Rate, auroc
from bigan_cli.report.drawing import to_rgb
from bigan_cli.report.html.comparison import (
    ComparisonPage,
    DifferingImage,
    Pairing,
    RunScores,
    write_comparison,
)
from bigan_cli.report.html.pictures import data_uri
from bigan_cli.storage.evaluation_record import EvaluatedImages
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.compare import Comparison
from bigan_cli.workflows.models import load_model, open_test
from bigan_cli.workflows.reports.facts import now, training_command

# Pictures of a group, and their longest side.
_MOST_PICTURES, _SIDE = 24, 160

_Picture = Callable[[int], str]


def write_comparison_page(
    file: Path,
    result: Comparison,
    images: Sequence[EvaluatedImages],
    *,
    data_root: Path | None,
    plugins: Sequence[Path],
    callbacks: Callbacks,
) -> None:
    """Write the page of a comparison, whole or not at all.

    Images that cannot be read any more have no picture, with a warning.

    Args:
        file: The HTML file.
        result: The comparison.
        images: The scores of each run.
        data_root: Where the data are now, if they were moved.
        plugins: Plugin files to run, to read the images.
        callbacks: Receive warnings and progress.

    Raises:
        OSError: The file cannot be written.
    """
    outlier = images[0].outlier
    classes = _classes(images[0])
    names = _short_names([run.run for run in result.runs])
    runs = tuple(
        RunScores(
            name=name,
            fpr=run.fpr,
            threshold=run.threshold,
            auroc=run.auroc,
            false_positives=_known(run.false_positives),
            true_positives=_known(run.true_positives),
            difference=run.difference,
            score=scored.score,
            anomalous=scored.anomalous,
            class_auroc=tuple(
                _class_auroc(images[0], scored.score, label, anomalous)
                for label, anomalous, _ in classes
            ),
        )
        for name, run, scored in zip(names, result.runs, images, strict=True)
    )
    picture = _pictures(result.runs[0].run, data_root, plugins, callbacks)
    page = ComparisonPage(
        title=f"{', '.join(names[1:])} compared with {names[0]}",
        created=now(),
        runs=runs,
        pairings=tuple(_pairing(images[0], runs[0], other, picture) for other in runs[1:]),
        outlier=outlier,
        names=images[0].names,
        classes=classes,
        seed=result.seed,
        commands=_commands(file, result),
    )
    write_comparison(file, page)


def _known(value: Rate | None) -> Rate:
    assert value is not None  # noqa: S101  both kinds of images are there
    return value


def _short_names(runs: Sequence[Path]) -> list[str]:
    """Return the names of the folders, or more of their paths where these are the same."""
    paths = [run.resolve() for run in runs]
    depth = next(d for d in range(1, 99) if len({path.parts[-d:] for path in paths}) == len(paths))
    return ["/".join(path.parts[-depth:]) for path in paths]


def _classes(images: EvaluatedImages) -> tuple[tuple[str, bool, int], ...]:
    """Return name, kind and number of images of each class, the normal ones first."""
    labels = np.array(images.classes)
    kinds = sorted({*zip(images.outlier.tolist(), images.classes, strict=True)})
    return tuple(
        (label, outlier, int(((labels == label) & (images.outlier == outlier)).sum()))
        for outlier, label in kinds
    )


def _class_auroc(
    images: EvaluatedImages, score: NDArray[np.float64], label: str, outlier: bool
) -> float | None:
    """Return the AUROC of a class against all images of the other kind."""
    own = (np.array(images.classes) == label) & (images.outlier == outlier)
    chosen = own | (images.outlier != outlier)
    return auroc(images.outlier[chosen], score[chosen])


def _pairing(
    images: EvaluatedImages, first: RunScores, other: RunScores, picture: _Picture
) -> Pairing:
    right = other.anomalous == images.outlier
    first_right = first.anomalous == images.outlier
    groups = [np.flatnonzero(right & ~first_right), np.flatnonzero(first_right & ~right)]
    # Scores of two runs have different units; their ranks do not.
    moved = np.abs(_ranks(first.score) - _ranks(other.score))
    shown = [
        tuple(
            DifferingImage(
                name=images.names[i],
                label=images.classes[i],
                outlier=bool(images.outlier[i]),
                scores=(float(first.score[i]), float(other.score[i])),
                picture=picture(i),
            )
            for i in group[np.argsort(-moved[group], kind="stable")][:_MOST_PICTURES].tolist()
        )
        for group in groups
    ]
    return Pairing(other, shown[0], shown[1], len(groups[0]), len(groups[1]))


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.argsort(np.argsort(scores, kind="stable"), kind="stable")


def _pictures(
    path: Path, data_root: Path | None, plugins: Sequence[Path], callbacks: Callbacks
) -> _Picture:
    """Return a function from the number of a test image to its picture."""
    run = RunDirectory.open(path)
    try:
        model = load_model(run.best_model, "cpu", plugins, callbacks)
        pixels = open_test(run, model, data_root, callbacks).images.pixels
    except BiganError as error:
        callbacks.warn(f"the page has no pictures: {error.message}")
        return lambda _index: ""

    def picture(index: int) -> str:
        return data_uri(to_rgb(np.asarray(pixels[index])), longest=_SIDE)

    return picture


def _commands(file: Path, result: Comparison) -> tuple[tuple[str, str], ...]:
    runs = [str(run.run) for run in result.runs]
    seed = ["--seed", str(result.seed)] if result.seed else []
    words = ["bigan", "compare", *runs, *seed, "--output", str(file)]
    trained = [(run, training_command(RunDirectory.open(run.run))) for run in result.runs]
    return (
        ("Compare the runs and write this page", shlex.join(words)),
        *((f"{run.run}: {made.purpose.lower()}", made.line) for run, made in trained),
    )
