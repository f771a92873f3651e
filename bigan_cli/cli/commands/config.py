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
    TemplateArchitectureOption,
    TemplateDatasetOption,
    TemplateFileOption,
)

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal

app = typer.Typer(name="config", no_args_is_help=True, help="Write, show and check config files.")


@app.command()
def init(
    ctx: typer.Context,
    output: TemplateFileOption = None,
    dataset: TemplateDatasetOption = None,
    architecture: TemplateArchitectureOption = None,
    plugin: PluginOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Write a config file with every key, its default and what it means."""
    from bigan_cli.atomic import write_text
    from bigan_cli.errors import UsageError
    from bigan_cli.workflows.config_files import config_template

    terminal: Terminal = ctx.obj
    if output is not None and output.exists() and not overwrite:
        raise UsageError(f"{output} exists", "--overwrite replaces it")
    text = config_template(dataset, architecture, plugin or [])
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
    from bigan_cli.cli.views.config import show_config
    from bigan_cli.config.load import load_config

    loaded = load_config(file=config, sets=set_ or [], settings={"plugins": plugin})
    show_config(ctx.obj, loaded, sources=sources, as_json=as_json)


@app.command()
def check(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Config files (TOML).", metavar="FILE...")],
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check config files and report all problems of all of them; nothing is run but --plugin."""
    from bigan_cli.cli.views.config import check_document, show_valid_files
    from bigan_cli.errors import ConfigError
    from bigan_cli.workflows.config_files import check_config

    terminal: Terminal = ctx.obj
    checked = {file: check_config(file, plugin or []) for file in files}
    found = {file: problems for file, (problems, _) in checked.items()}
    problems = [problem for each in found.values() for problem in each]
    if as_json:
        terminal.json(check_document(checked))
        raise typer.Exit(ConfigError.exit_code if problems else 0)
    show_valid_files(terminal, checked)
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
    from bigan_cli.cli.views.config import show_keys
    from bigan_cli.config.reference import all_tables, markdown
    from bigan_cli.plugins import load_registry

    terminal: Terminal = ctx.obj
    registry = load_registry(plugin or [])
    if as_markdown:
        terminal.result(markdown(registry).rstrip("\n"))
        return
    show_keys(terminal, all_tables(registry), as_json=as_json)
