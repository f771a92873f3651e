"""Windows of a stream of images that are divided among the processes of a training.

The processes take the pieces of each window in turn, so each reads, decodes and computes a part,
and they exchange what they have made of it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bigan_cli.data.image_stream import ImageStream, Index
from bigan_cli.model.process_group import ProcessGroup


def exchange_rows(
    group: ProcessGroup, images: ImageStream, window: Index, rows: NDArray[np.generic]
) -> None:
    """Write what the other processes have made of their pieces of a window into *rows*.

    Process 0 also receives which images the others could not read. All processes must call it for
    the same windows, in the thread that trains.

    Args:
        group: The processes; each has filled in the rows of its own pieces.
        images: The stream.
        window: The numbers of the pieces.
        rows: A row for each image of the window.
    """
    if group.size == 1:
        return
    whole = torch.from_numpy(rows)
    group.exchange([whole[each] for each in images.rows(window)])
    for found in group.gather(images.take_unreadable() if group.rank else []):
        images.add_unreadable(found)
