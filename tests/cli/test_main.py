"""The app as a whole: help, wrong command lines, and the one error boundary."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer

import bigan_cli
from bigan_cli.cli import main as main_module
from bigan_cli.cli.lazy import entry
from bigan_cli.config.reference import all_tables
from bigan_cli.errors import BiganError, ConfigError, GateFailed, SomeInputsSkipped, UsageError
from bigan_cli.plugins import load_registry

Run = Callable[..., object]


@pytest.fixture
def bigan_with(bigan, monkeypatch):
    """Run an extra command, ``bigan act``, that does what it is given."""

    def run(action: Callable[[], None], *options: str):
        def act(ctx: typer.Context) -> None:
            action()

        module = ModuleType("bigan_cli.cli.commands.act")
        module.act = act
        monkeypatch.setitem(sys.modules, module.__name__, module)
        extra = {"Test": {"act": entry("Do it.", "bigan act")}}
        monkeypatch.setattr(main_module, "COMMANDS", {**main_module.COMMANDS, **extra})
        return bigan(*options, "act")

    return run


def raising(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


def command_paths() -> list[list[str]]:
    def below(command: object, path: list[str]) -> list[list[str]]:
        subcommands = getattr(command, "commands", {})
        return [path, *(p for n, c in subcommands.items() for p in below(c, [*path, n]))]

    return below(main_module.build_command(), [])


class TestHelp:
    def test_no_arguments_show_the_help(self, bigan):
        assert bigan() == bigan("--help") == bigan("-h")
        assert bigan().code == 0

    def test_every_command_stands_under_a_heading(self, bigan):
        text = bigan("--help").out
        for name in (path[0] for path in command_paths() if len(path) == 1):
            assert f"\n  {name} " in text
        for heading in main_module.COMMANDS:
            assert f"\n{heading}:\n" in text

    @pytest.mark.parametrize("path", command_paths()[1:], ids=" ".join)
    def test_every_command_has_help(self, bigan, path):
        shown = bigan(*path, "--help")
        assert (shown.code, shown.err) == (0, "")
        assert shown.out.startswith(f"Usage: bigan {' '.join(path)} ")
        assert not re.search(r"<\w", shown.out), "a Python type for a placeholder"

    @pytest.mark.parametrize("name", [path[0] for path in command_paths() if len(path) == 1])
    def test_every_command_has_an_example(self, bigan, name):
        assert re.search(rf"\n  Examples?:\n    bigan {name}", bigan(name, "--help").out)

    @pytest.mark.parametrize("name", [path[0] for path in command_paths() if len(path) == 1])
    def test_the_list_says_of_a_command_what_its_help_begins_with(self, bigan, name):
        listed = {n: e for part in main_module.COMMANDS.values() for n, e in part.items()}
        explained = " ".join(bigan(name, "--help").out.split())
        assert f" {listed[name].summary} " in explained

    def test_the_defaults_that_the_help_of_train_names_are_those_of_the_schema(self, bigan):
        keys = [key for table in all_tables(load_registry()) for key in table.rows if key.flag]
        defaults = {key.flag.names: key.default for key in keys}
        words = " ".join(bigan("train", "--help").out.split())
        shown = re.findall(r" (--[a-z-]+) [A-Z]+ [^\[]*\[default: ([\d.]+)[];]", words)
        assert {float(value) == defaults[flag] for flag, value in shown} == {True}
        numbers = {f for f, d in defaults.items() if type(d) in (int, float)}
        assert dict(shown).keys() == numbers

    def test_no_help_line_is_cut(self, bigan):
        assert "..." not in bigan("--help").out.replace("[ARGS]...", "")

    def test_version(self, bigan):
        assert bigan("--version").out == f"bigan {bigan_cli.__version__}\n"

    def test_python_dash_m_and_the_script_are_the_same_program(self, bigan, bigan_process):
        assert bigan_process("--version") == bigan("--version")


class TestWrongCommandLines:
    @pytest.mark.parametrize(
        ("words", "error", "hint"),
        [
            ("trian", "no such command 'trian'", "did you mean 'train'?"),
            ("train --epoch 3", "'bigan train' has no option '--epoch'", "mean '--epochs'?"),
            ("train --dataset_type mnist", "no option '--dataset_type'", "'--dataset NAME'"),
            ("train --dataset-type mnist", "no option '--dataset-type'", "'--dataset NAME'"),
            ("train --use_mps", "no option '--use_mps'", "it is now '--device mps'"),
            ("train --use_cpu", "no option '--use_cpu'", "it is now '--device cpu'"),
            ("train --use_tanh", "no option '--use_tanh'", "it is now '--tanh'"),
            ("train --use_spectral_norm", "'--use_spectral_norm'", "'--spectral-norm'"),
            ("train --save_dir=out", "no option '--save_dir'", "it is spelt '--save-dir'"),
            ("train --feature_maps_gen 8", "--feature_maps_gen", "'--feature-maps-gen'"),
            ("--dataset_type mnist", "'bigan' has no option", "an option of 'bigan train'"),
            ("--epochs 3", "'bigan' has no option", "'--epochs' is an option of 'bigan train'"),
            ("datasets --quiet", "no option '--quiet'", "bigan --quiet datasets ..."),
            ("train --nonsense-at-all", "no option", "'bigan train --help' lists the options"),
            (
                "train --epochs many",
                "--epochs must be a whole number of 1 or more, got 'many'",
                "see 'bigan train --help'",
            ),
            (
                "train --dropout-rate x",
                "--dropout-rate must be a number, got 'x'",
                "see 'bigan train --help'",
            ),
            (
                "reconstruct -n 999",
                "--number must be a whole number from 1 to 256, got 999",
                "see 'bigan reconstruct --help'",
            ),
            ("train --epochs", "option '--epochs' requires an argument", "see 'bigan"),
            ("datasets one two", "unexpected extra argument", "see 'bigan datasets --help'"),
        ],
    )
    def test_one_line_and_a_hint(self, bigan, words, error, hint):
        outcome = bigan(*words.split())
        first, second = outcome.err.splitlines()
        assert first.startswith("error: ")
        assert error in first
        assert second.startswith("hint: ")
        assert hint in second
        assert (outcome.code, outcome.out) == (2, "")

    @pytest.mark.parametrize(
        ("words", "name"),
        [
            (["score", ""], "PATHS"),
            (["reconstruct", "a.png", ""], "PATHS"),
            (["train", "--data-root", ""], "--data-root"),
            (["train", "--plugin", "a.py", "--plugin="], "--plugin"),
            (["evaluate", "--run", ""], "--run"),
        ],
    )
    def test_an_empty_path_is_not_the_current_folder(self, bigan, words, name):
        outcome = bigan(*words)
        assert (
            outcome.err == f"error: {name} is an empty path\nhint: write . for the current folder\n"
        )
        assert (outcome.code, outcome.out) == (2, "")

    def test_nothing_on_stdout_when_json_was_asked_for(self, bigan):
        outcome = bigan("datasets", "no_such_set", "--json")
        assert outcome.out == ""
        assert outcome.err.startswith("error: unknown dataset 'no_such_set'\nhint: ")
        assert outcome.code == 2


class TestErrorBoundary:
    def test_success(self, bigan_with):
        outcome = bigan_with(lambda: None)
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "")

    @pytest.mark.parametrize(
        ("kind", "code"),
        [(BiganError, 1), (UsageError, 2), (GateFailed, 3), (SomeInputsSkipped, 4)],
    )
    def test_expected_errors_end_with_their_code(self, bigan_with, kind, code):
        outcome = bigan_with(raising(kind("it went wrong", "do it right")))
        assert outcome.err == "error: it went wrong\nhint: do it right\n"
        assert (outcome.code, outcome.out) == (code, "")

    def test_all_problems_of_a_configuration_are_told(self, bigan_with):
        outcome = bigan_with(raising(ConfigError([("a is wrong", "use b"), ("c is wrong", "")])))
        assert outcome.err == "error: a is wrong\nhint: use b\nerror: c is wrong\n"
        assert outcome.code == 2

    def test_a_long_message_stays_one_line(self, bigan_with, monkeypatch):
        monkeypatch.setenv("COLUMNS", "40")
        text = "word " * 100 + "[bold]end"
        assert bigan_with(raising(BiganError(text))).err == f"error: {text}\n"

    def test_interrupt(self, bigan_with):
        outcome = bigan_with(raising(KeyboardInterrupt()))
        assert (outcome.code, outcome.err) == (130, "error: interrupted\n")

    def test_exit_code_of_a_command_that_ends_itself(self, bigan_with):
        outcome = bigan_with(raising(typer.Exit(7)))
        assert (outcome.code, outcome.err) == (7, "")

    def test_a_file_that_cannot_be_used_is_named(self, bigan_with):
        error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "results/run.json")
        outcome = bigan_with(raising(error))
        assert (outcome.code, outcome.err) == (1, "error: results/run.json: Permission denied\n")

    def test_memory_that_ran_out_is_no_defect(self, bigan_with):
        # 2**62 bytes are more than any machine has: the error is torch's own.
        def allocate(*_args, **_options):
            import torch

            torch.empty(2**62, dtype=torch.uint8)

        outcome = bigan_with(allocate)
        assert outcome.code == 1
        assert outcome.err.splitlines()[0] == "error: out of memory"
        assert "--batch-size" in outcome.err

    def test_memory_of_a_device_that_ran_out_is_no_defect(self, bigan_with):
        outcome = bigan_with(
            raising(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))
        )
        assert outcome.err.splitlines()[0] == "error: out of memory"

    def test_a_defect_is_told_without_its_traceback(self, bigan_with):
        outcome = bigan_with(raising(ZeroDivisionError("by\nzero")))
        first, second = outcome.err.splitlines()
        assert first == "error: internal error: ZeroDivisionError: by zero"
        assert "--debug" in second
        assert outcome.code == 1

    @pytest.mark.parametrize("asked_by", ["option", "environment"])
    def test_a_defect_shows_its_traceback_when_asked(self, bigan_with, monkeypatch, asked_by):
        if asked_by == "environment":
            monkeypatch.setenv("BIGAN_DEBUG", "1")
        options = ["--debug"] if asked_by == "option" else []
        outcome = bigan_with(raising(ZeroDivisionError("by zero")), *options)
        assert "Traceback (most recent call last)" in outcome.err
        assert "error: internal error: ZeroDivisionError" in outcome.err

    @pytest.mark.filterwarnings("always::UserWarning")
    def test_a_warning_of_a_library_is_one_line(self, bigan_with):
        outcome = bigan_with(lambda: warnings.warn("slow\npath", UserWarning, stacklevel=1))
        assert (outcome.code, outcome.err) == (0, "warning: slow path (UserWarning)\n")


def run_with_stdout(stdout: int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bigan_cli", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        encoding="utf-8",
        timeout=60,
    )


class TestBrokenOutput:
    def test_a_reader_that_has_gone_is_no_error(self):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = run_with_stdout(writer, "datasets")
        finally:
            os.close(writer)
        assert (done.returncode, done.stderr) == (141, "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_a_full_disk_is_told(self):
        with Path("/dev/full").open("w") as full:
            done = run_with_stdout(full.fileno(), "datasets")
        assert done.returncode == 1
        assert done.stderr == "error: standard output: No space left on device\n"

    def test_a_closed_output_is_no_error(self):
        done = subprocess.run(
            ["sh", "-c", f"'{sys.executable}' -m bigan_cli datasets >&-"],
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, b"")


class TestThreads:
    def test_waiting_threads_give_way(self, bigan, monkeypatch):
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        monkeypatch.setenv("GOMP_SPINCOUNT", "1")  # so that it is put back afterwards
        monkeypatch.delenv("GOMP_SPINCOUNT")
        bigan("--version")
        assert int(os.environ["GOMP_SPINCOUNT"]) < 300_000

    @pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
    def test_what_the_user_says_stays(self, bigan, monkeypatch, name):
        for other in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
            monkeypatch.setenv(other, "")
            monkeypatch.delenv(other)
        monkeypatch.setenv(name, "ACTIVE")
        bigan("--version")
        assert {n: os.environ.get(n) for n in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")} == {
            "GOMP_SPINCOUNT": None,
            "OMP_WAIT_POLICY": None,
            name: "ACTIVE",
        }


class TestCompletion:
    @pytest.mark.parametrize(
        ("line", "offered"),
        [
            ("bigan arch", {"architectures"}),
            ("bigan t", {"train"}),
            ("bigan --no-p", {"--no-progress"}),
            ("bigan --version tr", {"train"}),
            ("bigan train --ep", {"--epochs"}),
            ("bigan train --epochs many --lat", {"--latent-dim"}),
            ("bigan score --inlier", set()),
            ("bigan config in", {"init"}),
            ("bigan train --dataset mn", {"mnist"}),
            ("bigan train --architecture d", {"dcgan"}),
            ("bigan train --preset ", {"fast", "balanced", "best"}),
            ("bigan train --protocol le", {"leave-one-out"}),
            ("bigan train --precision ", {"auto", "fp32", "bf16"}),
            ("bigan train --compile o", {"on", "off"}),
            ("bigan score --device c", {"cpu", "cuda"}),
            ("bigan score --checkpoint b", {"best"}),
            ("bigan evaluate --dataset fash", {"fashion_mnist"}),
            ("bigan benchmark --preset b", {"balanced", "best"}),
            ("bigan animate --mode m", {"multi"}),
        ],
    )
    def test_the_shell_completes(self, capfd, monkeypatch, line, offered):
        monkeypatch.setenv("_BIGAN_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main_module.main([])
        out, err = capfd.readouterr()
        assert (end.value.code, err, set(out.split())) == (0, "", offered)

    def test_every_command_is_offered(self, bigan_process):
        outcome = bigan_process(
            _BIGAN_COMPLETE="complete_bash", COMP_WORDS="bigan ", COMP_CWORD="1"
        )
        names = [path[0] for path in command_paths() if len(path) == 1]
        assert sorted(outcome.out.split()) == sorted(names)
