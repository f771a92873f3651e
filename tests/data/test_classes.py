from __future__ import annotations

import pytest

from bigan_cli.data.classes import resolve_classes
from bigan_cli.errors import UsageError

CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Ankle boot")
DIGITS = tuple("0123456789")


@pytest.mark.parametrize(
    ("refs", "classes"),
    [
        ((1,), (1,)),
        (("1",), (1,)),
        (("trouser",), (1,)),
        (("ANKLE  BOOT", "ankleboot", 3), (3,)),
        (("Pullover", 0), (0, 2)),
        ((" t-shirt/TOP ",), (0,)),
    ],
)
def test_classes_are_named_or_numbered(refs: tuple[int | str, ...], classes: object) -> None:
    assert resolve_classes(refs, CLOTHES, "inlier", "clothes") == classes


def test_name_wins_over_index() -> None:
    assert resolve_classes((7, "1"), ("1", "7"), "inlier", "folder") == (0, 1)
    assert resolve_classes((1,), ("7", "1"), "inlier", "folder") == (1,)


def test_exact_name_wins_over_the_same_in_other_case() -> None:
    assert resolve_classes(("b",), ("B", "b"), "inlier", "folder") == (1,)


@pytest.mark.parametrize("ref", [12, -1, "12", "x", "", "1.0", "٣x"])
def test_what_is_no_class_is_refused_with_all_classes(ref: int | str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_classes((ref,), CLOTHES, "inlier", "clothes")
    assert caught.value.message == (
        f"inlier {ref} is not a class of clothes "
        "(0-3: 0 T-shirt/top, 1 Trouser, 2 Pullover, 3 Ankle boot)"
    )
    assert caught.value.hint == "name a class by its index or its name, as in --inlier 3"


def test_near_miss_is_suggested() -> None:
    with pytest.raises(UsageError) as caught:
        resolve_classes(("truoser",), CLOTHES, "outlier", "clothes")
    assert caught.value.hint == "did you mean 'Trouser'?"


def test_listing_stays_short() -> None:
    with pytest.raises(UsageError, match=r"(?m)of mnist \(0-9\)$"):
        resolve_classes((12,), DIGITS, "inlier", "mnist")
    with pytest.raises(UsageError) as caught:
        resolve_classes((900,), [f"kind {i}" for i in range(100)], "inlier", "many")
    assert caught.value.message.endswith("11 kind 11, ...)")
