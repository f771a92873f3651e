"""Shards write parts that ``bigan merge`` joins to the file of one ``bigan score``."""

from __future__ import annotations

import csv
import io
import json
import random
import tarfile
from pathlib import Path

import pytest


@pytest.fixture
def score(bigan, trained):
    """Run ``bigan score`` on the trained run, on CPU."""
    return lambda *words: bigan("score", "--run", trained, "--device", "cpu", *words)


@pytest.fixture
def inputs(pictures, tmp_path) -> list[Path]:
    """Return a folder of 150 pictures, a list, and two archives; five images cannot be read."""
    paths = sorted(pictures.rglob("*.png"))
    listing = tmp_path / "list.csv"
    listing.write_text("path\n" + "".join(f"{path}\n" for path in paths[:10]) + "missing.png\n" * 4)
    archives = [tmp_path / "a.tar", tmp_path / "b.tar"]
    for number, archive in enumerate(archives):
        with tarfile.open(archive, "w") as tar:
            for path in paths[20 * number : 20 * number + 20]:
                tar.add(path, path.name)
    damaged = tmp_path / "damaged.png"
    damaged.write_text("no picture")
    return [pictures, archives[0], listing, damaged, archives[1]]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_any_number_of_shards_gives_the_bytes_of_one_call(
    score, bigan, inputs, tmp_path, suffix
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="no pyarrow: pip install .[scale]")
    whole, merged = tmp_path / f"whole{suffix}", tmp_path / f"merged{suffix}"
    assert score(*inputs, "--output", whole).code == 4
    for number in (3, 1, 2):
        done = score(*inputs, "--output", merged, "--shard", f"{number}/3", "--part-size", 40)
        assert done.code in (0, 4), done.err
        assert done.out.strip() == f"{merged}.parts"
    joined = bigan("merge", merged, "--json")
    assert joined.code == 4
    said = json.loads(joined.out)
    assert (said["scored"], said["skipped"], said["parts"]) == (200, 5, 7)
    assert merged.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_parts_and_their_table_may_be_in_an_object_store(
    score, bigan, pictures, tmp_path, s3_server
) -> None:
    import s3fs

    store = s3fs.S3FileSystem()
    store.mkdir("shards")
    score(pictures, "--output", tmp_path / "whole.csv")
    for number in (1, 2):
        words = ("--output", "s3://shards/scores.csv", "--shard", f"{number}/2", "--part-size", 40)
        done = score(pictures, *words)
        assert done.code == 0, done.err
    joined = bigan("merge", "s3://shards/scores.csv")
    assert joined.code == 0, joined.err
    assert store.cat_file("shards/scores.csv") == (tmp_path / "whole.csv").read_bytes()


def test_a_parquet_output_has_the_rows_of_a_csv_output(score, inputs, tmp_path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="no pyarrow: pip install .[scale]")
    score(*inputs, "--output", tmp_path / "a.csv")
    score(*inputs, "--output", tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(table) == len(rows) == 205
    for found, row in zip(table, rows, strict=True):
        assert found.keys() == row.keys()
        for name, value in found.items():
            wanted = row[name]
            if name in ("path", "label", "error"):
                assert value == wanted
            else:
                assert value == (float(wanted) if wanted else None)


def test_parts_that_exist_are_skipped_and_others_are_written_again(
    score, bigan, pictures, tmp_path
) -> None:
    output = tmp_path / "scores.csv"
    words = ("--output", output, "--part-size", 25)
    assert score(pictures, *words, "--shard", "1/2").code == 0
    missing = bigan("merge", output)
    assert missing.code == 1
    assert "3 of 6 parts missing" in missing.err
    assert ": 1, 3, 5" in missing.err
    parts = tmp_path / "scores.csv.parts"
    (parts / "00002.csv").unlink()
    kept = (parts / "00000.csv").stat().st_mtime_ns
    done = score(pictures, *words, "--shard", "1/1")
    assert done.code == 0
    assert "wrote 4 parts of 6, 2 existed" in done.err
    assert "scored 150" in done.err
    assert (parts / "00000.csv").stat().st_mtime_ns == kept
    assert bigan("merge", output).code == 0
    assert score(pictures, "--output", tmp_path / "whole.csv").code == 0
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_parts_of_another_threshold_size_or_input_are_refused(score, pictures, tmp_path) -> None:
    output = tmp_path / "scores.csv"
    words = ("--output", output, "--shard", "1/1")
    assert score(pictures, *words, "--part-size", 100).code == 0
    for other, message in (
        ((pictures, "--part-size", 100, "--threshold", 3), "labelled with the threshold"),
        ((pictures, "--part-size", 50), "of other inputs"),
        ((pictures / "more", "--part-size", 100), "of other inputs"),
    ):
        done = score(*other, *words)
        assert done.code == 2
        assert message in done.err


def test_merging_refuses_parts_that_do_not_belong_together(
    score, bigan, pictures, tmp_path
) -> None:
    output = tmp_path / "scores.csv"
    assert "bigan score --shard" in bigan("merge", output).err
    (tmp_path / "scores.csv.parts").mkdir()
    assert "no shard has come to the end" in bigan("merge", output).err
    assert score(pictures, "--output", output, "--shard", "1/1", "--part-size", 100).code == 0
    part = tmp_path / "scores.csv.parts" / "00001.csv"
    first, _, rest = part.read_text().partition("\n")
    for key, value in (("computed", {"threshold": 1}), ("inputs", "0" * 32)):
        part.write_text(json.dumps({**json.loads(first), key: value}) + "\n" + rest)
        done = bigan("merge", output)
        assert done.code == 2
        assert not output.exists()
    part.write_text("anything else\n")
    assert "was not written by a shard" in bigan("merge", output).err


@pytest.mark.parametrize("name", ["parts.json", "00001.csv"])
def test_merging_refuses_damaged_parts(score, bigan, pictures, tmp_path, name) -> None:
    output = tmp_path / "scores.csv"
    assert score(pictures, "--output", output, "--shard", "1/1", "--part-size", 100).code == 0
    file = tmp_path / "scores.csv.parts" / name
    whole = file.read_bytes()
    start = whole.partition(b"\n")[0]
    rng = random.Random(0)
    places = [*range(0, len(start), 7), *rng.choices(range(len(whole)), k=20)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(7)
        file.write_bytes(damaged)
        done = bigan("merge", output)
        assert done.code in (1, 2), damaged[:300]
        assert "internal error" not in done.err
        assert done.err.startswith("error: ")
        assert not output.exists()
    for key, value in (("parts", -1), ("part", "1"), ("inputs", None), ("counts", {"scored": 1})):
        file.write_bytes(json.dumps({**json.loads(start), key: value}).encode())
        assert bigan("merge", output).code == 2
    file.write_bytes(whole)
    assert bigan("merge", output).code == 0


def test_a_shard_without_parts_is_no_error(score, pictures, tmp_path) -> None:
    done = score(pictures, "--output", tmp_path / "scores.csv", "--shard", "4/4")
    assert done.code == 0
    assert "wrote 0 parts of 1" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--shard", "1/2"), "needs an --output"),
        (("--part-size", "9"), "--part-size is of no use without --shard"),
        (("--shard", "1/2", "--output", "a.csv", "--sort"), "--sort is of no use with --shard"),
        (("--shard", "3/2", "--output", "a.csv"), "does not exist"),
    ],
)
def test_options_that_contradict_shards_are_refused(score, pictures, words, message) -> None:
    done = score(pictures, *words)
    assert done.code == 2
    assert message in done.err
