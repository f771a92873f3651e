"""Joins the ensemble members that other processes have trained with the rest of their run.

The files are then those of members that were trained one after another.
"""

from __future__ import annotations

from bigan_cli.storage.member_directories import member_directories, remove_member_directory
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.run_models import RunModels


def join_members(run: RunDirectory, models: RunModels) -> None:
    """Join all members that have a directory of their own, and remove these directories.

    A call that was interrupted can be repeated.
    """
    for member in member_directories(run):
        join_member(run, models, member)


def join_member(run: RunDirectory, models: RunModels, member: int) -> None:
    """Join *member*, counted from 0, if it has a directory of its own.

    All members before it must have been trained: it joins the model files that these have kept.
    """
    own = member_directories(run).get(member)
    if own is None:
        return
    always = (run.best_model.name, run.last_model.name, run.epoch_model(0).name)
    for file in own.model_files():
        target = run.models / file.name
        if file.name in always or target.exists():
            models.join(run.claim(target), file)
    records = {(r["member"], r["epoch"]): r for r in (*run.metrics(), *own.metrics())}
    run.write_metrics(records[key] for key in sorted(records))
    info = (*run.info().get("members", []), *own.info().get("members", []))
    of_seed = {entry["seed"]: entry for entry in info}
    run.write_info(members=[of_seed[seed] for seed in sorted(of_seed)])
    remove_member_directory(own)
