"""Adapting a trained model to new normal images: recalibration and update, without training.

Both write a new model file, with the same networks and with a record of what it was made from:

* ``recalibrate`` sets the scales of the components and the thresholds. It suits another camera or
  other light.
* ``update`` also fits what the components keep of normal images (memories, Gaussians). It suits
  normal images that look new: another batch of material, a new variant of the part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import DataError, UsageError
from bigan_cli.formatting import count
from bigan_cli.scoring.calibration import check_fpr, images_needed
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.models import LoadedModel, find_model, load_model

if TYPE_CHECKING:
    from bigan_cli.data.normal_folder import NormalFolder
    from bigan_cli.scoring.detector import Detector
    from bigan_cli.scoring.ensemble_member import EnsembleMember
    from bigan_cli.scoring.normal_images import NormalImages

Kind = Literal["recalibrated", "updated"]
Refit = Callable[["EnsembleMember", "NormalImages", int], "EnsembleMember"]

# Fewer images give no usable scale of a component, nor a usable memory.
_SMALLEST_PART = 8


@dataclass(frozen=True)
class AdaptedModel:
    """The outcome of adapting a model.

    Attributes:
        kind: ``recalibrated`` or ``updated``.
        output: The new model file.
        sha256: Its checksum.
        parent: The model file that it was made from.
        parent_sha256: Its checksum.
        images: How many different normal images there were.
        copies: How many more were copies of these, and left out.
        parts: Part -> its number of images: ``train`` (of an update), ``validation`` sets the
            scales, ``calibration`` the thresholds.
        fingerprint: Of the images' pixels.
        fpr: The false-positive rate of the threshold.
        threshold: A score above it is anomalous.
        flagged_by_parent: How many of the calibration images the parent calls anomalous, at its
            own rate.
        parent_fpr: That rate.
        parent_threshold: The parent's threshold.
    """

    kind: Kind
    output: Path
    sha256: str
    parent: Path
    parent_sha256: str
    images: int
    copies: int
    parts: dict[str, int]
    fingerprint: str
    fpr: float
    threshold: float
    flagged_by_parent: int
    parent_fpr: float
    parent_threshold: float

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain values for JSON."""
        return dict(vars(self))


def recalibrate(
    normals: Sequence[Path],
    *,
    output: Path,
    run: Path,
    checkpoint: str = "best",
    fpr: float | None = None,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    callbacks: Callbacks | None = None,
) -> AdaptedModel:
    """Write a model with the scales and thresholds of new normal images.

    A third of the images sets the scales, the others the thresholds, so the false-positive rate
    is guaranteed as it is after training with held-out images.

    Args:
        normals: Folders of normal images that the model was not trained on.
        output: The ``.safetensors`` file to write; it must not exist.
        run: The run directory, or a model file.
        checkpoint: ``best``, ``last``, a saved epoch, or the path of a model file.
        fpr: The false-positive rate of the new model; by default the model's own.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        plugins: Plugin files to run.
        callbacks: Receive notes, warnings and progress.

    Raises:
        UsageError: *output* exists or has another suffix, or there is no such run.
        DataError: There are too few images, or one cannot be read.
    """
    from bigan_cli.scoring.fit import restandardise_member

    return _adapt(
        "recalibrated",
        restandardise_member,
        normals,
        output=output,
        run=run,
        checkpoint=checkpoint,
        fpr=fpr,
        device=device,
        plugins=plugins,
        callbacks=callbacks or Callbacks(),
    )


def update(
    normals: Sequence[Path],
    *,
    output: Path,
    run: Path,
    checkpoint: str = "best",
    fpr: float | None = None,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    callbacks: Callbacks | None = None,
) -> AdaptedModel:
    """Write a model whose components are fitted to new normal images, and calibrated on others.

    What the components kept of the earlier normal images is replaced: *normals* must hold
    everything that is normal now. The arguments and errors are those of :func:`recalibrate`.
    """
    return _adapt(
        "updated",
        _refit_member,
        normals,
        output=output,
        run=run,
        checkpoint=checkpoint,
        fpr=fpr,
        device=device,
        plugins=plugins,
        callbacks=callbacks or Callbacks(),
    )


def _refit_member(member: EnsembleMember, normals: NormalImages, batch_size: int) -> EnsembleMember:
    from bigan_cli.scoring.fit import fit_member

    fitted = member.components.values()
    return fit_member(
        member.networks,
        [each.component for each in fitted],
        {each.component.name: each.weight for each in fitted},
        normals,
        batch_size,
        member.provenance,
    )


def _adapt(
    kind: Kind,
    refit: Refit,
    normals: Sequence[Path],
    *,
    output: Path,
    run: Path,
    checkpoint: str,
    fpr: float | None,
    device: str,
    plugins: Sequence[Path],
    callbacks: Callbacks,
) -> AdaptedModel:
    _check_output(output)
    if fpr is not None:
        check_fpr(fpr)
    source = find_model(run, checkpoint)
    model = load_model(source.file, device, plugins, callbacks)
    parent = model.detector
    fpr = parent.default_fpr if fpr is None else fpr
    folder = _read(normals, model, callbacks)
    parts = _divide(len(folder), fpr, model.header.config.train.seed, train=kind == "updated")
    sets = {name: folder.pixels[index] for name, index in parts.items()}
    images = _normal_images(parent, sets, model.header.config.train.seed)
    callbacks.note(f"fitting the score to {count(len(folder), 'normal image')}")
    adapted = _calibrated(model, refit, images, fpr)
    flagged = int(parent.predict(sets["calibration"]).sum())
    return AdaptedModel(
        kind=kind,
        output=output,
        sha256=_save(kind, output, model, adapted, folder),
        parent=source.file,
        parent_sha256=model.header.sha256,
        images=len(folder),
        copies=folder.copies,
        parts={name: len(index) for name, index in parts.items()},
        fingerprint=folder.fingerprint,
        fpr=fpr,
        threshold=adapted.calibration.threshold(fpr),
        flagged_by_parent=flagged,
        parent_fpr=parent.default_fpr,
        parent_threshold=parent.calibration.threshold(parent.default_fpr),
    )


