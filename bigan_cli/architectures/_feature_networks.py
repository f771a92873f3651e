"""The feature extractor and the networks on feature maps: E, G, D and the decoder for pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

from bigan_cli.contracts import ImageShape

_SLOPE = 0.2
# A channel with little variance over the training images must not dominate the others.
_LEAST_DEVIATION = 1e-3


class FeatureExtractor(nn.Module):
    """A frozen backbone whose layers are pooled, joined on one grid, and standardised.

    Feature maps of several layers are smoothed by 3x3 average pooling and brought to one grid, as
    in PatchCore (Roth et al. 2022, arXiv 2106.08265): finer ones are averaged, coarser ones
    interpolated. :meth:`fit` sets mean and standard deviation of each channel over training
    images. The channels stay correlated: D is to learn which of them go together.

    Args:
        backbone: RGB ``[N, 3, H, W]``, 0 to 255 -> maps ``[N, R_i, h_i, w_i]``, finest first.
        layer_channels: R_i, the channels of each map; together K.
        stride: Pixels from one position of the map to the next: the grid is the finest among the
            layers' with at least this stride, else the coarsest.
        power: Exponent in (0, 1] of the magnitude of each joined feature, its sign kept. Features
            have heavy tails; a power below 1 makes their mean over an image nearly Gaussian, as
            a Mahalanobis distance assumes (power normalisation; Perronnin, Sanchez and Mensink,
            "Improving the Fisher kernel for large-scale image classification", ECCV 2010).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        layer_channels: Sequence[int],
        stride: int,
        power: float = 1.0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.layer_channels = tuple(layer_channels)
        self._stride = stride
        self._power = power
        channels = sum(layer_channels)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def raw(self, x: Tensor) -> Tensor:
        """Return the joined maps ``[N, K, h, w]`` of images ``[N, C, H, W]`` in [-1, 1]."""
        colours = x if x.shape[1] == 3 else x[:, :3].expand(-1, 3, -1, -1)
        maps: list[Tensor] = self.backbone((colours + 1) * 127.5)
        smooth = [F.avg_pool2d(m, 3, 1, padding=1, count_include_pad=False) for m in maps]
        grid = self._grid(x.shape[2], [(m.shape[2], m.shape[3]) for m in maps])
        joined = torch.cat([_on_grid(m, grid) for m in smooth], dim=1)
        return joined if self._power == 1 else joined.sign() * joined.abs().pow(self._power)

    def _grid(self, height: int, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Return the size of the map among those of the layers."""
        coarse = [size for size in sizes if round(height / size[0]) >= self._stride]
        return max(coarse) if coarse else min(sizes)

    def fit(self, raw: Tensor) -> None:
        """Set mean and deviation from feature vectors ``[M, K]`` of training images."""
        vectors = raw.double()
        self.mean.copy_(vectors.mean(dim=0))
        self.deviation.copy_(vectors.std(dim=0).clamp_min(_LEAST_DEVIATION))

    def normalise(self, raw: Tensor) -> Tensor:
        """Return joined maps ``[N, K, h, w]`` with each channel standardised."""
        return (raw - self.mean[:, None, None]) / self.deviation[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature map ``[N, K, h, w]`` of images ``[N, C, H, W]`` in [-1, 1]."""
        return self.normalise(self.raw(x))


def _on_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return maps ``[N, R, h, w]`` at the size *grid*."""
    if maps.shape[2:] == grid:
        return maps
    if maps.shape[2] > grid[0]:
        return F.adaptive_avg_pool2d(maps, grid)
    return F.interpolate(maps, size=grid, mode="bilinear", align_corners=False)


class PositionwiseMLP(nn.Module):
    """A multilayer perceptron with layer normalisation, applied at every position of a map.

    ``[N, before, h, w]`` -> ``[N, after, h, w]``.

    Args:
        before: Channels of the input.
        width: Units of each hidden layer.
        after: Channels of the output; None to end with the last hidden layer.
        hidden: How many hidden layers.
    """

    def __init__(self, before: int, width: int, after: int | None, hidden: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(hidden):
            layers += [nn.Linear(before, width), nn.LayerNorm(width), nn.LeakyReLU(_SLOPE)]
            before = width
        if after is not None:
            layers.append(nn.Linear(before, after))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs at every position."""
        outputs: Tensor = self.layers(x.movedim(1, -1))
        return outputs.movedim(-1, 1)


class PositionwiseDiscriminator(nn.Module):
    """D: (f, z) -> (logits ``[N, h, w]``, joint features ``[N, F, h, w]``) at every position.

    Args:
        channels: K, of the feature map.
        latent_dim: d, of the latent map.
        width: Units of each hidden layer.
    """

    def __init__(self, channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        self.trunk = PositionwiseMLP(channels, width, None)
        self.joint = PositionwiseMLP(width + latent_dim, width, None, hidden=1)
        self.head = nn.Conv2d(width, 1, 1)

    def image_features(self, f: Tensor) -> Tensor:
        """Return D's view of the feature map alone, ``[N, width, h, w]``."""
        features: Tensor = self.trunk(f)
        return features

    def forward(self, f: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Judge pairs of a feature map and a latent map."""
        features: Tensor = self.joint(torch.cat([self.image_features(f), z], dim=1))
        return self.head(features).squeeze(1), features


class PictureDecoder(nn.Module):
    """Draws an image from a feature map, for people to look at: ``[N, K, h, w]`` -> pixels.

    A linear map from the features of each position to its patch of pixels, plus convolutions that
    see its neighbours; sub-pixel layers (Shi et al. 2016, arXiv 1609.05158) raise the resolution
    to half the image's, and bilinear interpolation does the rest: the finest detail of a
    photograph is not in its features. No normalisation: it would take away the brightness.

    Args:
        feature_shape: K, h and w.
        image_shape: C, H and W.
        width: Channels of the first layer; half as many after each doubling.
    """

    def __init__(self, feature_shape: ImageShape, image_shape: ImageShape, width: int) -> None:
        super().__init__()
        self._size = (image_shape.height, image_shape.width)
        doublings = 0
        while feature_shape.height * 2 ** (doublings + 1) <= self._size[0] // 2:
            doublings += 1
        pixels = image_shape.channels * 4**doublings
        self.patches = nn.Sequential(
            nn.Conv2d(feature_shape.channels, pixels, 1), nn.PixelShuffle(2**doublings)
        )
        layers: list[nn.Module] = [nn.Conv2d(feature_shape.channels, width, 1)]
        for _ in range(doublings):
            layers += [nn.Conv2d(width, 2 * width, 3, padding=1), nn.PixelShuffle(2)]
            layers.append(nn.LeakyReLU(_SLOPE))
            width //= 2
        layers.append(nn.Conv2d(width, image_shape.channels, 3, padding=1))
        self.refinement = nn.Sequential(*layers)

    def forward(self, f: Tensor) -> Tensor:
        """Return images ``[N, C, H, W]`` in [-1, 1]."""
        drawn = self.patches(f) + self.refinement(f)
        images = F.interpolate(drawn, size=self._size, mode="bilinear", align_corners=False)
        return images.tanh()
