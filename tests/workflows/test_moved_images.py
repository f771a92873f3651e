"""A run and its data folder that were moved together are found together."""

from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.moved_images import moved_root


def test_a_data_folder_that_moved_with_its_run_is_found(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    run = RunDirectory(new / "run")
    run.write_info(status="interrupted", folder=str(old / "run"))
    assert moved_root(run, old / "good") is None  # there is none
    (new / "good").mkdir()
    assert moved_root(run, old / "good") == new / "good"
    (old / "good").mkdir(parents=True)
    assert moved_root(run, old / "good") is None  # it is where it was
    assert moved_root(run, None) is None
