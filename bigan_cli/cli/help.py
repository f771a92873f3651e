"""Help pages in sections, and usage errors in one line and a hint.

Typer shows both in boxes that wrap; plain lines can be searched by scripts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin

from typer import TyperException
from typer.core import TyperCommand, TyperGroup

from bigan_cli.errors import UsageError, did_you_mean

# Options of the script that preceded this program, and their present names where more than "_"
# became "-".
_RENAMED = {
    "dataset_type": "--dataset NAME",
    "use_mps": "--device mps",
    "use_cpu": "--device cpu",
    "use_tanh": "--tanh",
    "use_spectral_norm": "--spectral-norm",
    "data_dir": "--data-root DIR",
    "learning_rate": "--lr RATE",
    "image_dir": "--image-dir DIR",
}

_WORDS = "bigan_cli.words"
# Metavars of options without their own; typer would show the names of Python types.
_PLACEHOLDERS = {str: "TEXT", int: "N", float: "NUMBER", Path: "PATH"}
# The help page also shows the options of a dataset or architecture named by these.
_SELECTORS = {"--dataset", "--architecture"}


class Command(TyperCommand):
    """A command whose help shows options under the headings of their panels."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, which import pydantic only if needed."""
        return _sparing(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line and keep it for the help page."""
        ctx.meta[_WORDS] = tuple(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options, and those of the plugins that are named."""
        write_sections(parameter_sections(self, ctx), formatter)
        flags = {*_SELECTORS, "--plugin"} & set(_long_options(self))
        named = _values_of(ctx.meta.get(_WORDS, ()), flags)
        if named.keys() & _SELECTORS:
            from bigan_cli.cli.plugin_help import sections_of

            write_sections(sections_of(named), formatter)


class Group(TyperGroup):
    """A group whose help shows options and commands under the headings of their panels."""

    command_class = Command

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, which import pydantic only if needed."""
        return _sparing(super().get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the commands."""
        write_sections(parameter_sections(self, ctx), formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, each with the first sentence of its help, in full."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            if not command.hidden:
                sentence = command.get_short_help_str(limit=1000)
                sections.setdefault(_panel(command) or "Commands", []).append((name, sentence))
        write_sections(sections, formatter)


def explain(error: TyperException) -> UsageError:
    """Return a usage error of typer as ours, with a hint."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "bigan"
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        hint = _option_hint(option, context) or f"'{command} --help' lists the options"
        return UsageError(f"'{command}' has no option '{option}'", hint)
    wrong = _wrong_number(error, command)
    if wrong:
        return UsageError(wrong, f"see '{command} --help'")
    text = " ".join(error.format_message().split()).rstrip(".")
    message, _, near = text.partition(". Did you mean ")
    hint = f"did you mean {near}" if near else f"see '{command} --help'"
    return UsageError(message[:1].lower() + message[1:], hint)


def _wrong_number(error: TyperException, command: str) -> str:
    """Return the message about a value that is no number or out of range, else an empty string.

    It reads like one about a config file: with what is allowed and what was given.
    """
    parameter: Any = getattr(error, "param", None)
    cause: Any = error.__cause__
    if parameter is None or not hasattr(cause, "errors"):
        return ""
    detail = cause.errors()[0]
    if not detail["type"].startswith(("int_", "float_", "greater_than", "less_than")):
        return ""
    flag = next((o for o in parameter.opts if o.startswith("--")), parameter.name)
    allowed = _of_a_run(flag) if command.endswith(" train") else ""
    if not allowed:
        low, high = parameter.min, parameter.max
        allowed = "a number" if detail["type"].startswith("float_") else "a whole number"
        if low is not None:
            allowed += f" of {low} or more" if high is None else f" from {low} to {high}"
    given = detail["input"]
    return f"{flag} must be {allowed}, got {given if 'than' in detail['type'] else repr(given)}"


def _of_a_run(flag: str) -> str:
    """Return in words what the setting of *flag* allows; empty where it has none."""
    from bigan_cli.cli.options import SETTING_OPTIONS
    from bigan_cli.config.reference import keys_of
    from bigan_cli.config.schema import RunConfig

    found = next((o.key for o in SETTING_OPTIONS if flag in o.names.split("/")), "")
    table, _, key = found.partition(".")
    model: Any = RunConfig.model_fields[table].annotation if table and key else RunConfig
    return next((k.allowed for k in keys_of(model) if k.dotted == key and key), "")


def is_help(error: TyperException) -> bool:
    """Return whether *error* only shows the help of a command without arguments."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _sparing(parameters: list[Any]) -> list[Any]:
    """Let *parameters* convert only values that are given.

    Typer converts values by pydantic, missing ones too, and importing pydantic takes longer than
    everything else that a help page or completion does.
    """
    for parameter in parameters:
        if "process_value" not in vars(parameter):  # typer asks for the same parameters again
            parameter.process_value = partial(_process, parameter, parameter.process_value)
    return parameters


def _process(parameter: Any, convert: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    """Return *value* as the command takes it, by *convert* only where it is needed."""
    if ctx.resilient_parsing:  # during shell completion
        return value
    if _takes_paths(parameter) and "" in (value if isinstance(value, list | tuple) else [value]):
        # From an unset variable in a script: not meant as the current folder.
        flag = next((o for o in parameter.opts if o.startswith("--")), parameter.name.upper())
        raise UsageError(f"{flag} is an empty path", "write . for the current folder")
    if value is not None or parameter.required:
        return _expand_home(convert(ctx, value)) if _takes_paths(parameter) else convert(ctx, value)
    value = () if parameter.multiple or parameter.nargs == -1 else None
    return parameter.callback(ctx, parameter, value) if parameter.callback else value


def _expand_home(value: Any) -> Any:
    """Replace ``~`` at the start of paths: a shell leaves it in ``--run=~/run``."""
    if isinstance(value, list | tuple):
        return type(value)(map(_expand_home, value))
    if isinstance(value, str | Path) and str(value).startswith("~"):
        return type(value)(os.path.expanduser(value))  # noqa: PTH111  pathlib's raises
    return value


def _takes_paths(parameter: Any) -> bool:
    # These are texts where one may also be - or a URL.
    return _kind(parameter) is Path or parameter.name in ("paths", "output")


def _kind(parameter: Any) -> Any:
    """Return the type of a value of *parameter*."""
    kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    return get_args(kind)[0] if get_origin(kind) is list else kind


def _option_hint(option: str, context: Any) -> str:
    """Return a hint about an unknown option: its present name or its command, if known."""
    name = option.lstrip("-").replace("-", "_")
    now = _RENAMED.get(name, "--" + name.replace("_", "-"))
    flag = now.split()[0]
    known = _long_options(context.command)
    if flag in known:
        return f"it is now '{now}'" if name in _RENAMED else f"it is spelt '{flag}'"
    root = context.find_root()
    if option in _all_options(root.command):
        return f"it comes before the command: {root.info_name} {option} {context.info_name} ..."
    near = did_you_mean(option, known)
    if near:
        return near
    owner = next(
        (path for path, command in _commands(root.command) if flag in _long_options(command)), None
    )
    return f"'{now}' is an option of '{root.info_name} {owner}'" if owner else ""


def _commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in getattr(group, "commands", {}).items():
        yield f"{path}{name}", command
        yield from _commands(command, f"{path}{name} ")


def _all_options(command: Any) -> list[str]:
    return [o for p in command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("-")]


def _long_options(command: Any) -> list[str]:
    return [option for option in _all_options(command) if option.startswith("--")]


def _panel(item: Any) -> str:
    # Without a panel, typer keeps a placeholder object.
    panel = getattr(item, "rich_help_panel", None)
    return panel if isinstance(panel, str) else ""


def parameter_sections(
    command: TyperCommand | TyperGroup, ctx: Any
) -> dict[str, list[tuple[str, str]]]:
    """Return heading -> (name, meaning) of the arguments and options of a command."""
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(ctx):
        if parameter.metavar is None:
            parameter.metavar = _PLACEHOLDERS.get(_kind(parameter))
        record = parameter.get_help_record(ctx)
        if record is not None:
            argument = parameter.param_type_name == "argument"
            usual = "Arguments" if argument else "Options"
            name = (argument and parameter.metavar) or record[0]  # without its type
            sections.setdefault(_panel(parameter) or usual, []).append((name, record[1]))
    # Options of every command come last.
    sections["Options"] = sections.pop("Options")
    return {heading: rows for heading, rows in sections.items() if rows}


def _values_of(words: Sequence[str], flags: set[str]) -> dict[str, list[str]]:
    """Return what *words*, of a command line that may be wrong elsewhere, give to *flags*."""
    values: dict[str, list[str]] = {}
    for word, after in zip(words, [*words[1:], "-"], strict=True):
        flag, equals, value = word.partition("=")
        if flag in flags and (equals or not after.startswith("-")):
            values.setdefault(flag, []).append(value if equals else after)
    return values


def write_sections(sections: Mapping[str, Sequence[tuple[str, str]]], formatter: Any) -> None:
    """Write the rows (name, meaning) of each heading that has any."""
    for heading, rows in sections.items():
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)
