"""The score component keeps its contract, and finds what it is meant to find."""

from types import SimpleNamespace

import torch
from bigan_newplugin import NewPluginScore, bigan_score_components

from bigan_cli.testing import ScoreComponentConformance


class TestConformance(ScoreComponentConformance):
    component = NewPluginScore


def test_the_hook_provides_it():
    assert bigan_score_components() == [NewPluginScore]


def test_a_spot_is_found_where_it_is():
    x = torch.zeros(1, 3, 12, 12)
    x[0, :, 6:9, 2:5] = 1
    outputs = SimpleNamespace(x=x, reconstruction=torch.zeros_like(x))
    component = NewPluginScore(NewPluginScore.Options(window=3))
    assert component.score(outputs, {}).item() == 1
    assert divmod(component.heatmap(outputs, {}).argmax().item(), 12) == (7, 3)
