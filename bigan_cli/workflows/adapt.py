"""Adapting a trained model to new normal images: recalibration and update, without training.

Both write a new model file, with the same networks and with a record of what it was made from:

* A *recalibrated* model has new scales of the components and new thresholds. It suits another
  camera or other light.
* For an *updated* one, what the components keep of normal images (memories, Gaussians) is fitted,
  too. It suits normal images that look new: another batch of material, a new variant of the part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bigan_cli.errors import BiganError, UsageError
from bigan_cli.formatting import count
from bigan_cli.scoring.calibration import check_fpr
from bigan_cli.workflows.adapt_parts import divide, normal_images
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.models import (
    LoadedModel,
    ModelSource,
    data_config,
    find_model,
    load_model,
)

if TYPE_CHECKING:
    from bigan_cli.data.normal_folder import NormalFolder
    from bigan_cli.scoring.detector import Detector
    from bigan_cli.scoring.ensemble_member import EnsembleMember
    from bigan_cli.scoring.normal_images import NormalImages

# Training images that are compared with the new ones: a folder that was trained on has them all.
_SAMPLE, _SAMPLE_BYTES = 200, 2**27

Kind = Literal["recalibrated", "updated"]


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


def adapt_model(
    kind: Kind,
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

    Scales and thresholds are set on different images, so the false-positive rate is guaranteed
    as it is after training with held-out images.

    Args:
        kind: What to fit to the images: ``recalibrated`` or ``updated``. An update replaces what
            the components kept of the earlier normal images, so *normals* must hold everything
            that is normal now.
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
    callbacks = callbacks or Callbacks()
    _check_output(output)
    if fpr is not None:
        check_fpr(fpr)
    source = find_model(run, checkpoint)
    model = load_model(source.file, device, plugins, callbacks)
    parent = model.detector
    folder = _read(normals, source, model, callbacks)
    seed = model.header.config.train.seed
    parts = divide(len(folder), fpr, parent.default_fpr, seed, train=kind == "updated")
    fpr = parent.default_fpr if fpr is None else fpr
    sets = {name: folder.pixels[index] for name, index in parts.items()}
    images = normal_images(parent, sets, seed)
    callbacks.note(f"fitting the score to {count(len(folder), 'normal image')}")
    adapted = _calibrated(kind, model, images, fpr)
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


def _read(
    normals: Sequence[Path], source: ModelSource, model: LoadedModel, callbacks: Callbacks
) -> NormalFolder:
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
    known = _known_images(source, model, callbacks)
    same = sum(digest in folder.digests for digest in known)
    if same:
        callbacks.warn(
            f"{same:,} of {count(len(known), 'training image')} looked at are among these images: "
            "the model knows them, so its thresholds become too low and flag too many new images; "
            "use images that it was not trained on"
        )
    return folder


def _known_images(source: ModelSource, model: LoadedModel, callbacks: Callbacks) -> list[bytes]:
    """Return digests of a sample of the training images; none if they cannot be read."""
    from bigan_cli.data.leakage import content_digests
    from bigan_cli.data.prepare import open_dataset, reopen_normals

    config = model.header.config
    if source.run is not None:
        config = data_config(source.run, model, None, callbacks)
    shape, roi = model.detector.shape, model.detector.roi
    samples = min(_SAMPLE, _SAMPLE_BYTES // (shape.channels * shape.height * shape.width))
    try:
        dataset = open_dataset(model.registry, config.data)
        training, _ = reopen_normals(
            dataset, config, samples=max(1, samples), most=0, shape=shape, roi=roi
        )
    except BiganError as error:
        callbacks.detail(f"not compared with the training images: {error.message}")
        return []
    return content_digests(training.pixels)


def _calibrated(kind: Kind, model: LoadedModel, images: NormalImages, fpr: float) -> Detector:
    from bigan_cli.scoring.fit import calibrate, restandardise_member

    batch_size = model.header.batch_size
    refit = _refit_member if kind == "updated" else restandardise_member
    members = [refit(member, images, batch_size) for member in model.detector.members]
    return calibrate(members, images, fpr, batch_size)


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
