#!/usr/bin/env python3
"""Scores images with a model that 'bigan export' wrote; needs neither bigan nor torch.

    pip install numpy pillow onnxruntime
    python run_onnx.py model.onnx photos/ --output scores.csv

The rows are those of 'bigan score': same columns, same order, same numbers but for rounding.
PNG, JPEG, BMP and WebP of 8 bits a sample are read. What 'bigan score' would have to convert first
is refused with the reason: 16-bit samples, and colour profiles other than sRGB.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import itertools
import json
import math
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

try:
    import numpy as np
    import onnxruntime
    from PIL import Image, ImageCms, UnidentifiedImageError
except ModuleNotFoundError as error:
    sys.exit(f"error: {error.name} is missing\nhint: pip install numpy pillow onnxruntime")

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".bmp", ".dib", ".webp")
# Of images that are refused, each with its row.
OTHER_SUFFIXES = (".tif", ".tiff", ".gif", ".jp2", ".pgm", ".ppm", ".heic", ".avif")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
PREPROCESSING = 2
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# A colour profile that changes no value by more is sRGB up to rounding.
ROUNDING = 2
# Aspect ratios that differ by a smaller factor are stretched, never padded.
STRETCHED = 1.05


class RefusedError(Exception):
    """An image that is not scored, with the reason."""


class Model:
    """An exported model.

    Attributes:
        height: Of the images that it takes.
        width: Likewise.
        channels: 1 grey, 3 RGB, 4 RGBA.
        components: Names of the score components.
        fpr: The false-positive rate that it was exported with.
        calibration_images: How many; a rate must be at least 1 / (number + 1).
        max_megapixels: Larger images are refused.
        keep_aspect: Whether an image of another aspect ratio is padded, not stretched.
        roi: The region of interest, an image of mode "1"; None if all pixels count.
    """

    def __init__(self, path: str) -> None:
        if not Path(path).is_file():
            raise SystemExit(f"error: there is no file {path}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of many classes, one for each status of the runtime
            raise SystemExit(f"error: cannot read {path} as an ONNX model") from error
        self._names = [output.name for output in self._session.get_outputs()]
        metadata = self._session.get_modelmeta().custom_metadata_map
        if "bigan.input_shape" not in metadata:
            raise SystemExit(f"error: {path} is no model that 'bigan export' wrote")
        read = {key: json.loads(metadata[f"bigan.{key}"]) for key in ("preprocessing", "fpr")}
        if read["preprocessing"]["version"] != PREPROCESSING:
            raise SystemExit(f"error: {path} needs the run_onnx.py that was written with it")
        self.fpr: float = read["fpr"]
        _, self.height, self.width, self.channels = json.loads(metadata["bigan.input_shape"])
        self.components: list[str] = json.loads(metadata["bigan.components"])
        self.calibration_images: int = json.loads(metadata["bigan.calibration_images"])
        self.max_megapixels: int = json.loads(metadata["bigan.max_megapixels"])
        self.keep_aspect: bool = json.loads(metadata["bigan.keep_aspect"])
        self.roi: Image.Image | None = None
        if "bigan.roi" in metadata:
            self.roi = Image.open(io.BytesIO(base64.b64decode(metadata["bigan.roi"]))).convert("1")

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return score, p_value, components and, if there is one, heatmap of uint8 [N, H, W, C]."""
        outputs = self._session.run(self._names, {"images": images})
        found = dict(zip(self._names, outputs, strict=True))
        # The nearest number of ranks: single precision does not hold it exactly.
        ranks = self.calibration_images + 1
        found["p_value"] = np.round(found["p_value"].astype(np.float64) * ranks) / ranks
        return found


