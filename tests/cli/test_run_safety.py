"""What keeps a run true: its folder, its lock, its images, and files that are damaged."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time

import pytest

from bigan_cli.atomic import write_lock
from bigan_cli.cli.main import main
from bigan_cli.errors import RunDirectoryError


@pytest.fixture
def bigan(capsys):
    """Run the program on words; return (exit code, what it said on standard error)."""

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, capsys.readouterr().err

    return call


@pytest.mark.slow
def test_overwriting_what_is_left_of_a_run_starts_anew(run, bigan, small_options):
    (run / "run.json").unlink()
    keeper, notes = run / "models/my-own.safetensors", run / "stats/notes.txt"
    for file in (keeper, notes):
        file.write_text("mine")
    words = ("train", "--outlier", "3", *small_options, "--overwrite", "--save-dir", run)
    assert bigan(*words)[0] == 0
    records = (run / "stats/metrics.jsonl").read_text().splitlines()
    assert [json.loads(record)["epoch"] for record in records] == [1, 2]
    assert json.loads((run / "run.json").read_text())["epoch"] == 2
    assert (keeper.read_text(), notes.read_text()) == ("mine", "mine")


@pytest.mark.slow
def test_files_of_the_user_are_neither_replaced_nor_removed(tmp_path, bigan, small_options):
    folder = tmp_path / "own"
    for name in ("config.toml", "models/epoch-1-my.safetensors", "stats/x/scores.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    words = ("train", "--outlier", "3", *small_options, "--overwrite", "--save-dir", folder)
    code, said = bigan(*words)
    assert code == 2
    assert f"{folder / 'config.toml'} would be replaced" in said
    (folder / "config.toml").unlink()
    assert bigan(*words)[0] == 0
    assert bigan(*words)[0] == 0
    assert (folder / "models/epoch-1-my.safetensors").read_text() == "mine"
    assert (folder / "stats/x/scores.csv").read_text() == "mine"


def test_nothing_is_removed_through_a_link_or_outside(run, tmp_path, bigan, small_options):
    elsewhere = tmp_path / "elsewhere"
    (run / "models").rename(elsewhere)
    (run / "models").symlink_to(elsewhere)
    words = ("train", "--outlier", "3", *small_options, "--overwrite", "--save-dir", run)
    code, said = bigan(*words)
    assert (code, f"{run / 'models'} is a link" in said) == (2, True)
    assert (elsewhere / "best.safetensors").exists()

    (run / "models").unlink()
    victim = tmp_path / "animation.gif"
    victim.write_text("mine")
    with (run / "files.txt").open("a") as record:
        record.write(f"../animation.gif\n{victim}\nstats/../../animation.gif\nnotes.txt\n")
    (run / "notes.txt").write_text("mine")
    assert bigan(*words)[0] == 0
    assert (victim.read_text(), (run / "notes.txt").read_text()) == ("mine", "mine")


@pytest.mark.parametrize("name", [".lock", "files.txt", "stats/metrics.jsonl"])
def test_nothing_is_written_through_a_link(run, tmp_path, bigan, name):
    victim = tmp_path / "victim.txt"
    link = run / name
    content = link.read_text() if link.exists() else "mine"
    victim.write_text(content)
    link.unlink(missing_ok=True)
    link.symlink_to(victim)
    code, said = bigan("train", "--resume", "--epochs", 3, "--save-dir", run)
    assert victim.read_text() == content
    # A file that is replaced as a whole replaces the link.
    assert code == 0 or "it is a link" in said


def test_every_file_of_a_run_is_recorded(run, bigan):
    for command in ("evaluate", "animate", "reconstruct"):
        assert bigan(command, "--run", run)[0] == 0
    found = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    listed = set((run / "files.txt").read_text().splitlines()[1:])
    assert found - {".lock"} == listed


@pytest.mark.slow
def test_other_images_are_no_continuation(tmp_path, bigan, write_digits, small_options):
    images, folder = tmp_path / "images", tmp_path / "run"
    files = write_digits(images, 0, 1797, only=1)
    data = ("--dataset", "folder", "--data-root", images, "--save-dir", folder)
    assert bigan("train", *data, *small_options)[0] == 0
    before = (folder / "config.toml").read_text()
    files[0].unlink()
    code, said = bigan("train", "--resume", "--epochs", 3, "--save-dir", folder)
    assert code == 2
    assert "the images of folder are not those" in said
    assert (folder / "config.toml").read_text() == before


def test_fewer_epochs_than_there_are_are_refused(run, bigan):
    before = (run / "config.toml").read_text()
    code, said = bigan("train", "--resume", "--epochs", 1, "--save-dir", run)
    assert code == 2
    assert "2 epochs were trained" in said
    assert "pass --epochs 2 or more" in said
    assert (run / "config.toml").read_text() == before


def test_one_process_at_a_time_writes_a_folder(tmp_path, run, bigan):
    holding = (
        "import sys, pathlib\n"
        "from bigan_cli.atomic import write_lock\n"
        "with write_lock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        empty = tmp_path / "empty"
        empty.mkdir()
        no_images = ("--overwrite", "--dataset", "folder", "--data-root", empty)
        for words in (("--resume", "--epochs", 3), no_images):
            code, said = bigan("train", *words, "--save-dir", run)
            assert code == 2
            # It is refused before images are read: no complaint that there are none.
            assert said.startswith(f"error: another process is writing into {run}\n")
        assert (run / "models/best.safetensors").exists()
        with pytest.raises(RunDirectoryError), write_lock(run):
            pass
        other.kill()  # however it ends
    time.sleep(0.1)
    with write_lock(run):
        pass


@pytest.mark.parametrize("text", ["[]", '{"schema": 1}', "{"])
def test_a_damaged_run_file_is_told(run, bigan, text):
    (run / "run.json").write_text(text)
    for words in (
        ("train", "--resume", "--save-dir", run),
        ("train", "--outlier", 8, "--save-dir", run),
        ("evaluate", "--run", run),
    ):
        code, said = bigan(*words)
        assert code == 2
        assert str(run / "run.json") in said
        assert "defect" not in said


def test_damaged_configurations_and_metrics_are_told(run, bigan):
    (run / "stats/metrics.jsonl").write_text("{\n")
    code, said = bigan("train", "--resume", "--epochs", 3, "--save-dir", run)
    assert (code, "metrics.jsonl is damaged" in said) == (2, True)
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace("epochs = 2", 'epochs = "two"'))
    code, said = bigan("train", "--resume", "--save-dir", run)
    assert (code, "config.toml does not suit bigan" in said) == (2, True)
    assert "train.epochs" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.pop("members"), "is damaged"),
        (lambda h: h["config"]["train"].update(future=1), "is damaged"),
        (
            lambda h: h.update(bigan_version="9") or h["config"]["train"].update(future=1),
            "does not suit bigan",
        ),
        (lambda h: h["config"]["model"]["options"].update(future=1), "architecture 'dcgan'"),
        (lambda h: h["preprocessing"].update(version=99), "prepared in another way"),
    ],
)
def test_a_model_file_that_does_not_suit_is_told(
    run, bigan, write_digits, rewrite_model, change, message
):
    rewrite_model(run / "models/best.safetensors", lambda header, _tensors: change(header))
    (image,) = write_digits(run.parent / "images", 0, 1)
    code, said = bigan("score", image, "--run", run, "--device", "cpu")
    assert code in (1, 2)
    assert message in said
    assert "defect" not in said


@pytest.mark.slow
def test_a_disk_that_is_full_is_told_with_the_file(run, tmp_path, small_options):
    resource = pytest.importorskip("resource", reason="limits of POSIX")
    folder = tmp_path / "new"
    words = ["train", "--outlier", "8", *small_options, "--epochs", "3", "--save-dir", str(folder)]
    limited = subprocess.run(
        [sys.executable, "-m", "bigan_cli", *words],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert limited.returncode == 1, limited.stderr
    error = limited.stderr.splitlines()[-1]
    assert "File too large" in error
    assert f"{folder}/models/" in error


def test_a_folder_that_cannot_be_locked_is_told(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(RunDirectoryError, match="cannot lock"), write_lock(tmp_path):
        pass


@pytest.mark.parametrize("error", [NotImplementedError(), OSError(errno.ENOLCK, "No locks")])
def test_a_file_system_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch, error):
    def refuse(*_args, **_options):
        raise error

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with write_lock(tmp_path):
        (tmp_path / "written").touch()
    assert (tmp_path / "written").exists()


def test_a_component_that_looks_for_what_the_model_does_not_hold_is_told(
    run, bigan, write_digits, rewrite_model
):
    key = "members.0.fitted.discriminator_neighbours.scale"
    rewrite_model(run / "models/best.safetensors", lambda _header, tensors: tensors.pop(key))
    (image,) = write_digits(run.parent / "images", 0, 1)
    code, said = bigan("score", image, "--run", run)
    assert code == 2
    assert "holds no 'scale' of score component 'discriminator_neighbours'" in said
