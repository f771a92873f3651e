"""No image file is decoded twice, whatever is trained on it and how often."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngInfo

from bigan_cli.data import decode
from bigan_cli.data.load import CACHED_FILES

SMALL = ("--epochs", "1", "--device", "cpu", "--latent-dim", "4")
NETWORKS = ("--feature-maps-gen", "4", "--feature-maps-disc", "4")


@pytest.fixture
def decoded(monkeypatch) -> Callable[[], Counter[str]]:
    """Return what says how often each file was decoded since it was asked last."""
    names: list[str] = []
    prepare, decode_plain = ImageFile.ImageFile.load_prepare, decode.decode_plain_png

    def counted(self: ImageFile.ImageFile) -> None:  # Pillow calls it once for each decoding
        names.append(str(self.filename))
        prepare(self)

    def counted_plain(contents: bytes) -> Image.Image | None:
        image = decode_plain(contents)
        if image is not None:
            names.append(hashlib.sha256(contents).hexdigest())
        return image

    def take() -> Counter[str]:
        seen = Counter(names)
        names.clear()
        return seen

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", counted)
    monkeypatch.setattr(decode, "decode_plain_png", counted_plain)
    return take


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    for i in range(CACHED_FILES + 20):
        name = tmp_path / "images" / f"{i:04}.png"
        name.parent.mkdir(exist_ok=True)
        comment = PngInfo()
        if i % 2:  # files with more than an image are decoded in another way
            comment.add_text("Comment", "none")
        pixels = draw.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(name, pnginfo=comment)
    return tmp_path / "images"


@pytest.mark.slow
def test_training_twice_decodes_every_file_once(bigan, decoded, folder, tmp_path):
    command = ["train", "--dataset", "folder", "--data-root", folder, *SMALL, *NETWORKS]
    assert bigan(*command, "--save-dir", tmp_path / "one").code == 0
    first = decoded()
    assert len(first) == CACHED_FILES + 20
    assert set(first.values()) == {1}
    assert bigan(*command, "--seed", 7, "--save-dir", tmp_path / "two").code == 0
    assert decoded() == {}


def test_scoring_decodes_every_file_once(bigan, decoded, folder, tmp_path):
    command = ["train", "--dataset", "digits", *SMALL, *NETWORKS]
    assert bigan(*command, "--save-dir", tmp_path / "run").code == 0
    decoded()
    assert bigan("score", folder, "--run", tmp_path / "run").code == 0
    scored = decoded()
    assert len(scored) == CACHED_FILES + 20
    assert set(scored.values()) == {1}
