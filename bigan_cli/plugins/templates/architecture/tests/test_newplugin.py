"""The architecture keeps its contract at every size, and its options do what they say."""

from bigan_newplugin import NewPluginArchitecture, bigan_architectures

from bigan_cli.contracts import ImageShape
from bigan_cli.testing import ArchitectureConformance


class TestConformance(ArchitectureConformance):
    architecture = NewPluginArchitecture
    options = {"width": 4}  # noqa: RUF012  narrow networks are tested faster


def weights(**options):
    built = NewPluginArchitecture(NewPluginArchitecture.Options(**options)).build(
        ImageShape(1, 16, 16), 8
    )
    return [sum(p.numel() for p in network.parameters()) for network in built]


def test_the_hook_provides_it():
    assert bigan_architectures() == [NewPluginArchitecture]


def test_wider_networks_have_more_weights():
    assert all(more > less for more, less in zip(weights(width=16), weights(width=8), strict=True))
