"""Runs the code blocks of a page."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.docs.blocks import ROOT, RUN, Block, command_lines
from tests.docs.services import Services, dask_cluster
from tests.docs.small_work import small_command, small_script, small_text

# What a block with this text needs beyond `make test`: modules, programs ($) and files in the
# folder of the page (./).
_NEEDS = {
    "s3://": ("moto", "s3fs"),
    "dask": ("distributed",),
    "pyspark": ("pyspark", "$java"),
    "elpv": ("elpv_dataset",),
    "kind: Job": ("yaml",),
    "g++": ("./ORT/include/onnxruntime_cxx_api.h",),
    "pip install .": ("hatchling",),
    "pip install '.": ("hatchling",),
}
# What runs beside a block with this text, and gives the addresses to replace.
_CLUSTERS = {"dask": dask_cluster}
# These need a process of their own: they start threads, or warn of what they deprecate themselves.
_OWN_PROCESS = ("dask", "pyspark", "--tracker mlflow")
# The name of a package, perhaps with extras, as an argument of pip.
_REQUIREMENT = re.compile(r"[a-z][a-z-]*(\[[a-z,]+\])?")
_PROGRAMS = ("cp", "g++", "./run_onnx")
# The tests are a part of what these start.
_ABOVE = ("make", ".ci/run")
# Lines with these are slow, and other tests run such commands: those of these files.
_ELSEWHERE = {
    "torchrun": "tests/processes/test_torchrun.py",
    "--engine ray": "tests/plugin_packages/test_ray.py",
    "benchmarks/faults/": "tests/benchmarks/test_faults.py",
}


class BlockRunner:
    """Runs the blocks of one page in the working folder, in order.

    Args:
        bigan: Runs a command line of ``bigan`` in this process.
        services: Runs the commands that do not end by themselves.
        site_packages: Where packages are installed.

    Attributes:
        left_out: What blocks needed that is not here; they were not run.
    """

    def __init__(
        self,
        bigan: Callable[..., Any],
        services: Services,
        site_packages: Path,
    ) -> None:
        self.left_out: list[str] = []
        self._bigan = bigan
        self._services = services
        self._site_packages = site_packages
        self._names: dict[str, Any] = {}

    def run(self, block: Block) -> None:
        """Run a block, unless something that it needs is missing."""
        missing = missing_for(block)
        self.left_out.extend(missing)
        if missing:
            return
        text = small_text(block.text, Path.cwd())
        if block.file_name:
            Path(block.file_name).write_text(text, encoding="utf-8")
            return
        with ExitStack() as running:
            for word, cluster in _CLUSTERS.items():
                if word in text:
                    for address, real in running.enter_context(cluster()).items():
                        text = text.replace(address, real)
            self._run(block.language, text)

    def _run(self, language: str, text: str) -> None:
        if language == "python":
            self._run_python(text)
        elif language == "yaml":
            run_kubernetes_job(text)
        elif language == "sh" and "$(" in text:
            run_shell(text)
        elif language == "sh":
            for line in command_lines(text):
                self._run_line(line)

    def _run_python(self, text: str) -> None:
        if any(word in text for word in _OWN_PROCESS):
            Path("block.py").write_text(text, encoding="utf-8")
            run_process([sys.executable, "block.py"], {"PYSPARK_PYTHON": sys.executable})
        else:
            exec(compile(text, "block", "exec"), self._names)

    def _run_line(self, line: str) -> None:
        program, *words = shlex.split(line, comments=True)
        if program in (*_ABOVE, "."):  # the environment is active here
            return
        for word, tests in _ELSEWHERE.items():
            if word in line:
                assert (ROOT / tests).is_file()
                return
        if "|" in words or any("*" in word for word in words) or program in _PROGRAMS:
            run_shell(line)
        elif program == "bigan" and words[0] in ("serve", "watch"):
            getattr(self._services, words[0])(words)
        elif program == "bigan" and any(word in line for word in _OWN_PROCESS):
            run_process([sys.executable, "-m", "bigan_cli", *small_command(words)])
        elif program == "bigan":
            outcome = self._bigan(*small_command(words))
            assert outcome.code == 0, f"{line}\n{outcome.out}\n{outcome.err}"
        elif program == "tensorboard":
            self._services.tensorboard(words)
        elif program == "curl":
            asked = [word.replace(":8000/", f":{self._services.port}/") for word in words]
            run_process(["curl", "--fail", "--silent", "--show-error", *asked])
        else:
            run_process([sys.executable, *self._python_words(Path(program).name, words)])

    def _python_words(self, program: str, words: list[str]) -> list[str]:
        """Return the arguments of Python that run one of its programs."""
        return {
            "pip": self._pip,
            "python": small_script,
            "pytest": lambda words: ["-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        }[program](words)

    def _pip(self, words: list[str]) -> list[str]:
        """Return the arguments that build packages, or that check for those installed by name."""
        command, *packages = words
        if all(_REQUIREMENT.fullmatch(package) for package in packages):
            return ["-m", "pip", command, "--quiet", "--no-index", *packages]
        if not Path("pyproject.toml").exists():  # then the page speaks of the repository
            packages = [re.sub(r"^\.(?=$|\[|/plugins)", str(ROOT), package) for package in packages]
        offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        return ["-m", "pip", command, *offline, "--target", str(self._site_packages), *packages]


def missing_for(block: Block) -> list[str]:
    """Return what a block needs to be run and is not here."""
    if block.language not in RUN:
        return []
    needed = [need for word, needs in _NEEDS.items() if word in block.text for need in needs]
    return [need for need in needed if not _is_here(need)]


def _is_here(need: str) -> bool:
    if need.startswith("$"):
        return shutil.which(need[1:]) is not None
    return Path(need).exists() if need.startswith(".") else find_spec(need) is not None


def run_shell(text: str) -> None:
    """Run lines of a shell, whose programs are those of this environment and of ``bin``."""
    folders = (Path(__file__).parent / "bin", Path(sys.executable).parent, os.environ["PATH"])
    path = os.pathsep.join(map(str, folders))
    run_process(["bash", "-e", "-o", "pipefail", "-c", text], {"PATH": path})


def run_kubernetes_job(text: str) -> None:
    """Run the command of an indexed job once for each of its completions."""
    import yaml

    spec = yaml.safe_load(text)["spec"]
    assert spec["completionMode"] == "Indexed"
    (container,) = spec["template"]["spec"]["containers"]
    for index in range(spec["completions"]):
        run_shell(f"export JOB_COMPLETION_INDEX={index}; {shlex.join(container['command'])}")


def run_process(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a process, which must succeed."""
    result = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
