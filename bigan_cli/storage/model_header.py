"""What a model file says of itself, without its tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from bigan_cli import __version__
from bigan_cli.config.schema import RunConfig
from bigan_cli.config.validation_errors import first_problem
from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import PREPROCESSING
from bigan_cli.errors import DataError
from bigan_cli.model.diagnostics import TrainingDiagnostics
from bigan_cli.plugins import PluginVersion
from bigan_cli.plugins.versions import plugin_versions_from
from bigan_cli.scoring.ensemble_member import TrainingProvenance

FORMAT = "bigan-model"
SCHEMA = 2
_ONE_NETWORK = 1


@dataclass(frozen=True)
class MemberHeader:
    """What a model file says of one member.

    Attributes:
        provenance: How its networks came about.
        components: Name -> centre, spread and weight.
    """

    provenance: TrainingProvenance
    components: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class ModelHeader:
    """What a model file says of itself.

    Attributes:
        epoch: Epochs trained, of the member that was trained longest; 0 is the untrained network.
        config: The resolved configuration of the run.
        image_shape: What the networks take.
        class_names: The data set's classes.
        normal_classes: Those that count as normal.
        preprocessing: How images are brought to that shape.
        members: One or more.
        default_fpr: The run's false-positive rate.
        batch_size: Images a forward pass.
        fingerprint: Of the data the run was trained on.
        heads: Name -> outputs of each head of the discriminator.
        cycle_discriminators: Names of the cycle discriminators.
        plugin_versions: Whence the plugins came that the run was made with.
        bigan_version: What wrote the file.
    """

    epoch: int
    config: RunConfig
    image_shape: ImageShape
    class_names: tuple[str, ...]
    normal_classes: tuple[int, ...]
    preprocessing: Mapping[str, Any]
    members: tuple[MemberHeader, ...]
    default_fpr: float
    batch_size: int
    fingerprint: str
    heads: Mapping[str, int]
    cycle_discriminators: tuple[str, ...] = ()
    plugin_versions: tuple[PluginVersion, ...] = ()
    bigan_version: str = __version__


_ANOTHER = "if it was copied, copy it again; else take another: 'checkpoint=last', or its path"


def read_header(path: Path) -> ModelHeader:
    """Return what the model file *path* says of itself, without loading its tensors.

    Raises:
        DataError: The file is missing, is no model file, or was written by a newer version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        raise DataError(f"no model file {path}") from error
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is not a model file ({error})", _ANOTHER) from error
    if FORMAT not in metadata:
        raise DataError(f"{path} is a safetensors file, but not a model file of bigan", _ANOTHER)
    try:
        return _parsed(path, json.loads(metadata[FORMAT]))
    except ValidationError as error:
        raise DataError(
            f"{path} does not suit bigan {__version__}: {first_problem(error)}",
            "it was written by another version of bigan",
        ) from error
    except DataError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the header of {path} is damaged ({error!r})", _ANOTHER) from error


def _parsed(path: Path, header: dict[str, Any]) -> ModelHeader:
    if header["schema"] == _ONE_NETWORK:
        header["members"] = [
            {
                "seed": header["config"]["train"]["seed"],
                "epoch": header["epoch"],
                "diagnostics": None,
                "components": header["components"],
            }
        ]
    elif header["schema"] != SCHEMA:
        raise DataError(
            f"{path} has model format {header['schema']}; this version reads {SCHEMA}",
            f"it was written by bigan {header['bigan_version']}: update bigan",
        )
    if header["preprocessing"] != PREPROCESSING:
        raise DataError(
            f"{path} was trained on images that were prepared in another way",
            f"use bigan {header['bigan_version']}, which wrote it, or train again",
        )
    channels, height, width = header["image_shape"]
    return ModelHeader(
        epoch=header["epoch"],
        config=RunConfig.model_validate_json(json.dumps(header["config"])),
        image_shape=ImageShape(channels, height, width),
        class_names=tuple(header["class_names"]),
        normal_classes=tuple(header["normal_classes"]),
        preprocessing=header["preprocessing"],
        members=tuple(_member_header(member) for member in header["members"]),
        default_fpr=header["default_fpr"],
        batch_size=header["batch_size"],
        fingerprint=header["fingerprint"],
        heads=header.get("heads", {}),  # files of version 0.1 have none
        cycle_discriminators=tuple(header.get("cycle_discriminators", ())),  # likewise
        plugin_versions=plugin_versions_from(header.get("plugin_versions", ())),  # likewise
        bigan_version=header["bigan_version"],
    )


def _member_header(said: Mapping[str, Any]) -> MemberHeader:
    figures = said["diagnostics"]
    diagnostics = None if figures is None else TrainingDiagnostics.from_dict(figures)
    provenance = TrainingProvenance(said["seed"], said["epoch"], diagnostics)
    return MemberHeader(provenance, said["components"])
