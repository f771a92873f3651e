"""Tracing: from a detector's module to a program of tensor operations, for any number of images."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

from bigan_cli.contracts import ImageShape
from bigan_cli.errors import BiganError, UsageError, first_line, is_out_of_memory
from bigan_cli.export.graph import DetectorGraph
from bigan_cli.formatting import one_line

if TYPE_CHECKING:
    from torch.export import ExportedProgram

# Any number but 1, for which a size would be taken for a constant.
_EXAMPLES = 2


def trace(graph: DetectorGraph, shape: ImageShape) -> ExportedProgram:
    """Return the program of *graph*, which takes any number of images ``[N, H, W, C]``.

    Raises:
        UsageError: An architecture or a component does what cannot be traced, such as leaving
            torch, or reading the number of images as a Python number.
    """
    from torch.export import Dim, export  # takes 3 s to import

    images = torch.zeros(_EXAMPLES, shape.height, shape.width, shape.channels, dtype=torch.uint8)
    with torch.no_grad():
        # Once for real: components prepare what they keep of the training images at first use.
        graph(images)
        try:
            with warnings.catch_warnings():  # about the inside of torch.export
                warnings.simplefilter("ignore")
                program = export(graph.eval(), (images,), dynamic_shapes=({0: Dim("N", min=1)},))
        except Exception as error:
            if isinstance(error, BiganError) or is_out_of_memory(error):
                raise
            raise UsageError(
                "this model cannot be exported, since its architecture or a score component does "
                f"what torch.export cannot trace: {one_line(first_line(error))}",
                "use tensor operations alone, and x.shape[0] in place of len(x)",
            ) from error
    return program
