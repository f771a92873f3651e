"""The conformance kit: whether a dataset, architecture or score component keeps its contract.

For the tests of a plugin's author, one class is enough::

    from bigan_cli.testing import DatasetConformance
    from bigan_frogs import Frogs

    class TestFrogs(DatasetConformance):
        dataset = Frogs

pytest then runs every check as a test of its own. Without pytest the same checks come from
:func:`dataset_checks`, :func:`architecture_checks` and :func:`score_component_checks`; hand them
to :func:`run` for a list of results, or to :func:`assert_conforms`. ``bigan plugins check NAME``
prints them.

Nothing here needs pytest, and torch is imported only by what looks at networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bigan_cli.contracts import Architecture, Dataset, ImageShape, ScoreComponent
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
    "architecture_checks",
    "assert_conforms",
    "dataset_checks",
    "run",
    "score_component_checks",
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
"""What an architecture is built for: grey, RGB and RGBA, from 8x8 to 256x256, odd and oblong."""


def dataset_checks(
    cls: type[Dataset],
    options: Mapping[str, Any] | None = None,
    root: Path | None = None,
    *,
    download: bool = False,
) -> list[Check]:
    """Return the checks of a dataset; nothing is read before they are run.

    Args:
        cls: The dataset.
        options: Its options, as a config file would give them; its defaults where None.
        root: The folder with its files; the data cache of this machine where None.
        download: Whether it may fetch files that are missing.
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

    An image shape that it refuses with a ``UsageError`` is passed over; one at least must do.

    Args:
        cls: The architecture.
        options: Its options, as a config file would give them; narrow networks are checked faster.
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
        options: Its options, as a config file would give them; its defaults where None.
    """
    from bigan_cli.testing._component import ComponentKit

    return ComponentKit(cls, options).checks()
