"""The run directory: creating, reading and changing the files of a run.

Opening and reading one imports no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bigan_cli import __version__
from bigan_cli.atomic import append, remove_stale_temporaries, write_text
from bigan_cli.config.schema import RunConfig
from bigan_cli.config.toml import read_toml, to_toml
from bigan_cli.config.validation_errors import first_problem
from bigan_cli.errors import RunDirectoryError
from bigan_cli.missing_paths import similar_path
from bigan_cli.regular_files import read_regular_file
from bigan_cli.storage.run_errors import damaged_file, no_run, no_trained_model
from bigan_cli.storage.run_files import FILE_NAME, FOLDERS, RunFiles
from bigan_cli.storage.run_paths import RunPaths
from bigan_cli.storage.run_schema import SCHEMA, parse_epoch_record, parse_run_info

_LARGEST_TEXT = 256_000_000  # bytes


class RunDirectory(RunPaths):
    """The files of one run.

    Use :meth:`open` for a run that is there, :meth:`create` for a new one.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._files = RunFiles(path)

    # Opening and creating

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Return the run in *path*.

        Raises:
            RunDirectoryError: There is no run there.
        """
        run = cls(path)
        if not run.run_file.exists():
            raise no_run(path)
        return run

    @classmethod
    def create(cls, path: Path, *, overwrite: bool = False) -> RunDirectory:
        """Return an empty run directory at *path*, for a new run to write into.

        Args:
            path: Made where it is missing.
            overwrite: Whether a run that is there may be removed. Only the files that it has
                written are removed; other files in the folder stay.

        Raises:
            RunDirectoryError: *path* holds a run and *overwrite* is false, or is not a folder; or
                files of the earlier run cannot be removed; or other files have the names of
                those that a run writes.
        """
        run = cls(path)
        run.check_free(overwrite=overwrite)
        run._files.remove()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunDirectoryError(f"cannot make {path}: {error.strerror}") from error
        return run

    def check_free(self, *, overwrite: bool) -> None:
        """Raise RunDirectoryError if a new run may not be written here."""
        if self.path.exists() and not self.path.is_dir():
            raise RunDirectoryError(f"{self.path} is a file, not a folder", "'output.save_dir=DIR'")
        if not overwrite:
            if self.run_file.exists():
                self._check_no_progress()
            else:
                self._check_empty()
        foreign = self._files.foreign()
        if foreign:
            raise RunDirectoryError(
                f"{foreign[0]} would be replaced, and no run recorded that it wrote it",
                "move it away, or name a new folder with 'output.save_dir'",
            )

    def _check_no_progress(self) -> None:
        """Refuse to replace a run that was trained."""
        if self.has_progress():
            info = self.info()
            progress = f"epoch {info.get('epoch', 0)}/{info.get('epochs', '?')}, {info['status']}"
            raise RunDirectoryError(
                f"{self.path} already holds a run ({progress})",
                f"'resume=True', 'overwrite=True', or 'output.save_dir={self.path.name}-2'",
            )

    def _check_empty(self) -> None:
        """Refuse to write among files that are somebody's own."""
        found = sorted(p.name for p in self.path.glob("*") if not p.name.startswith("."))
        if found == [FILE_NAME] and (self._files.listed() or self._files.drop_if_cut_off()):
            return  # of a run that ended at its very start
        if found:
            raise RunDirectoryError(
                f"{self.path} holds other files ({found[0]}, ...), and no run",
                "name a new folder with 'output.save_dir', or use this one with 'overwrite=True'",
            )

    def has_progress(self) -> bool:
        """Return whether the run has saved any training; one that has not may be replaced.

        Raises:
            RunDirectoryError: run.json is damaged.
        """
        return (
            self.info()["status"] == "done"
            or self.training_state(0).exists()
            or self.metrics_file.exists()
        )

    def remove_stale_temporaries(self) -> None:
        """Remove the temporary files that killed processes left in the run's own folders."""
        remove_stale_temporaries(self.path)
        for name in FOLDERS:
            folder = self.path / name
            if not folder.is_symlink():
                for path in (folder, *folder.glob("**/")):
                    remove_stale_temporaries(path)

    def claim(self, path: Path) -> Path:
        """Record that the run writes *path*, and return it.

        Raises:
            OSError: The folder cannot be written to.
        """
        self._files.add(path)
        return path

    def claim_tracker_files(self, name: str) -> None:
        """Record the files that the tracker *name* has written into its folder."""
        for path in self.tracker_folder(name).glob("**/*"):
            if path.is_file() and not path.is_symlink():
                self.claim(path)

    # run.json and config.toml

    def info(self) -> dict[str, Any]:
        """Return the contents of run.json.

        Raises:
            RunDirectoryError: The file is missing or damaged.
        """
        data = _read(self.run_file)
        if data is None:
            raise no_run(self.path)
        try:
            return parse_run_info(data)
        except ValueError as error:
            raise damaged_file(self.run_file, error) from error

    def write_info(self, **changes: Any) -> None:
        """Set keys of run.json and keep the others."""
        info = self.info() if self.run_file.exists() else {"schema": SCHEMA}
        text = json.dumps(info | changes, indent=2, allow_nan=False)
        write_text(self.claim(self.run_file), text + "\n")

    @cached_property
    def _config(self) -> RunConfig:
        # read_toml would read a named pipe, too.
        if _read(self.config_file) is None:
            raise RunDirectoryError(f"{self.path} has no config.toml", "the run is incomplete")
        try:
            # TOML has dates, which no setting takes.
            document = json.dumps(read_toml(self.config_file), default=str)
            return RunConfig.model_validate_json(document)
        except ValidationError as error:
            raise RunDirectoryError(
                f"{self.config_file} does not suit bigan {__version__}: {first_problem(error)}",
                "it was changed, or written by another version",
            ) from error

    def config(self) -> RunConfig:
        """Return the run's resolved configuration.

        Raises:
            RunDirectoryError: There is none, or this version does not know what it says.
            ConfigError: It is not valid TOML.
        """
        return self._config

    def write_config(self, config: RunConfig) -> None:
        """Store the resolved configuration."""
        write_text(self.claim(self.config_file), to_toml(config))

    # Metrics

    def metrics(self) -> list[dict[str, Any]]:
        """Return one record per member and epoch trained so far, in that order.

        A last line that is incomplete, because its writer was killed, is left out.

        Raises:
            RunDirectoryError: The file is damaged.
        """
        # What follows the last line end was not written completely.
        lines = (_read(self.metrics_file) or b"").split(b"\n")[:-1]
        try:
            records = [parse_epoch_record(line) for line in lines]
        except ValueError as error:
            raise damaged_file(self.metrics_file, error) from error
        return sorted(records, key=lambda record: (record["member"], record["epoch"]))

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add the record of one epoch to the metrics."""
        append(self.claim(self.metrics_file), _metrics_line(record).encode())

    def write_metrics(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Replace the metrics by *records*."""
        write_text(self.claim(self.metrics_file), "".join(map(_metrics_line, records)))

    # Model files

    def saved_epochs(self) -> list[int]:
        """Return the epochs that have a model file, in numerical order."""
        found = (re.fullmatch(r"epoch-(\d+)\.safetensors", f.name) for f in self.models.glob("*"))
        return sorted(int(match[1]) for match in found if match)

    def remove_earlier_models(self, keep: int) -> None:
        """Remove the model files of all but the latest *keep* epochs; that of epoch 0 stays.

        Files that this run has not recorded stay, too, and so do those behind a link.

        Raises:
            OSError: A file cannot be removed.
        """
        if self.models.is_symlink():
            return
        own = set(self._files.listed())
        trained = [epoch for epoch in self.saved_epochs() if epoch > 0]
        for epoch in trained[: max(len(trained) - keep, 0)]:
            if self.epoch_model(epoch) in own:
                self.epoch_model(epoch).unlink(missing_ok=True)

    def model_files(self) -> list[Path]:
        """Return all model files that there are, in the order of their names."""
        return sorted(self.models.glob("*.safetensors"))

    def model_file(self, checkpoint: str) -> Path:
        """Return the model file that *checkpoint* names.

        Args:
            checkpoint: ``best``, ``last``, an epoch's number, or a path.

        Raises:
            RunDirectoryError: There is no such file; the message lists what there is.
        """
        if checkpoint in ("best", "last"):
            path = self.best_model if checkpoint == "best" else self.last_model
        elif checkpoint.isdecimal():
            path = self.epoch_model(int(checkpoint))
        else:
            path = Path(checkpoint)
        if path.is_file():
            return path
        epochs = [str(epoch) for epoch in self.saved_epochs()]
        there = [p.stem for p in (self.best_model, self.last_model) if p.is_file()]
        # In the message they are all listed; of many, the hint needs no more than one.
        there += epochs[-1:]
        is_path = path == Path(checkpoint)
        if not is_path and there in ([], ["0"]):
            raise no_trained_model(self.path, self.info(), untrained=bool(there))
        near = similar_path(path) if is_path else ""
        raise RunDirectoryError(
            f"no checkpoint '{checkpoint}' in {self.path} "
            f"(epochs saved: {', '.join(epochs) or 'none'})",
            near or f"'checkpoint={' or '.join(there)}', or a model file's path",
        )


def _read(file: Path) -> bytes | None:
    """Return the contents of a text file of the run, or None if it is missing.

    Raises:
        RunDirectoryError: It cannot be read.
    """
    try:
        return read_regular_file(file, _LARGEST_TEXT)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunDirectoryError(
            f"cannot read {file}: {error.strerror}", "make it a file that you may read"
        ) from error


def _metrics_line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"
