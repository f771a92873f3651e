"""The contracts of datasets, architectures, components, trackers and engines: the API of plugins.

Plugins import this package, the hooks and the errors, and nothing else of bigan. It imports
neither torch nor torchvision, so listing plugins and reading a configuration are fast.

Conventions that hold everywhere:

* outside the networks an image is uint8, ``[H, W]`` or ``[H, W, C]``, 0 to 255;
* inside them it is float32 ``[N, C, H, W]`` in ``[-1, 1]``;
* C is 1 (grey), 3 (RGB) or 4 (RGBA); H and W are 8 or more and may differ;
* a higher score means more anomalous.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigan_cli.contracts.architecture import Architecture
from bigan_cli.contracts.dataset import Blocks, DataLocation, Dataset, Items
from bigan_cli.contracts.engine import Cluster, Engine, PartWorker
from bigan_cli.contracts.epoch_record import EpochRecord
from bigan_cli.contracts.images import CHANNELS, SMALLEST_SIDE, ImageShape
from bigan_cli.contracts.options import Options
from bigan_cli.contracts.score_component import NetworkOutputs, ScoreComponent
from bigan_cli.contracts.tracker import TrackedResult, TrackedRun, Tracker

if TYPE_CHECKING:
    from bigan_cli.contracts.images import Mask as Mask
    from bigan_cli.contracts.images import RawImage as RawImage

__all__ = [
    "CHANNELS",
    "SMALLEST_SIDE",
    "Architecture",
    "Blocks",
    "Cluster",
    "DataLocation",
    "Dataset",
    "Engine",
    "EpochRecord",
    "ImageShape",
    "Items",
    "NetworkOutputs",
    "Options",
    "PartWorker",
    "ScoreComponent",
    "TrackedResult",
    "TrackedRun",
    "Tracker",
]
