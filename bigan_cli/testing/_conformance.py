"""The kit as test classes: a subclass names a plugin class, and pytest runs every check.

pytest calls ``pytest_generate_tests`` of a test class, so pytest is not imported here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bigan_cli.contracts import Architecture, Dataset, ImageShape, ScoreComponent, Tracker
from bigan_cli.testing._checks import Check


class _Conformance(ABC):
    """One test for each check of :meth:`conformance_checks`."""

    options: ClassVar[Mapping[str, Any] | None] = None

    @classmethod
    @abstractmethod
    def conformance_checks(cls) -> list[Check]:
        """Return the checks to run."""

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Generate a test for each check."""
        if "conformance_check" in metafunc.fixturenames:
            checks = self.conformance_checks()
            metafunc.parametrize("conformance_check", checks, ids=[check.name for check in checks])

    def test_conforms(self, conformance_check: Check) -> None:
        """The requirement of the check is met."""
        conformance_check.call()


class DatasetConformance(_Conformance):
    """The conformance tests of a dataset.

    Class attributes:
        dataset: The dataset.
        options: Its options, as in a config file; None for the defaults.
        root: The folder with its files; None for the data cache of this machine.
        download: Whether it may download missing files.
    """

    dataset: ClassVar[type[Dataset]]
    root: ClassVar[Path | None] = None
    download: ClassVar[bool] = False

    @classmethod
    def conformance_checks(cls) -> list[Check]:
        """Return the checks of :func:`bigan_cli.testing.dataset_checks`."""
        from bigan_cli.testing import dataset_checks

        return dataset_checks(cls.dataset, cls.options, cls.root, download=cls.download)


class ArchitectureConformance(_Conformance):
    """The conformance tests of an architecture.

    Class attributes:
        architecture: The architecture.
        options: Its options, as in a config file; narrow networks are faster.
        shapes: The image shapes to build it for; :data:`bigan_cli.testing.SHAPES` by default.
        latent_dim: Length of the latent vector.
    """

    architecture: ClassVar[type[Architecture]]
    shapes: ClassVar[Sequence[ImageShape] | None] = None
    latent_dim: ClassVar[int] = 7

    @classmethod
    def conformance_checks(cls) -> list[Check]:
        """Return the checks of :func:`bigan_cli.testing.architecture_checks`."""
        from bigan_cli.testing import SHAPES, architecture_checks

        shapes = SHAPES if cls.shapes is None else cls.shapes
        return architecture_checks(cls.architecture, cls.options, shapes, cls.latent_dim)


class ScoreComponentConformance(_Conformance):
    """The conformance tests of a score component.

    Class attributes:
        component: The score component.
        options: Its options, as in a config file; None for the defaults.
    """

    component: ClassVar[type[ScoreComponent]]

    @classmethod
    def conformance_checks(cls) -> list[Check]:
        """Return the checks of :func:`bigan_cli.testing.score_component_checks`."""
        from bigan_cli.testing import score_component_checks

        return score_component_checks(cls.component, cls.options)


class TrackerConformance(_Conformance):
    """The conformance tests of a tracker.

    Class attributes:
        tracker: The tracker.
        options: Its options, as in a config file; of one that reports to a server, a local place.
    """

    tracker: ClassVar[type[Tracker]]

    @classmethod
    def conformance_checks(cls) -> list[Check]:
        """Return the checks of :func:`bigan_cli.testing.tracker_checks`."""
        from bigan_cli.testing import tracker_checks

        return tracker_checks(cls.tracker, cls.options)
