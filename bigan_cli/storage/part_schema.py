"""The schema of the first lines of score parts: what is read from them has these types."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from bigan_cli.config.validation_errors import first_problem
from bigan_cli.storage.run_schema import Count
from bigan_cli.storage.strict_json import parse_json

KIND: Final = "bigan score part"

_Text = Annotated[str, Field(max_length=1000)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class _Counts(_Strict):
    scored: Count
    skipped: Count
    not_finite: Count
    anomalies: Count


class Computed(_Strict):
    """What the rows of a part were computed with; see ``Header``."""

    model: _Text
    threshold: FiniteFloat
    components: list[_Text]
    map_files: dict[str, str | None]
    review: FiniteFloat | None


class PartStart(_Strict):
    """The first line of a part."""

    kind: Literal["bigan score part"]
    part: Count
    inputs: _Digest
    counts: _Counts
    computed: Computed
    table: _Digest


class AllParts(_Strict):
    """The only line of ``parts.json``."""

    kind: Literal["bigan score part"]
    parts: Annotated[int, Field(ge=1, le=100_000_000)]
    inputs: _Digest


def parse_part_start(line: bytes) -> PartStart:
    """Return the contents of the first line of a part.

    Raises:
        ValueError: It is not one; the message says why.
    """
    try:
        return PartStart.model_validate(parse_json(line))
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error


def parse_all_parts(line: bytes) -> AllParts:
    """Return the contents of ``parts.json``; as :func:`parse_part_start`."""
    try:
        return AllParts.model_validate(parse_json(line))
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error
