"""What is noted before a training: images, networks, calibration, and advice on the steps."""

from __future__ import annotations

from bigan_cli.config.schema import RunConfig
from bigan_cli.formatting import count
from bigan_cli.model.diagnostics import WARMUP_STEPS
from bigan_cli.workflows.training_setup import TrainingSetup

# With fewer steps the networks are almost untrained.
_FEW_STEPS = 100


def describe(setup: TrainingSetup, processes: int = 1) -> list[str]:
    """Return lines that say what will be trained on which images, and by how many processes."""
    data, train = setup.data, setup.config.train
    counts = ", ".join(f"{number} {name}" for name, number in setup.image_counts.items())
    normal = "normal is " + ", ".join(data.class_names[k] for k in data.normal_classes)
    if len(data.class_names) == 1:
        normal = "all images are taken as normal"
    size = f"{data.image_shape} pixels"
    if data.tiling is not None:
        size += f" in {count(len(data.tiling), 'tile')} of {data.input_shape}"
    where = f"{setup.device} ({setup.precision})"
    lines = [
        f"{data.dataset_name} ({data.protocol}): {normal}; {size}; {counts}",
        f"{setup.config.model.architecture} with {setup.parameters:,} parameters on {where}",
    ]
    if data.roi is not None:
        lines.append(f"region of interest: {data.roi.inside.mean():.0%} of the image")
    if data.folds is not None:
        folds = len(set(data.folds.tolist()))
        lines.append(
            f"calibration by cross-fitting in {count(folds, 'fold')}: no image is held out, and "
            f"the networks are trained {count(folds, 'more time')}"
        )
    if train.members > 1:
        how = "one after another" if processes == 1 else f"side by side on {processes} processes"
        lines.append(
            f"{train.members} members {how}, seeds {train.seed} to {train.seed + train.members - 1}"
        )
        if processes > train.members:
            idle = count(processes - train.members, "process", "processes")
            lines.append(f"{idle} without a member to train")
    elif processes > 1:
        lines.append(f"each batch is divided among {processes} processes")
    if train.compile == "on":
        lines.append("kernels are compiled in the first steps, which may take minutes")
    return lines


def advice_on_steps(config: RunConfig, steps: int) -> list[str]:
    """Return a line of advice where *steps* training steps for each member are few."""
    each = " for each member" if config.train.members > 1 else ""
    if steps < _FEW_STEPS:
        return [f"{count(steps, 'step')}{each}, too few to learn much: raise 'train.epochs'"]
    if steps < WARMUP_STEPS:
        text = f"only {count(steps, 'step')}{each}: collapse is not detected below {WARMUP_STEPS}"
        return [f"{text}, and natural images need more: raise 'train.epochs'"]
    return []
