"""``features``: a BiGAN on the feature maps of a frozen, pretrained network, for photographs.

E, G and D are small perceptrons that work at every position of the map, so the paper's own score
(Zenati et al. 2018, arXiv 1802.06222), reconstruction and discriminator, says *where* an image
is anomalous. D also learns to detect noisy features (Liu et al. 2023, SimpleNet, arXiv
2303.15140).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bigan_cli.contracts import Architecture, ImageShape, Options
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn


class FeaturesOptions(Options):
    """Options of the ``features`` architecture."""

    backbone: str = Field(
        "efficientnet_lite0",
        description="Pretrained network: efficientnet_lite0, timm:NAME or torchvision:NAME.",
    )
    weights: Path | None = Field(
        None,
        description="Weights file of the backbone; by default that of the installed package.",
        examples=["wide_resnet50.safetensors"],
    )
    layers: tuple[int, ...] = Field(
        (4, 10, 14),
        description="Blocks or stages of the backbone whose outputs are joined, ascending.",
    )
    stride: int = Field(
        16,
        ge=1,
        description="Pixels between positions: the grid of the feature map is the finest of the "
        "layers' with at least this stride, else the coarsest.",
    )
    power: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Exponent of the magnitude of each feature; its sign is kept. 0.5 suits "
        "anomalies that are images of something else, 1 defects.",
    )
    width: int = Field(128, ge=8, le=4096, description="Units of each hidden layer of E, G and D.")
    decoder_width: int = Field(
        64, ge=16, le=512, multiple_of=16, description="Channels of the decoder for pictures."
    )


class Features(Architecture):
    """Encoder, generator and discriminator at every position of a pretrained feature map."""

    name = "features"
    summary = "BiGAN on the feature maps of a pretrained network, for photographs"
    Options = FeaturesOptions
    preset: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Networks on features train fast enough to train them once more for each fold.
        "data": {"calibration": "auto"},
        "train": {
            # Steps, not passes, decide how long a folder is trained on. A small one does not need
            # as many: its epochs are passes over its positions, down to a third of the steps.
            "epochs": 10,
            "min_epoch_steps": 50,
            "max_epoch_steps": 150,
            "batch_size": 256,
            "lr": 1e-3,
            # Otherwise D separates real from generated features almost perfectly.
            "disc_lr_factor": 0.5,
            "lr_schedule": "cosine",
            "ema_decay": 0.995,
            "selection": "last",
            "precision": "fp32",
            "instance_noise": 0.0,
            "distortion_weight": 1.0,
            "distortions": ["feature_noise"],
            "rotation_weight": 0.0,
            "shift_weight": 0.0,
            "flip_weight": 0.0,
        },
        "score": {
            "components": [
                "residual_mahalanobis",
                "discriminator",
                "distortion",
                "patch_mahalanobis",
                "feature_mahalanobis",
                "reconstruction",
            ],
            # What D learns adversarially differs most from seed to seed.
            "weights": {"discriminator": 0.5, "distortion": 0.5, "patch_mahalanobis": 2.0},
        },
        "output": {"save_interval": 2},
    }

    def feature_extractor(self, image_shape: ImageShape, *, pretrained: bool) -> nn.Module:
        """Return the backbone with its projection; see the base class."""
        import torch

        from bigan_cli.architectures._backbones import make_backbone
        from bigan_cli.architectures._feature_networks import FeatureExtractor

        options: FeaturesOptions = self.options
        backbone = make_backbone(
            options.backbone, options.layers, options.weights, pretrained=pretrained
        )
        with torch.no_grad():
            maps = backbone.eval()(torch.zeros(1, 3, image_shape.height, image_shape.width))
        return FeatureExtractor(
            backbone, [each.shape[1] for each in maps], options.stride, options.power
        )

    def build(
        self, image_shape: ImageShape, latent_dim: int
    ) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Return (encoder, generator, discriminator) for the shape of the feature map."""
        from bigan_cli.architectures._feature_networks import (
            PositionwiseDiscriminator,
            PositionwiseMLP,
        )

        channels, width = image_shape.channels, self.options.width
        return (
            PositionwiseMLP(channels, width, latent_dim),
            PositionwiseMLP(latent_dim, width, channels),
            PositionwiseDiscriminator(channels, latent_dim, width),
        )

    def decoder(self, feature_shape: ImageShape, image_shape: ImageShape) -> nn.Module:
        """Return the network that draws pictures; see the base class."""
        from bigan_cli.architectures._feature_networks import PictureDecoder

        return PictureDecoder(feature_shape, image_shape, self.options.decoder_width)


@hookimpl
def bigan_architectures() -> list[type[Architecture]]:
    """Provide ``features``."""
    return [Features]