def read_image(path: Path, model: Model) -> tuple[np.ndarray, tuple[int, int]]:
    """Return an image as uint8 [H, W, C] of the model's shape, and its own (height, width).

    Raises:
        RefusedError: It cannot be read, or would have to be converted first.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            check_samples(image, model.max_megapixels)
            turned = orientation(image)
            side = 3 * max(model.height, model.width)
            width, height = image.size
            image.draft(None, (side, side))  # decodes a large JPEG at a reduced scale
            image.load()
            check_profile(image)
            prepared = with_channels(image, model.channels)
    except RefusedError:
        raise
    except FileNotFoundError as error:
        raise RefusedError("no such file") from error
    except UnidentifiedImageError as error:
        raise RefusedError("not a PNG, JPEG, BMP or WebP file") from error
    except Exception as error:  # Pillow raises various exceptions for damaged files
        text = " ".join(str(error).split()) or type(error).__name__
        raise RefusedError("truncated file" if "truncated" in text.lower() else text) from error
    if turned in TURNS:
        prepared = prepared.transpose(TURNS[turned])
    if 5 <= turned <= 8:
        width, height = height, width
    left, top, across, down = placement((width, height), model)
    if prepared.size != (across, down):
        prepared = prepared.resize((across, down), Image.Resampling.BILINEAR)
    pixels = np.array(prepared).reshape(down, across, model.channels)
    around = [(top, model.height - top - down), (left, model.width - left - across), (0, 0)]
    pixels = np.pad(pixels, around, mode="symmetric")
    if model.channels == 4:
        pixels[pixels[..., 3] == 0] = 0  # invisible
    return pixels, (height, width)


def placement(size: tuple[int, int], model: Model) -> tuple[int, int, int, int]:
    """Return (left, top, width, height) of an image of *size* (width, height) in the model's.

    What is around it is filled by mirroring.
    """
    frame = (model.width, model.height)
    across, down = frame[0] / size[0], frame[1] / size[1]
    if not model.keep_aspect or max(across, down) <= STRETCHED * min(across, down):
        return 0, 0, *frame
    width, height = (max(1, round(side * min(across, down))) for side in size)
    return (frame[0] - width) // 2, (frame[1] - height) // 2, width, height


def check_samples(image: Image.Image, max_megapixels: int) -> None:
    """Refuse images that are too large, and samples that are read in a way not repeated here."""
    if image.width * image.height > max_megapixels * 1_000_000:
        raise RefusedError(f"more than {max_megapixels} megapixels")
    tiles = getattr(image, "tile", None)
    raw = str(tiles[0].args) if tiles else ""
    if ";16" in raw or image.mode.startswith(("I", "F")):
        raise RefusedError("more than 8 bits a sample: save it with 8")
    if "transparency" in image.info and ("L;2" in raw or "L;4" in raw):
        raise RefusedError("a transparent grey value of fewer than 8 bits: save it with 8")
    if image.format == "BMP" and image.mode == "RGBA":
        raise RefusedError("a bitmap with alpha: save it as PNG")


def check_profile(image: Image.Image) -> None:
    """Refuse an embedded colour profile that changes the pixels; a damaged one is ignored."""
    profile = image.info.get("icc_profile")
    if profile is None:
        return
    grey = image.mode in ("1", "L", "LA")
    mode = "L" if grey else "CMYK" if image.mode == "CMYK" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space != ("GRAY" if mode == "L" else mode) and (mode, space) != ("L", "RGB"):
            return  # a profile for other channels
        changed = changes(source, mode, space)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return
    if changed:
        raise RefusedError("a colour profile other than sRGB: convert it to sRGB")


def changes(source: ImageCms.ImageCmsProfile, mode: str, space: str) -> bool:
    """Return whether converting from a profile to sRGB changes a value by more than rounding."""
    if mode == "CMYK":
        return True
    flags = ImageCms.Flags.NONE
    if mode == "L":
        before = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
        shown = Image.fromarray(before)
        if space == "GRAY":
            shown, flags = shown.convert("L"), ImageCms.Flags.NOOPTIMIZE
    else:
        steps = np.linspace(0, 255, 9).astype(np.uint8)
        before = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
        before = before.reshape(1, -1, 3)
        shown = Image.fromarray(before)
    transform = ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        shown.mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags,
    )
    after = np.asarray(transform.apply(shown)).astype(int)
    compared = slice(1, 2) if mode == "L" else slice(None)
    return bool(np.abs(after - before)[..., compared].max() > ROUNDING)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged EXIF block
        return 1
    return value if isinstance(value, int) else 1


def with_channels(image: Image.Image, channels: int) -> Image.Image:
    """Return an image in mode L, RGB or RGBA, transparent parts over white unless in RGBA."""
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if image.mode == "RGBA" and channels != 4:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == MODES[channels] else image.convert(MODES[channels])


def count_regions(heat: np.ndarray, size: tuple[int, int], model: Model) -> int:
    """Return how many connected regions of an image have a heatmap above 1.

    Args:
        heat: float32 [H, W], at the model's size.
        size: (height, width) of the image.
        model: The model.
    """
    if not (heat > 1).any():  # a resized map has no larger values
        return 0
    height, width = size
    left, top, across, down = placement((width, height), model)
    heat = np.ascontiguousarray(heat[top : top + down, left : left + across])
    if heat.shape != size:
        low, high = float(heat.min()), float(heat.max())
        resized = Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR)
        heat = np.asarray(resized, np.float32).clip(low, high)
    if model.roi is not None:
        inside = model.roi
        if inside.size != (width, height):
            inside = inside.resize((width, height), Image.Resampling.NEAREST)
        heat = np.where(np.asarray(inside, bool), heat, 0)
    # A region ends where the heatmap falls to half of its peak.
    labels, count = label_connected(heat > 1)
    peaks = np.zeros(count + 1, np.float32)
    np.maximum.at(peaks, labels, heat)
    return label_connected((labels > 0) & (heat > peaks[labels] / 2))[1]


def label_connected(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the connected parts of a bool mask, numbered from 1, and their number.

    Pixels that touch at a side or a corner are connected.
    """
    parents: list[int] = []

    def root(part: int) -> int:
        while parents[part] != part:
            part = parents[part]
        return part

    runs: list[tuple[int, int, int]] = []  # row, first column, column after the last
    above = range(0)  # the runs of the row above
    for number, row in enumerate(mask):
        first = len(runs)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            part = len(runs)
            runs.append((number, start, stop))
            parents.append(part)
            for other in above:
                if runs[other][1] <= stop and start <= runs[other][2]:
                    parents[root(part)] = root(other)
        above = range(first, len(runs))
    labels = np.zeros(mask.shape, np.int64)
    numbers: dict[int, int] = {}
    for part, (number, start, stop) in enumerate(runs):
        labels[number, start:stop] = numbers.setdefault(root(part), len(numbers) + 1)
    return labels, len(numbers)


