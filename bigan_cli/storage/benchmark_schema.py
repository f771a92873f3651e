"""The schema of results.json: what is read from it has these types and ranges."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from bigan_cli.config.validation_errors import first_problem
from bigan_cli.storage.run_schema import Count, Natural
from bigan_cli.storage.strict_json import parse_json

SCHEMA = 1

_Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
# It is the name of a folder, too.
_Name = Annotated[str, Field(pattern=r"^[^/\\\x00]+$", max_length=500)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Baseline(_Strict):
    auroc: _Share | None
    average_precision: _Share | None


class _Cell(_Strict):
    cell: _Name
    dataset: str
    option: Literal["inlier", "outlier", ""]
    classes: list[str]
    seed: int
    preset: str | None
    variant: str | None
    error: str | None
    threads: Natural
    commit: str | None
    command: str


class _FailedCell(_Cell):
    status: Literal["failed"]


class _FinishedCell(_Cell):
    status: Literal["done"]
    protocol: str
    normal_classes: list[str]
    anomalous_classes: list[str]
    device: str
    machine: str
    precision: str
    epochs: Count
    best_epoch: Count
    evaluated_epoch: Count
    auroc: _Share | None
    auroc_interval: Annotated[list[_Share], Field(min_length=2, max_length=2)] | None
    average_precision: _Share | None
    average_precision_interval: Annotated[list[_Share], Field(min_length=2, max_length=2)] | None
    prevalence: _Share
    untrained_auroc: _Share | None
    untrained_average_precision: _Share | None
    components: dict[str, FiniteFloat]
    untrained_components: dict[str, FiniteFloat]
    training_seconds: FiniteFloat
    images_per_second: FiniteFloat | None
    images: dict[str, Count]
    parameters: Count
    data_fingerprint: str
    test_fingerprint: str
    versions: dict[str, str]
    peak_memory_bytes: Count | None
    baselines: dict[str, _Baseline] | None


class _Document(_Strict):
    schema_version: Annotated[Literal[1], Field(alias="schema")]
    settings: dict[str, Any]
    cells: list[Annotated[_FailedCell | _FinishedCell, Field(discriminator="status")]]


class _Settings(_Strict):
    variants: dict[str, list[str]] = Field(default_factory=dict)


def parse_results(data: bytes) -> dict[str, Any]:
    """Return the contents of a results.json.

    Raises:
        ValueError: It is not one.
    """
    document: dict[str, Any] = parse_json(data)
    try:
        TypeAdapter(_Document).validate_python(document)
        _Settings.model_validate(document["settings"])
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error
    names = [cell["cell"] for cell in document["cells"]]
    if len(set(names)) < len(names):
        raise ValueError("a cell is repeated")
    return document
