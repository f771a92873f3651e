"""The results of benchmarks as tables: Markdown, and cells for a terminal.

The functions take the rows of results.json of one benchmark or of several.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bigan_cli.evaluation.baselines import BASELINES
from bigan_cli.report.benchmark_components import component_table

Row = Mapping[str, Any]
Reader = Callable[[Row], float | None]

# Name of the networks of a benchmark without presets and variants.
_PLAIN_NETWORKS = "bigan"
# Number of detectors that fit side by side on a page.
_WIDEST = 6

METRICS: Mapping[str, str] = {"auroc": "AUROC", "average_precision": "average precision"}
"""Key of a row -> its title."""


@dataclass(frozen=True)
class Figure:
    """A figure over several seeds.

    Attributes:
        mean: Mean over the seeds.
        standard_deviation: Of the seeds; None for a single one.
        count: Number of seeds.
    """

    mean: float
    standard_deviation: float | None
    count: int

    def __str__(self) -> str:
        if self.standard_deviation is None:
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} ± {self.standard_deviation:.3f}"


@dataclass(frozen=True)
class Table:
    """One metric of one dataset under one protocol.

    Attributes:
        dataset: Its name.
        protocol: ``one-class``, ``leave-one-out`` or ``folder``.
        metric: A key of :data:`METRICS`.
        columns: Detectors: the networks, trained and untrained, then the baselines.
        rows: Class -> one figure per column, None if missing.
        mean: The mean over all classes; its standard deviation is that of the seeds' means.
    """

    dataset: str
    protocol: str
    metric: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[Figure | None, ...]]
    mean: tuple[Figure | None, ...]

    @property
    def kind(self) -> str:
        """The role of a row's class under the protocol."""
        return {"leave-one-out": "anomalous class"}.get(self.protocol, "normal class")

    @property
    def wide(self) -> bool:
        """Whether the table is transposed, with one row per detector."""
        return len(self.columns) > max(_WIDEST, len(self.rows))


def tables(cells: Sequence[Row], metric: str = "auroc") -> list[Table]:
    """Return a table for each dataset and protocol in *cells*, in the order of the cells.

    Failed cells are left out; a class without results has a row without figures.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for cell in cells:
        groups.setdefault((cell["dataset"], _protocol(cell)), []).append(cell)
    return [_table(*key, metric, group) for key, group in groups.items()]


def _table(dataset: str, protocol: str, metric: str, cells: Sequence[Row]) -> Table:
    done = [cell for cell in cells if cell["status"] == "done"]
    columns = _columns(done, metric)
    classes = list(dict.fromkeys(map(_class, cells)))
    series = {
        title: {
            name: {c["seed"]: v for c in of if _class(c) == name and (v := read(c)) is not None}
            for name in classes
        }
        for title, (of, read) in columns.items()
    }
    return Table(
        dataset,
        protocol,
        metric,
        tuple(columns),
        {
            name: tuple(_figure(values[name].values()) for values in series.values())
            for name in classes
        },
        tuple(_mean(values) for values in series.values()),
    )


def _columns(cells: Sequence[Row], metric: str) -> dict[str, tuple[Sequence[Row], Reader]]:
    """Return title -> (its cells, a getter of the figure of a cell)."""
    by_networks: dict[str, list[Row]] = {}
    for cell in cells:
        by_networks.setdefault(networks_of(cell), []).append(cell)
    columns: dict[str, tuple[Sequence[Row], Reader]] = {}
    columns |= {networks: (of, lambda c: c[metric]) for networks, of in by_networks.items()}
    columns |= {
        f"{networks}, untrained" if len(by_networks) > 1 else "untrained": (
            of,
            lambda c: c[f"untrained_{metric}"],
        )
        for networks, of in by_networks.items()
    }
    # Baselines are those of the first preset or variant that has them: the images are the same.
    with_baselines = next(
        (of for of in by_networks.values() if any(c.get("baselines") for c in of)), ()
    )
    known = dict.fromkeys(name for c in with_baselines for name in c.get("baselines") or {})
    for name in known:
        title = BASELINES[name].title if name in BASELINES else name
        columns[title] = (with_baselines, _baseline(name, metric))
    return columns


def _baseline(name: str, metric: str) -> Reader:
    def read(cell: Row) -> float | None:
        figures: Mapping[str, Any] = (cell.get("baselines") or {}).get(name, {})
        value: float | None = figures.get(metric)
        return value

    return read


def networks_of(cell: Row) -> str:
    """Return the name of the networks of *cell*: its preset and variant."""
    words = [word for word in (cell["preset"], cell["variant"]) if word]
    return ", ".join(words) or _PLAIN_NETWORKS


def _class(cell: Row) -> str:
    return ", ".join(cell["classes"]) or "as the dataset says"


def _protocol(cell: Row) -> str:
    # A failed cell has only its settings.
    asked = {"inlier": "one-class", "outlier": "leave-one-out"}.get(cell["option"], "folder")
    return str(cell.get("protocol") or asked)


def _figure(values: Iterable[float]) -> Figure | None:
    found = list(values)
    if not found:
        return None
    deviation = statistics.stdev(found) if len(found) > 1 else None
    return Figure(statistics.fmean(found), deviation, len(found))


def _mean(by_class: Mapping[str, Mapping[int, float]]) -> Figure | None:
    """Return the mean over the classes, and its standard deviation over the seeds with all classes.

    None if a class has no figure: a mean over the others would be misleading.
    """
    if not all(by_class.values()):
        return None
    seeds = set.intersection(*(set(values) for values in by_class.values()))
    means = [statistics.fmean(values[seed] for values in by_class.values()) for seed in seeds]
    if means:
        return _figure(means)
    return Figure(
        statistics.fmean(statistics.fmean(values.values()) for values in by_class.values()), None, 0
    )


def markdown(cells: Sequence[Row], *, heading: str = "##") -> list[str]:
    """Return the lines of all tables of *cells*, by metric, and notes on how they were measured."""
    lines: list[str] = []
    for metric, title in METRICS.items():
        for table in tables(cells, metric):
            lines += [f"{heading} {table.dataset}, {table.protocol}: {title}", ""]
            lines += [*table_lines(table), ""]
    for name, group in _by_protocol(cells).items():
        by_networks: dict[str, list[Row]] = {}
        for cell in group:
            by_networks.setdefault(networks_of(cell), []).append(cell)
        titles, rows = component_table(by_networks)
        if rows:
            lines += [f"{heading} {name}: AUROC of each component by itself, mean of all runs", ""]
            shown = [(row[0], *("-" if v is None else f"{v:.3f}" for v in row[1])) for row in rows]
            lines += [*markdown_table(titles, shown), ""]
    return [*lines, *facts(cells), *failures(cells)]


def _by_protocol(cells: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the cells of each dataset and protocol by title."""
    groups: dict[str, list[Row]] = {}
    for cell in cells:
        groups.setdefault(f"{cell['dataset']}, {_protocol(cell)}", []).append(cell)
    return groups


