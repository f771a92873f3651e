"""The model file: everything that scoring needs, in one safetensors file that runs no code.

The header says what the tensors are: see :class:`ModelHeader`. The tensors are each ensemble
member's averaged networks and its components' fitted tensors, and the calibration scores and
heatmap peaks of all members together. A SHA-256 in the header covers the whole file, and is
checked before anything of it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bigan_cli.atomic import atomic_write
from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import Architecture
from bigan_cli.data.tiles import Tiling
from bigan_cli.errors import PluginError, first_line, is_out_of_memory
from bigan_cli.formatting import one_line
from bigan_cli.model.lazy_init import MisfitError, build_uninitialized
from bigan_cli.model.networks import Networks, heads_of
from bigan_cli.plugins import PluginVersion, Registry
from bigan_cli.plugins.instances import make_architecture, make_component
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.detector import Detector
from bigan_cli.scoring.ensemble_member import EnsembleMember
from bigan_cli.scoring.fitted_component import FittedComponent
from bigan_cli.scoring.map_scale import MapScale
from bigan_cli.scoring.tiled_member import make_member
from bigan_cli.storage.checksum import insert_checksum
from bigan_cli.storage.model_calibration import (
    calibration_tensors,
    cross_fitting_tensors,
    load_component_scores,
    load_cross_fitted,
    load_map_calibration,
    load_scores,
)
from bigan_cli.storage.model_header import (
    FORMAT,
    ComponentHeader,
    MemberHeader,
    ModelFile,
    ModelHeader,
    Revision,
    damaged,
    read_model_file,
)
from bigan_cli.storage.model_region import load_roi, roi_tensors

_TYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool),
)


def save_detector(path: Path, detector: Detector, header: ModelHeader) -> None:
    """Write *detector* to *path*, whole or not at all.

    Args:
        path: The model file.
        detector: What it holds.
        header: From :func:`make_header`; the checksum is added.
    """
    tensors: dict[str, Tensor] = {}
    for number, member in enumerate(detector.members):
        tensors |= _member_tensors(number, member)
    tensors |= calibration_tensors(detector)
    if detector.roi is not None:
        tensors |= roi_tensors(detector.roi)
    # One value a header key: safetensors does not keep the keys' order, and files of the same
    # model should be the same bytes.
    payload = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={FORMAT: header.to_json()},
    )
    payload = insert_checksum(payload)
    with atomic_write(path) as stream:
        stream.write(payload)


def save_like(
    path: Path, detector: Detector, parent: ModelHeader, *new_revisions: Revision
) -> None:
    """Write *detector* to *path*, whole or not at all, with what *parent* says of the run.

    Args:
        path: The model file.
        detector: As it was read with *parent*, or adapted since.
        parent: The header of the model file that it comes from.
        new_revisions: What was changed since.
    """
    header = make_header(
        detector,
        config=parent.config,
        class_names=parent.class_names,
        normal_classes=parent.normal_classes,
        preprocessing=parent.preprocessing,
        fingerprint=parent.fingerprint,
        plugin_versions=parent.plugin_versions,
        revisions=(*parent.revisions, *new_revisions),
    )
    save_detector(path, detector, header)


def _member_tensors(number: int, member: EnsembleMember) -> dict[str, Tensor]:
    own = member.networks.state_dict()
    tensors = {f"members.{number}.networks.{key}": value for key, value in own.items()}
    for name, fitted in member.components.items():
        tensors |= {
            f"members.{number}.fitted.{name}.{key}": value for key, value in fitted.fitted.items()
        }
        if fitted.map_scale is not None:
            prefix = f"members.{number}.map_scale.{name}."
            tensors[f"{prefix}location"] = fitted.map_scale.location
            tensors[f"{prefix}scale"] = fitted.map_scale.scale
    return tensors | cross_fitting_tensors(number, member)


def make_header(
    detector: Detector,
    *,
    config: RunConfig,
    class_names: Sequence[str],
    normal_classes: Sequence[int],
    preprocessing: Mapping[str, Any],
    fingerprint: str,
    plugin_versions: Sequence[PluginVersion] = (),
    revisions: Sequence[Revision] = (),
) -> ModelHeader:
    """Return the header of *detector*'s model file; it has no checksum yet."""
    first = detector.members[0].networks
    return ModelHeader(
        epoch=max(member.provenance.epoch for member in detector.members),
        config=config,
        image_shape=detector.shape,
        class_names=tuple(class_names),
        normal_classes=tuple(normal_classes),
        preprocessing=dict(preprocessing),
        members=tuple(map(_member_header, detector.members)),
        default_fpr=detector.default_fpr,
        batch_size=detector.batch_size,
        fingerprint=fingerprint,
        heads=heads_of(first),
        cycle_discriminators=tuple(first.cycle_discriminators),
        plugin_versions=tuple(plugin_versions),
        revisions=tuple(revisions),
    )


