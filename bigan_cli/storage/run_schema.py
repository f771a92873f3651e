"""The schemas of run.json, metrics.jsonl and self_test.json: types and ranges of what is read.

Keys that a schema does not name are kept, and nothing reads them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from bigan_cli.config.validation_errors import first_problem
from bigan_cli.storage.strict_json import parse_json

SCHEMA: Literal[1] = 1

Count = Annotated[int, Field(ge=0, lt=2**53)]
Natural = Annotated[int, Field(ge=1, lt=2**53)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Warning(_Strict):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    name: str
    text: str
    advice: str


class _Member(_Strict):
    seed: int
    epoch: Count
    best_epoch: Count
    best_validation: FiniteFloat | None
    warnings: list[_Warning]


class _Data(_Strict):
    dataset: str
    protocol: str
    fingerprint: str
    test_fingerprint: str = ""
    image_shape: str
    normal_classes: list[str]
    images: dict[str, Count]


class _PluginVersion(_Strict):
    kind: str
    name: str
    distribution: str
    version: str


class _RunInfo(_Strict):
    schema_version: Annotated[Literal[1], Field(alias="schema")]
    status: Literal["running", "interrupted", "failed", "done"]
    epoch: Count = 0
    epochs: Natural | None = None
    seed: int = 0
    threads: Natural | None = None
    parameters: Count = 0
    data: _Data | None = None
    members: list[_Member] = Field(default_factory=list)
    plugin_versions: list[_PluginVersion] = Field(default_factory=list)
    trackers: dict[str, dict[str, str]] = Field(default_factory=dict)
    seconds: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    folder: str = ""

    @model_validator(mode="after")
    def _is_complete(self) -> _RunInfo:
        if "data" in self.model_fields_set and self.data is None:
            raise ValueError("data is null")
        if self.status == "done" and (self.data is None or not self.members):
            raise ValueError("it is done, without data or members")
        return self


class _EpochRecord(_Strict):
    member: Natural
    epoch: Natural
    losses: dict[str, FiniteFloat]
    images_per_second: FiniteFloat
    seconds: FiniteFloat
    validation: FiniteFloat
    best: bool
    extra: dict[str, FiniteFloat] = Field(default_factory=dict)


class _FoundDefects(_Strict):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    kind: str
    pixels: Natural
    found: Count
    untrained: Count
    pca: Count
    total: Count


class _DiscordantPairs(_Strict):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    model: Count
    other: Count


class _SelfTest(_Strict):
    model_sha256: str
    fpr: Annotated[FiniteFloat, Field(gt=0, lt=1)]
    image_size: Annotated[list[Natural], Field(min_length=2, max_length=2)]
    defects: list[_FoundDefects]
    versus_untrained: _DiscordantPairs
    versus_pca: _DiscordantPairs


def parse_self_test(data: bytes) -> dict[str, Any]:
    """Return the contents of a self_test.json.

    Raises:
        ValueError: It is not one.
    """
    return _parse(data, _SelfTest)


def parse_run_info(data: bytes) -> dict[str, Any]:
    """Return the contents of a run.json.

    Raises:
        ValueError: It is not one.
    """
    return _parse(data, _RunInfo)


def parse_epoch_record(line: bytes) -> dict[str, Any]:
    """Return the contents of a line of metrics.jsonl.

    Raises:
        ValueError: It is not one.
    """
    return _parse(line, _EpochRecord)


def _parse(data: bytes, schema: type[_Strict]) -> dict[str, Any]:
    document: dict[str, Any] = parse_json(data)
    try:
        schema.model_validate(document)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error
    return document