def _check_output(output: Path) -> None:
    if output.suffix.lower() != ".safetensors":
        raise UsageError(f"{output} is no .safetensors file", "the output is a new model file")
    if output.exists():
        raise UsageError(
            f"{output} exists, and a model is never changed in place", "name a new file"
        )
    folder = output.absolute().parent
    if folder.name == "models" and (folder.parent / "run.json").is_file():
        raise UsageError(
            f"{folder} holds the models of a training, which 'bigan train --resume' changes",
            "name a file elsewhere, such as in the run directory itself",
        )


def _read(normals: Sequence[Path], model: LoadedModel, callbacks: Callbacks) -> NormalFolder:
    from bigan_cli.data.image_file import DecodeOptions
    from bigan_cli.data.normal_folder import read_normal_folder

    folder = read_normal_folder(
        normals,
        model.detector.shape,
        DecodeOptions.of(model.header.config.data),
        model.detector.roi,
        partial(callbacks.on_progress, "reading images"),
    )
    if folder.copies:
        callbacks.warn(
            f"{count(folder.copies, 'image is a copy', 'images are copies')} of others and left out"
        )
    return folder


def _divide(images: int, fpr: float, seed: int, *, train: bool) -> dict[str, NDArray[np.int64]]:
    """Return the indices of each part, sorted: train (if wanted), validation, calibration.

    Raises:
        DataError: There are too few images for *fpr*; the message says how many are needed.
    """
    needed, others = images_needed(fpr), 2 if train else 1
    least = needed + others * _SMALLEST_PART
    if images < least:
        raise DataError(
            f"{count(images, 'normal image')} are too few: a false-positive rate of {fpr:g} needs "
            f"{least}, of which {needed} set the threshold",
            "add images, or set a larger 'score.fpr'",
        )
    sizes = {}
    if train:
        sizes["validation"] = max(_SMALLEST_PART, images // 8)
        sizes["calibration"] = max(needed, images // 4)
        sizes["train"] = images - sum(sizes.values())
        while sizes["train"] < _SMALLEST_PART:  # the least number of images, or few more
            sizes["validation"] -= 1
            sizes["train"] += 1
    else:
        sizes["calibration"] = min(max(needed, images * 2 // 3), images - _SMALLEST_PART)
        sizes["validation"] = images - sizes["calibration"]
    order = np.random.default_rng(seed).permutation(images)
    parts = np.split(order, np.cumsum(list(sizes.values()))[:-1])
    return {name: np.sort(part) for name, part in zip(sizes, parts, strict=True)}


def _normal_images(
    detector: Detector, sets: dict[str, NDArray[np.uint8]], seed: int
) -> NormalImages:
    """Return the parts as the score is fitted to them: with tiles, and the positions inside."""
    from bigan_cli.data.tiles import TRAINING_PIXELS, VALIDATION_PIXELS, Tiles
    from bigan_cli.scoring.normal_images import NormalImages
    from bigan_cli.scoring.tiled_member import TiledMember

    member, roi = detector.members[0], detector.roi
    shape = member.networks.input_shape
    train = sets.get("train", sets["validation"][:0])
    if not isinstance(member, TiledMember):
        inside = None if roi is None else roi.positions(shape.height, shape.width)
        return NormalImages(
            train,
            sets["validation"],
            sets["calibration"],
            roi=roi,
            train_inside=inside,
            validation_inside=inside,
        )
    tiling = member.tiling
    tiles = Tiles(train, tiling).sample(TRAINING_PIXELS, seed)
    validation = Tiles(sets["validation"], tiling).sample(VALIDATION_PIXELS, seed)
    of_tiles = None if roi is None else roi.tile_positions(tiling, shape.height, shape.width)
    return NormalImages(
        tiles[:],
        sets["validation"],
        sets["calibration"],
        tiling=tiling,
        validation_tiles=validation[:],
        roi=roi,
        train_inside=None if of_tiles is None else of_tiles[tiles.numbers],
        validation_inside=None if of_tiles is None else of_tiles[validation.numbers],
    )


def _calibrated(model: LoadedModel, refit: Refit, images: NormalImages, fpr: float) -> Detector:
    from bigan_cli.scoring.fit import calibrate

    batch_size = model.header.batch_size
    members = [refit(member, images, batch_size) for member in model.detector.members]
    return calibrate(members, images, fpr, batch_size)


def _save(
    kind: Kind, output: Path, model: LoadedModel, adapted: Detector, folder: NormalFolder
) -> str:
    """Write the model file and return its checksum."""
    from bigan_cli.storage.model_file import save_like
    from bigan_cli.storage.model_header import Revision, read_header
    from bigan_cli.workflows.run_info import now

    header = model.header
    revision = Revision(
        kind=kind,
        parent_sha256=header.sha256,
        created=now(),
        images=len(folder),
        fingerprint=folder.fingerprint,
    )
    save_like(output, adapted, header, revision)
    return read_header(output).sha256
