"""The error of D in predicting the transformation of an image.

The components differ in the kind of transformation only. Source: the transformation score of
Golan and El-Yaniv 2018 (arXiv 1805.10917, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.transformations import TRANSFORMATIONS

if TYPE_CHECKING:
    from torch import Tensor


class TransformationComponent(ScoreComponent):
    """Base of these components; a subclass names the head, and so the transformations.

    The score is the head's mean cross-entropy over all transformations of the image. Each one
    but the identity needs another pass of the discriminator.
    """

    def score(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the mean cross-entropy of each image, ``[N]``."""
        head, apply = self.needs_head, TRANSFORMATIONS[self.needs_head].apply
        unchanged = outputs.heads[head]
        count = unchanged.shape[1]
        changed = (outputs.heads_for(apply(outputs.x, k))[head] for k in range(1, count))
        logits = [unchanged, *changed]
        surprise = [-each.log_softmax(dim=1)[:, k] for k, each in enumerate(logits)]
        total: Tensor = sum(surprise[1:], surprise[0])
        return total / count
