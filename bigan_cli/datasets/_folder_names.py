"""The meaning of folder and file names: normal, anomalous, masks, or a split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath


class Role(Enum):
    """The role of a folder by its name."""

    NORMAL = "normal"
    ANOMALOUS = "anomalous"
    MASKS = "masks"
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


SPLITS = frozenset({Role.TRAIN, Role.VALIDATION, Role.TEST})
SUSPECT = frozenset({Role.ANOMALOUS, Role.MASKS})
"""Roles that are never normal images, unless the user says so."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# One of these words suffices, with any others: "bad parts", "crack_07".
_ANY_WORD: dict[Role, frozenset[str]] = {
    Role.MASKS: _words("mask masks groundtruth gt gts segmentation segmentations"),
    Role.ANOMALOUS: _words(
        "bad defect defects defective abnormal abnormality abnormalities anomalous anomaly "
        "anomalies ng nok nio ko faulty fault faults flaw flaws flawed damage damages damaged "
        "broken reject rejects rejected fail failed failure failures scrap crack cracks cracked "
        "scratch scratches scratched outlier outliers contamination contaminated corrosion "
        "corroded rust rusty deformed def positive unhealthy diseased incorrect invalid"
    ),
    Role.NORMAL: _words(
        "good normal normals ok okay clean nodefect nodefects defectfree nondefective undamaged "
        "uncracked unbroken flawless faultless intact healthy inlier inliers io nonanomalous "
        "pass passed acceptable accepted goods"
    ),
}
# These count only if all words of the name are known: "test_set", but not "test_tube".
_WHOLE_NAME: dict[Role, frozenset[str]] = {
    Role.MASKS: _words("label labels annotation annotations seg segs"),
    Role.ANOMALOUS: _words(
        "hole holes dent dents bent cut cuts missing spot spots stain stains chip chipped worn "
        "burn burnt poke error errors"
    ),
    Role.NORMAL: _words("fine perfect correct valid standard reference"),
    Role.TRAIN: _words("train training trn"),
    Role.VALIDATION: _words("val valid validation dev"),
    Role.TEST: _words("test testing tst"),
}
_NEUTRAL = _words(
    "dir dirs folder image images img imgs picture pictures pic pics photo photos data dataset "
    "set sample samples part parts item items product products front back left right top bottom "
    "side class only all"
)
_NEGATIONS = _words("no non not without un")
_FREE = "free"  # "defect-free"
_SUFFIX = re.compile(r"(?<=..)(?:images?|imgs?|pictures?|photos?|parts|samples|dirs?|set|folder)$")
_WORD = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

# Additions to an image's name in that of its mask: 000_mask.png, 000-GT.png, mask_000.png.
_MASK_WORD = r"(?:masks?|gt|ground[-_ ]?truth|labels?|seg(?:mentation)?|annotation)"
_MASK_END = re.compile(rf"[-_. ]+{_MASK_WORD}$")
_MASK_START = re.compile(rf"^{_MASK_WORD}[-_. ]+")
_IMAGE_END = re.compile(r"\.(?:png|jpe?g|bmp|tiff?|webp)$")


def normalized(name: str) -> str:
    """Return *name* normalised in case and Unicode form (NFC, or NFD as on a Mac)."""
    return unicodedata.normalize("NFC", name).casefold()


def roles_of(name: str) -> frozenset[Role]:
    """Return the roles in the name of a folder, usually one or none.

    Two roles are a split and a kind, such as ``test_good``.
    """
    words = _words_of(name)
    telling = [w for w in words if w not in _NEUTRAL | _NEGATIONS and w != _FREE]
    complete = all(_role(word) is not None for word in telling)
    roles = {_role(word, *((_ANY_WORD,) if not complete else ())) for word in telling}
    found: set[Role] = {role for role in roles if role in SPLITS}
    if Role.MASKS in roles:
        found.add(Role.MASKS)
    elif roles & {Role.NORMAL, Role.ANOMALOUS}:
        anomalous = Role.ANOMALOUS in roles
        negated = bool(_NEGATIONS.intersection(words)) or (anomalous and _FREE in words)
        found.add(Role.NORMAL if anomalous == negated else Role.ANOMALOUS)
    return frozenset(found)


def is_neutral(name: str) -> bool:
    """Return whether *name* means images without a role, such as ``images``."""
    words = _words_of(name)
    return bool(words) and all(word in _NEUTRAL for word in words)


def _words_of(name: str) -> list[str]:
    composed = unicodedata.normalize("NFC", name)
    joined = "".join(_WORD.findall(composed)).casefold()
    if _role(joined) is not None:  # "ground_truth", "no_defect", "nOK"
        return [joined]
    words = [word.casefold() for word in _WORD.findall(_CAMEL.sub("_", composed))]
    return [_without_suffix(word) for word in words]


def _without_suffix(word: str) -> str:
    """Return "good" for "goodparts", and any other word as it is."""
    shorter = _SUFFIX.sub("", word)
    return shorter if _role(shorter) is not None else word


def _role(word: str, *tables: Mapping[Role, frozenset[str]]) -> Role | None:
    for table in tables or (_ANY_WORD, _WHOLE_NAME):
        for role, words in table.items():
            if word in words:
                return role
    return None


def image_key(path: PurePath) -> str:
    """Return the key of an image for matching masks."""
    return normalized(path.stem)


def mask_keys(path: PurePath) -> tuple[str, ...]:
    """Return the keys of the images that the mask *path* may belong to, the most likely first."""
    stem = normalized(path.stem)
    bare = _MASK_START.sub("", _MASK_END.sub("", stem))
    return tuple(dict.fromkeys(key for key in (stem, bare, _IMAGE_END.sub("", bare)) if key))


def is_mask_name(path: PurePath) -> bool:
    """Return whether a file is named like a mask: ``000_mask.png``, ``000_GT.bmp``."""
    return _MASK_END.search(normalized(path.stem)) is not None
