"""The configuration of ``bigan train``, and of a run that goes on; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bigan_cli.config.load import LoadedConfig, load_config
from bigan_cli.config.schema import RunConfig
from bigan_cli.config.sources import flatten
from bigan_cli.errors import RunDirectoryError, UsageError
from bigan_cli.plugins import Registry
from bigan_cli.plugins.versions import plugin_versions_from
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.score_config import with_options, with_weights

# What may differ between a run and its continuation: nothing that changes what was learned. More
# epochs stretch what falls over all of them, the instance noise, from there on. Another score is
# fitted to the networks that there are.
_FREE_ON_RESUME = (
    "train.epochs",
    "train.device",
    "train.compile",
    "output.",
    "score.",
    "data.root",
    "data.download",
)


def load(
    file: Path | None, sets: Sequence[str], flags: Mapping[str, Any], *, resume: bool
) -> LoadedConfig:
    """Return the configuration; of the run to continue, where there is one.

    Raises:
        RunDirectoryError: *resume*, and there is no run.
        UsageError: *resume*, and a changed value would make it another run; or images are named
            and no data set that would read them.
    """
    if not resume:
        loaded = load_config(file=file, sets=sets, settings=flags)
        _check_data_root_is_read(loaded, flags)
        return _completed(loaded)
    wanted = load_config(file=file, sets=sets, settings=flags)
    run = RunDirectory(wanted.config.output.save_dir)
    if not run.run_file.exists():
        raise RunDirectoryError(
            f"no run in {run.path} to resume (run.json missing)",
            "name its folder with --save-dir, or start a run without --resume",
        )
    stored = run.config()
    plugin_versions = plugin_versions_from(run.info().get("plugin_versions", ()))
    continued = _completed(
        load_config(
            file=file or run.config_file,
            sets=sets,
            settings=flags,
            plugin_versions=plugin_versions,
            complete=file is None,
        )
    )
    _check_resumable(_with_all(stored, continued.registry), continued.config)
    return continued


def _check_data_root_is_read(loaded: LoadedConfig, flags: Mapping[str, Any]) -> None:
    # Else the default data set, which comes with the installation, would be trained on instead.
    if flags.get("data.root") is not None and loaded.sources["data.dataset"] == "default":
        raise UsageError(
            f"--data-root without --dataset: {loaded.config.data.dataset}, the default, "
            "reads no files",
            "for images of your own pass --dataset folder",
        )


def stale_models(run: RunDirectory, continued: LoadedConfig) -> list[Path]:
    """Return the model files of *run* that do not score as it is to when it goes on.

    Raises:
        DataError: One is damaged.
    """
    from bigan_cli.storage.model_header import read_header

    wanted = _with_all(continued.config, continued.registry).score
    return [
        path
        for path in run.model_files()
        if _with_all(read_header(path).config, continued.registry).score != wanted
    ]


def _with_all(config: RunConfig, registry: Registry) -> RunConfig:
    # Earlier versions stored runs without the weights of their components, and with fewer options.
    return with_options(with_weights(config, registry), registry)


def _completed(loaded: LoadedConfig) -> LoadedConfig:
    return replace(loaded, config=with_weights(loaded.config, loaded.registry))


def _check_resumable(stored: RunConfig, wanted: RunConfig) -> None:
    before, after = (
        {
            ".".join(path): value
            for path, value in flatten(config.model_dump(mode="json"))
            if value != {}
        }
        for config in (stored, wanted)
    )
    for key in sorted(before.keys() | after.keys()):
        if key.startswith(_FREE_ON_RESUME) or before.get(key) == after.get(key):
            continue
        if key == "train.members" and after[key] > before[key]:
            continue  # more members change nothing of those that are there
        raise UsageError(
            f"cannot change {key} on resume ({before.get(key)} -> {after.get(key)})",
            "leave it as it was, or start a new run with --save-dir",
        )
