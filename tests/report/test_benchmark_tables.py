"""Tables of made-up rows, whose means can be worked out by hand."""

from __future__ import annotations

import csv
import io

import pytest

from bigan_cli.cli.views.benchmark import figures_table
from bigan_cli.report.benchmark import markdown, summary_lines, tables
from bigan_cli.report.benchmark_components import component_rows
from bigan_cli.report.benchmark_csv import as_csv


def row(name="a", seed=0, auroc=0.5, **changed):
    return {
        "cell": f"set-{name}-s{seed}",
        "dataset": "set",
        "option": "inlier",
        "classes": [name],
        "seed": seed,
        "preset": None,
        "variant": None,
        "status": "done",
        "error": None,
        "protocol": "one-class",
        "epochs": 2,
        "precision": "fp32",
        "machine": "Some CPU",
        "auroc": auroc,
        "average_precision": 0.25,
        "untrained_auroc": 0.125,
        "untrained_average_precision": None,
        "training_seconds": 3.0,
        "images_per_second": None,
        "versions": {"bigan": "1", "torch": "2", "python": "3"},
        "commit": None,
        "baselines": None,
        **changed,
    }


def failed(name="a", seed=0):
    kept = ("cell", "dataset", "option", "classes", "seed", "preset", "variant")
    asked = {key: value for key, value in row(name, seed).items() if key in kept}
    return {**asked, "status": "failed", "error": "it broke", "commit": None, "command": "x"}


GRID = [row("a", 0, 0.5), row("a", 1, 0.7), row("b", 0, 0.9), row("b", 1, 0.7)]


def test_means_and_spreads_over_seeds_and_classes():
    (table,) = tables(GRID)
    assert table.columns == ("bigan", "untrained")
    a, b = (table.rows[name][0] for name in "ab")
    assert (a.mean, a.standard_deviation, a.count) == pytest.approx((0.6, 0.1414, 2), abs=1e-4)
    assert (b.mean, b.standard_deviation, b.count) == pytest.approx((0.8, 0.1414, 2), abs=1e-4)
    # Over the seeds' means, which are 0.7 both: classes that differ are no noise.
    assert (table.mean[0].mean, table.mean[0].standard_deviation) == pytest.approx((0.7, 0))


def test_a_seed_that_lacks_a_class_does_not_shift_the_mean():
    (table,) = tables([*GRID, row("a", 2, 0.1)])
    assert table.mean[0].mean == pytest.approx(0.7)
    assert table.mean[0].count == 2


def test_no_seed_with_all_classes_gives_a_mean_without_spread():
    (table,) = tables([row("a", 0, 0.5), row("b", 1, 0.9)])
    assert (table.mean[0].mean, table.mean[0].standard_deviation) == (0.7, None)


def test_a_class_that_failed_leaves_no_mean_of_the_others():
    (table,) = tables([row("a", 0, 0.5), failed("b")])
    assert table.rows["b"] == (None, None)
    assert table.mean == (None, None)
    lines = markdown([row("a", 0, 0.5), failed("b")])
    assert "| b | - | - |" in lines
    assert "* Failed: set-b-s0: it broke" in lines


def test_nothing_but_failures_is_no_reason_to_fail():
    assert tables([failed()])[0].protocol == "one-class"
    assert summary_lines([failed()])
    assert markdown([failed()])[-1] == "* Failed: set-a-s0: it broke"


def test_variants_stand_beside_each_other_and_baselines_once():
    figures = {"pca": {"auroc": 0.3, "average_precision": 0.2}}
    both = [
        row("a", 0, 0.5, variant="plain", baselines=figures),
        row("a", 0, 0.6, variant="full", preset="paper", baselines=figures),
    ]
    (table,) = tables(both)
    assert table.columns == (
        *("plain", "paper, full", "plain, untrained", "paper, full, untrained", "PCA"),
    )
    assert [str(figure) for figure in table.rows["a"]] == [
        *("0.500", "0.600", "0.125", "0.125", "0.300"),
    ]


def test_many_detectors_stand_below_each_other():
    rows = [
        row("a", 0, 0.5 + k / 100, variant=f"v{k}", components={"good": 0.9, f"own{k}": 0.25})
        for k in range(4)
    ]
    (table,) = tables(rows)
    assert table.wide
    lines = markdown(rows)
    assert "| detector / normal class | a |" in lines
    assert "| v3 | 0.530 |" in lines
    assert "| v3, untrained | 0.125 |" in lines
    assert "| networks | good | score | own0 | own1 | own2 | own3 |" in lines
    assert "| v1 | 0.900 | 0.510 | - | 0.250 | - | - |" in lines
    headings, cells = figures_table(rows)
    assert headings == ["dataset", "class", "detector", "AUROC"]
    assert [(*cell[:3], str(cell[3])) for cell in cells][3] == ("set", "a", "v3", "0.530")


def test_few_detectors_stand_side_by_side_in_a_terminal():
    headings, cells = figures_table([row("a", 0, 0.5), row("b", 0, 0.75)])
    assert headings == ["dataset", "class", "bigan", "untrained"]
    assert [[str(value) for value in cell] for cell in cells] == [
        ["set", "a", "0.500", "0.125"],
        ["set", "b", "0.750", "0.125"],
        ["set", "mean of 2", "0.625", "0.125"],
    ]


def test_protocols_and_data_sets_have_tables_of_their_own():
    other = row("a", protocol="leave-one-out", option="outlier")
    found = tables([row("a"), other, row("a", dataset="second")])
    assert [(t.dataset, t.protocol, t.kind) for t in found] == [
        ("set", "one-class", "normal class"),
        ("set", "leave-one-out", "anomalous class"),
        ("second", "one-class", "normal class"),
    ]


def test_a_name_cannot_break_a_table():
    lines = markdown([row("a|b")])
    assert "| a/b | 0.500 | 0.125 |" in lines


def test_csv_has_a_row_for_each_cell():
    figures = {"pca": {"auroc": 0.3, "average_precision": None}}
    rows = [row("a", classes=["a", "b"], baselines=figures, normal_classes=["a", "b"]), failed("c")]
    first, second = csv.DictReader(io.StringIO(as_csv(rows)))
    assert first["normal_classes"] == "a + b"
    assert (first["pca_auroc"], first["pca_average_precision"]) == ("0.3", "")
    assert (second["status"], second["error"], second["auroc"]) == ("failed", "it broke", "")


def test_components_are_listed_from_the_best_with_the_whole_score_among_them():
    rows = [
        row(
            "a",
            auroc=0.75,
            components={"good": 0.875, "poor": 0.25},
            untrained_components={"good": 0.5, "poor": None},
        ),
        row("b", auroc=0.875, components={"good": 0.625, "poor": 0.5}),
        failed("c"),
        row("d", auroc=0.1),  # tells nothing of its components
    ]
    assert component_rows(rows) == [
        ("score", 0.8125, 0.125),
        ("good", 0.75, 0.5),
        ("poor", 0.375, None),
    ]
    assert component_rows(GRID) == []
    without_anomalies = row(
        "a",
        auroc=None,
        untrained_auroc=None,
        average_precision=None,
        components={"good": None},
        untrained_components={"good": None},
    )
    assert component_rows([without_anomalies]) == []
    assert markdown([without_anomalies])
    assert as_csv([without_anomalies])
    assert summary_lines([without_anomalies])
    assert figures_table([without_anomalies])
    text = "\n".join(markdown(rows))
    assert "| good | 0.750 | 0.500 |" in text
    assert "| poor | 0.375 | - |" in text
