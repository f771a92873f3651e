"""Cross-fitting of a run: the networks are trained once more for each fold, without its images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.model.feature_extraction import vectors_of
from bigan_cli.model.trainer import Trainer
from bigan_cli.scoring.cross_fitting import CrossFittedMaps, fold_maps
from bigan_cli.scoring.inference_networks import batch_size_for
from bigan_cli.workflows.callbacks import TrainingStopped
from bigan_cli.workflows.training_setup import TrainingSetup

# A channel with little variance is not scaled up.
_LEAST_DEVIATION = 1e-3


class FoldTraining:
    """Trains the networks of every fold on first use, and keeps their maps.

    The networks of a fold differ from the run's own only in their images: seed, epochs
    and learning rate are the same. They are not kept. The maps are kept for every epoch that a
    run saves by itself.

    Args:
        setup: Of a run with ``data.calibration = "cross-fitting"``.
    """

    def __init__(self, setup: TrainingSetup) -> None:
        assert setup.data.folds is not None  # noqa: S101  what this class is for
        self._setup = setup
        self._folds: NDArray[np.int64] = setup.data.folds
        self._of_seed: dict[int, dict[int, CrossFittedMaps]] = {}

    def maps(self, seed: int, epoch: int) -> CrossFittedMaps:
        """Return the maps of the normal images for networks of *seed* after *epoch* epochs.

        For an epoch that the run does not save by itself (it was interrupted there) they are
        those of the last one before that it does.

        Raises:
            TrainingStopped: ``should_stop`` ended it.
        """
        if seed not in self._of_seed:
            self._of_seed[seed] = self._train(seed)
        saved = self._of_seed[seed]
        return saved[max(each for each in saved if each <= epoch)]

    def train_together(self, seed: int) -> None:
        """Train the folds of *seed* now where several processes divide them; they all call this.

        Raises:
            TrainingStopped: ``should_stop`` ended it in any process.
        """
        if self._setup.group.size > 1:
            self._of_seed[seed] = self._train(seed)

    def _train(self, seed: int) -> dict[int, CrossFittedMaps]:
        """Return the maps of all images by epoch, each by the networks of its fold.

        They are those of all processes in process 0, and nothing in the others.
        """
        group = self._setup.group
        numbers: list[int] = np.unique(self._folds).tolist()
        stopped, own = False, {}
        try:
            own = self._train_folds(seed, numbers, group.rank, group.size)
        except TrainingStopped:
            stopped = True
        if group.any(flag=stopped):
            raise TrainingStopped
        parts: dict[int, dict[int, dict[str, Tensor]]] = {}
        for each in group.gather(own):
            for epoch, maps in each.items():
                parts.setdefault(epoch, {}).update(maps)
        return {
            epoch: CrossFittedMaps.join({fold: maps[fold] for fold in numbers}, self._folds)
            for epoch, maps in parts.items()
        }

    def _train_folds(
        self, seed: int, numbers: Sequence[int], first: int, step: int
    ) -> dict[int, dict[int, dict[str, Tensor]]]:
        """Return the maps of every *step*-th fold from the *first* on, by epoch and fold."""
        epochs = self._setup.config.train.epochs
        parts: dict[int, dict[int, dict[str, Tensor]]] = {}
        for number, fold in list(enumerate(numbers))[first::step]:

            def on_step(epoch: int, step: int, steps: int, number: int = number) -> None:
                done, total = (epoch - 1) * steps + step, epochs * steps
                self._setup.callbacks.on_fold(number, len(numbers), done, total)

            for epoch, maps in self._train_fold(seed, fold, on_step):
                if maps is not None:
                    parts.setdefault(epoch, {})[fold] = maps
        return parts

    def _train_fold(
        self, seed: int, fold: int, on_step: Callable[[int, int, int], None]
    ) -> Iterator[tuple[int, dict[str, Tensor] | None]]:
        """Yield each epoch with the maps of the fold's images; None in epochs not saved."""
        setup = self._setup
        fit, held_out = self._features(fold)
        member = seed - setup.config.train.seed
        trainer = setup.fold_trainer(member, fit, held_out, on_step)
        yield 0, self._fold_maps(trainer, fit, held_out, seed)
        for record in trainer.epochs():
            saved = self._is_saved(record.epoch)
            maps = self._fold_maps(trainer, fit, held_out, seed) if saved else None
            yield record.epoch, maps
        if trainer.epoch < setup.config.train.epochs:
            raise TrainingStopped

    def _is_saved(self, epoch: int) -> bool:
        config = self._setup.config
        return epoch == config.train.epochs or epoch % config.output.save_interval == 0

    def _features(self, fold: int) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
        """Return the features (without the fold, of the fold), standardised without the fold."""
        features = self._setup.features
        assert features is not None  # noqa: S101  only networks on features are cross-fitted
        inside = self._folds == fold
        fit = features.train[~inside].astype(np.float32)
        vectors = vectors_of(fit, self._setup.inside[0])
        mean = vectors.mean(axis=0)
        deviation = np.maximum(vectors.std(axis=0), _LEAST_DEVIATION)
        held_out = features.train[inside].astype(np.float32)
        return (
            ((fit - mean) / deviation).astype(np.float16),
            ((held_out - mean) / deviation).astype(np.float16),
        )

    def _fold_maps(
        self,
        trainer: Trainer,
        fit: NDArray[np.float16],
        held_out: NDArray[np.float16],
        seed: int,
    ) -> dict[str, Tensor]:
        setup = self._setup
        return fold_maps(
            trainer.average,
            setup.components,
            setup.config.score.weights,
            fit,
            held_out,
            batch_size_for(setup.data.image_shape),
            seed,
            setup.inside[0],
        )
