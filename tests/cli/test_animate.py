"""``bigan animate`` from the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bigan_cli.storage.run_directory import RunDirectory

COLOURS = {0: (200, 0, 0), 2: (0, 160, 0), 10: (0, 0, 220)}


def paint(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, colour in zip(names, COLOURS.values(), strict=False):
        Image.new("RGB", (60, 40), colour).save(folder / name)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Return a run with pictures of the epochs 0, 2 and 10, and nothing else."""
    run = RunDirectory(tmp_path / "run")
    for folder in (run.comparison, run.fake, run.true, run.test):
        paint(folder, *(run.epoch_picture(folder, epoch).name for epoch in COLOURS))
    run.run_file.write_text('{"schema": 1}')
    return run


def frames(path: Path) -> int:
    with Image.open(path) as image:
        return int(getattr(image, "n_frames", 1))


def shown_colours(path: Path) -> list[list[int]]:
    """For each frame, how many pixels it has of each epoch's colour."""
    counts = []
    with Image.open(path) as image:
        for index in range(image.n_frames):
            image.seek(index)
            seen = dict(reversed(c) for c in image.convert("RGB").getcolors(1 << 24))
            counts.append([seen.get(colour, 0) for colour in COLOURS.values()])
    return counts


class TestSingle:
    def test_the_comparison_is_animated_in_the_order_of_the_epochs(self, bigan, run):
        done = bigan("animate", "--run", run.path)
        assert done.code == 0
        assert done.out == f"{run.animation_file}\n"
        assert "comparison: 3 pictures, epochs 0 to 10" in done.err
        assert "3 frames of " in done.err
        assert shown_colours(run.animation_file) == [[2400, 0, 0], [0, 2400, 0], [0, 0, 2400]]

    def test_running_it_again_replaces_the_runs_own_animation(self, bigan, run):
        assert bigan("animate", "--run", run.path).code == 0
        (run.comparison / "epoch-0002.png").unlink()
        assert bigan("animate", "--run", run.path).code == 0
        assert frames(run.animation_file) == 2

    def test_another_folder_of_the_run(self, bigan, run):
        done = bigan("animate", "--run", run.path, "--dirs", "test")
        assert done.code == 0
        assert "test: 3 pictures" in done.err

    def test_any_folder_of_numbered_images_without_a_run(self, bigan, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        paint(tmp_path / "pictures", "fake_10_3.png", "fake_2_3.png", "notes.png")
        done = bigan("animate", "--image-dir", "pictures")
        assert (done.code, done.out) == (0, f"{Path('results', 'animation.gif')}\n")
        assert "pictures: 2 pictures, epochs 2 to 10; left out 1 without a number" in done.err
        assert frames(tmp_path / "results" / "animation.gif") == 2

    def test_a_single_epoch_is_fine_with_a_warning(self, bigan, tmp_path):
        folder = paint(tmp_path / "pictures", "7.png")
        done = bigan("animate", "--image-dir", folder, "--output", tmp_path / "a.gif")
        assert done.code == 0
        assert "warning: there is only one epoch" in done.err
        assert "epoch 7\n" in done.err

    def test_an_animation_among_its_pictures_is_not_one_of_them(self, bigan, tmp_path):
        folder = paint(tmp_path / "pictures", "1.png", "2.png")
        words = ["animate", "--image-dir", folder, "--output", folder / "film9.gif", "--overwrite"]
        for _ in range(2):
            assert bigan(*words).code == 0
        assert frames(folder / "film9.gif") == 2


class TestMulti:
    def test_the_usual_folders_stand_side_by_side_in_step(self, bigan, run):
        done = bigan("animate", "--run", run.path, "--mode", "multi")
        assert (done.code, done.out) == (0, f"{run.multi_animation_file}\n")
        wanted = [[7200, 0, 0], [0, 7200, 0], [0, 0, 7200]]
        assert shown_colours(run.multi_animation_file) == wanted
        assert not run.animation_file.exists()

    def test_folders_without_pictures_are_left_out(self, bigan, run):
        for path in run.true.iterdir():
            path.unlink()
        done = bigan("animate", "--run", run.path, "--mode", "multi")
        assert done.code == 0
        assert "true" not in done.err

    def test_a_folder_that_lacks_an_epoch_holds_the_one_before(self, bigan, run):
        (run.fake / "epoch-0002.png").unlink()
        bigan("animate", "--run", run.path, "--mode", "multi", "--dirs", "true", "--dirs", "fake")
        wanted = [[4800, 0, 0], [2400, 2400, 0], [0, 0, 4800]]
        assert shown_colours(run.multi_animation_file) == wanted

    def test_folders_of_other_runs_can_be_compared(self, bigan, run, tmp_path):
        other = paint(tmp_path / "elsewhere", "0.png", "2.png", "10.png")
        words = ["--mode", "multi", "--dirs", "fake", "--dirs", other]
        done = bigan("animate", "--run", run.path, *words)
        assert done.code == 0
        assert "elsewhere: 3 pictures" in done.err

    def test_a_run_is_not_needed_where_every_folder_is_named_by_path(self, bigan, tmp_path):
        folders = [paint(tmp_path / name, "1.png", "2.png") for name in ("a", "b")]
        words = [word for folder in folders for word in ("--dirs", folder)]
        out = tmp_path / "film.webp"
        assert bigan("animate", "--mode", "multi", *words, "--output", out).code == 0
        assert frames(out) == 2


class TestOutput:
    @pytest.mark.parametrize(("name", "kind"), [("a.gif", "GIF"), ("a.webp", "WEBP")])
    def test_the_suffix_picks_the_format(self, bigan, run, tmp_path, name, kind):
        assert bigan("animate", "--run", run.path, "--output", tmp_path / name).code == 0
        with Image.open(tmp_path / name) as image:
            assert (image.format, image.n_frames) == (kind, 3)

    def test_a_file_that_exists_is_kept_unless_it_may_be_replaced(self, bigan, run, tmp_path):
        out = tmp_path / "film.gif"
        out.write_text("mine")
        words = ["animate", "--run", run.path, "--output", out]
        done = bigan(*words)
        assert (done.code, done.out, out.read_text()) == (2, "", "mine")
        assert (
            done.err == f"error: {out} exists\nhint: pass --overwrite, or another --output FILE\n"
        )
        assert bigan(*words, "--overwrite").code == 0
        assert frames(out) == 3

    @pytest.mark.parametrize(("fps", "milliseconds"), [("2", 500), ("0.5", 2000), ("12.5", 80)])
    def test_fps_sets_how_long_a_frame_is_shown(self, bigan, run, fps, milliseconds):
        assert bigan("animate", "--run", run.path, "--fps", fps).code == 0
        with Image.open(run.animation_file) as image:
            assert image.info["duration"] == milliseconds

    def test_scale_enlarges_the_pictures(self, bigan, run):
        sizes = {}
        for words in ((), ("--scale", "3")):
            assert bigan("animate", "--run", run.path, *words).code == 0
            with Image.open(run.animation_file) as image:
                sizes[words] = image.size
        assert sizes["--scale", "3"][0] > 2 * sizes[()][0]

    def test_json_tells_what_was_made(self, bigan, run):
        done = bigan("animate", "--run", run.path, "--mode", "multi", "--json")
        document = json.loads(done.out)
        with Image.open(run.multi_animation_file) as image:
            assert [document["width"], document["height"]] == list(image.size)
        assert document["schema"] == 1
        assert document["output"] == str(run.multi_animation_file)
        assert document["epochs"] == [0, 2, 10]
        assert [folder["name"] for folder in document["folders"]] == ["comparison", "fake", "true"]
        assert document["seconds"] == 2.5
        assert document["bytes"] == run.multi_animation_file.stat().st_size

    def test_quiet_leaves_the_path_alone(self, bigan, run):
        done = bigan("--quiet", "animate", "--run", run.path)
        assert (done.out, done.err) == (f"{run.animation_file}\n", "")


class TestErrors:
    @pytest.mark.parametrize(
        ("words", "says", "hint"),
        [
            (["--mode", "mutli"], "unknown mode 'mutli'", "did you mean 'multi'?"),
            (["--dirs", "comparsion"], "no folder 'comparsion' in", "did you mean 'comparison'?"),
            (["--dirs", "xyz"], "no folder 'xyz' in", "there are: comparison, fake, test, true"),
            (["--dirs", "fake", "--dirs", "true"], "shows one folder", "--mode multi"),
            (["--image-dir", ".", "--dirs", "fake"], "that one folder only", "multi"),
            (["--image-dir", ".", "--mode", "multi"], "that one folder only", "multi"),
            (["--fps", "0"], "--fps 0 is out of range", "from 0.01 to 50"),
            (["--fps", "0.0001"], "is out of range", "from 0.01 to 50"),
            (["--fps", "nan"], "is out of range", "from 0.01 to 50"),
            (["--scale", "0"], "--scale 0 is out of range", "from 0.1 to 8"),
            (["--output", "film.png"], "an animation ends in .gif, .webp, .mp4", "suffix"),
            (["--output", "."], "is a folder", "a file"),
        ],
        ids=" ".join,
    )
    def test_wrong_usage_is_told_in_one_line_and_nothing_is_written(
        self, bigan, run, words, says, hint, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        before = sorted(tmp_path.rglob("*"))
        done = bigan("animate", "--run", run.path, *words)
        assert (done.code, done.out) == (2, "")
        error, _, rest = done.err.partition("\n")
        assert error.startswith("error: ")
        assert says in error
        assert hint in rest
        assert sorted(tmp_path.rglob("*")) == before

    def test_without_a_run(self, bigan, tmp_path):
        for words in ([], ["--dirs", "fake"], ["--mode", "multi"]):
            done = bigan("animate", "--run", tmp_path / "none", *words)
            assert done.code == 2
            assert "run.json missing" in done.err
            assert "hint: train one, or name it with --run DIR" in done.err

    def test_a_run_without_pictures_yet(self, bigan, tmp_path):
        run = RunDirectory(tmp_path)
        run.run_file.write_text('{"schema": 1}')
        for mode in ("single", "multi"):
            done = bigan("animate", "--run", tmp_path, "--mode", mode)
            assert done.code == 1
            assert f"no pictures in {run.comparison} yet" in done.err

    def test_a_folder_without_images(self, bigan, tmp_path):
        (tmp_path / "empty").mkdir()
        for name, code, says in (("empty", 1, "no images in"), ("missing", 2, "no such folder")):
            done = bigan("animate", "--image-dir", tmp_path / name)
            assert done.code == code
            assert says in done.err
        done = bigan("animate", "--dirs", tmp_path / "missing")
        assert done.code == 2
        assert "no such folder" in done.err

    def test_a_damaged_picture_is_named_and_the_old_animation_stays(self, bigan, run):
        assert bigan("animate", "--run", run.path).code == 0
        before = run.animation_file.read_bytes()
        damaged = run.comparison / "epoch-0002.png"
        damaged.write_bytes(damaged.read_bytes()[:50])
        done = bigan("animate", "--run", run.path)
        assert (done.code, done.out) == (1, "")
        assert f"error: cannot read {damaged}: " in done.err
        assert run.animation_file.read_bytes() == before


def test_animate_imports_neither_torch_nor_matplotlib(run):
    program = (
        "import sys\nfrom bigan_cli.cli.main import main\ncode = main(sys.argv[1:])\n"
        "heavy = {'torch', 'torchvision', 'matplotlib', 'sklearn', 'scipy', 'safetensors'}\n"
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    words = ["animate", "--run", str(run.path), "--mode", "multi"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [str(run.multi_animation_file), "0 []"]


def test_help_of_animate_imports_nothing_heavy():
    program = (
        "import sys\nfrom bigan_cli.cli.main import main\ncode = main(sys.argv[1:])\n"
        "heavy = {'torch', 'matplotlib', 'sklearn', 'PIL', 'numpy', 'imageio', 'rich', 'pluggy'}\n"
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "animate", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "0 []"


class TestModels:
    """Modes that show what the models of a run do."""

    def test_scores_by_epoch(self, bigan, run_of_digits, tmp_path):
        still = tmp_path / "last.png"
        words = ("animate", "--run", run_of_digits, "--device", "cpu")
        done = bigan(*words, "--mode", "scores", "--still", still, "--json")
        assert done.code == 0, done.err
        found = json.loads(done.out)
        assert (found["epochs"], found["frames"]) == ([0, 2], 2)
        assert found["output"] == str(run_of_digits / "scores_animation.gif")
        assert frames(run_of_digits / "scores_animation.gif") == 2
        with Image.open(still) as last:
            assert last.size == (found["width"], found["height"])
        assert "scores_animation.gif" in (run_of_digits / "files.txt").read_text()
        again = bigan(*words, "--mode", "scores", "--still", still)
        assert (again.code, "--overwrite" in again.err) == (2, True)

    def test_heatmaps_by_epoch(self, bigan, run_of_digits):
        done = bigan("animate", "--run", run_of_digits, "--device", "cpu", "--mode", "heatmaps")
        assert done.code == 0, done.err
        assert frames(run_of_digits / "heatmaps_animation.gif") == 2

    def test_walks_through_the_latent_space(self, bigan, run_of_digits, write_digits, tmp_path):
        words = ("animate", "--run", run_of_digits, "--device", "cpu", "--mode", "latent")
        assert bigan(*words).code == 0
        assert frames(run_of_digits / "latent_animation.gif") > 20
        ends = write_digits(tmp_path / "ends", 0, 2)
        done = bigan(*words, "--between", *ends, "--output", tmp_path / "walk.webp")
        assert done.code == 0, done.err
        assert frames(tmp_path / "walk.webp") == 40
        missing = bigan(*words, "--between", ends[0], tmp_path / "none.png")
        assert missing.code != 0
        assert "none.png" in missing.err

    def test_what_does_not_fit_a_mode_is_refused(self, bigan, run_of_digits, tmp_path):
        words = ("animate", "--run", run_of_digits, "--mode")
        folders = bigan(*words, "scores", "--dirs", "fake")
        assert (folders.code, "shows no folders" in folders.err) == (2, True)
        walk = bigan(*words, "scores", "--between", "a.png", "b.png")
        assert (walk.code, "--mode latent" in walk.err) == (2, True)
        still = bigan(*words, "single", "--still", tmp_path / "last.gif")
        assert (still.code, "a still ends in .png" in still.err) == (2, True)


@pytest.fixture
def run_of_digits(trained, tmp_path):
    """Return a copy of a trained run."""
    return Path(shutil.copytree(trained, tmp_path / "digits"))
