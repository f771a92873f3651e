"""The model file: everything that scoring needs, in one safetensors file that runs no code.

The header says what the tensors are: the run's configuration, the image shape, how images are
prepared, and of each member its seed, its epoch, its diagnostics and its components with their
scales and weights. The tensors are each member's averaged networks and its components'
memories, and the calibration scores and heatmap peaks of all of them together.

Format 1 held one network; it is read as a single member.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bigan_cli import __version__
from bigan_cli.atomic import atomic_write
from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import Architecture
from bigan_cli.errors import DataError, PluginError
from bigan_cli.model.lazy_init import build_uninitialized
from bigan_cli.model.networks import Networks, heads_of
from bigan_cli.plugins import PluginVersion, Registry
from bigan_cli.plugins.instances import make_architecture, make_component
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.detector import Detector
from bigan_cli.scoring.ensemble_member import EnsembleMember, FittedComponent
from bigan_cli.scoring.map_calibration import MapCalibration
from bigan_cli.scoring.place_scale import PlaceScale
from bigan_cli.storage.model_header import FORMAT, SCHEMA, MemberHeader, ModelHeader, read_header


def save_detector(
    path: Path,
    detector: Detector,
    *,
    config: RunConfig,
    class_names: Sequence[str],
    normal_classes: Sequence[int],
    preprocessing: Mapping[str, Any],
    fingerprint: str,
    plugin_versions: Sequence[PluginVersion] = (),
) -> None:
    """Write *detector* to *path*, whole or not at all; see :class:`ModelHeader`."""
    shape = detector.shape
    header = {
        "format": FORMAT,
        "schema": SCHEMA,
        "bigan_version": __version__,
        "epoch": max(member.provenance.epoch for member in detector.members),
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
        "cycle_discriminators": list(detector.members[0].networks.cycle_discriminators),
        "plugin_versions": [version.as_dict() for version in plugin_versions],
    }
    tensors: dict[str, Tensor] = {}
    for number, member in enumerate(detector.members):
        own = member.networks.state_dict()
        tensors |= {f"members.{number}.networks.{key}": value for key, value in own.items()}
        for name, fitted in member.components.items():
            tensors |= {
                f"members.{number}.fitted.{name}.{key}": value
                for key, value in fitted.fitted.items()
            }
            if fitted.places is not None:
                prefix = f"members.{number}.places.{name}."
                tensors[f"{prefix}location"] = fitted.places.location
                tensors[f"{prefix}scale"] = fitted.places.scale
    tensors["calibration.scores"] = torch.from_numpy(detector.calibration.scores.copy())
    maps = detector.map_calibration
    if maps is not None:
        tensors["calibration.map_peaks"] = torch.from_numpy(maps.peaks.scores.copy())
        tensors["calibration.map_location"] = torch.tensor([maps.location], dtype=torch.float64)
    # One value a header key: safetensors does not keep the keys' order, and files of the same
    # model should be the same bytes.
    payload = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={FORMAT: json.dumps(header)},
    )
    with atomic_write(path) as stream:
        stream.write(payload)


def _describe(member: EnsembleMember) -> dict[str, Any]:
    diagnostics = member.provenance.diagnostics
    return {
        "seed": member.provenance.seed,
        "epoch": member.provenance.epoch,
        "diagnostics": None if diagnostics is None else diagnostics.as_dict(),
        "components": {
            name: {"centre": fitted.location, "spread": fitted.scale, "weight": fitted.weight}
            for name, fitted in member.components.items()
        },
    }


def load_detector(path: Path, device: torch.device, registry: Registry) -> Detector:
    """Rebuild the detector that *path* holds, on *device*.

    Raises:
        DataError: The file is missing, damaged, or no model file.
        PluginError: The plugin that provides the architecture or a component is not there, or
            has changed so that the stored weights no longer fit.
    """
    header = read_header(path)
    architecture = make_architecture(registry, header.config.model)
    tensors = _read_tensors(path, device)
    members = []
    for number, said in enumerate(header.members):
        networks = _load_networks(
            path, architecture, header, _under(tensors, f"members.{number}.networks."), device
        )
        fitted = _under(tensors, f"members.{number}.fitted.")
        places = _under(tensors, f"members.{number}.places.")
        components = _load_components(said, header, fitted, places, registry)
        members.append(EnsembleMember(networks, components, said.provenance))
    try:
        scores = tensors["calibration.scores"].numpy().astype(np.float64)
    except KeyError as error:
        raise DataError(f"{path} is damaged (no calibration scores)") from error
    return Detector(
        members,
        Calibration(scores),
        header.default_fpr,
        header.batch_size,
        _load_map_calibration(tensors),
    )


def _load_map_calibration(tensors: Mapping[str, Tensor]) -> MapCalibration | None:
    peaks, location = (tensors.get(f"calibration.map_{name}") for name in ("peaks", "location"))
    if peaks is None or location is None:
        return None
    return MapCalibration(Calibration(peaks.numpy().astype(np.float64)), float(location))


def _load_networks(
    path: Path,
    architecture: Architecture,
    header: ModelHeader,
    weights: Mapping[str, Tensor],
    device: torch.device,
) -> Networks:
    shape, latent_dim = header.image_shape, header.config.model.latent_dim
    networks = build_uninitialized(
        architecture, shape, latent_dim, header.heads, header.cycle_discriminators
    )
    try:
        networks.to(device).load_state_dict(weights)
    except RuntimeError as error:
        raise PluginError(
            f"{path} does not fit architecture '{architecture.name}' as it is installed here",
            "install the version of the plugin that the run was trained with",
        ) from error
    return networks.requires_grad_(requires_grad=False)


def _load_components(
    said: MemberHeader,
    header: ModelHeader,
    fitted: Mapping[str, Tensor],
    places: Mapping[str, Tensor],
    registry: Registry,
) -> dict[str, FittedComponent]:
    components: dict[str, FittedComponent] = {}
    for name, scale in said.components.items():
        component = make_component(registry, name, header.config.score)
        location, place_scale = (places.get(f"{name}.{key}") for key in ("location", "scale"))
        components[name] = FittedComponent(
            component,
            _Fitted(name, _under(fitted, f"{name}.")),
            scale["centre"],
            scale["spread"],
            scale["weight"],
            None if location is None or place_scale is None else PlaceScale(location, place_scale),
        )
    return components


class _Fitted(dict[str, Tensor]):
    """What a component keeps of the normals, which another version of it may look for in vain."""

    def __init__(self, component: str, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(tensors)
        self._component = component

    def __missing__(self, key: str) -> Tensor:
        raise PluginError(
            f"the model file holds no '{key}' of score component '{self._component}', which the "
            "one that is installed here looks for",
            "install the version of the plugin that the run was trained with",
        )


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
