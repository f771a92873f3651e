from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.config.schema import DataConfig
from bigan_cli.data.splits import Labels, Splits, make_splits, part_sizes
from bigan_cli.errors import DataError, UsageError


def labels(
    train: list[int], test: list[int], normal: tuple[int, ...] | None = None, classes: int = 0
) -> Labels:
    """Labels with so many images of each class, mixed."""
    rng = np.random.default_rng(3)
    count = classes or max(len(train), len(test))
    return Labels(
        rng.permutation(np.repeat(np.arange(len(train)), train)),
        rng.permutation(np.repeat(np.arange(len(test)), test)),
        [f"kind {k}" for k in range(count)],
        normal,
        "toys",
    )


def split(of: Labels, seed: int = 0, **config: Any) -> Splits:
    return make_splits(of, DataConfig(**config), seed)


def pool(of: Labels) -> np.ndarray:
    return np.concatenate([of.train, of.test])


def check_disjoint(splits: Splits) -> None:
    parts = [splits.train, splits.validation, splits.calibration, splits.test]
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together)
    assert all(np.array_equal(part, np.sort(part)) for part in parts)


sizes = st.lists(st.integers(20, 120), min_size=2, max_size=5)


@given(
    sizes,
    st.integers(0, 2**31 - 1),
    st.sampled_from(["one-class", "leave-one-out", "folder"]),
    st.one_of(st.just("all"), st.floats(0.01, 0.99)),
    st.booleans(),
)
def test_sets_never_meet_and_hold_what_they_should(
    of_each: list[int], seed: int, protocol: str, portion: float | str, own_test: bool
) -> None:
    of = labels(of_each, of_each if own_test else [], normal=(0,))
    chosen = {"one-class": {"inlier": (0,)}, "leave-one-out": {"outlier": (1,)}, "folder": {}}
    splits = split(of, seed, outlier_portion=portion, **chosen[protocol])
    classes = pool(of)
    check_disjoint(splits)
    assert splits.protocol == protocol
    for part in (splits.train, splits.validation, splits.calibration):
        assert np.isin(classes[part], splits.normal_classes).all()
        assert len(part)
    if own_test and protocol != "leave-one-out":
        assert (splits.test >= len(of.train)).all()
        assert (splits.train < len(of.train)).all()
    again = split(of, seed, outlier_portion=portion, **chosen[protocol])
    for one, other in zip(vars(splits).values(), vars(again).values(), strict=True):
        assert np.array_equal(one, other)


@given(
    st.integers(1, 500),
    st.lists(st.integers(1, 200), min_size=1, max_size=5),
    st.floats(0.001, 0.999),
    st.integers(0, 100),
)
def test_outlier_portion_is_honoured_to_within_one_image(
    normals: int, outliers: list[int], portion: float, seed: int
) -> None:
    of = labels([30], [normals, *outliers])
    splits = split(of, seed, outlier_portion=portion)
    classes = pool(of)[splits.test]
    anomalous = Counter(classes[classes != 0].tolist())
    assert abs(anomalous.total() - portion * len(classes)) < 1
    # Stratified: each class gives its share, to within one image.
    for k, of_class in enumerate(outliers, start=1):
        share = anomalous.total() * of_class / sum(outliers)
        assert abs(anomalous[k] - share) < 1
    reduced = np.count_nonzero(classes == 0) < normals
    assert bool(splits.notes) == reduced
    if reduced:
        assert anomalous.total() == sum(outliers)


def test_the_largest_remainders_are_rounded_up() -> None:
    of = labels([30], [81, 80, 10, 10])
    classes = pool(of)[split(of, outlier_portion=0.1).test]
    assert np.bincount(classes).tolist() == [81, 7, 1, 1]  # of 7.2, 0.9 and 0.9


def test_all_keeps_the_whole_test_split() -> None:
    of = labels([50, 50, 50], [10, 20, 30])
    splits = split(of, inlier=(1,))
    assert splits.test.tolist() == list(range(150, 210))


def test_portion_changes_neither_training_nor_the_normals_of_the_test() -> None:
    of = labels([100, 100], [50, 50])
    whole, tenth = split(of), split(of, outlier_portion=0.1)
    assert np.array_equal(whole.train, tenth.train)
    assert np.array_equal(whole.calibration, tenth.calibration)
    assert np.isin(tenth.test, whole.test).all()


def test_seed_decides() -> None:
    of = labels([100, 100], [50, 50])
    one, two = split(of, 1, outlier_portion=0.2), split(of, 2, outlier_portion=0.2)
    assert not np.array_equal(one.train, two.train)
    assert not np.array_equal(one.test, two.test)


def test_global_random_state_plays_no_part() -> None:
    of = labels([100, 100], [50, 50])
    np.random.seed(1)  # noqa: NPY002 - the very state that must not matter
    one = split(of)
    np.random.seed(2)  # noqa: NPY002
    assert np.array_equal(one.train, split(of).train)


