"""Standardisation of a component's maps over normal images, position by position."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# A median of absolute deviations is this part of a normal distribution's standard deviation.
_MAD = 1.4826
# Weight of the statistics of all positions in those of one, in images: a prior against few images.
_PRIOR_IMAGES = 10.0
# Least share of the common scale in that of a position: objects are not aligned to the pixel.
_COMMON_SHARE = 0.5
_LEAST_SCALE = 1e-6
# A defect covers a few positions.
_EXTREME_PORTION = 0.01


@dataclass(frozen=True, eq=False)
class MapScale:
    """Location and scale of a component's map at every position, over normal images.

    Normal values differ from position to position: an edge of the part is reconstructed worse
    than its middle, in every image.

    Attributes:
        location: float32 ``[h, w]``.
        scale: float32 ``[h, w]``, above 0.
    """

    location: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, maps: Tensor, inside: Tensor | None = None) -> MapScale:
        """Return the scale of maps ``[N, h, w]`` of normal images.

        Robust statistics of each position are shrunk towards those of all positions together; the
        fewer images, the more.

        Args:
            maps: Finite values.
            inside: The positions that count, bool ``[N, h, w]`` or ``[1, h, w]``; by default all.
        """
        if inside is not None:
            maps = maps.masked_fill(~inside, torch.nan)
        common = maps.nanmedian()
        own = len(maps) / (len(maps) + _PRIOR_IMAGES)
        location = own * _medians(maps, common) + (1 - own) * common
        overall = _MAD * (maps - common).abs().nanmedian()
        scale = _MAD * _medians((maps - location).abs(), overall / _MAD)
        own *= 1 - _COMMON_SHARE
        return cls(location, (own * scale + (1 - own) * overall).clamp_min(_LEAST_SCALE))

    def standardise(self, maps: Tensor) -> Tensor:
        """Return maps ``[N, h, w]`` on the scale of normal images: about 0, deviation 1."""
        return (maps - self.location) / self.scale

    def to(self, device: torch.device) -> MapScale:
        """Return the same on *device*."""
        return MapScale(self.location.to(device), self.scale.to(device))


def _medians(maps: Tensor, instead: Tensor) -> Tensor:
    """Return the median of each position, ``[h, w]``; *instead* where all are NaN."""
    medians = maps.nanmedian(dim=0).values
    return torch.where(medians.isnan(), instead, medians)


def image_value(standardised: Tensor, inside: Tensor | None = None) -> Tensor:
    """Return one value per image, ``[N]``, from standardised maps ``[N, h, w]``.

    It is the mean of two: the mean of the most anomalous positions, for a defect, and the mean of
    all, for an image of something else.

    Args:
        standardised: Finite values.
        inside: The positions that count, bool ``[N, h, w]`` or ``[1, h, w]``, at least one of each
            image; by default all.
    """
    positions = standardised.flatten(1)
    value: Tensor
    if inside is None:
        number = max(1, round(_EXTREME_PORTION * positions.shape[1]))
        extreme = positions.topk(number, dim=1).values.mean(dim=1)
        value = (extreme + positions.mean(dim=1)) / 2
        return value
    counted = inside.flatten(1).expand_as(positions)
    total = counted.sum(dim=1)
    numbers = (_EXTREME_PORTION * total).round().clamp_min(1)
    highest = positions.masked_fill(~counted, -torch.inf).sort(dim=1, descending=True).values
    rank = torch.arange(positions.shape[1], device=positions.device)
    extreme = highest.masked_fill(rank >= numbers[:, None], 0).sum(dim=1) / numbers
    mean = positions.masked_fill(~counted, 0).sum(dim=1) / total
    value = (extreme + mean) / 2
    return value
