"""The exported model as a file of torch.export, and running one."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from bigan_cli.export.outputs import Outputs, Runner

if TYPE_CHECKING:
    from torch.export import ExportedProgram

METADATA_FILE = "bigan.json"
"""The extra file with the metadata; ``torch.export.load(..., extra_files={"bigan.json": ""})``."""


def to_torch(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """Return the file of *program*, with *metadata* as JSON in its extra file."""
    stream = io.BytesIO()
    with warnings.catch_warnings():  # of constants that share their memory
        warnings.simplefilter("ignore")
        torch.export.save(program, stream, extra_files={METADATA_FILE: json.dumps(dict(metadata))})
    return stream.getvalue()


def torch_runner(content: bytes) -> Runner:
    """Return what runs the file *content* on images uint8 ``[N, H, W, C]``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.load(io.BytesIO(content)).module()

    def run(images: NDArray[np.uint8]) -> Outputs:
        with torch.no_grad():
            return {name: value.numpy() for name, value in module(torch.from_numpy(images)).items()}

    return run
