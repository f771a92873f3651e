"""Diagnostics of adversarial training: collapse, and a discriminator that E and G cannot fool.

The losses of a GAN do not show these: D's loss is as low where D has won as where it has nothing
to learn. The outputs of the networks for a fixed batch do. They are computed once an epoch, with
the averaged networks, which also score images.

The thresholds are between the values of healthy and of failed runs, measured on the averaged
networks on the digits (one, five and nine classes normal; hinge and logistic loss, with and
without the cycles, 4 and 32 maps), on every class of MNIST and on four of CIFAR-10; *plain* is
without the two cycles:

=====================  ==========================  ============================================
diagnostic             healthy, after 300 steps    failed
=====================  ==========================  ============================================
variance of G(z)       0.18 (natural images)       1e-11: plain, lr 0.3
                       to 1.6
                       (untrained: 0.00 to 0.15)
variance of E(x)       0.25 to 3.8                 0.0001 to 0.01: plain, lr 0.05;
                       (untrained: 0.01 to 0.05)   0.01: lr 0.05 without spectral norm
deviation of logits    0.11 (plain) to 3           0.019 to 0.025: lr 0.05
gap of logits where    up to 2.4                   3.9 to 4.3: weights of G frozen;
D's accuracy is 1                                  4.7: plain, lr 0.3
=====================  ==========================  ============================================

In healthy runs D is right about every pair, too, for the first 80 to 160 steps. So accuracy
alone would give false alarms; the gap shows whether E and G can still catch up. Without spectral
norm, healthy logits are up to 4.8 apart, but then D is wrong about one real pair in ten.
Natural images take longest: until step 250 the variance of G(z) was a tenth of that of the
normal images, and D was right about all pairs, in runs that were healthy from step 310 on.

Not detected: a G that draws only a few kinds of images, varied enough in total.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.model.batches import images_at_once
from bigan_cli.model.networks import Networks, to_model_range

# Untrained networks look collapsed, so there are no warnings before this many steps. Healthy runs
# passed every threshold by step 60 on digits, and by step 310 on natural images.
WARMUP_STEPS = 300
_LEAST_SAMPLE_VARIANCE = 0.1
_LEAST_CODE_VARIANCE = 0.02
_LEAST_LOGIT_DEVIATION = 0.03
_WON_ACCURACY = 0.99
_WON_GAP = 2.75
# D's mean loss over an epoch is 2 where D guesses. It was at most 2.02 in 889 healthy epochs of
# all datasets, and 3,470 where a residual D without spectral norm diverged after 1,450 steps.
_LOSS_SPIKE = 20.0
# Of pixels in [-1, 1]; below it the normal images are all the same, up to rounding, and
# collapse means nothing.
_VARIANCE_OF_ONE_IMAGE = (1 / 127.5) ** 2
# Images of the fixed batch. With fewer than half as many, the estimates are too noisy.
_BATCH = 128


@dataclass(frozen=True)
class TrainingDiagnostics:
    """Statistics of the networks' outputs for N normal images x and N latent vectors z.

    Attributes:
        steps: Training steps so far.
        normal_variance: Variance of a pixel of x over the batch, mean over the pixels; in [0, 1].
        sample_variance: That of G(z), as a multiple of *normal_variance*; 0 if all are alike.
        code_variance: Variance of a dimension of E(x) over the batch, mean over the dimensions;
            1 if E(x) has the variance of the prior.
        logit_deviation: Standard deviation of D's logits over all pairs, real and generated.
        logit_gap: Mean logit of the real pairs less that of the generated ones.
        real_accuracy: Share of pairs (x, E(x)) that D takes for real (logit above 0), 0 to 1.
        fake_accuracy: Share of pairs (G(z), z) that D takes for generated (below 0), 0 to 1.
        peak_d_loss: The largest mean loss of D over any epoch so far, which the averaged networks
            do not show; 0 if unknown.
    """

    steps: int
    normal_variance: float
    sample_variance: float
    code_variance: float
    logit_deviation: float
    logit_gap: float
    real_accuracy: float
    fake_accuracy: float
    peak_d_loss: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """Return the values by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, figures: Mapping[str, float]) -> TrainingDiagnostics:
        """Return the diagnostics that :meth:`as_dict` was called on."""
        others = {name: value for name, value in figures.items() if name != "steps"}
        return cls(steps=int(figures["steps"]), **others)


@dataclass(frozen=True)
class TrainingWarning:
    """A sign that training has failed.

    Attributes:
        name: An identifier, such as ``mode_collapse``.
        text: What is wrong, with the figures.
        advice: What to try.
    """

    name: str
    text: str
    advice: str

    def __str__(self) -> str:
        return f"{self.text}; try {self.advice}"

    def as_dict(self) -> dict[str, str]:
        """Return the fields by name."""
        return asdict(self)


