"""The model file: everything that scoring needs, in one safetensors file that runs no code.

The header says what the tensors are: the run's configuration, the image shape, how images are
prepared, and of each member its seed, its epoch, its health and its components with their
scales and weights. The tensors are each member's averaged networks and its components'
memories, and the calibration scores of all of them together.

Format 1 held one network; it is read as a single member.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bigan_cli import __version__
from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import Architecture, ImageShape, ScoreComponent
from bigan_cli.detect.calibration import Calibration
from bigan_cli.detect.detector import Detector
from bigan_cli.detect.member import Member, Origin, Standardised
from bigan_cli.errors import DataError, PluginError
from bigan_cli.files import atomic_write
from bigan_cli.model.health import Health
from bigan_cli.model.networks import Networks, heads_of
from bigan_cli.model.undrawn import networks_to_fill
from bigan_cli.plugins import PluginOrigin, Registry
from bigan_cli.plugins.origins import origins_from

_FORMAT = "bigan-model"
_SCHEMA = 2
_ONE_NETWORK = 1


@dataclass(frozen=True)
class MemberHeader:
    """What a model file says of one member.

    Attributes:
        origin: How its networks came about.
        components: Name -> centre, spread and weight.
    """

    origin: Origin
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
        conditional: Names of the conditional discriminators.
        made_with: Whence the plugins came that the run was made with.
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
    conditional: tuple[str, ...] = ()
    made_with: tuple[PluginOrigin, ...] = ()
    bigan_version: str = __version__


def save_detector(
    path: Path,
    detector: Detector,
    *,
    config: RunConfig,
    class_names: Sequence[str],
    normal_classes: Sequence[int],
    preprocessing: Mapping[str, Any],
    fingerprint: str,
    made_with: Sequence[PluginOrigin] = (),
) -> None:
    """Write *detector* to *path*, whole or not at all; see :class:`ModelHeader`."""
    shape = detector.shape
    header = {
        "format": _FORMAT,
        "schema": _SCHEMA,
        "bigan_version": __version__,
        "epoch": max(member.origin.epoch for member in detector.members),
        "config": config.model_dump(mode="json", by_alias=True),
        "image_shape": [shape.channels, shape.height, shape.width],
        "class_names": list(class_names),
        "normal_classes": list(normal_classes),
        "preprocessing": dict(preprocessing),
        "members": [_describe(member) for member in detector.members],
        "default_fpr": detector.default_fpr,
        "batch_size": detector.batch_size,
        "fingerprint": fingerprint,
        "heads": heads_of(detector.members[0].networks),
        "conditional": list(detector.members[0].networks.conditional),
        "made_with": [origin.as_dict() for origin in made_with],
    }
    tensors: dict[str, Tensor] = {}
    for number, member in enumerate(detector.members):
        own = member.networks.state_dict()
        tensors |= {f"members.{number}.networks.{key}": value for key, value in own.items()}
        for name, part in member.parts.items():
            tensors |= {
                f"members.{number}.fitted.{name}.{key}": value for key, value in part.fitted.items()
            }
    tensors["calibration.scores"] = torch.from_numpy(detector.calibration.scores.copy())
    # One value a header key: safetensors does not keep the keys' order, and files of the same
    # model should be the same bytes.
    payload = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={_FORMAT: json.dumps(header)},
    )
    with atomic_write(path) as stream:
        stream.write(payload)


def _describe(member: Member) -> dict[str, Any]:
    health = member.origin.health
    return {
        "seed": member.origin.seed,
        "epoch": member.origin.epoch,
        "health": None if health is None else health.as_dict(),
        "components": {
            name: {"centre": part.centre, "spread": part.spread, "weight": part.weight}
            for name, part in member.parts.items()
        },
    }


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
        raise DataError(f"{path} is not a model file ({error})") from error
    if _FORMAT not in metadata:
        raise DataError(f"{path} is a safetensors file, but not a model file of bigan")
    header = json.loads(metadata[_FORMAT])
    if header["schema"] == _ONE_NETWORK:
        header["members"] = [
            {
                "seed": header["config"]["train"]["seed"],
                "epoch": header["epoch"],
                "health": None,
                "components": header["components"],
            }
        ]
    elif header["schema"] != _SCHEMA:
        raise DataError(
            f"{path} has model format {header['schema']}; this version reads {_SCHEMA}",
            f"it was written by bigan {header['bigan_version']}: update bigan",
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
        conditional=tuple(header.get("conditional", ())),  # likewise
        made_with=origins_from(header.get("made_with", ())),  # likewise
        bigan_version=header["bigan_version"],
    )


def _member_header(said: Mapping[str, Any]) -> MemberHeader:
    health = None if said["health"] is None else Health.from_dict(said["health"])
    return MemberHeader(Origin(said["seed"], said["epoch"], health), said["components"])


def load_detector(path: Path, device: torch.device, registry: Registry) -> Detector:
    """Rebuild the detector that *path* holds, on *device*.

    Raises:
        DataError: The file is missing, damaged, or no model file.
        PluginError: The plugin that provides the architecture or a component is not there, or
            has changed so that the stored weights no longer fit.
    """
    header = read_header(path)
    architecture_class = registry.architecture(header.config.model.architecture)
    architecture = architecture_class(
        architecture_class.Options.from_table(header.config.model.options)
    )
    tensors = _read_tensors(path, device)
    members = []
    for number, said in enumerate(header.members):
        networks = _load_networks(
            path, architecture, header, _under(tensors, f"members.{number}.networks."), device
        )
        fitted = _under(tensors, f"members.{number}.fitted.")
        members.append(Member(networks, _load_parts(said, header, fitted, registry), said.origin))
    try:
        scores = tensors["calibration.scores"].numpy().astype(np.float64)
    except KeyError as error:
        raise DataError(f"{path} is damaged (no calibration scores)") from error
    return Detector(members, Calibration(scores), header.default_fpr, header.batch_size)


def _load_networks(
    path: Path,
    architecture: Architecture,
    header: ModelHeader,
    weights: Mapping[str, Tensor],
    device: torch.device,
) -> Networks:
    shape, latent_dim = header.image_shape, header.config.model.latent_dim
    networks = networks_to_fill(architecture, shape, latent_dim, header.heads, header.conditional)
    try:
        networks.to(device).load_state_dict(weights)
    except RuntimeError as error:
        raise PluginError(
            f"{path} does not fit architecture '{architecture.name}' as it is installed here",
            "install the version of the plugin that the run was trained with",
        ) from error
    return networks.requires_grad_(requires_grad=False)


def _load_parts(
    said: MemberHeader, header: ModelHeader, fitted: Mapping[str, Tensor], registry: Registry
) -> dict[str, Standardised]:
    options = header.config.score.options
    parts: dict[str, Standardised] = {}
    for name, scale in said.components.items():
        component_class = registry.component(name)
        component: ScoreComponent = component_class(
            component_class.Options.from_table(options.get(name, {}))
        )
        parts[name] = Standardised(
            component,
            _under(fitted, f"{name}."),
            scale["centre"],
            scale["spread"],
            scale["weight"],
        )
    return parts


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose name starts with *prefix*, by the rest of it."""
    return {k.removeprefix(prefix): value for k, value in tensors.items() if k.startswith(prefix)}


def _read_tensors(path: Path, device: torch.device) -> dict[str, Tensor]:
    """Return the tensors by name, all on *device* but for the calibration, which is the host's."""
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 (not a dict: it cannot be iterated)
                tensor = file.get_tensor(key)
                if key.startswith("calibration."):  # float64, which Metal does not have
                    tensors[key] = tensor
                else:
                    # Format 1 held one network, by the same names.
                    one = key.startswith(("networks.", "fitted."))
                    tensors[f"members.0.{key}" if one else key] = tensor.to(device)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is damaged ({error})") from error
    return tensors
