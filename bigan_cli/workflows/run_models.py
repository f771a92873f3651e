"""The model files of a run: each holds the ensemble members trained to that epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bigan_cli.config.load import LoadedConfig
from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import ScoreComponent
from bigan_cli.data.decode import PREPROCESSING
from bigan_cli.data.prepare import PreparedData
from bigan_cli.model.networks import Networks
from bigan_cli.plugins import PluginVersion
from bigan_cli.scoring.cross_fitting import calibrate_cross_fitted, fit_cross_fitted_member
from bigan_cli.scoring.detector import Detector
from bigan_cli.scoring.ensemble_member import EnsembleMember, TrainingProvenance
from bigan_cli.scoring.fit import calibrate, fit_member
from bigan_cli.scoring.inference_networks import batch_size_for
from bigan_cli.scoring.normal_images import NormalImages
from bigan_cli.storage.model_file import load_detector, make_header, save_detector
from bigan_cli.workflows.fold_training import FoldTraining
from bigan_cli.workflows.score_config import plugin_versions_of
from bigan_cli.workflows.training_setup import TrainingSetup


class RunModels:
    """Fits ensemble members to the normal images of a run, and writes them.

    Args:
        data: The prepared images, and the configuration.
        normals: The normal images, or their features, that the score is fitted to.
        components: The score components to combine.
        reopen: Loads a model file of this run.
        plugin_versions: The packages or files of the run's plugins.
        folds: With cross-fitting, has the maps of the normal images, each by networks trained
            without the image; else None.
    """

    def __init__(
        self,
        data: PreparedData,
        normals: NormalImages,
        components: Sequence[ScoreComponent],
        reopen: Callable[[Path], Detector],
        plugin_versions: Sequence[PluginVersion] = (),
        folds: FoldTraining | None = None,
    ) -> None:
        self.config = data.config
        self.plugin_versions = tuple(plugin_versions)
        self._data = data
        self._components = components
        self._reopen = reopen
        self._normals = normals
        self._folds = folds
        self._batch_size = batch_size_for(data.input_shape)
        # The last detector with a single member: the same one goes into several files.
        self._single: Detector | None = None

    def start(self, seed: int) -> None:
        """Do what is divided among several processes before the member of *seed* is trained.

        Raises:
            TrainingStopped: ``should_stop`` ended it.
        """
        if self._folds is not None:
            self._folds.train_together(seed)

    def fit(self, networks: Networks, provenance: TrainingProvenance) -> EnsembleMember:
        """Return *networks* as an ensemble member, with the run's components fitted to them."""
        components, weights = self._components, self.config.score.weights
        if self._folds is not None:
            return fit_cross_fitted_member(
                networks,
                components,
                weights,
                self._normals.train,
                self._folds.maps(provenance.seed, provenance.epoch),
                self._batch_size,
                provenance,
                self._data.roi,
            )
        return fit_member(
            networks, components, weights, self._normals, self._batch_size, provenance
        )

    def write(self, path: Path, member: EnsembleMember) -> Detector:
        """Write *member* to the model file *path* and return the detector in it.

        The file's other members stay. Members of a run differ by their seed: an earlier one of
        the same seed (the run was killed after writing it, or resumed for more epochs) is replaced.
        All members together are calibrated again.
        """
        members = {member.provenance.seed: member}
        if self.config.train.members > 1 and path.exists():
            others = {other.provenance.seed: other for other in self._reopen(path).members}
            members = others | members
        return self._save(path, [members[seed] for seed in sorted(members)])

    def join(self, path: Path, file: Path) -> Detector:
        """Write the only member in the model file *file* to *path*, as :meth:`write` does."""
        (member,) = self._reopen(file).members
        return self.write(path, member)

    def refit(self, path: Path) -> Detector:
        """Fit the run's score components again to the networks in the model file *path*."""
        old = self._reopen(path).members
        return self._save(path, [self.fit(member.networks, member.provenance) for member in old])

    def _save(self, path: Path, members: list[EnsembleMember]) -> Detector:
        detector = self._calibrate(members)
        header = make_header(
            detector,
            config=_without_trackers(self.config),
            class_names=self._data.class_names,
            normal_classes=self._data.normal_classes,
            preprocessing=PREPROCESSING,
            fingerprint=self._data.fingerprint,
            plugin_versions=self.plugin_versions,
        )
        save_detector(path, detector, header)
        return detector

    def _calibrate(self, members: list[EnsembleMember]) -> Detector:
        if self._single is not None and self._single.members == tuple(members):
            return self._single
        fpr = self.config.score.fpr
        if self._folds is None:
            detector = calibrate(members, self._normals, fpr, self._batch_size)
        else:
            detector = calibrate_cross_fitted(members, fpr, self._batch_size)
        self._single = detector if len(members) == 1 else None
        return detector


def make_run_models(setup: TrainingSetup, loaded: LoadedConfig) -> RunModels:
    """Return the :class:`RunModels` of a training."""
    return RunModels(
        setup.data,
        setup.normals,
        setup.components,
        partial(load_detector, device=setup.device, registry=setup.registry),
        plugin_versions_of(setup.config, loaded.registry),
        None if setup.data.folds is None else FoldTraining(setup),
    )


def _without_trackers(config: RunConfig) -> RunConfig:
    """Return what a model file holds of *config*: addresses of servers do not belong there."""
    output = config.output.model_copy(update={"trackers": (), "tracker_options": {}})
    return config.model_copy(update={"output": output})
