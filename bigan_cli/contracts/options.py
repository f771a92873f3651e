"""The typed options of a plugin class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Base of every plugin's typed options: unknown keys are refused, values are not coerced.

    A subclass declares fields with ``pydantic.Field(default, description=...)``. The
    description is what ``--help``, ``bigan config init`` and error messages show.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Return the options in a table of a config file or of a model file.

        Lists and strings of the table are converted to declared tuples and paths; nothing else
        is converted.

        Raises:
            pydantic.ValidationError: A key or value is invalid.
        """
        return cls.model_validate_json(json.dumps(table))


# In a plugin class the name ``Options`` is its own attribute.
AnyOptions: TypeAlias = Options
