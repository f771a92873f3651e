"""A plugin as a third party would write it; tests load it from here or install copies of it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from bigan_cli.contracts import Dataset, Items, Options
from bigan_cli.hookspecs import hookimpl


class FrogsOptions(Options):
    pond: Literal["large", "small"] = Field("large", description="Where they were seen.")
    crop: tuple[int, int] = Field((4, 4), description="Pixels to leave out.")
    notes: Path | None = Field(None, description="A file with notes.")
    zoom: float = Field(1.0, gt=0, le=4, description="How near.")

    @field_validator("zoom")
    @classmethod
    def _not_three(cls, zoom: float) -> float:
        if zoom == 3:
            raise ValueError("three times is not offered")
        return zoom


class Frogs(Dataset):
    name = "frogs"
    summary = "frogs in their natural places"
    class_names = ("green", "brown")
    Options = FrogsOptions
    preset: ClassVar = {"train": {"epochs": 7, "lr": 0.001}, "data": {"inlier": [1]}}

    def train_items(self) -> Items:
        grey = np.arange(40 * 64, dtype=np.int64).reshape(40, 8, 8) % 251
        return Items(grey.astype(np.uint8), np.arange(40) % 2)

    def test_items(self) -> Items:
        return self.train_items()


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    return [Frogs]
