"""Reports trainings of bigan to TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bigan_cli.contracts import EpochRecord, Options, TrackedResult, TrackedRun, Tracker
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch.utils.tensorboard.writer import SummaryWriter

# Pictures are made this small at most, since TensorBoard keeps those of several epochs in memory.
_LARGEST = (1600, 1600)
# ``losses`` draws what TensorBoard draws itself, ``true`` is the same at every save.
_PICTURES = ("comparison", "fake", "test")


class TensorBoardOptions(Options):
    """The table ``[output.tracker_options.tensorboard]`` of a config file."""

    folder: str = Field(
        "",
        description="Folder of all runs; each gets a subfolder of its name. By default events are "
        "written into the run directory, trackers/tensorboard.",
    )


class TensorBoardTracker(Tracker):
    """Writes scalars and pictures as TensorBoard events."""

    name = "tensorboard"
    summary = "scalars and pictures for TensorBoard"
    Options = TensorBoardOptions

    _writer: SummaryWriter

    def on_start(self, run: TrackedRun) -> Mapping[str, str]:
        """Open the event file of a new run, or one more of the run that is resumed."""
        from torch.utils.tensorboard.writer import SummaryWriter

        state = dict(run.state)
        if self.options.folder and not state:
            state["folder"] = str(_free_folder(Path(self.options.folder), run.path.resolve().name))
        folder = state.get("folder") or run.folder
        # Events of epochs that are trained again, since they were not saved, are dropped.
        purge = run.epoch + 1 if run.epoch else None
        self._writer = SummaryWriter(str(folder), purge_step=purge)
        if not run.epoch:
            rows = "\n".join(f"| {key} | {value} |" for key, value in _flat(run.config))
            self._writer.add_text("config", f"| setting | value |\n|---|---|\n{rows}", 0)
        return state

    def on_epoch(self, record: EpochRecord, member: int) -> None:
        """Write the figures of an epoch."""
        prefix = "" if member == 1 else f"member {member}/"
        figures = {
            "validation": record.validation,
            **{f"loss/{name}": value for name, value in record.losses.items()},
            **{f"diagnostics/{name}": value for name, value in record.extra.items()},
            "speed/images per second": record.images_per_second,
        }
        for name, value in figures.items():
            self._writer.add_scalar(f"{prefix}{name}", value, record.epoch)
        self._writer.flush()

    def on_pictures(self, epoch: int, pictures: Mapping[str, Path]) -> None:
        """Write the pictures of an epoch."""
        for name in _PICTURES:
            if name in pictures:
                image = _pixels(pictures[name])
                self._writer.add_image(f"pictures/{name}", image, epoch, dataformats="HWC")
        self._writer.flush()

    def on_end(self, result: TrackedResult) -> None:
        """Write the result."""
        rows = "\n".join(f"| {name} | {value:g} |" for name, value in result.metrics.items())
        text = f"status: {result.status}\n\n| figure | value |\n|---|---|\n{rows}"
        self._writer.add_text("result", text, int(result.metrics.get("best_epoch", 0)))
        self._writer.close()


@hookimpl
def bigan_trackers() -> list[type[Tracker]]:
    """Provide the tracker."""
    return [TensorBoardTracker]


def _free_folder(parent: Path, name: str) -> Path:
    """Return a folder in *parent* that is not there yet, called *name* if possible."""
    folder, number = parent.expanduser().resolve() / name, 1
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{name}-{number}")
    return folder


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value


def _pixels(path: Path) -> NDArray[np.uint8]:
    """Return a picture, uint8 ``[H, W, 3]``, reduced where it is large."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as picture:
        image = picture.convert("RGB")
    image.thumbnail(_LARGEST)
    return np.asarray(image)
