"""The exported model as an ONNX file, and running one with onnxruntime."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import UsageError
from bigan_cli.export.outputs import Outputs, Runner

if TYPE_CHECKING:
    from torch.export import ExportedProgram

OPSET = 18
"""Version of the operators: onnxruntime since 1.14, OpenVINO since 2023 and TensorRT since 8.6."""

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# The limit of a protocol buffer.
_MOST_BYTES = 2**31 - 1


def check_installed() -> None:
    """Raise a UsageError if a package that this format needs is missing."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"exporting to ONNX needs {', '.join(missing)}", "pip install 'bigan-cli[export]'"
        )


def to_onnx(program: ExportedProgram, outputs: list[str], metadata: Mapping[str, str]) -> bytes:
    """Return the ONNX file of *program*.

    Args:
        program: A traced detector.
        outputs: Names of its outputs, in their order.
        metadata: What the file says about itself.

    Raises:
        UsageError: The model is too large for one file.
    """
    import torch
    from onnx_ir import serde
    from onnx_ir.passes import common

    with warnings.catch_warnings():  # about the inside of torch.onnx
        warnings.simplefilter("ignore")
        exported = torch.onnx.export(
            program,
            input_names=["images"],
            output_names=outputs,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert exported is not None  # noqa: S101  of dynamo=True
    model = exported.model
    # The members of an ensemble share what they have in common, such as a frozen backbone.
    common.DeduplicateInitializersPass(size_limit=_MOST_BYTES)(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.RemoveUnusedNodesPass()(model)
    model.metadata_props.update(metadata)
    size = sum(
        each.const_value.nbytes for each in model.graph.initializers.values() if each.const_value
    )
    if size >= _MOST_BYTES:
        raise UsageError(
            f"the model has {size / 1e9:.1f} GB of weights, and an ONNX file holds 2.1 GB at most",
            "export fewer ensemble members, or write a '.pt2' file",
        )
    content: bytes = serde.serialize_model(model).SerializeToString()
    return content


def onnx_runner(content: bytes) -> Runner:
    """Return what runs the ONNX file *content* on images uint8 ``[N, H, W, C]``."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(images: NDArray[np.uint8]) -> Outputs:
        return dict(zip(names, session.run(names, {"images": images}), strict=True))

    return run
