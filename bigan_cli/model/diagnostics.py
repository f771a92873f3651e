"""Signs that adversarial training has gone wrong: collapse, and one player beating the other.

Losses of a GAN do not tell: D's loss is as low where it wins as where it has nothing to learn.
What the networks make of a fixed batch does. It is looked at once an epoch, in the averaged
networks, which are those that images are scored with.

The thresholds stand between what healthy and broken runs showed in the averaged networks, on
the digits (one, five and nine classes normal; hinge and logistic loss, with and without the
cycles, 4 and 32 maps), on every class of MNIST and on four of CIFAR-10; *plain* is without the
two cycles:

===================  =========================  ============================================
sign                 healthy, after 300 steps   broken
===================  =========================  ============================================
variance of G(z)     0.18 (photographs) to 1.6  1e-11: plain, lr 0.3
                     (untrained: 0.00 to 0.15)
variance of E(x)     0.25 to 3.8                0.0001 to 0.01: plain, lr 0.05;
                     (untrained: 0.01 to 0.05)  0.01: lr 0.05 without spectral norm
deviation of logits  0.11 (plain) to 3          0.019 to 0.025: lr 0.05
gap of logits, D     up to 2.4                  3.9 to 4.3: weights of G frozen;
right about all                                 4.7: plain, lr 0.3
===================  =========================  ============================================

D is right about every pair in healthy runs too until some 80 to 160 steps are done, so accuracy
alone would be a false alarm; the gap says whether E and G can still catch up. Without spectral
norm healthy logits lie up to 4.8 apart, but then D is wrong about one real pair in ten.
Photographs take longest: until step 250 G's images varied a tenth as much as the normals, and
D was right about all, in runs that were healthy from step 310 on.

What they cannot see: a G that makes a few kinds of images, each as often as its variance needs.
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

# Untrained networks look collapsed: they are judged after this many steps. Healthy ones passed
# every threshold by step 60 on digits, and by step 310 on photographs.
WARMUP_STEPS = 300
_LEAST_SAMPLE_VARIANCE = 0.1
_LEAST_CODE_VARIANCE = 0.02
_LEAST_LOGIT_DEVIATION = 0.03
_WON_ACCURACY = 0.99
_WON_GAP = 2.75
# D's mean loss over an epoch is 2 or less where D merely guesses; up to 2.02 in 889 healthy epochs
# of all data sets, and 3,470 where a residual D without spectral norm diverged after 1,450 steps.
_THROWN_OFF = 20.0
# Of pixels in [-1, 1]; below it the normals themselves are one image, up to rounding, and
# there is nothing to collapse from.
_VARIANCE_OF_ONE_IMAGE = (1 / 127.5) ** 2
# Normals to look at; of fewer than half as many, variances and shares say little.
_BATCH = 128


@dataclass(frozen=True)
class TrainingDiagnostics:
    """What the networks made of a batch of N normals x and of N latent vectors z.

    Attributes:
        steps: Training steps done so far.
        normal_variance: Variance of a pixel of x over the batch, mean over the pixels; in [0, 1].
        sample_variance: That of G(z), as a multiple of *normal_variance*; 0 if all are alike.
        code_variance: Variance of a dimension of E(x) over the batch, mean over the dimensions;
            1 if E(x) is spread as the prior is.
        logit_deviation: Standard deviation of D's logits over all pairs, real and generated.
        logit_gap: Mean logit of the real pairs less that of the generated ones.
        real_accuracy: Share of pairs (x, E(x)) that D takes for real (logit above 0), 0 to 1.
        fake_accuracy: Share of pairs (G(z), z) that D takes for generated (below 0), 0 to 1.
        peak_d_loss: The greatest mean loss of D over any epoch so far: what the averaged
            networks do not show, since they take long to follow. 0 where it was not looked at.
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
        """Return the figures by their names."""
        return asdict(self)

    @classmethod
    def from_dict(cls, figures: Mapping[str, float]) -> TrainingDiagnostics:
        """Return what :meth:`as_dict` gave."""
        others = {name: value for name, value in figures.items() if name != "steps"}
        return cls(steps=int(figures["steps"]), **others)


@dataclass(frozen=True)
class TrainingWarning:
    """One thing that has gone wrong.

    Attributes:
        name: For machines, words joined by ``_``.
        text: What is the matter, in plain words with its figures.
        advice: What to try.
    """

    name: str
    text: str
    advice: str

    def __str__(self) -> str:
        return f"{self.text}; try {self.advice}"

    def as_dict(self) -> dict[str, str]:
        """Return the parts by their names."""
        return asdict(self)