def natural_key(path: Path) -> tuple[Any, ...]:
    """Return a sort key with img2 before img10."""
    parts = re.split(r"([0-9]+)", path.name)
    return tuple(int(p) if i % 2 else p.casefold() for i, p in enumerate(parts)), path.name


def find_images(inputs: list[str]) -> Iterator[Path]:
    """Yield the files named, and the images in the folders named."""
    for path in map(Path, inputs):
        yield from images_in(path) if path.is_dir() else [path]


def images_in(folder: Path) -> Iterator[Path]:
    """Yield the images in a folder and its subfolders, in natural order."""
    for entry in sorted(folder.iterdir(), key=natural_key):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from images_in(entry)
        elif entry.suffix.lower() in SUFFIXES + OTHER_SUFFIXES:
            yield entry


def score_files(model: Model, paths: Iterator[Path], fpr: float, size: int) -> Iterator[list[Any]]:
    """Yield the row of each image: path, score, p-value, label, components, regions, error."""

    def read(path: Path) -> tuple[np.ndarray, tuple[int, int]] | str:
        try:
            return read_image(path, model)
        except RefusedError as error:
            return str(error)

    empty = [None, None, "", *(None for _ in model.components), None]
    with ThreadPoolExecutor() as pool:
        while batch := list(itertools.islice(paths, size)):
            images = list(pool.map(read, batch))
            readable = [image for image in images if not isinstance(image, str)]
            found = model.run(np.stack([pixels for pixels, _ in readable])) if readable else {}
            number = 0
            for path, image in zip(batch, images, strict=True):
                name = cell(path)
                if isinstance(image, str):
                    yield [name, *empty, image]
                    continue
                yield [name, *row(model, found, number, image[1], fpr)]
                number += 1


def row(
    model: Model, found: dict[str, np.ndarray], number: int, size: tuple[int, int], fpr: float
) -> list[Any]:
    """Return the row of one image without its path."""
    score, p_value = float(found["score"][number]), float(found["p_value"][number])
    components = found["components"][number].tolist()
    if not all(map(math.isfinite, [score, *components])):
        empty = [None] * (len(components) + 1)
        return [None, None, "", *empty, "the score is not finite"]
    label = "anomaly" if p_value <= fpr else "normal"
    regions = None
    if "heatmap" in found:
        regions = count_regions(found["heatmap"][number], size, model)
    return [score, p_value, label, *components, regions, ""]


def cell(path: Path) -> str:
    """Return a path as text that no spreadsheet takes for a formula."""
    text = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return f"./{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def write_rows(stream: TextIO, model: Model, rows: Iterator[list[Any]]) -> tuple[int, int]:
    """Write the rows as CSV; return how many images were scored, and how many were not."""
    writer = csv.writer(stream, lineterminator="\n")
    columns = ["score", "p_value", "label", *model.components, "regions", "error"]
    writer.writerow(["path", *columns])
    scored = skipped = 0
    for each in rows:
        writer.writerow(each)
        if each[-1]:
            skipped += 1
            print(f"warning: skipped {each[0]}: {each[-1]}", file=sys.stderr)
        else:
            scored += 1
    return scored, skipped


def main() -> int:
    """Score the images of the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", help="the .onnx file")
    parser.add_argument("images", nargs="+", help="image files and folders")
    parser.add_argument("--output", help="CSV file to write [standard output]")
    parser.add_argument("--fpr", type=float, help="false-positive rate of the label [the model's]")
    parser.add_argument("--batch-size", type=int, default=16, help="images per run [%(default)s]")
    arguments = parser.parse_args()
    Image.MAX_IMAGE_PIXELS = None  # the model has a limit
    model = Model(arguments.model)
    fpr = model.fpr if arguments.fpr is None else arguments.fpr
    if not 1 / (model.calibration_images + 1) <= fpr < 1:
        parser.error(
            f"a false-positive rate of {fpr:g} needs more than {model.calibration_images} "
            "calibration images"
        )
    rows = score_files(model, find_images(arguments.images), fpr, max(1, arguments.batch_size))
    if arguments.output:
        with Path(arguments.output).open("w", encoding="utf-8", newline="") as stream:
            scored, skipped = write_rows(stream, model, rows)
    else:
        scored, skipped = write_rows(sys.stdout, model, rows)
    if not scored:
        print(
            "error: no image could be scored" if skipped else "error: there are no images",
            file=sys.stderr,
        )
        return 1
    return 4 if skipped else 0


if __name__ == "__main__":
    sys.exit(main())
