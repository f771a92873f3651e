"""What a report says in words: the verdict, and the figures at its top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bigan_cli.evaluation.metrics import Estimate, Rate
from bigan_cli.formatting import count, one_line
from bigan_cli.report.html.page import Page
from bigan_cli.report.html.thresholds import RateRow

_PURPOSES = {
    "train": "to train the networks",
    "validation": "to choose the epoch",
    "calibration": "to set the threshold",
    "test": "to test, never seen",
}


@dataclass(frozen=True)
class Figure:
    """A number at the top of the page, with its unit or origin below it."""

    label: str
    value: str
    note: str


def verdict(page: Page) -> str:
    """Return the outcome in one sentence."""
    images, flagged = page.images, int(page.images.anomalous.sum())
    if not len(images):
        return "The detector is calibrated, and there are no images to test it with."
    if images.outlier is None:
        verb = "is" if flagged == 1 else "are"
        return f"{flagged:,} of {count(len(images), 'image')} {verb} flagged as anomalous."
    anomalies = int(images.outlier.sum())
    normals = len(images) - anomalies
    found = int((images.anomalous & images.outlier).sum())
    wrong = flagged - found
    kind = count(normals, "normal image")
    mistakes = f"{wrong:,} of {kind} {'is' if wrong == 1 else 'are'} flagged by mistake"
    if not anomalies:
        return f"{mistakes}; there are no anomalies to test with."
    finds = f"{found:,} of {count(anomalies, 'anomaly', 'anomalies')} "
    finds += "is found" if found == 1 else "are found"
    return f"{finds}, and {mistakes}." if normals else f"{finds}."


def explanation(page: Page) -> str:
    """Return what the verdict means, in one or two sentences."""
    total = len(page.images)
    if page.fpr is None:
        return (
            f"An image is flagged if its score exceeds {page.threshold:.4g}, a threshold that was "
            "given by hand."
        )
    rule = (
        f"The threshold is set for a false-positive rate of {page.fpr:g} on "
        f"{count(page.calibration.n, 'normal calibration image')}."
    )
    if not total:
        return rule
    if page.images.outlier is not None:
        flagged = int(page.images.anomalous.sum())
        verb = "is" if flagged == 1 else "are"
        return f"In all, {flagged:,} of {count(total, 'image')} {verb} flagged. {rule}"
    expected = page.fpr * total
    about = f"{expected:,.0f}" if expected >= 10 else f"{expected:.2g}"
    chance = f"about {about} of them would be expected to be flagged by chance"
    return f"{rule} If all {count(total, 'image')} were normal, {chance}."


def figures(page: Page) -> list[Figure]:
    """Return the few numbers that matter most."""
    images, point = page.images, page.operating_point
    found = []
    if page.quality is not None and page.quality.trained.auroc is not None:
        area = page.quality.trained.auroc
        found.append(Figure("AUROC", f"{area.value:.3f}", f"95 % interval {interval(area)}"))
    if point is not None:
        for label, rate in (
            ("Recall", point.observed_tpr),
            ("False-positive rate", point.observed_fpr),
            ("Precision", point.precision),
        ):
            if rate is not None:
                found.append(Figure(label, percent(rate.value), _of(rate)))
    else:
        found.append(Figure("Flagged", f"{int(images.anomalous.sum()):,}", f"of {len(images):,}"))
        if page.skipped:
            found.append(Figure("Unreadable", f"{page.skipped:,}", "not scored"))
    quality = page.quality
    if quality is not None and quality.trained.pixel_auroc is not None:
        note = f"pixels of {count(quality.masked_images, 'image')} with masks"
        found.append(Figure("Pixel AUROC", f"{quality.trained.pixel_auroc:.3f}", note))
    rule = "given by hand" if page.fpr is None else f"for a false-positive rate of {page.fpr:g}"
    found.append(Figure("Threshold", f"{page.threshold:.4g}", rule))
    return found


def split(page: Page) -> list[Figure]:
    """Return the number of images in each set, and what they were used for."""
    assert page.training is not None  # noqa: S101  the section is of a run
    found = [
        Figure(part, f"{number:,}", _PURPOSES.get(part, ""))
        for part, number in page.training.images.items()
    ]
    if page.calibration.cross_fitted:
        note = "the training images again, each scored by networks that were trained without it"
        place = min(1, len(found))
        found.insert(place, Figure("calibration", f"{page.calibration.n:,}", note))
    return found


def health(page: Page) -> list[str]:
    """Return what the diagnostics, the self-test and the untrained networks say of training."""
    assert page.training is not None  # noqa: S101  the section is of a run
    found = [page.training.health, *page.training.remarks]
    quality = page.quality
    if quality is not None and quality.gain is not None and quality.gain.low <= 0:
        gain = quality.gain
        found.append(
            "The trained networks are not clearly better than untrained ones on these test images: "
            f"training changed the AUROC by {gain.value:+z.3f} (95 % interval {gain.low:+z.3f} to "
            f"{gain.high:+z.3f})."
        )
    return [text for text in found if text]


def p_value_note(page: Page) -> str:
    """Return what a p-value is, and why none is smaller than the smallest."""
    n = page.calibration.n
    return (
        "The p-value says how rare such a score is among normal images: it is (1 + number of "
        "calibration images with this score or a higher one) / (1 + number of calibration images). "
        f"With {count(n, 'calibration image')} the smallest possible is 1/{n + 1:,} = "
        f"{1 / (n + 1):.3g}, which every image has whose score is higher than all of theirs."
    )


def smallest_rate(page: Page, rows: Sequence[RateRow]) -> str:
    """Return why the smallest rates are not possible, and what to do; empty if all are."""
    missing = [row for row in rows if row.stop is None]
    if not missing:
        return ""
    n, row = page.calibration.n, missing[0]
    return (
        f"A false-positive rate of {row.fpr:g} is one false alarm in {1 / row.fpr:,.0f} normal "
        f"images. To set a threshold for it takes the scores of at least {row.needed:,} normal "
        f"images; this model was calibrated with {n:,}, enough for one false alarm in {n + 1:,} at "
        "best. For a smaller rate, train again with more normal images, or "
        "keep the networks and set the threshold anew with normal images that they were not "
        "trained on (bigan recalibrate)."
    )


def sentence(text: str) -> str:
    """Return a remark as a sentence of its own, on one line."""
    return one_line(f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}")


def percent(share: float) -> str:
    """Return a share for a reader: ``"4.2 %"``, with a space that breaks no line."""
    return f"{share:.1%}".replace("%", "\N{NO-BREAK SPACE}%")


def interval(estimate: Estimate) -> str:
    """Return a 95 % interval: ``"0.912 to 0.967"``."""
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def _of(rate: Rate) -> str:
    low, high = percent(rate.low), percent(rate.high)
    return f"{rate.count:,} of {rate.total:,}; 95 % interval {low} to {high}"
