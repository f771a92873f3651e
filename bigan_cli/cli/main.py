"""The ``bigan`` command: its subcommands, global options and error boundary."""

from __future__ import annotations

import errno
import logging
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
from bigan_cli.cli.lazy import Entries, LazyGroup, entry
from bigan_cli.cli.terminal import Terminal, flush_stdout
from bigan_cli.errors import INTERRUPTED, BiganError, is_out_of_memory

BROKEN_PIPE = 128 + 13  # what the shell reports of a program that SIGPIPE ended

_EPILOG = """\b
Exit codes:
  0  done
  1  failed: unreadable or too few images, a damaged file, a full disk
  2  wrong usage or configuration, such as a path that does not exist or a value
     out of range; nothing was written
  3  a requested check did not pass
  4  finished, but some inputs were skipped
  130  interrupted"""


COMMANDS: Entries = {
    "Training": {
        "train": entry(
            "Train a BiGAN on normal images and calibrate its score.",
            "bigan train --dataset fashion_mnist --inlier 1",
            "bigan train --dataset folder --data-root good/ --save-dir run",
            "bigan train -c run.toml --resume",
        ),
        "animate": entry(
            "Animate a run from epoch to epoch, or a walk through its latent space.",
            "bigan animate --mode multi --fps 4",
        ),
    },
    "Inference & evaluation": {
        "evaluate": entry(
            "Evaluate a trained model on its test images: AUROC, average precision, rates, "
            "figures.",
            "bigan evaluate --run results",
            "bigan evaluate --min-auroc 0.95 --json",
        ),
        "score": entry(
            "Score images: one row each with score, p-value, label and components.",
            "bigan score photos/ --fpr 0.01 --output scores.csv",
            "find . -name '*.png' | bigan score - --json",
        ),
        "merge": entry(
            "Join the parts of 'bigan score --shard' in one file: that of one 'bigan score'.",
            "bigan merge scores.csv",
        ),
        "compare": entry(
            "Compare runs on the same test images: each with the first, by a paired bootstrap.",
            "bigan compare run-a run-b",
        ),
        "benchmark": entry(
            "Train and evaluate over datasets, classes and seeds, and make tables of the results.",
            "bigan benchmark --dataset mnist --inlier all --seed 0 --seed 1 --baselines",
        ),
        "report": entry(
            "Evaluate a run and write an HTML report of it.",
            "bigan report --run results",
            "bigan score photos/ --report photos.html",
        ),
        "export": entry(
            "Write a trained model as one file that runs without bigan: ONNX, or torch.export.",
            "bigan export --run results --output model.onnx --runner",
        ),
        "reconstruct": entry(
            "Show images next to their reconstructions, the differences and the heatmaps.",
            "bigan reconstruct photos/odd.png",
        ),
    },
    "Deployment": {
        "serve": entry(
            "Score images sent by HTTP: POST /score, with a page at / to try it.",
            "bigan serve --run results",
            "curl -F image=@part.png http://127.0.0.1:8000/score",
        ),
        "watch": entry(
            "Score image files as they arrive in a folder, and append their rows to a file.",
            "bigan watch camera/ --run results --output scores.csv --flagged flagged/",
        ),
        "monitor": entry(
            "Test whether newly scored images are still like those that the model was calibrated "
            "on.",
            "bigan monitor scores.csv --run results",
        ),
        "recalibrate": entry(
            "Set the scales and thresholds of a model for other normal images, without training.",
            "bigan recalibrate --normals good-camera-2/ --output camera-2.safetensors",
        ),
        "update": entry(
            "Fit the score of a model to other normal images, without training the networks.",
            "bigan update --normals good/ --normals good-new/ --output new.safetensors",
        ),
    },
    "Configuration": {
        "config": entry(
            "Write, show and check config files.",
            "bigan config init --dataset mnist --output mnist.toml",
            "bigan config check mnist.toml",
        ),
        "datasets": entry(
            "List the datasets, or show the options and classes of one.", "bigan datasets folder"
        ),
        "architectures": entry(
            "List the network architectures, or show the options of one.",
            "bigan architectures dcgan",
        ),
        "components": entry(
            "List the score components with their weights, or show the options of one.",
            "bigan components latent_neighbours",
        ),
        "data": entry(
            "Check a folder of images before training.",
            "bigan data check ./good --output check",
        ),
        "plugins": entry(
            "List the plugins, what each provides, and which are broken; write and check your own.",
            "bigan plugins new tree-frogs",
        ),
        "env": entry("Print environment information for bug reports.", "bigan env"),
    },
}


def build_command() -> LazyGroup:
    """Return the root command; subcommands are imported when they are used."""
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
    """Detect anomalous images with a Bidirectional GAN trained on normal images only.

    The networks (encoder, generator and joint discriminator) learn what normal images look like;
    the score tells how far from normal a new image is. Results go to standard output, everything
    else to standard error.
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
    if "_BIGAN_COMPLETE" in os.environ:  # called by shell completion
        build_command()(prog_name="bigan")
    limit_omp_spinning()
    os.environ["MPLBACKEND"] = "agg"  # a notebook sets its own, which is not installed here
    # Its notice that the home folder cannot be written to; nothing is lost by that.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if arguments is None:  # a process of its own
        _use_utf8()
        with suppress(ValueError):  # only the main thread may handle signals
            signal.signal(signal.SIGTERM, signal.default_int_handler)
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Used until the global options are read.
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
        flush_stdout()
    except typer.Exit as stop:
        return stop.exit_code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the one place that may
        return _report(error, terminal)
    return 0


def limit_omp_spinning() -> None:
    """Let waiting OpenMP threads sleep early; takes effect only before torch is imported.

    By default they spin for milliseconds. When another program uses a core as well, training a
    small network on two threads then falls from thousands of images per second to tens. This
    limit costs an idle machine 5 % of its speed and keeps a shared one usable.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def _use_utf8() -> None:
    """Start again in UTF-8 mode where Python would take file names for ASCII (POSIX locale)."""
    if sys.getfilesystemencoding() == "ascii":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


def _report(error: BaseException, terminal: Terminal) -> int:
    """Show *error* as one line and a hint; return the exit code."""
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
        shown, code = BiganError("interrupted"), INTERRUPTED
    else:
        shown = _as_bigan_error(error)
        code = shown.exit_code
    terminal.fail(shown)
    return code


def _out_of_memory(error: BaseException) -> BiganError:
    if isinstance(error, ImportError):
        return BiganError(
            f"not enough memory to load a library ({error})",
            "raise the memory limit of this shell (ulimit -v) or container",
        )
    return BiganError("out of memory", "try a smaller 'train.batch_size' or 'data.image_size'")


def _as_bigan_error(error: BaseException) -> BiganError:
    if is_out_of_memory(error):
        return _out_of_memory(error)
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
    """Show warnings of libraries like our own, in one line each."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        terminal.warn(f"{' '.join(str(message).split())} ({category.__name__})")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _give_up_stdout_if_broken() -> None:
    """Redirect a broken output to nowhere, else the interpreter's last flush complains."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _debug_by_environment() -> bool:
    return os.environ.get("BIGAN_DEBUG", "") not in ("", "0")
