"""The model file: everything that scoring needs, in one safetensors file that runs no code.

The header says what the tensors are: the run's configuration, the image shape, how images are
prepared, the components with their scales and weights. The tensors are the averaged networks,
the components' memories and the calibration scores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import init

from bigan_cli import __version__
from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import Architecture, ImageShape, ScoreComponent
from bigan_cli.detect.calibration import Calibration
from bigan_cli.detect.detector import Detector, Standardised
from bigan_cli.errors import DataError, PluginError
from bigan_cli.files import atomic_write
from bigan_cli.model.networks import Networks, add_heads, build_networks, heads_of
from bigan_cli.plugins import Origin, Registry
from bigan_cli.plugins.origins import origins_from

_FORMAT = "bigan-model"
_SCHEMA = 1
# The initialisers of torch that draw random numbers.
_DRAWING = (
    *("normal_", "uniform_", "trunc_normal_", "orthogonal_", "sparse_"),
    *("xavier_normal_", "xavier_uniform_", "kaiming_normal_", "kaiming_uniform_"),
)


@dataclass(frozen=True)
class ModelHeader:
    """What a model file says of itself.

    Attributes:
        epoch: Epochs trained; 0 is the untrained network.
        config: The resolved configuration of the run.
        image_shape: What the networks take.
        class_names: The data set's classes.
        normal_classes: Those that count as normal.
        preprocessing: How images are brought to that shape.
        components: Name -> centre, spread and weight.
        default_fpr: The run's false-positive rate.
        batch_size: Images a forward pass.
        fingerprint: Of the data the run was trained on.
        heads: Name -> outputs of each head of the discriminator.
        made_with: Whence the plugins came that the run was made with.
        bigan_version: What wrote the file.
    """

    epoch: int
    config: RunConfig
    image_shape: ImageShape
    class_names: tuple[str, ...]
    normal_classes: tuple[int, ...]
    preprocessing: Mapping[str, Any]
    components: Mapping[str, Mapping[str, float]]
    default_fpr: float
    batch_size: int
    fingerprint: str
    heads: Mapping[str, int]
    made_with: tuple[Origin, ...] = ()
    bigan_version: str = __version__


def save_detector(  # noqa: PLR0913  all that a file says of itself
    path: Path,
    detector: Detector,
    *,
    epoch: int,
    config: RunConfig,
    class_names: Sequence[str],
    normal_classes: Sequence[int],
    preprocessing: Mapping[str, Any],
    fingerprint: str,
    made_with: Sequence[Origin] = (),
) -> None:
    """Write *detector* to *path*, whole or not at all; see :class:`ModelHeader`."""
    shape = detector.shape
    header = {
        "format": _FORMAT,
        "schema": _SCHEMA,
        "bigan_version": __version__,
        "epoch": epoch,
        "config": config.model_dump(mode="json", by_alias=True),
        "image_shape": [shape.channels, shape.height, shape.width],
        "class_names": list(class_names),
        "normal_classes": list(normal_classes),
        "preprocessing": dict(preprocessing),
        "components": {
            name: {"centre": part.centre, "spread": part.spread, "weight": part.weight}
            for name, part in detector.parts.items()
        },
        "default_fpr": detector.default_fpr,
        "batch_size": detector.batch_size,
        "fingerprint": fingerprint,
        "heads": heads_of(detector.networks),
        "made_with": [origin.as_dict() for origin in made_with],
    }
    tensors = {f"networks.{k}": v for k, v in detector.networks.state_dict().items()}
    for name, part in detector.parts.items():
        tensors |= {f"fitted.{name}.{key}": value for key, value in part.fitted.items()}
    tensors["calibration.scores"] = torch.from_numpy(detector.calibration.scores.copy())
    # One value a header key: safetensors does not keep the keys' order, and files of the same
    # model should be the same bytes.
    payload = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={_FORMAT: json.dumps(header)},
    )
    with atomic_write(path) as stream:
        stream.write(payload)


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
    if header["schema"] != _SCHEMA:
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
        components=header["components"],
        default_fpr=header["default_fpr"],
        batch_size=header["batch_size"],
        fingerprint=header["fingerprint"],
        heads=header.get("heads", {}),  # files of version 0.1 have none
        made_with=origins_from(header.get("made_with", ())),  # likewise
        bigan_version=header["bigan_version"],
    )


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
    latent_dim = header.config.model.latent_dim
    networks = _undrawn_networks(architecture, header.image_shape, latent_dim, header.heads)
    if networks is None:
        networks = build_networks(
            architecture, header.image_shape, latent_dim, seed=0, heads=header.heads
        )
    groups = _read_tensors(path, device)
    try:
        networks.to(device).load_state_dict(groups["networks"])
    except RuntimeError as error:
        raise PluginError(
            f"{path} does not fit architecture '{architecture.name}' as it is installed here",
            "install the version of the plugin that the run was trained with",
        ) from error
    networks.requires_grad_(False)
    options = header.config.score.options
    parts: dict[str, Standardised] = {}
    for name, scale in header.components.items():
        component_class = registry.component(name)
        component: ScoreComponent = component_class(
            component_class.Options.from_table(options.get(name, {}))
        )
        fitted = {
            key.removeprefix(f"{name}."): tensor
            for key, tensor in groups["fitted"].items()
            if key.startswith(f"{name}.")
        }
        parts[name] = Standardised(
            component, fitted, scale["centre"], scale["spread"], scale["weight"]
        )
    calibration = Calibration(groups["calibration"]["scores"].numpy().astype(np.float64))
    return Detector(networks, parts, calibration, header.default_fpr, header.batch_size)


def _undrawn_networks(
    architecture: Architecture, image_shape: ImageShape, latent_dim: int, heads: Mapping[str, int]
) -> Networks | None:
    """Build networks without drawing weights, which would take longer than all else of loading.

    None where the model file will not fill all of their tensors.
    """
    with _nothing_drawn(), torch.random.fork_rng(devices=[]):
        networks = Networks(
            *architecture.build(image_shape, latent_dim),
            image_shape=image_shape,
            latent_dim=latent_dim,
        )
        add_heads(networks, heads)
    registered = {name for name, _ in chain(networks.named_parameters(), networks.named_buffers())}
    members = chain.from_iterable(vars(module).values() for module in networks.modules())
    if any(isinstance(member, Tensor) for member in members):
        return None
    return networks if registered <= networks.state_dict().keys() else None


@contextmanager
def _nothing_drawn() -> Iterator[None]:
    """Let torch's initialisers leave the tensors that they are given as they are."""
    usual = {name: getattr(init, name) for name in _DRAWING}
    for name in _DRAWING:
        setattr(init, name, lambda tensor, *_, **__: tensor)
    try:
        yield
    finally:
        for name, function in usual.items():
            setattr(init, name, function)


def _read_tensors(path: Path, device: torch.device) -> dict[str, dict[str, Tensor]]:
    """Return the tensors by group: networks and fitted on *device*, calibration on the host."""
    groups: dict[str, dict[str, Tensor]] = {"networks": {}, "fitted": {}, "calibration": {}}
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 (not a dict: it cannot be iterated)
                group, name = key.split(".", 1)
                tensor = file.get_tensor(key)
                # The calibration is float64, which Metal does not have.
                groups[group][name] = tensor if group == "calibration" else tensor.to(device)
    except (SafetensorError, OSError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error})") from error
    return groups
