"""``bigan config``: writes, shows and checks config files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import (
    ConfigOption,
    JsonOption,
    PluginOption,
    SetOption,
    setting_option,
)

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal
    from bigan_cli.config.load import LoadedConfig

app = typer.Typer(name="config", no_args_is_help=True, help="Write, show and check config files.")


@app.command()
def init(
    ctx: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Output file. [default: standard output]", metavar="FILE"
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        setting_option("data.dataset", help="Dataset whose defaults and options are written."),
    ] = None,
    architecture: Annotated[
        str | None,
        setting_option("model.architecture", help="Architecture whose options are written."),
    ] = None,
    plugin: PluginOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Write a config file with every key, its default and what it means."""
    from bigan_cli.atomic import expanded, write_text
    from bigan_cli.config.reference import template
    from bigan_cli.config.resolve import DEFAULT_ARCHITECTURE, DEFAULT_DATASET
    from bigan_cli.errors import UsageError
    from bigan_cli.plugins import load_registry

    terminal: Terminal = ctx.obj
    if output is not None and output.exists() and not overwrite:
        raise UsageError(f"{output} exists", "--overwrite replaces it")
    registry = load_registry(plugin or [])
    data = registry.dataset(dataset or DEFAULT_DATASET)
    suited = data.preset.get("model", {}).get("architecture", DEFAULT_ARCHITECTURE)
    networks = registry.architecture(architecture or suited)
    files = [str(expanded(path).absolute()) for path in plugin or []]
    text = template(registry, data, networks, files)
    if output is None:
        terminal.result(text.rstrip("\n"))
    else:
        write_text(output, text)
        terminal.result(str(output))


@app.command()
def show(
    ctx: typer.Context,
    config: ConfigOption = None,
    set_: SetOption = None,
    plugin: PluginOption = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="Show where each value comes from.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the complete configuration of a run."""
    from bigan_cli.config.load import load_config
    from bigan_cli.config.reference import with_sources
    from bigan_cli.config.toml import to_toml

    terminal: Terminal = ctx.obj
    loaded = load_config(file=config, sets=set_ or [], settings={"plugins": plugin})
    for note in loaded.notes:
        terminal.note(note)
    if as_json:
        document = {"config": loaded.config.model_dump(mode="json", by_alias=True)}
        terminal.json({**document, "sources": loaded.sources} if sources else document)
        return
    text = to_toml(loaded.config)
    if sources:
        text = with_sources(text, loaded.sources)
    terminal.result(text.rstrip("\n"))


@app.command()
def check(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Config files (TOML).", metavar="FILE...")],
    as_json: JsonOption = False,
) -> None:
    """Check config files and report all problems of all of them; nothing is run."""
    from bigan_cli.errors import ConfigError

    terminal: Terminal = ctx.obj
    checked = {file: _check(file) for file in files}
    found = {file: problems for file, (problems, _) in checked.items()}
    problems = [problem for each in found.values() for problem in each]
    if as_json:
        terminal.json(
            {
                "files": [
                    {
                        "file": file,
                        "ok": not each,
                        "problems": [{"message": m, "hint": h} for m, h in each],
                        "wants_data_root": wants_root,
                    }
                    for file, (each, wants_root) in checked.items()
                ]
            }
        )
        raise typer.Exit(ConfigError.exit_code if problems else 0)
    for file, (each, wants_root) in checked.items():
        if not each:
            terminal.result(f"{file}: ok{', with --data-root DIR' if wants_root else ''}")
    if problems:
        raise ConfigError(problems)


@app.command()
def keys(
    ctx: typer.Context,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """List every key of a config file: what it takes, its default, its flag and its meaning."""
    from bigan_cli.config.reference import all_tables, markdown, toml_value
    from bigan_cli.plugins import load_registry

    terminal: Terminal = ctx.obj
    registry = load_registry(plugin or [])
    if as_markdown:
        terminal.result(markdown(registry).rstrip("\n"))
        return
    rows = [(table.title, row) for table in all_tables(registry) for row in table.rows]
    if as_json:
        terminal.json(
            {
                "keys": [
                    {
                        "key": row.dotted,
                        "table": title,
                        "allowed": row.allowed,
                        "required": row.required,
                        "default": row.default,
                        "flag": row.flag and row.flag.names,
                        "description": row.description,
                    }
                    for title, row in rows
                ]
            }
        )
        return
    terminal.table(
        ("key", "takes", "default", "flag", "meaning"),
        [
            (
                row.dotted,
                row.allowed,
                "required" if row.required else row.default and toml_value(row.default),
                row.flag and row.flag.names,
                row.description,
            )
            for _, row in rows
        ],
    )


def _check(file: Path) -> tuple[list[tuple[str, str]], bool]:
    """Return the problems of a config file, and whether the images' folder is still to be named."""
    from bigan_cli.config.load import load_config
    from bigan_cli.errors import BiganError, ConfigError

    try:
        loaded = load_config(file=file)
        data = loaded.config.data
        wants_root = loaded.registry.dataset(data.dataset).needs_root and data.root is None
        return _problems_with_data(file, loaded), wants_root
    except ConfigError as error:
        return list(error.problems), False
    except BiganError as error:
        return [(f"{file}: {error.message}", error.hint)], False


def _problems_with_data(file: Path, loaded: LoadedConfig) -> list[tuple[str, str]]:
    """Return the problems with the choice of classes that show without opening the data."""
    from bigan_cli.data.classes import resolve_classes
    from bigan_cli.errors import UsageError

    data = loaded.config.data
    dataset = loaded.registry.dataset(data.dataset)
    problems = []
    chosen = [("inlier", ref) for ref in data.inlier] + [("outlier", ref) for ref in data.outlier]
    for option, ref in chosen:
        try:
            if dataset.class_names is not None:
                resolve_classes([ref], dataset.class_names, option, dataset.name)
        except UsageError as error:
            problems.append((f"{file}: {error.message}", error.hint))
    return problems
