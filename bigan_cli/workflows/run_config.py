"""The configuration of a new or a resumed run; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bigan_cli.config.load import LoadedConfig, load_config, save_dir_of
from bigan_cli.config.schema import RunConfig
from bigan_cli.config.sources import flatten
from bigan_cli.errors import RunDirectoryError, UsageError
from bigan_cli.missing_paths import similar_path
from bigan_cli.plugins.versions import plugin_versions_from
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.moved_images import require_images
from bigan_cli.workflows.score_config import with_options, with_weights

# Settings that may change on resume: none that affects what was learned so far. With more epochs
# the instance noise, which falls over all of them, falls more slowly from there on. A changed
# score is fitted to the networks of every model file.
_FREE_ON_RESUME = (
    "train.epochs",
    "train.device",
    "train.compile",
    "output.",
    "score.",
    "plugins",
    "data.root",
    "data.download",
    "data.block_cache_gb",
)


def load(
    file: Path | None, sets: Sequence[str], settings: Mapping[str, Any], *, resume: bool
) -> LoadedConfig:
    """Return the configuration of a new run, or of the run to resume.

    Args:
        file: A config file.
        sets: Texts ``TABLE.KEY=VALUE``.
        settings: Dotted key -> value, None where it is not given.
        resume: Whether to continue the run in ``output.save_dir``.

    Raises:
        ConfigError: Keys or values are wrong.
        RunDirectoryError: There is no run to resume.
        UsageError: A changed value would make it another run; or ``data.root`` is given without
            a dataset that reads it.
    """
    if not resume:
        loaded = load_config(file=file, sets=sets, settings=settings)
        _check_data_root_is_read(loaded, settings)
        return _completed(loaded)
    run = RunDirectory(save_dir_of(file, sets, settings))
    if not run.run_file.exists():
        raise RunDirectoryError(
            f"no run in {run.path} to resume (run.json missing)",
            similar_path(run.path)
            or "name its folder as 'output.save_dir', or start a run without 'resume=True'",
        )
    if not run.config_file.exists():
        raise RunDirectoryError(
            f"the run in {run.path} stopped before its configuration was written",
            "start it again without 'resume=True'",
        )
    stored = run.config()
    plugin_versions = plugin_versions_from(run.info().get("plugin_versions", ()))
    continued = _completed(
        load_config(
            file=file or run.config_file,
            sets=sets,
            settings=settings,
            plugin_versions=plugin_versions,
            complete=file is None,
        )
    )
    _check_resumable(with_options(stored, continued.registry), continued.config)
    if continued.config.data.root == stored.data.root:
        require_images(run, continued.registry, continued.config)
    return continued


def _check_data_root_is_read(loaded: LoadedConfig, settings: Mapping[str, Any]) -> None:
    # The default dataset, which is bundled, would be trained on instead.
    if settings.get("data.root") is not None and loaded.sources["data.dataset"] == "default":
        raise UsageError(
            "'data.root' without 'data.dataset': "
            f"{loaded.config.data.dataset}, the default, reads no files",
            "for images of your own pass 'data.dataset=folder'",
        )


def stale_models(run: RunDirectory, continued: LoadedConfig) -> list[Path]:
    """Return the model files of *run* with another score configuration than *continued*.

    Raises:
        DataError: One is damaged.
    """
    from bigan_cli.storage.model_header import read_header

    score = continued.config.score
    return [
        path
        for path in run.model_files()
        if with_options(read_header(path).config, continued.registry).score != score
    ]


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
            continue  # existing members are unchanged
        raise UsageError(
            f"cannot change {key} on resume ({before.get(key)} -> {after.get(key)})",
            "leave it as it was, or start a new run in another 'output.save_dir'",
        )
