"""The dataset keeps its contract, and its options do what they say."""

import numpy as np
from bigan_newplugin import NewPluginDataset, bigan_datasets

from bigan_cli.contracts import DataLocation
from bigan_cli.testing import DatasetConformance


class TestConformance(DatasetConformance):
    dataset = NewPluginDataset


def opened(tmp_path, **options):
    return NewPluginDataset(NewPluginDataset.Options(**options), DataLocation(tmp_path))


def test_the_hook_provides_it():
    assert bigan_datasets() == [NewPluginDataset]


def test_the_number_of_images_is_an_option(tmp_path):
    assert len(opened(tmp_path, images=150).train_items()) == 300


def test_without_noise_there_are_two_grey_levels(tmp_path):
    assert set(np.unique(opened(tmp_path, noise=0.0).train_items().images)) == {40, 200}
