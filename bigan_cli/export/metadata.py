"""The metadata of an exported model: what a program needs to prepare images and to read results."""

from __future__ import annotations

import base64
import io
import json
from importlib.metadata import PackageNotFoundError, version

from PIL import Image

from bigan_cli import __version__
from bigan_cli.scoring.detector import Detector
from bigan_cli.storage.model_header import ModelHeader

SCHEMA = 1
_PACKAGES = ("torch", "onnx", "onnxscript", "numpy", "pillow")


def export_metadata(header: ModelHeader, detector: Detector, fpr: float) -> dict[str, str]:
    """Return the metadata of the export of *detector*, as ONNX stores them: text by name.

    The values of all but ``bigan.version``, ``bigan.model_sha256`` and ``bigan.roi`` are JSON.
    """
    shape, data = detector.shape, header.config.data
    documents = {
        "schema": SCHEMA,
        "versions": _versions(),
        "config": header.config.model_dump(mode="json"),
        "input_shape": ["N", shape.height, shape.width, shape.channels],
        "components": list(detector.component_names),
        "fpr": fpr,
        "threshold": detector.calibration.threshold(fpr),
        "calibration_images": detector.calibration.n,
        "preprocessing": header.preprocessing,
        "max_megapixels": data.max_megapixels,
        "keep_aspect": data.keep_aspect,
    }
    metadata = {f"bigan.{name}": json.dumps(value) for name, value in documents.items()}
    metadata["bigan.version"] = __version__
    metadata["bigan.model_sha256"] = header.sha256
    if detector.roi is not None:
        stream = io.BytesIO()
        Image.fromarray(detector.roi.mask).save(stream, "PNG")
        metadata["bigan.roi"] = base64.b64encode(stream.getvalue()).decode("ascii")
    return metadata


def _versions() -> dict[str, str]:
    """Return the versions of the packages that made the export, as far as they are installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
