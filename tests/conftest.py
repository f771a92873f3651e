"""What the tests of every area share."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings
from PIL import Image

from bigan_cli.cli.main import main
from tests.forked_process import ForkedProcess

# Small networks, and other work on the same machine: one thread is the fastest here. Processes
# that the tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Machines differ in speed; a slow example is not a wrong one. `make test-all` chooses "thorough".
settings.register_profile("quick", deadline=None, max_examples=20)
settings.register_profile("thorough", deadline=None, max_examples=50)
settings.load_profile("quick")


@dataclass(frozen=True)
class Outcome:
    """What one command line gave."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the settings and the caches of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name in ("NO_COLOR", "FORCE_COLOR", "TERM", "GITHUB_ACTIONS") or (
                name.startswith("BIGAN_") and name != "BIGAN_DATA_DIR"
            ):
                patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # no search for credentials
        # One for all tests, so that what one has decoded the next need not.
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture
def bigan(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line in this process: ``bigan("datasets", "--json")``."""

    def run(*words: object) -> Outcome:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def bigan_process() -> Callable[..., Outcome]:
    """Run a command line in a process of its own; keywords are added to its environment."""

    def run(*words: object, stdin: str = "", **environment: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "bigan_cli", *map(str, words)],
            input=stdin,
            capture_output=True,
            check=False,
            encoding="utf-8",
            env={**os.environ, **environment},
            timeout=150,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def start_bigan(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., ForkedProcess]]:
    """Start a command line in a forked process: ``start_bigan("watch", folder, ...)``.

    Keywords are those of :class:`ForkedProcess`. What still runs at the end is killed.
    """
    started = []

    def start(*words: object, **options: Any) -> ForkedProcess:
        started.append(ForkedProcess(words, tmp_path_factory.mktemp("process"), **options))
        return started[-1]

    yield start
    for process in started:
        if process.running:
            process.send_signal(signal.SIGKILL)
            process.end()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a headless Chromium; ``BIGAN_CHROMIUM`` names another than that of the system."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install .[browser]"
    )
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    found = os.environ.get("BIGAN_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium found: .ci/install-chromium installs one")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[None]:
    """Run a real S3 server without buckets; the environment has its address."""
    reason = "no S3 server: pip install .[s3-tests]"
    server = pytest.importorskip("moto.server", reason=reason)
    s3fs = pytest.importorskip("s3fs", reason=reason)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        yield
    running.stop()


@pytest.fixture(scope="session")
def onnxruntime_release(build_once: Callable[..., Path]) -> Path | None:
    """Return a folder with ``include`` and ``lib``, as a release of ONNX Runtime for C++ has them.

    The library is that of the Python package. The headers are those of ``ONNXRUNTIME_INCLUDE``, or
    where ``make test-all`` puts them; without any, or without a compiler, None is returned.
    """
    named, installed = os.environ.get("ONNXRUNTIME_INCLUDE"), f"{sys.prefix}/onnxruntime/include"
    headers = Path(named or installed)
    package = find_spec("onnxruntime")
    if (
        package is None
        or not shutil.which("g++")
        or not (headers / "onnxruntime_cxx_api.h").exists()
    ):
        return None

    def fill(folder: Path) -> None:
        (folder / "lib").mkdir(parents=True)
        (folder / "include").symlink_to(headers)
        (library,) = Path(package.origin).parent.glob("capi/libonnxruntime.so.*")
        for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
            (folder / "lib" / name).symlink_to(library)

    return build_once("onnxruntime", fill)


@pytest.fixture(scope="session")
def rewrite_model() -> Callable[..., None]:
    """Change a model file and give it a valid checksum: ``rewrite_model(path, change)``.

    *change* gets the header and the tensors, and changes them in place.
    """
    from safetensors.torch import load, save

    from bigan_cli.storage.checksum import UNKNOWN, insert_checksum
    from bigan_cli.storage.model_header import FORMAT

    def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][FORMAT])
        tensors = load(data)
        change(header, tensors)
        text = json.dumps(header | {"sha256": UNKNOWN})
        path.write_bytes(insert_checksum(save(tensors, metadata={FORMAT: text})))

    return rewrite


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real datasets, as ``BIGAN_DATA_DIR`` names it, or skip."""
    folder = os.environ.get("BIGAN_DATA_DIR")
    if not folder:
        pytest.skip("BIGAN_DATA_DIR does not name a folder with the real datasets")
    return Path(folder)


# Folders and trained runs that several files of tests read. Each is made once for all test
# processes; a test that changes one copies it first.

SMALL = (
    *("--epochs", "2", "--save-interval", "2", "--device", "cpu", "--latent-dim", "8"),
    *("--feature-maps-gen", "4", "--feature-maps-disc", "4"),
)


@pytest.fixture(scope="session")
def small_options() -> tuple[str, ...]:
    """Return the options of a training run that takes a second."""
    return SMALL


@pytest.fixture(scope="session")
def build_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that fills the folder *name*, unless another test process has done so."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)

    def once(name: str, fill: Callable[[Path], object]) -> Path:
        folder, filled = shared / name, shared / f"{name}.filled"
        with FileLock(shared / f"{name}.lock"):
            if not filled.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
                fill(folder)
                filled.touch()
        return folder

    return once


def _train(folder: Path, *words: object) -> None:
    assert main(["train", *map(str, words), "--save-dir", str(folder)]) == 0


def _write_digits(folder: Path, start: int, stop: int, *, only: int | None = None) -> list[Path]:
    """Write digits number *start* to *stop* as PNG files ``NUMBER_CLASS.png``."""
    from sklearn.datasets import load_digits

    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    written = []
    for i in range(start, stop):
        label = int(digits.target[i])
        if only is None or label == only:
            path = folder / f"{i:04d}_{label}.png"
            pixels = np.round(digits.images[i] * 255 / 16).astype(np.uint8)
            Image.fromarray(pixels).save(path)
            written.append(path)
    return written


@pytest.fixture(scope="session")
def write_digits() -> Callable[..., list[Path]]:
    """Return the function that writes digits as PNG files."""
    return _write_digits


@pytest.fixture(scope="session")
def trained(build_once: Callable[..., Path]) -> Path:
    """Return a run on the digits with 8 as the anomaly; to be read only."""
    return build_once("trained", lambda folder: _train(folder, "--outlier", "8", *SMALL))


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of that run, to be written into."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture(scope="session")
def ensemble(build_once: Callable[..., Path]) -> Path:
    """Return a run of two members, with 8 as the anomaly; to be read only."""
    words = ("--outlier", "8", "--members", "2", *SMALL)
    return build_once("ensemble", lambda folder: _train(folder, *words))


@pytest.fixture(scope="session")
def own_images(build_once: Callable[..., Path]) -> Path:
    """Return a folder with ``good/``, normal images alone, and the ``run/`` trained on them."""

    def fill(base: Path) -> None:
        _write_digits(base / "good", 0, 1200, only=3)
        _train(base / "run", "--dataset", "folder", "--data-root", base / "good", *SMALL)

    return build_once("own-images", fill)


@pytest.fixture(scope="session")
def pictures(build_once: Callable[..., Path]) -> Path:
    """Return a folder of 150 digits as PNG files, in two levels; to be read only."""

    def fill(base: Path) -> None:
        _write_digits(base, 0, 100)
        _write_digits(base / "more", 100, 150)

    return build_once("pictures", fill)


def _photograph(random: np.random.Generator, *, defective: bool = False) -> Image.Image:
    """Return a striped surface of 96x72 pixels, with a bright spot where it is *defective*."""
    rows, columns = np.mgrid[:72, :96]
    stripes = 120 + 50 * np.sin((columns + rows) / 5 + random.uniform(0, 2 * np.pi))
    pixels = stripes[..., None] + random.normal(0, 6, (72, 96, 3))
    if defective:
        y, x = random.integers(4, 52, 2)
        pixels[y : y + 16, x : x + 16] = (250, 240, 30)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def draw_photograph() -> Callable[..., Image.Image]:
    """Return the function that draws one of the photographs."""
    return _photograph


@pytest.fixture(scope="session")
def photographs(build_once: Callable[..., Path]) -> Path:
    """Return a folder of photographs, and the ``run/`` of ``features`` trained on them.

    ``train/good`` has 24; ``test/good`` and ``test/spot`` have 6 each.
    """

    def fill(base: Path) -> None:
        random = np.random.default_rng(0)
        for name, count in (("train/good", 24), ("test/good", 6), ("test/spot", 6)):
            (base / name).mkdir(parents=True)
            for i in range(count):
                picture = _photograph(random, defective=name == "test/spot")
                picture.save(base / name / f"{i:02d}.png")
        words = ("--dataset", "folder", "--data-root", base, "--image-size", "128")
        steps = ("--set", "train.min_epoch_steps=6", "--set", "train.max_epoch_steps=6")
        steps += ("--set", "data.folds=2", "--set", "output.preview_images=2")
        few = ("--epochs", "2", "--save-interval", "2", "--device", "cpu", "--fpr", "0.2")
        _train(base / "run", *words, *few, *steps)

    return build_once("photographs", fill)


@pytest.fixture(scope="session")
def write_tar() -> Callable[[Path, dict[str, bytes]], Path]:
    """Write a tar archive of files: name -> contents."""

    def write(path: Path, members: dict[str, bytes]) -> Path:
        with tarfile.open(path, "w") as tar:
            for name, contents in members.items():
                header = tarfile.TarInfo(name)
                header.size = len(contents)
                tar.addfile(header, io.BytesIO(contents))
        return path

    return write
