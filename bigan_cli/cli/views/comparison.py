"""How ``bigan compare`` shows its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bigan_cli.cli.terminal import Terminal
from bigan_cli.evaluation.metrics import Rate
from bigan_cli.formatting import count, one_line
from bigan_cli.workflows.compare import ComparedRun, Comparison

COLUMNS = (
    *("run", "AUROC", "95% low", "95% high", "FPR", "TPR"),
    *("AUROC gain", "95% low", "95% high", "verdict"),
)
# More names of images do not help.
_NAMED = 5


def show_comparison(terminal: Terminal, result: Comparison, *, as_json: bool) -> None:
    """Print the metrics of each run, and on which images it differs from the first."""
    if as_json:
        terminal.json(result.as_dict())
    else:
        terminal.table(COLUMNS, map(_row, result.runs))
    images = f"{result.normal_images:,} normal, {result.anomalies:,} anomalous test images"
    terminal.note(f"{images}; gains are over {result.runs[0].run}, by a paired bootstrap")
    for run in result.runs[1:]:
        for line in _differing(run):
            terminal.note(line)


def _row(run: ComparedRun) -> tuple[object, ...]:
    area = run.auroc
    cells = (str(run.run), f"{area.value:.4f}", f"{area.low:.4f}", f"{area.high:.4f}")
    rates = (_share(run.false_positives), _share(run.true_positives))
    if run.difference is None:
        return (*cells, *rates, None, None, None, "compared with")
    gain = run.difference.auroc
    gains = (f"{gain.value:+z.4f}", f"{gain.low:+z.4f}", f"{gain.high:+z.4f}")
    return (*cells, *rates, *gains, run.difference.verdict)


def _share(found: Rate | None) -> str | None:
    return None if found is None else f"{found.value:.4f}"


def _differing(run: ComparedRun) -> Iterator[str]:
    for what, names in (("correctly", run.only_right), ("wrongly", run.only_wrong)):
        if names:
            which = count(len(names), "image")
            yield f"{run.run} labels {which} {what} unlike the first run: {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(map(one_line, names[:_NAMED])) + more