def _member_header(member: EnsembleMember) -> MemberHeader:
    return MemberHeader(
        seed=member.provenance.seed,
        epoch=member.provenance.epoch,
        diagnostics=member.provenance.diagnostics,
        components={
            name: ComponentHeader(location=each.location, scale=each.scale, weight=each.weight)
            for name, each in member.components.items()
        },
    )


def load_detector(file: Path | ModelFile, device: torch.device, registry: Registry) -> Detector:
    """Rebuild the detector of a model file on *device*.

    Args:
        file: Its path, or what :func:`read_model_file` returned.
        device: Where its networks will be.
        registry: Provides the architecture and the components.

    Raises:
        DataError: The file is missing, damaged, or no model file.
        PluginError: The plugin that provides the architecture or a component is not there, or
            has changed so that the stored weights no longer fit.
    """
    if isinstance(file, Path):
        file = read_model_file(file)
    path, header = file.path, file.header
    architecture = make_architecture(registry, header.config.model)
    tensors = _tensors(file)
    calibration = load_scores(path, tensors, cross_fitted=header.is_cross_fitted)
    map_calibration = load_map_calibration(path, tensors)
    roi = load_roi(path, tensors, header.image_shape)
    inside = None if roi is None else roi.inside
    tiling = Tiling.of(header.image_shape, header.config.data.tile, inside)
    members = []
    for number, stored in enumerate(header.members):
        networks = _load_networks(
            path, architecture, header, _under(tensors, f"members.{number}.networks."), device
        )
        components = _load_components(stored, number, header, tensors, device, registry)
        cross_fitted = load_cross_fitted(path, tensors, number, list(components))
        members.append(
            make_member(
                networks,
                components,
                stored.provenance,
                tiling,
                cross_fitted=cross_fitted,
                roi=roi,
            )
        )
    return Detector(
        members,
        calibration,
        header.default_fpr,
        header.batch_size,
        map_calibration,
        load_component_scores(path, tensors, list(members[0].components)),
    )


def load_calibration(file: ModelFile) -> tuple[Calibration, dict[str, NDArray[np.float64]]]:
    """Return the calibration scores of a model file, and its components' values by their names.

    No plugin is needed.

    Raises:
        DataError: The file is damaged.
    """
    tensors = _tensors(file)
    return (
        load_scores(file.path, tensors, cross_fitted=file.header.is_cross_fitted),
        load_component_scores(file.path, tensors, list(file.header.members[0].components)),
    )


def _tensors(file: ModelFile) -> dict[str, Tensor]:
    """Return the tensors by name, on the CPU; all of them are of usual types, and finite."""
    try:
        tensors = dict(load(file.data))
    # The checksum matches, so this is no accident: what safetensors refuses, or hands to torch.
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise damaged(file.path, f"its tensors cannot be read: {error}") from error
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES:
            raise damaged(file.path, f"the tensor {name} is of type {tensor.dtype}")
        if not bool(tensor.isfinite().all()):
            raise damaged(file.path, f"the tensor {name} is not finite")
    return tensors


def _load_networks(
    path: Path,
    architecture: Architecture,
    header: ModelHeader,
    weights: Mapping[str, Tensor],
    device: torch.device,
) -> Networks:
    shape, latent_dim = header.input_shape, header.config.model.latent_dim
    try:
        networks = build_uninitialized(
            architecture, shape, latent_dim, header.heads, header.cycle_discriminators, weights
        )
        networks.to(device).load_state_dict(weights)
    except (MisfitError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise PluginError(
            f"{path} does not fit architecture '{architecture.name}' as it is installed here: "
            f"{one_line(first_line(error))}",
            "install the version of the plugin that the run was trained with",
        ) from error
    return networks.requires_grad_(requires_grad=False)


def _load_components(
    member: MemberHeader,
    number: int,
    header: ModelHeader,
    tensors: Mapping[str, Tensor],
    device: torch.device,
    registry: Registry,
) -> dict[str, FittedComponent]:
    components: dict[str, FittedComponent] = {}
    for name, stored in member.components.items():
        component = make_component(registry, name, header.config.score)
        fitted, map_scale = (
            {key: tensor.to(device) for key, tensor in _under(tensors, prefix).items()}
            for prefix in (
                f"members.{number}.fitted.{name}.",
                f"members.{number}.map_scale.{name}.",
            )
        )
        components[name] = FittedComponent(
            component,
            _Fitted(name, fitted),
            stored.location,
            stored.scale,
            stored.weight,
            MapScale(**map_scale) if map_scale.keys() == {"location", "scale"} else None,
        )
    return components


class _Fitted(dict[str, Tensor]):
    """The fitted tensors of a component; another version of it may need others."""

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
