"""Options that several commands share, and those that set a setting; imports nothing heavy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from bigan_cli.cli import completion
from bigan_cli.cli._setting_options import ROWS
from bigan_cli.cli.flags import read_settings

_TYPES: Mapping[str, type] = {"int": int, "float": float, "bool": bool, "str": str, "Path": Path}
_COMPLETIONS = {
    "data.dataset": completion.datasets,
    "model.architecture": completion.architectures,
    "train.device": completion.words(*completion.DEVICES),
}


class SettingOption(NamedTuple):
    """The option of a setting, made from its field in ``config/schema.py`` by ``make options``.

    Attributes:
        key: The dotted key of the setting.
        names: As in ``"--lr"`` or ``"--download/--no-download"``.
        panel: Heading of the help page.
        metavar: The placeholder of the value; empty for that of its type.
        type: Name of the type of the value.
        repeatable: Whether it may be given several times.
        choices: The words it takes, where it takes words only.
        default: As the help page shows it.
        envvar: The environment variable that it overrides, or an empty string.
        help: What it means.
    """

    key: str
    names: str
    panel: str
    metavar: str
    type: str
    repeatable: bool
    choices: tuple[str, ...]
    default: str
    envvar: str
    help: str

    @property
    def parameter(self) -> str:
        """Name of the parameter of a function."""
        return self.names.partition("/")[0].removeprefix("--").replace("-", "_")

    @property
    def annotation(self) -> Any:
        """Type of the parameter."""
        kind: Any = _TYPES[self.type]
        return list[kind] | None if self.repeatable else kind | None

    def declare(self, *, panel: str = "", default: str = "", help: str = "") -> Any:  # noqa: A002  as typer has it
        """Return the option as typer takes it, with other words where they are given."""
        completions = _COMPLETIONS.get(self.key)
        if completions is None and self.choices:
            completions = completion.words(*self.choices)
        extra = [f"env var: {self.envvar}"] if self.envvar else []
        extra += [f"default: {default or self.default}"] if default or self.default else []
        return typer.Option(
            self.names,
            help=f"{help or self.help} [{'; '.join(extra)}]" if extra else help or self.help,
            metavar=self.metavar or None,
            rich_help_panel=panel or None,
            autocompletion=completions,
        )


SETTING_OPTIONS = tuple(SettingOption(*row) for row in ROWS)
_BY_KEY = {option.key: option for option in SETTING_OPTIONS}


def setting_option(key: str, *, default: str = "", help: str = "") -> Any:  # noqa: A002  as typer has it
    """Return the option of the setting *key* for a command that has few of them."""
    return _BY_KEY[key].declare(default=default, help=help)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option of every setting to *command*, which takes those given as ``settings``.

    ``settings`` maps dotted keys to values, as :func:`bigan_cli.config.load.load_config` takes
    them. All default to None, so that none hides a value of a config file.
    """
    own = inspect.signature(command, eval_str=True)
    kept = [p for p in own.parameters.values() if p.name != "settings"]
    added = [
        inspect.Parameter(
            option.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[option.annotation, option.declare(panel=option.panel)],
        )
        for option in SETTING_OPTIONS
    ]

    @wraps(command)
    def run(**arguments: Any) -> None:
        texts = {option.key: arguments.pop(option.parameter) for option in SETTING_OPTIONS}
        command(**arguments, settings=read_settings(texts))

    # typer reads these two.
    run.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(kind=p.KEYWORD_ONLY) for p in kept[:1]]
        + added
        + [p.replace(kind=p.KEYWORD_ONLY) for p in kept[1:]]
    )
    run.__annotations__ = {}
    return run


RunOption = Annotated[Path, typer.Option(help="Run directory.", metavar="DIR")]
ModelOption = Annotated[
    Path, typer.Option("--run", help="Run directory, or a model file.", metavar="DIR")
]
CheckpointOption = Annotated[
    str,
    typer.Option(
        help="best, last, a saved epoch (0 is the untrained network), or a model file.",
        metavar="WHICH",
        autocompletion=completion.words(*completion.CHECKPOINTS),
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help=_BY_KEY["train.device"].help,
        envvar="BIGAN_DEVICE",
        metavar="DEVICE",
        autocompletion=completion.words(*completion.DEVICES),
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Config file (TOML).", metavar="FILE")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Any configuration key, such as train.loss=logistic. Repeatable.",
        metavar="TABLE.KEY=VALUE",
    ),
]
PluginOption = Annotated[list[Path] | None, setting_option("plugins")]
ThresholdOption = Annotated[
    float | None, typer.Option(help="Label images above this score anomalous, instead of --fpr.")
]
ReviewFprOption = Annotated[
    float | None,
    typer.Option(
        help="Label images 'review' that are anomalous at this rate, larger than --fpr, only.",
        metavar="SHARE",
    ),
]
MaxMegapixelsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Skip images of more million pixels. [default: the run's]"),
]
NormalsOption = Annotated[
    list[Path],
    typer.Option(help="Folder of normal images, searched recursively. Repeatable.", metavar="DIR"),
]
NewModelOption = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="Model file to write; it must not exist.", metavar="FILE.safetensors"
    ),
]
TemplateFileOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Output file. [default: standard output]", metavar="FILE"),
]
TemplateDatasetOption = Annotated[
    str | None,
    setting_option("data.dataset", help="Dataset whose defaults and options are written."),
]
TemplateArchitectureOption = Annotated[
    str | None,
    setting_option("model.architecture", help="Architecture whose options are written."),
]
RecursiveOption = Annotated[
    bool, typer.Option("--recursive/--no-recursive", help="Search folders recursively.")
]
MapsOption = Annotated[
    Path | None,
    typer.Option(
        help="Write a heatmap of each image to this folder, in subfolders like the inputs'.",
        metavar="DIR",
    ),
]
MapFormatOption = Annotated[
    str | None,
    typer.Option(
        help="Files of --maps: overlay (PNG on the image), png16 (4096 levels are the "
        "threshold) or npy (1.0 is the threshold). [default: overlay]",
        metavar="FORMAT",
    ),
]
MasksOption = Annotated[
    Path | None,
    typer.Option(
        help="Write a black and white mask of each image's anomalous pixels to this folder.",
        metavar="DIR",
    ),
]
ReportFileOption = Annotated[
    Path | None,
    typer.Option(
        help="Write an HTML report of the images to this file; on a terminal it replaces the rows.",
        metavar="FILE",
    ),
]
FailOnAnomalyOption = Annotated[
    bool,
    typer.Option(
        "--fail-on-anomaly",
        help="Exit code 3 if there is an anomaly, even if files were skipped.",
    ),
]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