@torch.no_grad()
def examine(networks: Networks, x: Tensor, z: Tensor, steps: int) -> TrainingDiagnostics:
    """Look at *networks*, which must be in ``eval()``; no random number is drawn.

    Args:
        networks: On their device.
        x: Normal images ``[N, C, H, W]`` in [-1, 1], on that device.
        z: Draws from the prior ``[N, d]``, on that device.
        steps: Training steps done so far.
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
    return TrainingDiagnostics(steps, *figures.tolist())  # the one wait for the device


def _outputs(networks: Networks, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return E(x), G(z) and D's logits of the real and of the generated pairs, float32."""
    encoded = networks.encoder(x).float()
    generated = networks.generator(z).float()
    real = networks.discriminator(x, encoded)[0].float()
    fake = networks.discriminator(generated, z)[0].float()
    return encoded, generated, real, fake


class DiagnosticsProbe:
    """Looks at networks again and again with the same images and the same latent vectors.

    Args:
        fit: Normal images that are trained on, uint8 ``[N, C, H, W]``, or features, float16: a few
            of them serve as well where there are few others, as nothing is chosen by them.
        validation: Normal images that are not trained on, likewise.
    """

    def __init__(self, fit: NDArray[Any], validation: NDArray[Any]) -> None:
        least = _BATCH // 2
        # Large images take much memory, and half of them tell as much.
        most = max(least, images_at_once(_BATCH, *validation.shape[2:]))
        missing = max(0, least - len(validation))
        self._pixels = np.concatenate([validation[:most], fit[:missing]])

    def __call__(self, networks: Networks, device: torch.device, steps: int) -> TrainingDiagnostics:
        """Return :func:`examine` of *networks* on *device* after *steps* training steps."""
        x = to_model_range(torch.from_numpy(self._pixels).to(device))
        # A generator of its own, so that the probe changes nothing of the run.
        z = networks.prior(len(x), torch.Generator().manual_seed(0)).to(device)
        return examine(networks, x, z, steps)


def _variance(values: Tensor) -> Tensor:
    return values.var(dim=0, correction=0).mean()


def alarms(health: TrainingDiagnostics) -> tuple[TrainingWarning, ...]:
    """Return what has gone wrong; nothing in the first :data:`WARMUP_STEPS` steps."""
    if health.steps < WARMUP_STEPS:
        return ()
    found = []
    if health.peak_d_loss > _THROWN_OFF:
        found.append(
            TrainingWarning(
                "loss_spike",
                f"D's mean loss over an epoch was {health.peak_d_loss:,.0f}, where guessing "
                "gives 2: one step has thrown off what was learned before it",
                "a lower 'train.lr', or 'model.options.spectral_norm=true'; the best epoch may "
                "be an earlier one",
            )
        )
    varied = health.normal_variance > _VARIANCE_OF_ONE_IMAGE
    if varied and health.sample_variance < _LEAST_SAMPLE_VARIANCE:
        found.append(
            TrainingWarning(
                "mode_collapse",
                "G's images are all alike: they vary "
                f"{health.sample_variance:.1%} as much as the normals (mode collapse)",
                "a larger 'train.reconstruction_weight' or a lower 'train.lr'",
            )
        )
    if varied and health.code_variance < _LEAST_CODE_VARIANCE:
        found.append(
            TrainingWarning(
                "encoder_collapse",
                "E takes all normals to nearly one point: the variance of E(x) is "
                f"{health.code_variance:.2g}, where the prior's is 1",
                "a larger 'train.reconstruction_weight' or 'train.latent_cycle_weight', or a lower "
                "'train.lr'",
            )
        )
    if health.logit_deviation < _LEAST_LOGIT_DEVIATION:
        found.append(
            TrainingWarning(
                "constant_logits",
                "D gives every pair nearly the same logit (standard deviation "
                f"{health.logit_deviation:.2g}), so E and G learn nothing from it",
                "a lower 'train.lr', or 'model.options.spectral_norm=true'",
            )
        )
    if (
        min(health.real_accuracy, health.fake_accuracy) >= _WON_ACCURACY
        and health.logit_gap > _WON_GAP
    ):
        found.append(
            TrainingWarning(
                "discriminator_won",
                f"D tells real from generated pairs nearly always ({health.real_accuracy:.0%} "
                f"and {health.fake_accuracy:.0%} right, logits {health.logit_gap:.1f} apart), so "
                "E and G cannot catch up",
                "'model.options.spectral_norm=true', a lower 'model.options.feature_maps_disc', or "
                "more 'train.instance_noise'",
            )
        )
    return tuple(found)
