"""The header of a model file: configuration, members and checksum, without the tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from bigan_cli import __version__
from bigan_cli.config.schema import LARGEST_INPUT, RunConfig
from bigan_cli.config.validation_errors import first_problem
from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import PREPROCESSING
from bigan_cli.data.tiles import Tiling
from bigan_cli.errors import DataError
from bigan_cli.formatting import one_line
from bigan_cli.missing_paths import missing_path
from bigan_cli.model.diagnostics import TrainingDiagnostics
from bigan_cli.plugins import PluginVersion
from bigan_cli.regular_files import read_regular_file
from bigan_cli.scoring.ensemble_member import TrainingProvenance
from bigan_cli.storage.checksum import UNKNOWN, verified_checksum
from bigan_cli.storage.strict_json import parse_json

FORMAT = "bigan-model"
SCHEMA: Final = 3

_LARGEST_SIDE = 16_384
_LARGEST_BATCH = 1024  # 16 times the usual number
_LARGEST_BATCH_PIXELS = 2**22  # likewise
_LARGEST_HEAD = 65_536
_HUGE = 1e100  # beyond any value in single precision, and its square is finite

Text = Annotated[str, Field(max_length=4096)]


class _Strict(BaseModel):
    """Takes no value of another type, and no unknown key."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", ser_json_inf_nan="constants"
    )


class ComponentHeader(_Strict):
    """How the values of a score component are standardised and weighted.

    Attributes:
        location: Subtracted from a value.
        scale: What the difference is divided by.
        weight: In the mean over the components.
    """

    location: Annotated[FiniteFloat, Field(ge=-_HUGE, le=_HUGE)]
    scale: Annotated[FiniteFloat, Field(ge=1 / _HUGE, le=_HUGE)]
    weight: Annotated[FiniteFloat, Field(ge=0, le=_HUGE)]


class MemberHeader(_Strict):
    """An ensemble member.

    Attributes:
        seed: Of its training.
        epoch: Epochs trained; 0 at initialisation.
        diagnostics: What training showed in the end; None where it was not looked at.
        components: Name -> standardisation and weight, in the order in which they are reported.
    """

    seed: int
    epoch: Annotated[int, Field(ge=0)]
    diagnostics: TrainingDiagnostics | None
    components: Annotated[dict[Text, ComponentHeader], Field(min_length=1)]

    @property
    def provenance(self) -> TrainingProvenance:
        """How its networks came about."""
        return TrainingProvenance(self.seed, self.epoch, self.diagnostics)

    @model_validator(mode="after")
    def _has_weight(self) -> MemberHeader:
        if not any(component.weight for component in self.components.values()):
            raise ValueError("all weights are 0")
        return self


class Revision(_Strict):
    """A change of a model after its training, which wrote a new file.

    Attributes:
        kind: ``recalibrated``: other scales and thresholds; ``updated``: what the components keep
            of normal images was fitted again, too. The networks are never changed.
        parent_sha256: Of the model file that it was made from.
        created: When, in UTC, ISO 8601.
        images: How many normal images it was made with.
        fingerprint: Of their pixels; see :class:`bigan_cli.data.normal_folder.NormalFolder`.
    """

    kind: Literal["recalibrated", "updated"]
    parent_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created: Annotated[str, Field(max_length=64)]
    images: Annotated[int, Field(ge=1)]
    fingerprint: Text


