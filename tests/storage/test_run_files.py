"""A run directory in which a run ended before its first file."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("text", ["", "# Files that big"])
def test_a_full_disk_at_the_very_start_leaves_a_folder_to_train_in(bigan, tmp_path, text):
    run = tmp_path / "run"
    run.mkdir()
    (run / "files.txt").write_text(text)
    small = ("--epochs", 1, "--set", "train.max_epoch_steps=1", "--device", "cpu")
    done = bigan("train", "--dataset", "digits", "--save-dir", run, *small)
    assert done.code == 0, done.err
    assert "run.json" in (run / "files.txt").read_text().splitlines()


def test_somebody_elses_list_is_not_touched(bigan, tmp_path):
    (tmp_path / "files.txt").write_text("my own list\n")
    done = bigan("train", "--dataset", "digits", "--save-dir", tmp_path)
    assert done.code != 0
    assert "holds other files (files.txt" in done.err
    assert (tmp_path / "files.txt").read_text() == "my own list\n"
