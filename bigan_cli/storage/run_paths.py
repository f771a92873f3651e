"""What the files of a run are called; nothing here looks whether they exist."""

from __future__ import annotations

from pathlib import Path


class RunPaths:
    """The paths of the files of one run, by what they are.

    Args:
        path: The run directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_file = path / "run.json"
        self.config_file = path / "config.toml"
        self.animation_file = self.animation_of("single")
        self.multi_animation_file = self.animation_of("multi")
        self.models = path / "models"
        self.reconstruction = path / "reconstruction"
        self.comparison = self.reconstruction / "comparison"
        self.fake = self.reconstruction / "fake"
        self.true = self.reconstruction / "true"
        self.test = self.reconstruction / "test"
        self.reconstruct_file = self.reconstruction / "reconstruct.png"
        self.stats = path / "stats"
        self.metrics_file = self.stats / "metrics.jsonl"
        self.losses_file = self.stats / "losses.png"
        self.evaluation_file = self.stats / "evaluation.json"
        self.scores_file = self.stats / "scores.csv"
        self.roc_file = self.stats / "roc.png"
        self.precision_recall_file = self.stats / "pr.png"
        self.histogram_file = self.stats / "histogram.png"
        self.profile_file = self.stats / "profile.json"
        self.self_test_file = self.stats / "self_test.json"

    def epoch_picture(self, folder: Path, epoch: int) -> Path:
        """Return the picture of *epoch* in one of the reconstruction folders."""
        return folder / f"epoch-{epoch:04d}.png"

    def epoch_model(self, epoch: int) -> Path:
        """Return the model file of *epoch*; 0 is the untrained network."""
        return self.models / f"epoch-{epoch:04d}.safetensors"

    def evaluation_folder(self, dataset: str | None, model: Path) -> Path:
        """Return where the evaluation of *model* goes, so that none replaces another.

        Args:
            dataset: Another dataset than the run's own, by its name.
            model: The model file; that of the best epoch is the one meant where none is named.
        """
        folder = self.stats if dataset is None else self.stats / dataset
        return folder if model == self.best_model else folder / model.stem

    def report_file(self, folder: Path) -> Path:
        """Return the HTML report of the evaluation in *folder*: that of the best model is on top.

        Args:
            folder: As :meth:`evaluation_folder` returns it.
        """
        return (self.path if folder == self.stats else folder) / "report.html"

    def animation_of(self, mode: str) -> Path:
        """Return the file of ``bigan animate`` in *mode*."""
        return self.path / ("animation.gif" if mode == "single" else f"{mode}_animation.gif")

    def tracker_folder(self, name: str) -> Path:
        """Return the folder for files of the tracker *name*."""
        return self.path / "trackers" / name

    def training_state(self, member: int) -> Path:
        """Return the file that continues the training of *member*, counted from 0."""
        return self.models / (
            "training-state.pt" if member == 0 else f"training-state-{member + 1}.pt"
        )

    @property
    def best_model(self) -> Path:
        """The model of the epoch that validated best."""
        return self.models / "best.safetensors"

    @property
    def last_model(self) -> Path:
        """The model of the last epoch trained."""
        return self.models / "last.safetensors"