@torch.no_grad()
def examine(networks: Networks, x: Tensor, z: Tensor, steps: int) -> TrainingDiagnostics:
    """Return the diagnostics of *networks*, which must be in ``eval()``; uses no random numbers.

    Args:
        networks: On their device.
        x: Normal images ``[N, C, H, W]`` in [-1, 1], on that device.
        z: Samples of the prior ``[N, d]``, on that device.
        steps: Training steps so far.
    """
    height, width = x.shape[2:]
    together = images_at_once(_BATCH, height, width)
    parts = [
        _outputs(networks, *chunk)
        for chunk in zip(x.split(together), z.split(together), strict=True)
    ]
    encoded, generated, real, fake = (torch.cat(each) for each in zip(*parts, strict=True))
    normal_variance = _variance(x)
    figures = torch.stack(
        [
            normal_variance,
            _variance(generated) / normal_variance.clamp(min=_VARIANCE_OF_ONE_IMAGE),
            _variance(encoded),
            torch.cat([real, fake]).std(correction=0),
            real.mean() - fake.mean(),
            (real > 0).float().mean(),
            (fake < 0).float().mean(),
        ]
    )
    return TrainingDiagnostics(steps, *figures.tolist())  # the only synchronisation


def _outputs(networks: Networks, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return E(x), G(z) and D's logits of the real and of the generated pairs, float32."""
    encoded = networks.encoder(x).float()
    generated = networks.generator(z).float()
    real = networks.discriminator(x, encoded)[0].float()
    fake = networks.discriminator(generated, z)[0].float()
    return encoded, generated, real, fake


class DiagnosticsProbe:
    """Computes diagnostics with the same images and the same latent vectors every time.

    Args:
        train: Normal images that are trained on, uint8 ``[N, C, H, W]``, or features, float16.
            They supplement the validation images where those are few; diagnostics choose
            nothing.
        validation: Normal images that are not trained on, likewise.
    """

    def __init__(self, train: NDArray[Any], validation: NDArray[Any]) -> None:
        least = _BATCH // 2
        # Large images need much memory, and half as many are enough.
        most = max(least, images_at_once(_BATCH, *validation.shape[2:]))
        missing = max(0, least - len(validation))
        self._pixels = np.concatenate([validation[:most], train[:missing]])

    def __call__(self, networks: Networks, device: torch.device, steps: int) -> TrainingDiagnostics:
        """Return :func:`examine` of *networks* on *device* after *steps* training steps."""
        x = to_model_range(torch.from_numpy(self._pixels).to(device))
        # Its own generator, so that the run's random numbers do not change.
        z = networks.prior(len(x), torch.Generator().manual_seed(0)).to(device)
        return examine(networks, x, z, steps)


def _variance(values: Tensor) -> Tensor:
    return values.var(dim=0, correction=0).mean()


def training_warnings(diagnostics: TrainingDiagnostics) -> tuple[TrainingWarning, ...]:
    """Return a warning for each sign of failure; none in the first :data:`WARMUP_STEPS` steps."""
    if diagnostics.steps < WARMUP_STEPS:
        return ()
    found = []
    if diagnostics.peak_d_loss > _LOSS_SPIKE:
        found.append(
            TrainingWarning(
                "loss_spike",
                f"D's mean loss over an epoch was {diagnostics.peak_d_loss:,.0f}, where guessing "
                "gives 2: training diverged for a while",
                "a lower 'train.lr'; the best epoch may be an earlier one",
            )
        )
    varied = diagnostics.normal_variance > _VARIANCE_OF_ONE_IMAGE
    if varied and diagnostics.sample_variance < _LEAST_SAMPLE_VARIANCE:
        found.append(
            TrainingWarning(
                "mode_collapse",
                "G's images are all alike: they vary "
                f"{diagnostics.sample_variance:.1%} as much as the normal images (mode collapse)",
                "a larger 'train.reconstruction_weight' or a lower 'train.lr'",
            )
        )
    if varied and diagnostics.code_variance < _LEAST_CODE_VARIANCE:
        found.append(
            TrainingWarning(
                "encoder_collapse",
                "E maps all normal images to nearly one point: the variance of E(x) is "
                f"{diagnostics.code_variance:.2g}, where the prior's is 1",
                "a larger 'train.reconstruction_weight' or 'train.latent_cycle_weight', or a lower "
                "'train.lr'",
            )
        )
    if diagnostics.logit_deviation < _LEAST_LOGIT_DEVIATION:
        found.append(
            TrainingWarning(
                "constant_logits",
                "D gives every pair nearly the same logit (standard deviation "
                f"{diagnostics.logit_deviation:.2g}), so E and G learn nothing from it",
                "a lower 'train.lr'",
            )
        )
    if (
        min(diagnostics.real_accuracy, diagnostics.fake_accuracy) >= _WON_ACCURACY
        and diagnostics.logit_gap > _WON_GAP
    ):
        found.append(
            TrainingWarning(
                "discriminator_won",
                "D separates real and generated pairs nearly perfectly ("
                f"{diagnostics.real_accuracy:.0%} and {diagnostics.fake_accuracy:.0%} right, "
                f"logits {diagnostics.logit_gap:.1f} apart), so E and G cannot catch up",
                "a lower 'train.disc_lr_factor', or more 'train.instance_noise'",
            )
        )
    return tuple(found)
