"""MkDocs hook: the page ``command-line.md``, made from the command line itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mkdocs.structure.files import File, Files

from bigan_cli.cli.help import parameter_sections
from bigan_cli.cli.main import build_command

PAGE = "command-line.md"
_INTRODUCTION = """\
# Command line

This page is made from the program when the site is built: it says what `bigan COMMAND --help` \
says. Results go to standard output, everything else to standard error, and every reporting \
command has `--json`. `bigan --install-completion` installs shell completion. \
`bigan train --dataset NAME --help` also lists the options of a dataset or an architecture, \
which are on the page [Configuration](configuration.md), too.
"""


def on_files(files: Files, config: Any) -> Files:
    """Add the page."""
    files.append(File.generated(config, PAGE, content=page()))
    return files


def page() -> str:
    """Return the page, in Markdown."""
    root = build_command()
    with root.make_context("bigan", [], resilient_parsing=True) as context:
        lines = [_INTRODUCTION, *_described(root, context, "bigan")]
        for heading, entries in root.entries.items():
            lines += [f"\n## {heading}\n"]
            for name in entries:
                lines += _command(root.commands[name], context, f"bigan {name}", level=3)
    return "\n".join(lines) + "\n"


def _command(command: Any, parent: Any, path: str, level: int) -> Iterator[str]:
    """Yield the lines of a command, and of the commands in it if it is a group."""
    name = path.rpartition(" ")[2]
    with command.make_context(name, [], parent=parent, resilient_parsing=True) as context:
        yield f"\n{'#' * level} `{path}`\n"
        yield from _described(command, context, path)
        for inner, subcommand in getattr(command, "commands", {}).items():
            yield from _command(subcommand, context, f"{path} {inner}", level + 1)


def _described(command: Any, context: Any, path: str) -> Iterator[str]:
    """Yield usage, help, options and examples."""
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{path} {usage}\n```\n"
    for paragraph in re.split(r"\n\s*\n", command.help or ""):
        yield f"{_text(paragraph)}\n"
    for heading, rows in parameter_sections(command, context).items():
        yield f"**{heading}**\n{{ .options }}\n"
        for name, meaning in rows:
            yield f"`{name}`\n:   {_text(meaning)}\n"
    yield from _epilog(command.epilog or "")


def _epilog(text: str) -> Iterator[str]:
    """Yield the paragraphs at the end of a help page: a heading and lines as they are."""
    for part in filter(None, text.split("\b\n")):
        heading, _, lines = part.strip().partition("\n")
        language = "sh" if heading.startswith("Example") else "text"
        body = "\n".join(line.strip() for line in lines.splitlines())
        yield f"**{heading.rstrip(':')}**\n{{ .options }}\n\n```{language}\n{body}\n```\n"


def _text(text: str) -> str:
    """Return a text of the help as Markdown: options as code, defaults in italics."""
    text = " ".join(text.split())
    text = re.sub(r"([\\`*_<>\[\]|])", r"\\\1", text)
    text = re.sub(r"'(bigan [^']*)'|(?<![\w-])(--?[a-z][a-z-]*)", r"`\1\2`", text)
    return re.sub(r"\\\[((?:[^\[\]]*; )?(?:default|required)[^\[\]]*)\\\]", r"*\1*", text)