class ModelHeader(_Strict):
    """The header of a model file.

    Attributes:
        format: Marks the file as a model file of bigan.
        schema_version: Of this header.
        sha256: Of the whole file; see :mod:`bigan_cli.storage.checksum`.
        bigan_version: What wrote the file.
        epoch: Epochs trained, of the member that was trained longest; 0 is the untrained network.
        config: The resolved configuration of the run.
        image_shape: What images are brought to.
        class_names: The dataset's classes.
        normal_classes: Those that count as normal, by their index.
        preprocessing: How images are brought to that shape.
        members: The ensemble members, which have the same components.
        default_fpr: The run's false-positive rate.
        batch_size: Images a forward pass.
        fingerprint: Of the data the run was trained on.
        heads: Name -> outputs of each head of the discriminator.
        cycle_discriminators: Names of the cycle discriminators.
        plugin_versions: The packages or files that provided the run's plugins.
        revisions: The changes since training, the latest last; empty for a trained model.
    """

    format: Literal["bigan-model"] = "bigan-model"
    schema_version: Annotated[Literal[3], Field(alias="schema")] = SCHEMA
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] = UNKNOWN
    bigan_version: Text = __version__
    epoch: Annotated[int, Field(ge=0)]
    config: RunConfig
    image_shape: ImageShape
    class_names: tuple[Text, ...]
    normal_classes: tuple[Annotated[int, Field(ge=0)], ...]
    preprocessing: dict[str, Any]
    members: Annotated[tuple[MemberHeader, ...], Field(min_length=1, max_length=1000)]
    default_fpr: Annotated[float, Field(gt=0, lt=1)]
    batch_size: Annotated[int, Field(ge=1, le=_LARGEST_BATCH)]
    fingerprint: Text
    heads: dict[Text, Annotated[int, Field(ge=1, le=_LARGEST_HEAD)]]
    cycle_discriminators: tuple[Annotated[str, Field(pattern="^(image|latent)$")], ...]
    plugin_versions: tuple[PluginVersion, ...]
    revisions: tuple[Revision, ...] = ()

    @field_validator("image_shape")
    @classmethod
    def _is_an_image(cls, shape: ImageShape) -> ImageShape:
        if not (1 <= shape.channels <= 4 and 1 <= shape.height <= _LARGEST_SIDE >= shape.width > 0):
            raise ValueError(f"no image has the shape {shape}")
        return shape

    @model_validator(mode="after")
    def _fits_together(self) -> ModelHeader:
        if any(number >= len(self.class_names) for number in self.normal_classes):
            raise ValueError("normal_classes has a number without a name")
        taken = self.input_shape
        if max(taken.height, taken.width) > LARGEST_INPUT:
            raise ValueError(f"no networks take images of {taken}")
        if self.batch_size > max(1, _LARGEST_BATCH_PIXELS // (taken.height * taken.width)):
            raise ValueError(f"batch_size {self.batch_size} is too large for images of {taken}")
        if len({tuple(member.components) for member in self.members}) > 1:
            raise ValueError("members have different components")
        return self

    def to_json(self) -> str:
        """Return the header as JSON."""
        return json.dumps(self.model_dump(mode="json", by_alias=True))

    @property
    def is_cross_fitted(self) -> bool:
        """Whether it is calibrated by cross-fitting; a revision holds images out."""
        return self.config.data.calibration == "cross-fitting" and not self.revisions

    @property
    def input_shape(self) -> ImageShape:
        """What the networks take: whole images, or tiles."""
        tiling = Tiling.of(self.image_shape, self.config.data.tile)
        return self.image_shape if tiling is None else tiling.tile


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model file that was read once and whose checksum matches.

    Attributes:
        path: Where it was read.
        header: Its header.
        data: The whole file.
    """

    path: Path
    header: ModelHeader
    data: bytes


def read_header(path: Path) -> ModelHeader:
    """Return the header of the model file *path*; as :func:`read_model_file`."""
    return read_model_file(path).header


def read_model_file(path: Path) -> ModelFile:
    """Read the model file *path* and check it; its tensors are not loaded yet.

    Raises:
        UsageError: There is no such file.
        DataError: It is damaged, no model file, or of another version.
    """
    try:
        data = read_regular_file(path)
    except FileNotFoundError as error:
        raise missing_path(path, "model file") from error
    except OSError as error:
        raise DataError(
            f"cannot read the model file {path}: {error.strerror}", _another(path)
        ) from error
    try:
        verified_checksum(data)
    except ValueError as error:
        _check_is_model_file(path, data)
        raise damaged(path, str(error)) from error
    return ModelFile(path, _parse_header(path, data), data)


def damaged(path: Path, reason: str) -> DataError:
    """Return the error for a model file that cannot be trusted, for *reason*."""
    return DataError(f"{path} is damaged ({one_line(reason)})", _another(path))


def _another(path: Path) -> str:
    """Return what to do about a model file that cannot be used."""
    run = path.absolute().parent.parent
    if path.absolute().parent.name == "models" and (run / "run.json").is_file():
        return f"if it was copied, copy it again; else take another of {run}: 'checkpoint=last'"
    return "if it was copied, copy it again; else name another model file"


def _check_is_model_file(path: Path, data: bytes) -> None:
    """Raise a more exact error where *path*, without a valid checksum, is no such file at all."""
    try:
        metadata = _metadata(data)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged, or not a model file ({error})", _another(path)
        ) from error
    if FORMAT not in metadata:
        raise DataError(
            f"{path} is a safetensors file, but not a model file of bigan", _another(path)
        )
    try:
        header = parse_json(metadata[FORMAT])
        _check_schema(path, header)
    except (ValueError, TypeError, KeyError) as error:
        if isinstance(error, DataError):
            raise
        raise damaged(path, "its header cannot be read") from error


def _check_schema(path: Path, header: Mapping[str, Any]) -> None:
    found = header["schema"]
    if isinstance(found, int) and not isinstance(found, bool) and 0 < found != SCHEMA:
        advice = f"it was written by bigan {header['bigan_version']}"
        raise DataError(
            f"{path} has model format {found}; this version reads {SCHEMA}",
            f"{advice}: update bigan" if found > SCHEMA else f"{advice}: train again",
        )


def _check_preprocessing(path: Path, header: Mapping[str, Any]) -> None:
    if header["preprocessing"] != PREPROCESSING:
        raise DataError(
            f"{path} was trained on images that were prepared in another way",
            f"use bigan {header['bigan_version']}, which wrote it, or train again",
        )


def _metadata(data: bytes) -> Mapping[str, str]:
    """Return the metadata of a safetensors file: a length, then a header of JSON, then tensors."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= len(data) - 8:
        raise ValueError("it is cut off")
    metadata: Mapping[str, str] = parse_json(data[8 : 8 + length]).get("__metadata__", {})
    return metadata


def _parse_header(path: Path, data: bytes) -> ModelHeader:
    try:
        text = _metadata(data)[FORMAT]
        document = parse_json(text)
        _check_schema(path, document)
        _check_preprocessing(path, document)
        return ModelHeader.model_validate_json(text)
    except ValidationError as error:
        config = error.errors(include_url=False)[0]["loc"][:1] == ("config",)
        if config and document.get("bigan_version") != __version__:
            raise DataError(
                f"{path} does not suit bigan {__version__}: {first_problem(error)}",
                f"use bigan {document.get('bigan_version')}, which wrote it",
            ) from error
        raise damaged(path, f"header: {first_problem(error)}") from error
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, f"its header cannot be read: {error}") from error
