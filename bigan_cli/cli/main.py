"""The ``bigan`` command: its sub-commands, its global options and the one error boundary."""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

from bigan_cli import __version__
from bigan_cli.cli.help import explain, is_help
from bigan_cli.cli.lazy import Entries, Entry, LazyGroup
from bigan_cli.cli.terminal import Terminal
from bigan_cli.errors import INTERRUPTED, BiganError, is_out_of_memory

BROKEN_PIPE = 128 + 13  # what the shell reports of a program that SIGPIPE ended

_EPILOG = """\b
Exit codes:
  0  done
  1  failed
  2  wrong usage or configuration; nothing was written
  3  a check that was asked for did not pass
  4  finished, but some inputs were skipped
  130  interrupted"""


COMMANDS: Entries = {
    "Learn": {
        "train": Entry(
            "Train a BiGAN on normal images and calibrate its score.",
            "bigan train --dataset fashion_mnist --inlier 1",
        ),
        "animate": Entry(
            "Animate how the pictures of a run changed from epoch to epoch.",
            "bigan animate --mode multi --fps 4",
        ),
    },
    "Judge images": {
        "evaluate": Entry(
            "Evaluate a trained model on its test images: AUROC, average precision, rates, "
            "figures.",
            "bigan evaluate --run results",
        ),
        "score": Entry(
            "Score images: one row each with score, p-value, label and components.",
            "bigan score photos/ --fpr 0.01 --output scores.csv",
        ),
        "benchmark": Entry(
            "Train and evaluate over data sets, classes and seeds, and make tables of the results.",
            "bigan benchmark --dataset mnist --inlier all --seed 0 --seed 1 --baselines",
        ),
        "reconstruct": Entry(
            "Draw images beside their reconstructions and the differences.",
            "bigan reconstruct photos/odd.png",
        ),
    },
    "Set up": {
        "config": Entry(
            "Write, show and check run files.",
            "bigan config init --dataset mnist --output mnist.toml",
        ),
        "datasets": Entry(
            "List the data sets, or show the options and classes of one.", "bigan datasets folder"
        ),
        "architectures": Entry(
            "List the network architectures, or show the options of one.",
            "bigan architectures dcgan",
        ),
        "components": Entry(
            "List the score components with their weights, or show the options of one.",
            "bigan components latent_neighbours",
        ),
        "plugins": Entry(
            "List the plugins, what each provides, and which are broken; write and check your own.",
            "bigan plugins new tree-frogs",
        ),
        "env": Entry("Show what an issue report should hold.", "bigan env"),
    },
}


def build_command() -> LazyGroup:
    """Return the root of the command line; its commands are imported as they are asked for."""
    app = typer.Typer(
        cls=LazyGroup,
        context_settings={"help_option_names": ["-h", "--help"]},
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog=_EPILOG,
    )
    app.callback()(_global_options)
    menu = typer.main.get_command(app)
    assert isinstance(menu, LazyGroup)  # noqa: S101  as cls= says
    menu.fill(COMMANDS)
    return menu


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bigan {__version__}")
        raise typer.Exit


def _global_options(
    ctx: typer.Context,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print results, warnings and errors only.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print more details.")] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="No colour; NO_COLOR does the same.")
    ] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress bars.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; BIGAN_DEBUG=1 does the same.")
    ] = False,
    version: Annotated[  # noqa: ARG001  its callback does the work
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Learn what normal images look like, and tell how far from normal new ones are.

    A Bidirectional GAN (encoder, generator and joint discriminator) is trained on normal images
    only. Results go to standard output, everything else to standard error.
    """
    ctx.obj = Terminal(
        quiet=quiet,
        verbose=verbose,
        debug=debug or _debug_by_environment(),
        color=not no_color,
        show_progress=not no_progress,
    )
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``bigan`` and return its exit code; no exception but SystemExit leaves here.

    Args:
        arguments: The command line without the program's name; by default this process's own.
    """
    if "_BIGAN_COMPLETE" in os.environ:  # a shell asks for completions
        build_command()(prog_name="bigan")
    limit_omp_spinning()
    if arguments is None:  # a process of its own, whose signals nobody else handles
        with suppress(ValueError):  # a thread that is not the main one may not
            signal.signal(signal.SIGTERM, signal.default_int_handler)
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Good until the global options are read.
    terminal = Terminal(
        debug="--debug" in words or _debug_by_environment(), color="--no-color" not in words
    )
    try:
        command = build_command()
        with command.make_context("bigan", words) as context:
            try:
                with _plain_warnings(terminal):
                    command.invoke(context)
            finally:
                terminal = context.obj if isinstance(context.obj, Terminal) else terminal
        if sys.stdout is not None:  # None where the caller closed it
            sys.stdout.flush()
    except typer.Exit as stop:
        return stop.exit_code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the one place that may
        return _report(error, terminal)
    return 0


def limit_omp_spinning() -> None:
    """Let PyTorch's threads sleep when they wait long for one another; before torch is imported.

    By default they spin for milliseconds. Where another program uses a core as well, training a
    small network on two threads then falls from thousands of images a second to tens. This
    many turns cost a free machine a twentieth of its speed, and a shared one stays usable.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def _report(error: BaseException, terminal: Terminal) -> int:
    """Tell of *error* in one line and a hint; return the exit code."""
    if isinstance(error, OSError):
        _give_up_stdout_if_broken()
        if error.errno == errno.EPIPE:
            return BROKEN_PIPE
    if isinstance(error, typer.TyperException) and is_help(error):
        typer.echo(error.format_message())
        return 0
    if terminal.debug:
        from traceback import print_exception

        print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        told, code = BiganError("interrupted"), INTERRUPTED
    else:
        told = _in_our_words(error)
        code = told.exit_code
    terminal.fail(told)
    return code


def _in_our_words(error: BaseException) -> BiganError:
    if is_out_of_memory(error):
        return BiganError("out of memory", "try a smaller --batch-size or --image-size")
    match error:
        case BiganError():
            return error
        case typer.TyperException():
            return explain(error)
        case typer.Abort():
            return BiganError("aborted")
        case OSError(strerror=str(reason)):
            where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
            return BiganError(f"{where}{reason}")
    text = " ".join(str(error).split())
    return BiganError(
        f"internal error: {type(error).__name__}{': ' if text else ''}{text}",
        "this is a defect of bigan; 'bigan --debug ...' shows the traceback to report",
    )


@contextmanager
def _plain_warnings(terminal: Terminal) -> Iterator[None]:
    """Show the warnings of libraries as ours are shown, in one line."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        terminal.warn(f"{' '.join(str(message).split())} ({category.__name__})")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _give_up_stdout_if_broken() -> None:
    """Point an output that takes no more nowhere, or the interpreter's last flush complains."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _debug_by_environment() -> bool:
    return os.environ.get("BIGAN_DEBUG", "") not in ("", "0")
