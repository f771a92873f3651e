"""The conformance kit: checks that a plugin class fulfils its contract.

In the tests of a plugin, one class is enough::

    from bigan_cli.testing import DatasetConformance
    from bigan_frogs import Frogs

    class TestFrogs(DatasetConformance):
        dataset = Frogs

pytest then runs every check as a separate test. Without pytest, :func:`dataset_checks`,
:func:`architecture_checks`, :func:`score_component_checks` and :func:`tracker_checks` return the
same checks;
:func:`run` returns their results, and :func:`assert_conforms` raises an error if one fails.
``bigan plugins check NAME`` prints the results.

pytest is not required, and torch is imported only by the checks of networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bigan_cli.contracts import Architecture, Dataset, ImageShape, ScoreComponent, Tracker
from bigan_cli.testing._checks import (
    Check,
    ContractViolation,
    NotApplicable,
    Result,
    assert_conforms,
    run,
)
from bigan_cli.testing._conformance import (
    ArchitectureConformance,
    DatasetConformance,
    ScoreComponentConformance,
    TrackerConformance,
)

__all__ = [
    "SHAPES",
    "ArchitectureConformance",
    "Check",
    "ContractViolation",
    "DatasetConformance",
    "NotApplicable",
    "Result",
    "ScoreComponentConformance",
    "TrackerConformance",
    "architecture_checks",
    "assert_conforms",
    "dataset_checks",
    "run",
    "score_component_checks",
    "tracker_checks",
]

SHAPES: tuple[ImageShape, ...] = tuple(
    ImageShape(*sides)
    for sides in (
        (1, 8, 8),
        (3, 9, 8),
        (4, 8, 13),
        (1, 16, 16),
        (3, 17, 31),
        (1, 28, 28),
        (4, 32, 32),
        (3, 33, 20),
        (1, 40, 64),
        (3, 64, 64),
        (4, 65, 100),
        (1, 8, 256),
        (3, 128, 127),
        (1, 255, 130),
        (3, 256, 256),
        (4, 256, 256),
    )
)
"""The image shapes an architecture is checked with: 1, 3 and 4 channels, 8x8 to 256x256."""


def dataset_checks(
    cls: type[Dataset],
    options: Mapping[str, Any] | None = None,
    root: Path | None = None,
    *,
    download: bool = False,
) -> list[Check]:
    """Return the checks of a dataset; files are read when they run.

    Args:
        cls: The dataset.
        options: Its options, as in a config file; None for the defaults.
        root: The folder with its files; None for the data cache of this machine.
        download: Whether it may download missing files.
    """
    from bigan_cli.testing._dataset import DatasetKit

    return DatasetKit(cls, options, root, download=download).checks()


def architecture_checks(
    cls: type[Architecture],
    options: Mapping[str, Any] | None = None,
    shapes: Sequence[ImageShape] = SHAPES,
    latent_dim: int = 7,
) -> list[Check]:
    """Return the checks of an architecture.

    Image shapes that it refuses with a ``UsageError`` are skipped; it must support at least one.

    Args:
        cls: The architecture.
        options: Its options, as in a config file; narrow networks are faster.
        shapes: The image shapes to build it for.
        latent_dim: Length of the latent vector.
    """
    from bigan_cli.testing._architecture import ArchitectureKit

    return ArchitectureKit(cls, options, shapes, latent_dim).checks()


def score_component_checks(
    cls: type[ScoreComponent], options: Mapping[str, Any] | None = None
) -> list[Check]:
    """Return the checks of a score component, on small networks with random weights.

    Args:
        cls: The score component.
        options: Its options, as in a config file; None for the defaults.
    """
    from bigan_cli.testing._component import ComponentKit

    return ComponentKit(cls, options).checks()


def tracker_checks(cls: type[Tracker], options: Mapping[str, Any] | None = None) -> list[Check]:
    """Return the checks of a tracker: it is given a training that is interrupted and resumed.

    Args:
        cls: The tracker.
        options: Its options, as in a config file; of one that reports to a server, a local place.
    """
    from bigan_cli.testing._tracker import TrackerKit

    return TrackerKit(cls, options).checks()
