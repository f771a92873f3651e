"""The meaning of folder and file names: normal, anomalous, masks, or a split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import PurePath

from bigan_cli.datasets._folder_words import (
    ANY_WORD,
    IN_FILE_NAMES,
    NEGATIONS,
    NEUTRAL,
    OPPOSITE_PREFIXES,
    OPPOSITES,
    PARTS,
    WHOLE_NAME,
    Role,
)

SPLITS = frozenset({Role.TRAIN, Role.VALIDATION, Role.TEST})
SUSPECT = frozenset({Role.ANOMALOUS, Role.MASKS})
"""Roles that are never normal images, unless the user says so."""


_FREE = "free"  # "defect-free"
_SUFFIX = re.compile(
    r"(?<=..)(?:images?|imgs?|pictures?|photos?|parts|samples|dirs?|set|folder|teile?|bilder)$"
)
_WORD = re.compile(r"[^\W\d_]+")
_WORD_OR_NUMBER = re.compile(r"[^\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]")
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
    telling = [w for w in words if w not in NEUTRAL | NEGATIONS and w != _FREE]
    complete = all(_role(word) is not None for word in telling)
    roles = {_role(word, *((ANY_WORD,) if not complete else ())) for word in telling}
    roles |= _roles_of_parts(normalized(name))
    found: set[Role] = {role for role in roles if role in SPLITS}
    if Role.MASKS in roles:
        found.add(Role.MASKS)
    elif roles & {Role.NORMAL, Role.ANOMALOUS}:
        anomalous = Role.ANOMALOUS in roles
        negated = bool(NEGATIONS.intersection(words)) or (anomalous and _FREE in words)
        found.add(Role.NORMAL if anomalous == negated else Role.ANOMALOUS)
    return frozenset(found)


def _roles_of_parts(name: str) -> set[Role]:
    """Return the roles in a name without spaces: that of a split, and the kind."""
    if name.isascii():
        return set()
    parts = [(len(part), role) for role, each in PARTS.items() for part in each if part in name]
    splits = {role for _, role in parts if role in SPLITS}
    kinds = [(length, role) for length, role in parts if role not in SPLITS]
    longest = max((length for length, _ in kinds), default=0)
    return splits | {role for length, role in kinds if length == longest}


def suggests_anomaly(path: PurePath) -> bool:
    """Return whether the name of a file mentions a defect or a mask: ``bad_03.png``."""
    return _mentions_anomaly(re.sub(r"\d+", "0", path.stem))


@lru_cache(maxsize=4096)
def _mentions_anomaly(stem: str) -> bool:
    mentions = bool(IN_FILE_NAMES.intersection(_words_of(stem)))
    mentions = mentions or bool(_roles_of_parts(normalized(stem)) & SUSPECT)
    return mentions and bool(roles_of(stem) & SUSPECT)


def may_be_validation(name: str) -> bool:
    """Return whether *name* means validation beside ``train``, such as ``valid``."""
    words = [word for word in _words_of(name) if word not in NEUTRAL]
    return bool(words) and all(word in WHOLE_NAME[Role.VALIDATION] for word in words)


def find_opposites(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two of *names* that contradict each other, such as ``usual`` and ``unusual``."""
    words = {name: _WORD_OR_NUMBER.findall(normalized(name)) for name in names}
    by_words = {" ".join(each): name for name, each in words.items()}
    by_letters = {"".join(each): name for name, each in words.items()}
    for name, each in words.items():
        letters = [prefix + "".join(each) for prefix in OPPOSITE_PREFIXES]
        exchanged = [
            " ".join(filter(None, (opposite if w == word else w for w in each)))
            for word, opposite in OPPOSITES
            if word in each
        ]
        found = [by_letters.get(key) for key in letters] + [by_words.get(key) for key in exchanged]
        other = next((one for one in found if one not in (None, name)), None)
        if other is not None:
            return name, other
    return None


def is_neutral(name: str) -> bool:
    """Return whether *name* means images without a role, such as ``images``."""
    words = _words_of(name)
    return bool(words) and all(word in NEUTRAL for word in words)


def _words_of(name: str) -> list[str]:
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", name))
    composed = unicodedata.normalize("NFC", bare)
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
    for table in tables or (ANY_WORD, WHOLE_NAME):
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
