"""The pictures of a run: the same images and the same latent vectors at every save."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bigan_cli.data.prepare import PreparedData
from bigan_cli.report.grids import comparison_grid, sample_grid, score_caption, test_grid
from bigan_cli.scoring.detector import Detector
from bigan_cli.storage.run_directory import RunDirectory


class RunPictures:
    """Chooses the images to show once, and draws them at each save.

    Args:
        run: Where to write.
        data: Originals and reconstructions show validation images, which are never trained on.
            Test pictures show normal and anomalous test images, half of each where there are
            enough; without a test set they show calibration images, as their heading says.
    """

    def __init__(self, run: RunDirectory, data: PreparedData) -> None:
        self.run = run
        config = data.config
        count = config.output.preview_images
        rng = np.random.default_rng(config.train.seed)
        self._normals = data.validation.pixels[:count]
        self._tests = (data.test if len(data.test) else data.calibration).drawn(count, rng)
        self._test_note = "" if len(data.test) else ": calibration images, as there is no test set"
        self._class_names = data.class_names
        self._rng, self._count = rng, count
        self._latents: NDArray[np.float32] | None = None

    def save(self, epoch: int, detector: Detector) -> None:
        """Draw the four pictures of *epoch*."""
        heading = "untrained" if epoch == 0 else f"epoch {epoch}"
        run = self.run
        if self._latents is None:  # their shape is known to the networks alone
            shape = (self._count, *detector.latent_shape)
            self._latents = self._rng.standard_normal(shape, dtype=np.float32)
        comparison_grid(
            run.epoch_picture(run.comparison, epoch),
            self._normals,
            detector.reconstruct(self._normals),
            heading=heading,
        )
        sample_grid(
            run.epoch_picture(run.fake, epoch), detector.sample(self._latents), heading=heading
        )
        sample_grid(run.epoch_picture(run.true, epoch), self._normals, heading=heading)
        scores = detector.score(self._tests.pixels)
        test_grid(
            run.epoch_picture(run.test, epoch),
            self._tests.pixels,
            detector.reconstruct(self._tests.pixels),
            captions=[
                score_caption(score, p, self._class_names[label])
                for score, p, label in zip(
                    scores.score, scores.p_value, self._tests.labels, strict=True
                )
            ],
            outlier=self._tests.outlier.tolist(),
            flagged=detector.predict(scores).tolist(),
            heading=heading + self._test_note,
        )