def test_leave_one_out_holds_out_a_fifth_of_the_normals_of_both_splits() -> None:
    of = labels([80, 90, 100], [20, 10, 50])
    splits = split(of, outlier=(1,))
    classes = pool(of)
    normal_tests = np.flatnonzero(classes[splits.test] != 1)
    assert len(normal_tests) == 50
    assert np.count_nonzero(classes[splits.test] == 1) == 100
    assert len(splits.train) + len(splits.validation) + len(splits.calibration) == 200
    assert splits.normal_classes == (0, 2)
    assert (splits.train >= 270).any()


def test_leave_several_out() -> None:
    splits = split(labels([50, 50, 50], [10, 10, 10]), outlier=(0, "kind 2"))
    assert splits.normal_classes == (1,)


def test_data_set_without_a_test_split_holds_out_a_fifth_of_the_normals() -> None:
    of = labels([100, 30], [], normal=(0,))
    splits = split(of)
    classes = pool(of)[splits.test]
    assert splits.protocol == "folder"
    assert Counter(classes.tolist()) == {0: 20, 1: 30}


def test_all_normal_folder_has_an_empty_test_set() -> None:
    splits = split(labels([100], [], normal=(0,)))
    assert splits.protocol == "folder"
    assert len(splits.test) == 0
    assert len(splits.train) + len(splits.validation) + len(splits.calibration) == 100


def test_defects_in_the_train_split_are_left_aside() -> None:
    of = labels([100, 30], [20, 20], normal=(0,))
    splits = split(of)
    used = np.concatenate([splits.train, splits.validation, splits.calibration])
    assert (pool(of)[used] == 0).all()
    assert splits.test.tolist() == list(range(130, 170))


@pytest.mark.parametrize(
    ("normals", "expected"),
    [
        (10_000, (8_000, 1_000, 1_000)),
        (5_923, (4_739, 592, 592)),
        (1_000, (800, 100, 100)),
        (400, (250, 50, 100)),
        (200, (120, 30, 50)),
        (144, (87, 21, 36)),
        (20, (12, 3, 5)),
        (100_000, (90_000, 5_000, 5_000)),
    ],
)
def test_sizes_of_the_parts(normals: int, expected: tuple[int, int, int]) -> None:
    assert part_sizes(normals, DataConfig()) == expected


@given(st.integers(0, 200_000), st.floats(0.001, 0.499), st.floats(0.001, 0.499))
def test_parts_add_up_and_are_never_empty(n: int, validation: float, calibration: float) -> None:
    config = DataConfig(validation_portion=validation, calibration_portion=calibration)
    fit, v, c = part_sizes(n, config)
    assert fit + v + c == n
    assert 1 <= v <= 5_000
    assert 1 <= c <= 5_000


def test_fewest_normals_that_will_do_are_what_the_message_says() -> None:
    with pytest.raises(DataError, match="too few normal images to train on: 3 of kind 0") as caught:
        split(labels([3], [], normal=(0,)))
    needed = int(caught.value.message.split("at least ")[1].split()[0])
    split(labels([needed], [], normal=(0,)))
    with pytest.raises(DataError):
        split(labels([needed - 1], [], normal=(0,)))


def test_class_without_training_images_is_refused() -> None:
    with pytest.raises(DataError, match="0 of kind 1"):
        split(labels([50], [10, 10]), inlier=(1,))


@pytest.mark.parametrize(
    ("config", "normal", "expected"),
    [
        ({}, None, ("one-class", (0,))),
        ({}, (1,), ("folder", (1,))),
        ({"inlier": (2,)}, (1,), ("one-class", (2,))),
        ({"inlier": (2, 1, "kind 1")}, None, ("one-class", (1, 2))),
        ({"outlier": (2,)}, (1,), ("leave-one-out", (0, 1))),
        ({"protocol": "folder", "inlier": (2,)}, None, ("folder", (2,))),
        ({"protocol": "folder"}, (1,), ("folder", (1,))),
        ({"protocol": "one-class"}, (1,), ("one-class", (0,))),
        ({"protocol": "leave-one-out", "outlier": (0,)}, None, ("leave-one-out", (1, 2))),
    ],
)
def test_auto_follows_what_is_given(
    config: dict[str, Any], normal: tuple[int, ...] | None, expected: tuple[str, tuple[int, ...]]
) -> None:
    splits = split(labels([30] * 3, [9] * 3, normal), **config)
    assert (splits.protocol, splits.normal_classes) == expected


@pytest.mark.parametrize(
    "config",
    [
        {"inlier": (0,), "outlier": (1,)},
        {"protocol": "leave-one-out"},
        {"protocol": "leave-one-out", "inlier": (0,)},
        {"protocol": "one-class", "outlier": (0,)},
        {"protocol": "folder", "outlier": (0,)},
        {"protocol": "folder"},
        {"inlier": (0, 1, 2)},
        {"outlier": (0, 1, 2)},
        {"inlier": (3,)},
        {"outlier": ("nothing",)},
    ],
    ids=str,
)
def test_contradictions_are_usage_errors(config: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        split(labels([30] * 3, [9] * 3), **config)


def test_one_class_alone_cannot_be_one_class() -> None:
    with pytest.raises(UsageError, match="none is left to be an anomaly"):
        split(labels([30], [9]))
