"""Which columns hold the images and their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import DataError, did_you_mean
from bigan_hf._load import Splits

_BYTES = ("binary", "large_binary")
_CLASSES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "string", "large_string")


@dataclass(frozen=True)
class Columns:
    """The columns in use.

    Attributes:
        image: Name of that of the images.
        label: Name of that of the classes; empty where there is none.
        class_names: In the order of the labels; empty where there is no label.
    """

    image: str
    label: str
    class_names: tuple[str, ...]

    def labels_of(self, rows: datasets.Dataset, split: str) -> NDArray[np.int64]:
        """Return the class of each of *rows*, int64 ``[N]``.

        Raises:
            DataError: Some have none.
        """
        if not self.label:
            return np.zeros(len(rows), np.int64)
        number = {name: k for k, name in enumerate(self.class_names)}
        names = _names(rows, self.label)
        labels = np.array([-1 if name is None else number[name] for name in names], np.int64)
        unlabelled = int((labels < 0).sum())
        if unlabelled:
            raise DataError(
                f"{unlabelled} of {len(rows)} images of the {split} split have no {self.label}",
                "choose other splits with data.options.train_split and data.options.test_split",
            )
        return labels


def find_columns(splits: Splits, image: str, label: str) -> Columns:
    """Return the columns called *image* and *label*, or, where empty, the ones that must be meant.

    Raises:
        DataError: There are none, or several, or they hold something else.
    """
    features: Mapping[str, Any] = splits.train.features
    for column in filter(None, (image, label)):
        if column not in features:
            raise DataError(
                f"{splits.source} has no column {column}: there is {', '.join(features)}",
                did_you_mean(column, list(features)),
            )
    image = image or _only_image(features, splits.source)
    if not (_is_image(features[image]) or _has_type(features[image], _BYTES)):
        raise DataError(f"column {image} of {splits.source} holds {features[image]}, not images")
    label = label or _likely_label(features)
    if not label:
        return Columns(image, "", ())
    return Columns(image, label, _class_names(splits, label))


def _only_image(features: Mapping[str, Any], source: str) -> str:
    images = [column for column, feature in features.items() if _is_image(feature)]
    if len(images) == 1:
        return images[0]
    if images:
        raise DataError(
            f"{source} has several columns of images: {', '.join(images)}",
            f"--set data.options.image_column={images[0]} chooses one",
        )
    raise DataError(
        f"{source} has no column of images: there is {', '.join(features)}",
        "--set data.options.image_column=NAME, if one of them holds encoded images",
    )


def _likely_label(features: Mapping[str, Any]) -> str:
    classes = [name for name, each in features.items() if isinstance(each, datasets.ClassLabel)]
    if len(classes) == 1:
        return classes[0]
    return "label" if "label" in features else ""


def _class_names(splits: Splits, label: str) -> tuple[str, ...]:
    feature = splits.train.features[label]
    if isinstance(feature, datasets.ClassLabel):
        return tuple(feature.names)
    if not _has_type(feature, _CLASSES):
        raise DataError(f"column {label} of {splits.source} holds {feature}, not classes")
    found: set[str] = set()
    for rows in (splits.train, splits.test):
        if rows is not None:
            found |= {name for name in _names(rows, label) if name is not None}
    return tuple(sorted(found, key=_by_size_then_words))


def _by_size_then_words(name: str) -> tuple[bool, int, str]:
    return (False, int(name), "") if name.lstrip("-").isdecimal() else (True, 0, name)


def _names(rows: datasets.Dataset, label: str) -> Sequence[str | None]:
    feature, values = rows.features[label], list(rows[label])
    if isinstance(feature, datasets.ClassLabel):
        return [None if v is None or v < 0 else feature.names[v] for v in values]
    return [None if v is None else str(v) for v in values]


def _is_image(feature: Any) -> bool:
    return isinstance(feature, datasets.Image)


def _has_type(feature: Any, types: tuple[str, ...]) -> bool:
    return isinstance(feature, datasets.Value) and feature.dtype in types
