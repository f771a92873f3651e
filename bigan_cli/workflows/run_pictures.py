"""The pictures of a run: the same images and the same latent vectors at every save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigan_cli.data.prepare import PreparedData
from bigan_cli.data.tiles import VALIDATION_PIXELS, Tiles
from bigan_cli.report.grids import comparison_grid, sample_grid, score_caption, test_grid
from bigan_cli.scoring.detector import Detector
from bigan_cli.scoring.inference import Inputs
from bigan_cli.storage.run_directory import RunDirectory

# Large images that are scored and reconstructed at each save, which takes seconds for each.
_MOST_LARGE = 4


class RunPictures:
    """Chooses the images to show once, and draws them at each save.

    Args:
        run: Where to write.
        data: Originals and reconstructions show validation images, which are never trained on;
            their tiles where the networks take tiles.
            Test pictures show normal and anomalous test images, half of each where there are
            enough; without a test set they show calibration images, as their heading says.
    """

    def __init__(self, run: RunDirectory, data: PreparedData) -> None:
        self.run = run
        config = data.config
        count = config.output.preview_images
        rng = np.random.default_rng(config.train.seed)
        self._normals = data.validation.pixels[:count]
        tests = count
        if data.tiling is not None:
            tiles = Tiles(data.validation.pixels, data.tiling)
            self._normals = tiles.sample(VALIDATION_PIXELS, config.train.seed)[:count]
            tests = min(count, _MOST_LARGE)
        self._tests = (data.test if len(data.test) else data.calibration).drawn(tests, rng)
        self._test_note = "" if len(data.test) else ": calibration images, as there is no test set"
        self._class_names = data.class_names
        self._inputs: tuple[Inputs, Inputs] | None = None
        self._noise: NDArray[np.float32] = rng.standard_normal(
            (count, config.model.latent_dim), dtype=np.float32
        )

    def save(self, epoch: int, detector: Detector) -> None:
        """Draw the four pictures of *epoch*."""
        heading = "untrained" if epoch == 0 else f"epoch {epoch}"
        run = self.run
        if self._inputs is None:  # the extractor is the same at every save
            self._inputs = (detector.features(self._normals), detector.features(self._tests.pixels))
        normals, tests = self._inputs
        comparison_grid(
            self._file(run.comparison, epoch),
            self._normals,
            detector.reconstruct(normals),
            heading=heading,
        )
        generated = detector.sample(self._latents(detector, normals))
        sample_grid(self._file(run.fake, epoch), generated, heading=heading)
        sample_grid(self._file(run.true, epoch), self._normals, heading=heading)
        scores = detector.score(tests)
        test_grid(
            self._file(run.test, epoch),
            self._tests.pixels,
            detector.reconstruct(tests),
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

    def _file(self, folder: Path, epoch: int) -> Path:
        return self.run.claim(self.run.epoch_picture(folder, epoch))

    def _latents(self, detector: Detector, normals: Inputs) -> NDArray[np.float32]:
        """Return the latents of generated images, from the same noise at every save.

        On feature maps, independent draws at every position would show no part. Latent maps are
        drawn from a Gaussian with the mean and the covariance of encoded normal images: the
        mean plus their deviations from it, each times a draw from N(0, 1).
        """
        if not detector.on_feature_map:
            return self._noise
        encoded = detector.encode(normals)
        mean = encoded.mean(axis=0)
        deviations = (encoded - mean) / max(1, len(encoded) - 1) ** 0.5
        weights = np.resize(self._noise, (len(self._noise), len(encoded)))
        latents: NDArray[np.float32] = mean + np.tensordot(weights, deviations, axes=1)
        return latents.astype(np.float32)
