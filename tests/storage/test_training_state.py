"""The training state: exact, and damage of any kind is found."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.errors import RunDirectoryError
from bigan_cli.storage.training_state import read_training_state, write_training_state


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "training-state.pt"
    write_training_state(
        path, {"weights": torch.arange(8.0), "optimiser": {0: {"step": 3}}, "none": None}
    )
    return path


def test_it_is_read_as_it_was_written(stored):
    state = read_training_state(stored)
    assert state["weights"].tolist() == list(range(8))
    assert (state["optimiser"], state["none"]) == ({0: {"step": 3}}, None)
    assert torch.load(stored, weights_only=True)["none"] is None  # PyTorch's own format


@given(data=st.data())
def test_changed_and_cut_files_are_refused(stored, data):
    original = stored.read_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    flipped = bytearray(original)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    damaged = stored.with_name("damaged.pt")
    for content in (bytes(flipped), original[:place]):
        damaged.write_bytes(content)
        with pytest.raises(RunDirectoryError, match="is damaged"):
            read_training_state(damaged)


def test_a_state_without_read_permission_is_not_called_damaged(stored, monkeypatch):
    def refuse(path, *_args):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.open", refuse)  # root may read everything, so it is not the mode
    with pytest.raises(RunDirectoryError, match="Permission denied") as error:
        read_training_state(stored)
    assert "overwrite" not in error.value.hint


def test_code_in_a_state_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    write_training_state(tmp_path / "state.pt", {"evil": Evil()})
    with pytest.raises(RunDirectoryError, match="cannot be loaded"):
        read_training_state(tmp_path / "state.pt")
    assert not (tmp_path / "ran").exists()
