"""What ``score``, ``evaluate`` and ``reconstruct`` share: a trained model, and its test images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bigan_cli.cli.terminal import Terminal
from bigan_cli.errors import UsageError
from bigan_cli.storage.run_directory import RunDirectory

if TYPE_CHECKING:
    import torch

    from bigan_cli.data.prepare import TestSet
    from bigan_cli.plugins import Registry
    from bigan_cli.scoring.detector import Detector
    from bigan_cli.storage.model_header import ModelHeader


_GPU_BATCHES = 16


@dataclass(frozen=True)
class Source:
    """Where a model comes from, checked before anything heavy is imported.

    Attributes:
        run: The run directory; None where a model file outside any run was given.
        file: The model file.
    """

    run: RunDirectory | None
    file: Path


@dataclass(frozen=True, eq=False)
class Model:
    """A detector, ready to score, and what its file says of it."""

    header: ModelHeader
    detector: Detector
    registry: Registry
    device: torch.device


def find_model(run: Path, checkpoint: str) -> Source:
    """Return the model file that ``--run`` and ``--checkpoint`` name.

    A model file knows all that scoring needs, so its run need not be there.

    Raises:
        RunDirectoryError: There is no run, or no such checkpoint in it.
    """
    directory = RunDirectory(run)
    if not directory.run_file.is_file() and Path(checkpoint).is_file():
        return Source(None, Path(checkpoint))
    directory = RunDirectory.open(run)
    return Source(directory, directory.model_file(checkpoint))


def load_model(terminal: Terminal, file: Path, device: str, plugins: Sequence[Path] = ()) -> Model:
    """Load the detector in *file* onto the device called *device*.

    Of the plugin files that the run was made with, one that is gone is missed only where the
    model needs what it provided.

    Args:
        terminal: Told the details.
        file: The model file.
        device: Name of the device.
        plugins: Plugin files that the user names now.

    Raises:
        DeviceError: There is no such device.
        DataError: The file is damaged or no model file.
        PluginError: A plugin that the model needs is not there.
    """
    from bigan_cli.model.device import resolve_device
    from bigan_cli.plugins import load_registry
    from bigan_cli.storage.model_file import load_detector
    from bigan_cli.storage.model_header import read_header

    chosen = resolve_device(device)
    header = read_header(file)
    registry = load_registry(
        plugins, list(map(Path, header.config.plugins)), header.plugin_versions
    )
    detector = load_detector(file, chosen, registry)
    terminal.detail(f"{file}: epoch {header.epoch}, {header.image_shape} pixels, on {chosen}")
    return Model(header, detector, registry, chosen)


def set_batch_size(model: Model, wanted: int | None) -> None:
    """Choose how many images a forward pass takes.

    On a CPU it is what the model was calibrated with, so that scores repeat to the bit: another
    number may change their last digits. A GPU gives them to float tolerance only, and has its
    cores full no sooner than with many more.
    """
    if wanted is not None:
        model.detector.batch_size = wanted
    elif model.device.type != "cpu":
        model.detector.batch_size = _GPU_BATCHES * model.header.batch_size


def cpu_workers() -> int:
    """Return how many batches a CPU works on at a time; ``OMP_NUM_THREADS`` decides if set."""
    import torch

    return torch.get_num_threads()


def open_test(terminal: Terminal, run: RunDirectory, model: Model, root: Path | None) -> TestSet:
    """Return the run's own test images, read again from where they came.

    Args:
        terminal: Told if they are not those that the run was trained with.
        run: Which knows the fingerprint of its test images.
        model: Which knows the configuration.
        root: Where the data lie now, if they were moved.

    Raises:
        DataError: Images are missing or unreadable.
        PluginError: The data set is not there any more.
    """
    from bigan_cli.data.prepare import open_dataset, reopen_test

    config = model.header.config
    if root is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"root": root})})
    dataset = open_dataset(model.registry, config.data)
    with progress_bar(terminal, "reading images") as advance:
        test = reopen_test(dataset, config, progress=advance)
    show_notes(terminal, test)
    if test.image_shape != model.detector.shape:
        raise UsageError(f"model expects {model.detector.shape}, the data give {test.image_shape}")
    known = run.info().get("data", {}).get("test_fingerprint", "")
    if known and known != test.fingerprint:
        terminal.warn(
            f"the test images of {config.data.dataset} are not those of {run.path}: files were "
            "changed, added or removed since it was trained"
        )
    return test


def show_notes(terminal: Terminal, test: TestSet) -> None:
    """Show how the data set understood its files, and what looks wrong in them."""
    for note in test.notes:
        terminal.note(f"note: {note}")
    for warning in test.warnings:
        terminal.warn(warning)


@contextmanager
def progress_bar(
    terminal: Terminal, description: str
) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar on an interactive terminal; the function yielded takes (done, in all).

    None where results go to the same terminal: rows and a bar would get in each other's way.
    """
    if not terminal.interactive or terminal.stdout_is_terminal:
        yield lambda _done, _total: None
        return
    with terminal.progress() as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
