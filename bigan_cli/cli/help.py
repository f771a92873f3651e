"""Help pages in sections, and wrong command lines told in one line and a hint.

Typer does either only with boxes that wrap; these stay plain lines that a script can search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin

from typer import TyperException
from typer.core import TyperCommand, TyperGroup

from bigan_cli.errors import UsageError, did_you_mean

# What the options of the script that came before this program are called now, where more
# than "_" has become "-".
_RENAMED = {
    "dataset_type": "--dataset NAME",
    "use_mps": "--device mps",
    "use_cpu": "--device cpu",
    "use_tanh": "--tanh",
    "use_spectral_norm": "--spectral-norm",
    "data_dir": "--data-root FOLDER",
    "learning_rate": "--lr RATE",
    "image_dir": "--image-dir FOLDER",
}

_WORDS = "bigan_cli.words"
# What stands for a value that names no placeholder of its own; typer would show Python's types.
_PLACEHOLDERS = {str: "TEXT", int: "N", float: "NUMBER", Path: "PATH"}
# Where these name a data set or an architecture, help shows its options, too.
_SELECTORS = {"--dataset", "--architecture"}


class Command(TyperCommand):
    """A command whose help shows its options under the headings they name."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, which leave pydantic alone where they can."""
        return _sparing(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line, and keep it for the help page."""
        ctx.meta[_WORDS] = tuple(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options, and those of the plugins that are named."""
        _write_parameters(self, ctx, formatter)
        flags = {*_SELECTORS, "--plugin"} & set(_long_options(self))
        named = _values_of(ctx.meta.get(_WORDS, ()), flags)
        if named.keys() & _SELECTORS:
            from bigan_cli.cli.plugin_help import sections_of

            write_sections(sections_of(named), formatter)


class Group(TyperGroup):
    """A group whose help shows options and commands under the headings they name."""

    command_class = Command

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, which leave pydantic alone where they can."""
        return _sparing(super().get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the commands."""
        _write_parameters(self, ctx, formatter)
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
    """Return what is wrong with the command line that typer refused, with a hint."""
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
    """Return what is wrong with a value that is no number, or none within its limits, if it is.

    It is told as a wrong value in a run file is: with what is allowed and what was given.
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
    """Return what the key of a run file allows for which *flag* stands, in words, if it is one."""
    from bigan_cli.cli.options import SETTING_OPTIONS
    from bigan_cli.config.reference import keys_of
    from bigan_cli.config.schema import RunConfig

    found = next((o.key for o in SETTING_OPTIONS if flag in o.names.split("/")), "")
    table, _, key = found.partition(".")
    model: Any = RunConfig.model_fields[table].annotation if table and key else RunConfig
    return next((k.allowed for k in keys_of(model) if k.dotted == key and key), "")


def is_help(error: TyperException) -> bool:
    """Return whether *error* is typer's way to show help where no argument was given."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _sparing(parameters: list[Any]) -> list[Any]:
    """Let *parameters* convert only the values that are given.

    Typer converts values by pydantic, the absence of a value as well, and importing that takes
    longer than all the rest of showing a help page or completing a word.
    """
    for parameter in parameters:
        if "process_value" not in vars(parameter):  # typer asks for the same ones again
            parameter.process_value = partial(_process, parameter, parameter.process_value)
    return parameters


def _process(parameter: Any, convert: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    """Return *value* as the command wants it, by *convert* only where that does something."""
    if ctx.resilient_parsing:  # a shell completes: the words matter, not what they mean
        return value
    if _takes_paths(parameter) and "" in (value if isinstance(value, list | tuple) else [value]):
        # What a script makes of a variable that is not set: not meant for the current folder.
        flag = next((o for o in parameter.opts if o.startswith("--")), parameter.name.upper())
        raise UsageError(f"{flag} is an empty path", "write . for the current folder")
    if value is not None or parameter.required:
        return convert(ctx, value)
    value = () if parameter.multiple or parameter.nargs == -1 else None
    return parameter.callback(ctx, parameter, value) if parameter.callback else value


def _takes_paths(parameter: Any) -> bool:
    return _kind(parameter) is Path or parameter.name == "paths"  # these are text: one may be -


def _kind(parameter: Any) -> Any:
    """Return the type of the value of *parameter*, or of each where there may be several."""
    kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    return get_args(kind)[0] if get_origin(kind) is list else kind


def _option_hint(option: str, context: Any) -> str:
    """Return where the option *option*, unknown here, is or what it is called, if we know."""
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
    # Typer keeps a placeholder object where no panel was named.
    panel = getattr(item, "rich_help_panel", None)
    return panel if isinstance(panel, str) else ""


def _write_parameters(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(ctx):
        if parameter.metavar is None:
            parameter.metavar = _PLACEHOLDERS.get(_kind(parameter))
        record = parameter.get_help_record(ctx)
        if record is not None:
            argument = parameter.param_type_name == "argument"
            usual = "Arguments" if argument else "Options"
            name = (argument and parameter.metavar) or record[0]  # no type behind its name
            sections.setdefault(_panel(parameter) or usual, []).append((name, record[1]))
    # What every command has comes last.
    sections["Options"] = sections.pop("Options")
    write_sections(sections, formatter)


def _values_of(words: Sequence[str], flags: set[str]) -> dict[str, list[str]]:
    """Return what *words*, of a command line that may be wrong elsewhere, give to *flags*."""
    values: dict[str, list[str]] = {}
    for word, after in zip(words, [*words[1:], "-"], strict=True):
        flag, equals, value = word.partition("=")
        if flag in flags and (equals or not after.startswith("-")):
            values.setdefault(flag, []).append(value if equals else after)
    return values


def write_sections(sections: Mapping[str, Sequence[tuple[str, str]]], formatter: Any) -> None:
    """Write rows of a name and what it means under each heading that has any."""
    for heading, rows in sections.items():
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)
