"""What a report says in words: the verdict, and the figures at its top."""

from __future__ import annotations

from dataclasses import dataclass

from bigan_cli.evaluation.metrics import Estimate, Rate
from bigan_cli.formatting import count, one_line
from bigan_cli.report.html.page import Page


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
    if not total or page.images.outlier is not None:
        return rule
    expected = page.fpr * total
    about = f"about {expected:,.0f}" if expected >= 0.95 else "fewer than one"
    return f"{rule} If all {count(total, 'image')} were normal, {about} would be flagged."


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


def sentence(text: str) -> str:
    """Return a remark as a sentence of its own, on one line."""
    return one_line(f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}")


def percent(share: float) -> str:
    """Return a share for a reader: ``"4.2 %"``."""
    return f"{share:.1%}".replace("%", " %")


def interval(estimate: Estimate) -> str:
    """Return a 95 % interval: ``"0.912 to 0.967"``."""
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def _of(rate: Rate) -> str:
    low, high = percent(rate.low), percent(rate.high)
    return f"{rate.count:,} of {rate.total:,}; 95 % interval {low} to {high}"
