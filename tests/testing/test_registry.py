"""Every dataset, architecture and score component there is keeps its contract.

A new one, built in or installed, is tested from the day it is there: in two small image shapes,
and among the slow tests in all of the kit's.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bigan_cli.contracts import DataLocation, ImageShape
from bigan_cli.errors import DataError
from bigan_cli.plugins import load_registry
from bigan_cli.testing import (
    SHAPES,
    architecture_checks,
    dataset_checks,
    run,
    score_component_checks,
)

REGISTRY = load_registry()
# Narrow networks where an architecture offers them; its defaults are tested elsewhere.
NARROW = {"feature_maps_gen": 4, "feature_maps_disc": 4}
# A pretrained backbone takes no image as small as the first.
SMALL_SHAPES = (ImageShape(3, 9, 8), ImageShape(1, 40, 36))


def narrow(cls):
    return {name: value for name, value in NARROW.items() if name in cls.Options.model_fields}


def where_it_is(cls):
    """Return the folder of the real datasets where this one is in it."""
    folder = os.environ.get("BIGAN_DATA_DIR")
    if not folder or cls.class_names is None:  # one that takes any folder would read it all
        return None
    try:
        cls(cls.Options(), DataLocation(Path(folder))).train_items()
    except DataError:
        return None
    return Path(folder)


def parameter(prefix, check, *, slow=False):
    # Whether a module imports late is tried in a process of its own, which takes a while.
    slow = slow or check.name == "imports_late"
    marks = [pytest.mark.slow] if slow else []
    return pytest.param(check, id=f"{prefix}-{check.name}", marks=marks)


CHECKS = [
    *(
        parameter(f"{name}{suffix}", check, slow=shapes is SHAPES)
        for name, provided in REGISTRY.architectures.items()
        for suffix, shapes in (("", SMALL_SHAPES), ("-all-shapes", SHAPES))
        for check in architecture_checks(provided.cls, narrow(provided.cls), shapes)
    ),
    *(
        parameter(name, check)
        for name, provided in REGISTRY.components.items()
        for check in score_component_checks(provided.cls)
    ),
]


@pytest.mark.parametrize("check", CHECKS)
def test_networks_and_scores_keep_their_contract(check):
    check.call()


@pytest.mark.parametrize("name", REGISTRY.datasets)
def test_data_sets_keep_their_contract(name):
    cls = REGISTRY.datasets[name].cls
    results = run(dataset_checks(cls, root=where_it_is(cls)))
    assert not [result for result in results if result.status == "failed"]
    assert {"is_accepted", "options_are_strict", "missing_files_are_reported"} <= {
        result.name for result in results if result.status == "passed"
    }
