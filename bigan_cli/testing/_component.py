"""The checks of a score component: one finite float per image, independent of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor

from bigan_cli.contracts import ImageShape, ScoreComponent
from bigan_cli.errors import first_line
from bigan_cli.model.networks import to_model_range
from bigan_cli.plugins.registry import COMPONENT
from bigan_cli.scoring.fit import fit_detector
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs
from bigan_cli.scoring.normal_images import NormalImages
from bigan_cli.scoring.usable_components import missing_requirement
from bigan_cli.testing._checks import (
    ContractViolation,
    NotApplicable,
    cached_fixture,
    check,
    require,
)
from bigan_cli.testing._plugin import PluginKit
from bigan_cli.testing._small_networks import (
    inference_networks,
    small_feature_map_networks,
    small_networks,
)

_SHAPES = (ImageShape(1, 8, 8), ImageShape(3, 9, 13), ImageShape(4, 20, 16))
_TRAIN = 40
_BATCH = 5
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5


class ComponentKit(PluginKit):
    """The checks of a score component, on small networks with random weights.

    Args:
        cls: The score component.
        options: Its options, as in a config file.
    """

    kind = COMPONENT

    def __init__(self, cls: type[ScoreComponent], options: Mapping[str, Any] | None) -> None:
        super().__init__(cls, options)

    @cached_fixture
    def _component(self) -> ScoreComponent:
        component: ScoreComponent = self.cls(self.options)
        return component

    @cached_fixture
    def _fitted(self) -> dict[ImageShape, dict[str, Tensor]]:
        return {shape: self._fit(shape) for shape in _SHAPES}

    def _fit(self, shape: ImageShape, count: int = _TRAIN) -> dict[str, Tensor]:
        with torch.no_grad():
            embedded = self._component.embed(_outputs(shape, _smooth_images(shape, count)))
        if embedded is None:
            return {}
        return self._component.fit(embedded, torch.Generator().manual_seed(0))

    def _score(
        self, shape: ImageShape, pixels: NDArray[np.uint8], fitted: Mapping[str, Tensor]
    ) -> Tensor:
        with torch.no_grad():
            return self._component.score(_outputs(shape, pixels), fitted)

    @check
    def embeds_each_image(self) -> str:
        """embed() returns one finite row per image, or None."""
        for shape in _SHAPES:
            pixels = _smooth_images(shape, _TRAIN)
            with torch.no_grad():
                embedded = self._component.embed(_outputs(shape, pixels))
            if embedded is None:
                return "it is not fitted to the training images"
            given = tuple(embedded.shape)
            # A component for networks on feature maps may keep all of them: [N, K, h, w].
            rank = len(given) == 2 or (len(given) == 4 and self.cls.needs_feature_map)
            good = rank and given[0] == _TRAIN
            require(good, f"embed() of {_TRAIN} images returns {given}, expected ({_TRAIN}, K)")
            require(bool(torch.isfinite(embedded).all()), f"embed() of {shape} is not finite")
        return ""

    @check
    def fit_limit_is_valid(self) -> str:
        """fit_limit() returns a number of training images, or None for all."""
        limit: Any = self._component.fit_limit()
        number = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1
        require(limit is None or number, f"fit_limit() returned {limit!r}")
        return "all" if limit is None else str(limit)

    @check
    def fitted_tensors_can_be_saved(self) -> str:
        """fit() returns finite tensors by name, the same for the same generator."""
        for shape in _SHAPES:
            first: Any = self._fitted[shape]
            second = self._fit(shape)
            tensors = isinstance(first, dict) and all(
                isinstance(name, str) and isinstance(value, Tensor) for name, value in first.items()
            )
            require(tensors, f"fit() returned {first!r:.80}, not a dict of tensors")
            for name, value in first.items():
                finite = not value.is_floating_point() or bool(torch.isfinite(value).all())
                require(finite, f"fit() returned '{name}', which is not finite")
                require(
                    name in second and torch.equal(value, second[name]),
                    f"fit() returned another '{name}' for the same images and the same generator: "
                    "take random numbers from the generator",
                )
        return ", ".join(self._fitted[_SHAPES[0]]) or "nothing"

    @check
    def scores_are_finite_floats(self) -> str:
        """score() returns one finite float per image, also for black, white and noise."""
        for shape in _SHAPES:
            odd = _odd_images(shape)
            for pixels in (_smooth_images(shape, _BATCH), _smooth_images(shape, 1), odd):
                values = self._score(shape, pixels, self._fitted[shape])
                require(isinstance(values, Tensor), f"score() returned {type(values).__name__}")
                require(
                    tuple(values.shape) == (len(pixels),),
                    f"score() of {len(pixels)} images {shape} returns {tuple(values.shape)}, "
                    f"expected ({len(pixels)},)",
                )
                require(values.is_floating_point(), f"score() returns {values.dtype}, not floats")
                require(
                    bool(torch.isfinite(values).all()), f"a score of images {shape} is {values}"
                )
        return ""

    @check
    def scores_are_repeatable(self) -> str:
        """The same image has the same score in every call."""
        for shape in _SHAPES:
            pixels = _odd_images(shape)
            first, second = (self._score(shape, pixels, self._fitted[shape]) for _ in range(2))
            require(torch.equal(first, second), f"scores differ from call to call: {shape}")
        return ""

    @check
    def scores_are_independent_of_the_batch(self) -> str:
        """The score of an image does not depend on the batch or on the order."""
        for shape in _SHAPES:
            pixels = np.concatenate([_odd_images(shape), _smooth_images(shape, 3)])
            fitted = self._fitted[shape]
            together = self._score(shape, pixels, fitted)
            alone = torch.cat([self._score(shape, p[None], fitted) for p in pixels])
            backwards = self._score(shape, np.ascontiguousarray(pixels[::-1]), fitted).flip(0)
            for others, how in ((alone, "alone"), (backwards, "in another order")):
                difference = (together - others).abs().max().item()
                require(
                    torch.allclose(together, others, _RELATIVE, _ABSOLUTE),
                    f"the score of an image {shape} {how} differs by {difference:.2g}",
                )
        return ""

    @check
    def scores_are_the_same_in_any_thread(self) -> str:
        """Several threads at the same time get the same scores and heatmaps as one."""
        shape = _SHAPES[0]
        pixels, fitted = _odd_images(shape), self._fitted[shape]
        networks = inference_networks(shape)

        def call(i: int) -> tuple[Tensor, Tensor | None]:
            with torch.no_grad():
                outputs = LazyNetworkOutputs(networks, _to_x(pixels[i : i + 1]))
                heat = self._component.heatmap(outputs, fitted)
                return self._component.score(outputs, fitted), heat

        alone = [call(i) for i in range(len(pixels))]
        places = [i % len(pixels) for i in range(4 * len(pixels))]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(call, places))
        for i, (values, heat) in zip(places, found, strict=True):
            score, one = alone[i]
            same = torch.allclose(values, score, _RELATIVE, _ABSOLUTE)
            require(same, "the score of an image is another one in another thread")
            if one is not None:
                same = heat is not None and torch.allclose(heat, one, _RELATIVE, _ABSOLUTE)
                require(same, "the heatmap of an image is another one in another thread")
        return ""

    @check
    def scores_differ(self) -> str:
        """Different images get different scores."""
        for shape in _SHAPES:
            pixels = np.concatenate([_odd_images(shape), _smooth_images(shape, _BATCH)])
            values = self._score(shape, pixels, self._fitted[shape])
            if bool((values != values[0]).any()):
                return ""
        raise ContractViolation(f"every image gets the score {float(values[0]):g}")

    @check
    def inputs_are_not_modified(self) -> str:
        """It modifies neither the images and outputs of the networks nor its fitted tensors."""
        shape = _SHAPES[1]
        outputs = _outputs(shape, _smooth_images(shape, _BATCH))
        fitted = {name: value.clone() for name, value in self._fitted[shape].items()}
        parts = {"x": outputs.x, "z": outputs.z, "reconstruction": outputs.reconstruction}
        before = {name: value.clone() for name, value in parts.items()}
        with torch.no_grad():
            self._component.embed(outputs)
            self._component.score(outputs, fitted)
            self._component.heatmap(outputs, fitted)
        for name, value in parts.items():
            require(torch.equal(value, before[name]), f"it modifies {name} of the batch")
        for name, value in self._fitted[shape].items():
            require(torch.equal(value, fitted[name]), f"it modifies '{name}', a fitted tensor")
        return ""

    @check
    def scores_survive_saving(self) -> str:
        """Scores are the same after its fitted tensors are saved and loaded."""
        for shape in _SHAPES:
            fitted = self._fitted[shape]
            if not fitted:
                raise NotApplicable("it has no fitted tensors")
            loaded = load(save({name: value.contiguous() for name, value in fitted.items()}))
            pixels = _odd_images(shape)
            kept, again = (self._score(shape, pixels, memory) for memory in (fitted, loaded))
            require(torch.equal(kept, again), f"scores differ after saving and loading: {shape}")
        return ""

    @check
    def few_images_are_enough(self) -> str:
        """It works with eight training images."""
        shape = _SHAPES[0]
        values = self._score(shape, _odd_images(shape), self._fit(shape, count=8))
        require(bool(torch.isfinite(values).all()), f"with 8 training images a score is {values}")
        return ""

    @check
    def heatmaps_fit_the_images(self) -> str:
        """heatmap() returns a finite [N, H, W], independent of the batch, or None."""
        for shape in _SHAPES:
            pixels, fitted = _odd_images(shape), self._fitted[shape]
            with torch.no_grad():
                together = self._component.heatmap(_outputs(shape, pixels), fitted)
                alone = [self._component.heatmap(_outputs(shape, p[None]), fitted) for p in pixels]
            if together is None:
                require(
                    all(a is None for a in alone), "heatmap() returns None for some batches only"
                )
                return "it has none"
            given = tuple(together.shape)
            good = len(given) == 3 and given[0] == len(pixels) and min(given) > 0
            wanted = f"({len(pixels)}, h, w)"
            require(good, f"heatmap() of images {shape} gives {given}, not {wanted}")
            require(together.is_floating_point(), f"heatmap() gives {together.dtype}, not floats")
            require(bool(torch.isfinite(together).all()), f"a heatmap of {shape} is not finite")
            single = torch.cat([a for a in alone if a is not None])
            require(
                torch.allclose(together, single, _RELATIVE, _ABSOLUTE),
                f"the heatmap of an image {shape} depends on the other images of the batch",
            )
        return ""

    @check
    def needs_are_declared(self) -> str:
        """It works with every architecture, or declares what it needs."""
        cls = self.cls
        needs = (cls.needs_image_features, cls.needs_encoder_features)
        if any(needs) or cls.needs_head or cls.requires_cycle_discriminator:
            return "it declares what it needs"
        shape = _SHAPES[0]
        networks = inference_networks(shape, optional=False)
        outputs = LazyNetworkOutputs(networks, _to_x(_smooth_images(shape, _BATCH)))
        with torch.no_grad():
            embedded = self._component.embed(outputs)
            fitted = (
                {}
                if embedded is None
                else self._component.fit(embedded, torch.Generator().manual_seed(0))
            )
            self._component.score(outputs, fitted)
        return ""

    @check
    def works_on_feature_maps(self) -> str:
        """With networks on feature maps score() returns one finite float per image, too."""
        if self.cls.needs_pixels:
            raise NotApplicable("it declares needs_pixels")
        shape = _SHAPES[1]
        networks = small_feature_map_networks(shape)
        lacking = missing_requirement(self._component, networks)
        if lacking:
            raise NotApplicable(f"it needs {lacking}")
        normals = NormalImages(*np.array_split(_smooth_images(shape, 3 * _TRAIN), 3))
        try:
            detector = fit_detector(
                networks, [self._component], {self.cls.name: 1.0}, normals, 0.1, 8, 0
            )
            finite = bool(np.isfinite(detector.score(_odd_images(shape)).score).all())
        except Exception as error:
            raise ContractViolation(
                f"with an architecture on features: {first_line(error)}; set needs_pixels = True "
                "if it works with images only"
            ) from error
        require(finite, "with an architecture on features a score is not finite")
        return ""

    @check
    def it_fits_a_detector(self) -> str:
        """A detector with this component alone can be fitted and calibrated, and scores images."""
        shape = _SHAPES[1]
        normals = NormalImages(*np.array_split(_smooth_images(shape, 3 * _TRAIN), 3))
        networks = (
            small_feature_map_networks(shape)
            if self.cls.needs_feature_map
            else small_networks(shape)
        )
        detector = fit_detector(
            networks, [self._component], {self.cls.name: 1.0}, normals, 0.1, 8, 0
        )
        scores = detector.score(_odd_images(shape))
        require(bool(np.isfinite(scores.score).all()), f"the detector's scores are {scores.score}")
        return ""


def _outputs(shape: ImageShape, pixels: NDArray[np.uint8]) -> LazyNetworkOutputs:
    return LazyNetworkOutputs(inference_networks(shape), _to_x(pixels))


def _to_x(pixels: NDArray[np.uint8]) -> Tensor:
    return to_model_range(torch.from_numpy(pixels))


def _smooth_images(shape: ImageShape, count: int) -> NDArray[np.uint8]:
    """Return smooth images that differ from one another, uint8 ``[N, C, H, W]``."""
    random = np.random.default_rng(4)
    rows, columns = np.arange(shape.height), np.arange(shape.width)
    slant = random.uniform(-4, 4, (count, shape.channels, 2, 1, 1))
    grey = 128 + slant[:, :, 0] * rows[:, None] + slant[:, :, 1] * columns
    return np.clip(grey + random.normal(0, 2, grey.shape), 0, 255).astype(np.uint8)


def _odd_images(shape: ImageShape) -> NDArray[np.uint8]:
    """Return black, white, grey, noise and a checkerboard, uint8 ``[5, C, H, W]``."""
    size = (shape.channels, shape.height, shape.width)
    board = np.indices(size).sum(axis=0) % 2 * 255
    noise = np.random.default_rng(7).integers(0, 256, size)
    flat = [np.full(size, value) for value in (0, 255, 128)]
    return np.stack([*flat, noise, board]).astype(np.uint8)
