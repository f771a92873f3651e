"""The one table of flags that stand for a configuration key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FLAGS: Mapping[str, str] = {
    "--plugin": "plugins",
    "--dataset": "data.dataset",
    "--data-root": "data.root",
    "--download/--no-download": "data.download",
    "--protocol": "data.protocol",
    "--inlier": "data.inlier",
    "--outlier": "data.outlier",
    "--outlier-portion": "data.outlier_portion",
    "--image-size": "data.image_size",
    "--input-channels": "data.input_channels",
    "--architecture": "model.architecture",
    "--latent-dim": "model.latent_dim",
    "--feature-maps-gen": "model.options.feature_maps_gen",
    "--feature-maps-disc": "model.options.feature_maps_disc",
    "--dropout-rate": "model.options.dropout_rate",
    "--tanh/--sigmoid": "model.options.output",
    "--spectral-norm/--no-spectral-norm": "model.options.spectral_norm",
    "--preset": "train.preset",
    "--epochs": "train.epochs",
    "--batch-size": "train.batch_size",
    "--lr": "train.lr",
    "--seed": "train.seed",
    "--members": "train.members",
    "--device": "train.device",
    "--precision": "train.precision",
    "--compile": "train.compile",
    "--fpr": "score.fpr",
    "--save-dir": "output.save_dir",
    "--save-interval": "output.save_interval",
}

# Where a flag is written differently from the key in a run file.
FLAG_WORDS: Mapping[str, str] = {
    "data.image_size": "a side or HEIGHTxWIDTH, each from 8 to 1024",
}

_BY_KEY = {key: flag for flag, key in FLAGS.items()}
_SIZE = re.compile(r"(\d{1,9})x(\d{1,9})", re.IGNORECASE)


def flag_of(key: str, value: object = True) -> str:
    """Return the flag that sets the dotted *key* to *value*, or *key* where there is none."""
    on, _, off = _BY_KEY.get(key, key).partition("/")
    return off if off and value in (False, off.removeprefix("--")) else on


def as_typed(key: str, value: Any) -> Any:
    """Return *value*, read by :func:`read_flags`, as the user typed it."""
    is_size = key == "data.image_size" and isinstance(value, list)
    return "x".join(map(str, value)) if is_size else value


def read_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that were given (not None, not an empty list), as values of a run file.

    Args:
        flags: Dotted key -> value as the command line gave it. Texts are read where the key
            takes something else: ``28`` and ``28x32`` for ``data.image_size``, a number for
            ``data.outlier_portion``, indices for classes.
    """
    given = {key: value for key, value in flags.items() if value is not None and value != []}
    return {key: _read(key, value) for key, value in given.items()}


def _read(key: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_read(key, item) for item in value]
    if isinstance(value, Path):
        return os.fspath(value)
    read = _READERS.get(key)
    return read(value) if read and isinstance(value, str) else value


def _class_ref(text: str) -> Any:
    # "01" stays a name: a folder may be called that.
    return int(text) if re.fullmatch(r"0|-?[1-9][0-9]{0,8}", text) else text


def _image_size(text: str) -> Any:
    size = _SIZE.fullmatch(text.strip())
    if size:
        return [int(size[1]), int(size[2])]
    return int(text) if re.fullmatch(r"\s*\d{1,9}\s*", text) else text


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


_READERS = {
    "data.inlier": _class_ref,
    "data.outlier": _class_ref,
    "data.image_size": _image_size,
    "data.outlier_portion": _number,
}
