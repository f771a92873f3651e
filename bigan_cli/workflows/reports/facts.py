"""What repeats a report: its commands, and the environment it was made in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bigan_cli import __version__
from bigan_cli.atomic import expanded
from bigan_cli.config.schema import RunConfig
from bigan_cli.errors import UsageError
from bigan_cli.report.html.page import Command
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.environment import machine
from bigan_cli.workflows.models import LoadedModel


def now() -> str:
    """Return date and time for a reader."""
    return f"{datetime.now(UTC).astimezone():%Y-%m-%d %H:%M %Z}".strip()


def run_options(run: RunDirectory | None, file: Path) -> str:
    """Return the options that name a model: ``--run``, and ``--checkpoint`` if it is needed."""
    if run is None:
        return f"--checkpoint {shlex.quote(str(file))}"
    options = f"--run {shlex.quote(str(run.path))}"
    if file == run.best_model:
        return options
    named = "last" if file == run.last_model else str(file)
    return f"{options} --checkpoint {shlex.quote(named)}"


def training_command(run: RunDirectory) -> Command:
    """Return the command line that trained the run, or one that does it again.

    It never replaces a run: ``--overwrite`` is left out.
    """
    argv = run.info().get("argv")
    if isinstance(argv, list) and argv[:1] == ["train"]:
        words = [word for word in map(str, argv) if word != "--overwrite"]
        return Command("Trained with", f"bigan {shlex.join(words)}")
    config = shlex.quote(str(run.config_file))
    return Command("Train it again", f"bigan train --config {config} --save-dir NEW_RUN")


def dataset_name(config: RunConfig, dataset: str) -> str:
    """Return the name of a dataset, or of the folder that its images are in."""
    root = config.data.root
    if dataset != "folder" or root is None:
        return dataset
    return expanded(root).resolve().name or dataset


def environment_of(run: RunDirectory | None, file: Path, model: LoadedModel) -> Mapping[str, str]:
    """Return name -> value of what the scores depend on."""
    header = model.header
    facts = {
        "bigan": __version__,
        "machine": machine(str(model.device)),
        "device": str(model.device),
        "model": str(file),
        "SHA-256 of the model": header.sha256,
        "epoch": f"{header.epoch:,}",
        "seeds": ", ".join(str(member.seed) for member in header.members),
        "data fingerprint": header.fingerprint,
    }
    if run is not None:
        info = run.info()
        versions = info.get("versions", {})
        if isinstance(versions, Mapping):
            facts["trained with"] = ", ".join(f"{k} {v}" for k, v in versions.items())
        if info.get("started"):
            facts["training started"] = f"{info['started']}, {info.get('device', '')}".rstrip(", ")
    return {name: value for name, value in facts.items() if value}


def check_report_file(file: Path) -> None:
    """Raise UsageError unless *file* can be a report: no other file of the user is replaced."""
    if file.is_dir() or file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"the report {file} is not an .html file")
