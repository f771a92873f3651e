"""Tables of scores that are damaged or written by something else are refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigan_cli.errors import BiganError, DataError, UsageError
from bigan_cli.storage.evaluation_record import read_scores as read_evaluated
from bigan_cli.storage.read_scores import read_scores

CSV = (
    "path,score,p_value,label,reconstruction,regions,error\n"
    "a.png,1.5,0.25,normal,1.5,[],\n"
    "b.png,,,,,,not an image\n"
)
JSON = (
    '{"path": "a.png", "score": 1.5, "p_value": 0.25, "label": "normal", '
    '"components": {"reconstruction": 1.5}}\n'
)
EVALUATED = "name,class,outlier,score,p_value,label,reconstruction\na,0,1,1.5,0.25,normal,1.5\n"
DAMAGED = [
    ("x.csv", CSV.replace("a.png,1.5,0.25,normal,1.5", "a.png,1.5,0.25,normal")),
    ("x.csv", CSV.replace(",[],\n", ",[],\n\n")),
    ("x.csv", CSV.replace("a.png", "a" * 200_000)),
    ("x.csv", CSV.replace("1.5", "many")),
    ("x.csv", "price\n3\n"),
    ("x.jsonl", JSON.replace("1.5,", f"{10**400},")),
    ("x.jsonl", JSON.replace('{"reconstruction": 1.5}', '"reconstruction"')),
    ("x.jsonl", "[" * 100_000 + "\n"),
    ("x.jsonl", "3\n"),
]


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize(("name", "text"), [("x.csv", CSV), ("x.jsonl", JSON)])
def test_tables_are_read(tmp_path: Path, name: str, text: str, bom: str) -> None:
    file = tmp_path / name
    file.write_text(bom + text, encoding="utf-8")
    rows = read_scores(file)
    assert rows.paths == ("a.png",)
    assert rows.score.tolist() == rows.components["reconstruction"].tolist() == [1.5]
    assert rows.skipped == text.count("not an image")


@pytest.mark.parametrize(("name", "text"), DAMAGED)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="not a table of scores"):
        read_scores(file)


@given(st.integers(0, 300), st.integers(0, 300), st.text(max_size=8), st.sampled_from("ab"))
@settings(max_examples=150)
def test_damage_anywhere_ends_in_an_error_of_ours_or_none(
    tmp_path_factory: pytest.TempPathFactory, start: int, end: int, new: str, which: str
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    read = read_scores if which == "a" else read_evaluated
    for name, text in (("x.csv", CSV if which == "a" else EVALUATED), ("x.jsonl", JSON)):
        file = folder / name
        content = text[:start] + new + text[end:]
        file.write_bytes(content.encode("utf-8", "surrogatepass"))
        try:
            read(file)
        except BiganError as error:
            assert "\n" not in error.message  # noqa: PT017


def test_a_long_damaged_value_is_not_quoted_whole(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    file.write_text(EVALUATED.replace("1.5", "x" * 5000), encoding="utf-8")
    with pytest.raises(BiganError, match="is damaged") as caught:
        read_evaluated(file)
    assert len(caught.value.message) < 500 + len(str(file))


def test_a_parquet_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    file = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"path": ["a.png"], "price": [3.0]}), file)
    with pytest.raises(DataError, match="not a table of scores"):
        read_scores(file)
    content = file.read_bytes()
    for cut in range(0, len(content), 40):
        file.write_bytes(content[:cut] + b"\0" + content[cut + 1 :])
        with pytest.raises(DataError):
            read_scores(file)
    with pytest.raises(UsageError, match="no such file"):
        read_scores(tmp_path / "missing.parquet")
