"""Every dataset, architecture and score component there is keeps its contract.

A new one, built in or installed, is tested from the day it is there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bigan_cli.contracts import DataLocation
from bigan_cli.errors import DataError
from bigan_cli.plugins import load_registry
from bigan_cli.testing import architecture_checks, dataset_checks, run, score_component_checks

REGISTRY = load_registry()
# Narrow networks where an architecture offers them; its defaults are tested elsewhere.
NARROW = {"feature_maps_gen": 4, "feature_maps_disc": 4}


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


CHECKS = [
    *(
        pytest.param(check, id=f"{name}-{check.name}")
        for name, provided in REGISTRY.architectures.items()
        for check in architecture_checks(provided.cls, narrow(provided.cls))
    ),
    *(
        pytest.param(check, id=f"{name}-{check.name}")
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