def table_lines(table: Table) -> list[str]:
    """Return the Markdown of one table; its last row is the mean over the classes.

    A wide table is transposed, so the mean is its last column.
    """
    rows = [(name, *map(_shown, figures)) for name, figures in table.rows.items()]
    if len(rows) > 1:
        rows.append((f"**mean of {len(rows)}**", *(f"**{_shown(f)}**" for f in table.mean)))
    if not table.wide:
        return markdown_table((table.kind, *table.columns), rows)
    head, *turned = zip(("", *table.columns), *rows, strict=True)
    return markdown_table((f"detector / {table.kind}", *head[1:]), turned)


def summary_lines(cells: Sequence[Row]) -> list[str]:
    """Return the Markdown of one table of mean AUROCs, one row per dataset."""
    found = tables(cells)
    columns = list(dict.fromkeys(column for table in found for column in table.columns))
    rows = []
    for table in found:
        means = dict(zip(table.columns, table.mean, strict=True))
        what = f"{table.dataset}, {table.protocol}, mean of {len(table.rows)}"
        rows.append((what, *(_shown(means.get(column)) for column in columns)))
    return markdown_table(("AUROC", *columns), rows)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in lines]


def _shown(figure: Figure | None) -> str:
    return "-" if figure is None else str(figure)


def facts(cells: Sequence[Row]) -> list[str]:
    """Return lines on how the tables were measured."""
    done = [cell for cell in cells if cell["status"] == "done"]
    if not done:
        return []

    def all_of(read: Callable[[Row], Any]) -> str:
        return ", ".join(dict.fromkeys(str(read(cell)) for cell in done))

    seconds = statistics.median(cell["training_seconds"] for cell in done)
    speeds = [s for cell in done if (s := cell["images_per_second"]) is not None]
    speed = f", {statistics.median(speeds):,.0f} images/s" if speeds else ""
    seeds = ", ".join(map(str, sorted({cell["seed"] for cell in done})))
    epochs, machine = all_of(lambda c: c["epochs"]), all_of(lambda c: c["machine"])
    commit = all_of(lambda c: (c["commit"] or "unknown")[:10])
    bigan = all_of(lambda c: c["versions"]["bigan"])
    torch = all_of(lambda c: c["versions"]["torch"])
    return [
        f"* Seeds {seeds}; ± is the standard deviation over seeds.",
        f"* Epochs: {epochs}; precision: {all_of(lambda c: c['precision'])}; {machine}.",
        f"* Runs: {len(done)}; median training time {seconds:,.1f} s{speed}.",
        f"* bigan {bigan}, torch {torch}, commit {commit}.",
    ]


def failures(cells: Sequence[Row]) -> list[str]:
    """Return a line for each cell that failed."""
    return [f"* Failed: {cell['cell']}: {cell['error']}" for cell in cells if cell["error"]]
