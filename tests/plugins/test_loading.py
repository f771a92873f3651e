"""Plugins are loaded one by one, from real packages with metadata, and none harms another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bigan_cli import __version__
from bigan_cli.errors import PluginError
from bigan_cli.plugins import Registry, load_registry
from bigan_cli.plugins.checks import load_classes
from bigan_cli.plugins.registry import KINDS, Kind
from bigan_cli.plugins.sources import built_ins

Install = Callable[..., Path]
BUILT_IN = {"digits", "mnist", "fashion_mnist", "cifar10", "folder", "shards"}
# With what else happens to be installed here.
ALREADY = set(load_registry().datasets)

HEAD = """\
from bigan_cli.contracts import Architecture, Dataset, Options, ScoreComponent
from bigan_cli.hookspecs import hookimpl

"""
HEALTHY_CLASS = """\
class Frogs(Dataset):
    name = "frogs"
    summary = "frogs"
    def train_items(self): ...
    def test_items(self): ...

"""
PROVIDE = """
@hookimpl
def bigan_datasets():
    return [Frogs]
"""


def broken_class(body: str) -> str:
    """A plugin whose class differs from a healthy one by *body*, which comes last in it."""
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    return HEAD + HEALTHY_CLASS.rstrip() + "\n" + indented + PROVIDE


BROKEN: dict[str, tuple[str, tuple[str, ...]]] = {
    "import error": (
        "import frog_library\n",
        ("ModuleNotFoundError: No module named 'frog_library'", "plugin_bigan_frogs.py:1"),
    ),
    "syntax error": ("x = 1\ndef broken(:\n", ("SyntaxError: ", "plugin_bigan_frogs.py:2")),
    "any exception": (
        "def f():\n    raise RuntimeError('no\\n\\nluck')\nf()\n",
        ("RuntimeError: no luck", "plugin_bigan_frogs.py:2"),
    ),
    "exit": ("import sys\nsys.exit(3)\n", ("SystemExit: 3",)),
    "wrong hook name": (
        HEAD + "@hookimpl\ndef bigan_dataset():\n    return []\n",
        ("there is no hook 'bigan_dataset'", "did you mean 'bigan_datasets'?"),
    ),
    "one wrong hook beside a right one": (
        HEAD + HEALTHY_CLASS + PROVIDE + "\n@hookimpl\ndef bigan_models():\n    return []\n",
        ("there is no hook 'bigan_models'", "bigan_architectures"),
    ),
    "wrong argument": (
        HEAD + "@hookimpl\ndef bigan_datasets(config):\n    return []\n",
        ("bigan_datasets takes no arguments; yours takes (config)",),
    ),
    "hook that raises": (
        HEAD + "@hookimpl\ndef bigan_datasets():\n    return [1 / 0]\n",
        ("ZeroDivisionError: division by zero", "plugin_bigan_frogs.py:6"),
    ),
    "no hook": ("x = 1\n", ("it implements no hook", "bigan_score_components")),
    "not marked": (
        "def bigan_datasets():\n    return []\n",
        ("bigan_datasets is not marked with @hookimpl",),
    ),
    "returns nothing": (
        HEAD + "@hookimpl\ndef bigan_datasets():\n    pass\n",
        ("bigan_datasets must return a list of classes, and it returned None",),
    ),
    "returns a class alone": (
        HEAD + HEALTHY_CLASS + PROVIDE.replace("[Frogs]", "Frogs"),
        ("must return a list of classes", "Frogs"),
    ),
    "returns an instance": (
        HEAD + HEALTHY_CLASS + PROVIDE.replace("[Frogs]", "[3]"),
        ("bigan_datasets must return classes, and it returned 3",),
    ),
    "returns an instance of its class": (
        HEAD + HEALTHY_CLASS + PROVIDE.replace("[Frogs]", "[Frogs(None, None)]"),
        ("and it returned an instance of Frogs: return the class",),
    ),
    "another kind of class": (
        HEAD + "class Frogs: ...\n" + PROVIDE,
        ("Frogs is not a subclass of bigan_cli.contracts.Dataset",),
    ),
    "an architecture among the datasets": (
        HEAD + "class Frogs(Architecture):\n    def build(self, image_shape, latent_dim): ...\n"
        "    name = 'frogs'\n    summary = 'x'\n" + PROVIDE,
        ("Frogs is not a subclass of bigan_cli.contracts.Dataset",),
    ),
    "methods missing": (
        HEAD + "class Frogs(Dataset):\n    name = 'frogs'\n    summary = 'x'\n" + PROVIDE,
        ("Frogs does not define test_items and train_items",),
    ),
    "no name": (
        HEAD + HEALTHY_CLASS.replace('    name = "frogs"\n', "") + PROVIDE,
        ("Frogs.name must be", "None"),
    ),
    "bad name": (broken_class('name = "Frogs-2"'), ("Frogs.name must be", "'Frogs-2'")),
    "no summary": (broken_class("summary = None"), ("Frogs.summary must be one line",)),
    "long summary": (broken_class("summary = 'a\\nb'"), ("Frogs.summary must be one line",)),
    "options of another kind": (
        broken_class("Options = dict"),
        ("Frogs.Options must be a subclass of bigan_cli.contracts.Options",),
    ),
    "options that are not valid": (
        broken_class("class Options(Options):\n    size: int = 'large'"),
        ("the defaults of Frogs.Options are not valid: size: ", ", got 'large'"),
    ),
    "options that cannot be written": (
        broken_class("class Options(Options):\n    sizes: list[int | None] = [1, None]"),
        ("holds None, which TOML cannot",),
    ),
    "options that pydantic refuses": (
        broken_class("class Options(Options):\n    size: 'Nowhere' = 1"),
        ("not fully defined", "Nowhere"),
    ),
    "a bad shape": (broken_class("image_shape = (8, 8)"), ("Frogs.image_shape must be",)),
    "bad class names": (broken_class("class_names = 'ab'"), ("Frogs.class_names must be",)),
    "a bad preset": (broken_class("preset = {'epochs': 3}"), ("Frogs.preset must be",)),
    "a preset of another dataset": (
        broken_class("preset = {'data': {'dataset': 'mnist'}}"),
        ("Frogs.preset must be",),
    ),
    "one name twice": (
        HEAD + HEALTHY_CLASS + PROVIDE.replace("[Frogs]", "[Frogs, Frogs]"),
        ("bigan_datasets returned two classes named 'frogs'",),
    ),
    "another version of the interface": (
        "bigan_api = 2\n" + HEAD + HEALTHY_CLASS + PROVIDE,
        ("made for version 2 of the plugin interface", __version__),
    ),
}


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_refused_with_the_reason_and_nothing_else_is(
    source: str, reason: tuple[str, ...], install: Install
) -> None:
    install("aardvarks")  # loaded before it
    install("frogs", source)
    install("toads")  # and after it

    registry = load_registry()

    (broken,) = registry.broken
    assert (broken.name, broken.distribution, broken.version) == ("frogs", "bigan-frogs", "1.2")
    for part in reason:
        assert part in broken.reason
    assert "\n" not in broken.reason
    assert set(registry.datasets) == ALREADY | {"aardvarks", "toads"}
    assert "frogs" not in {plugin.name for plugin in registry.plugins}
    with pytest.raises(PluginError, match="unknown dataset 'frogs'") as caught:
        registry.dataset("frogs")
    assert "plugin 'frogs' (bigan-frogs 1.2) is broken: " in caught.value.message


def test_a_healthy_plugin_says_where_it_comes_from(install: Install) -> None:
    install("frogs", package="amphibians", version="0.3.1")
    registry = load_registry()
    found = registry.datasets["frogs"]
    assert (found.plugin, found.distribution, found.version) == ("frogs", "amphibians", "0.3.1")
    assert found.source == "amphibians 0.3.1"
    (info,) = [p for p in registry.plugins if p.distribution == "amphibians"]
    assert info.provides == {"bigan_datasets": ("frogs",)}
    assert registry.broken == ()


def test_built_ins_come_through_the_same_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGAN_PLUGINS", "")
    registry = load_registry()
    assert set(registry.datasets) == BUILT_IN
    assert "dcgan" in registry.architectures
    assert {"reconstruction", "discriminator", "feature_matching"} <= set(registry.components)
    assert {p.distribution for p in registry.plugins} == {"bigan-cli"}
    assert registry.broken == ()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.built_ins])
def test_every_built_in_module_provides_one_class_of_its_name(kind: Kind) -> None:
    modules = list(built_ins(kind))
    assert modules
    for module in modules:
        offers = load_classes(module)
        provided = {hook: [cls.name for cls in classes] for hook, classes in offers.items()}
        assert provided == {kind.hook: [module.name]}


def test_a_built_in_is_imported_when_it_is_used() -> None:
    code = (
        "import sys; from bigan_cli.plugins import load_registry;"
        "registry = load_registry(); assert 'pydantic' not in sys.modules;"
        "registry.dataset('digits'); ours = 'bigan_cli.datasets.';"
        "print([m for m in sys.modules if m.startswith(ours) and not m.startswith(ours + '_')])"
    )
    environment = {**os.environ, "BIGAN_PLUGINS": ""}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "['bigan_cli.datasets.digits']"


def test_a_damaged_built_in_matters_only_to_a_run_that_uses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bigan_cli.datasets.digits", None)
    registry = load_registry()
    assert registry.dataset("mnist").name == "mnist"
    with pytest.raises(PluginError, match="dataset 'digits' of bigan itself is broken: ") as caught:
        registry.dataset("digits")
    assert caught.value.hint == "install bigan again"


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from bigan_cli.config.load import load_config; load_config();"
        "print([m for m in ('torch', 'torchvision', 'matplotlib', 'sklearn', 'PIL', 'rich')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_interrupt_is_never_taken_for_a_broken_plugin(install: Install) -> None:
    install("frogs", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_registry()


def test_an_interface_version_that_fits_is_welcome(
    install: Install, animals_source: Callable[[str], str]
) -> None:
    install("frogs", animals_source("frogs") + "\nbigan_api = 1\n")
    assert "frogs" in load_registry().datasets


def test_what_a_plugin_prints_stays_out_of_the_results(
    install: Install,
    animals_source: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    install("frogs", "print('croak')\n".join(animals_source("frogs").partition("\nclass ")[::2]))
    install("toads", "print('ribbit')\n")
    load_registry()
    streams = capsys.readouterr()
    assert streams.out == ""
    assert "ribbit" in streams.err


# Two with one name


def test_two_plugins_with_one_name_are_an_error_only_when_it_is_asked_for(
    install: Install, animals_source: Callable[[str], str]
) -> None:
    install("frogs")
    install("pond", animals_source("frogs"), package="bigan-pond", version="2.0")
    registry = load_registry()
    assert registry.broken == ()
    assert registry.dataset("digits").name == "digits"
    with pytest.raises(PluginError) as caught:
        registry.dataset("frogs")
    assert (
        caught.value.message == "dataset 'frogs' is provided by bigan-frogs 1.2 and bigan-pond 2.0"
    )
    assert "BIGAN_PLUGINS=-pond" in caught.value.hint


def test_of_two_packages_with_one_plugin_name_one_can_be_switched_off(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("frogs")
    install("frogs", package="bigan-frogs2")
    for before, setting in (("", "-bigan-frogs2"), ("-newts", "-newts,-bigan-frogs2")):
        if before:
            monkeypatch.setenv("BIGAN_PLUGINS", before)
        with pytest.raises(PluginError) as caught:
            load_registry().dataset("frogs")
        assert caught.value.hint.endswith(f": BIGAN_PLUGINS={setting}")
    monkeypatch.setenv("BIGAN_PLUGINS", setting)
    registry = load_registry()
    assert registry.dataset("frogs").name == "frogs"
    assert registry.datasets["frogs"].distribution == "bigan-frogs"


def test_a_built_in_is_not_shadowed(
    install: Install, animals_source: Callable[[str], str], bigan: Callable[..., object]
) -> None:
    install("frogs", animals_source("mnist"))
    assert load_registry().dataset("mnist").__module__ == "bigan_cli.datasets.mnist"
    for words in (("datasets",), ("plugins",), ("datasets", "mnist")):
        outcome = bigan(*words)
        assert outcome.code == 0
        assert outcome.err.splitlines()[0] == (
            "warning: dataset 'mnist' of bigan-frogs 1.2 is not used: "
            "bigan has one of that name itself"
        )


@pytest.mark.parametrize(("command", "warned"), [("datasets", True), ("architectures", False)])
def test_listings_warn_of_names_that_several_provide(
    command: str,
    warned: bool,
    install: Install,
    animals_source: Callable[[str], str],
    bigan: Callable[..., object],
) -> None:
    install("frogs")
    install("pond", animals_source("frogs"), package="bigan-pond", version="2.0")
    outcome = bigan(command)
    assert outcome.code == 0
    assert outcome.err == warned * (
        "warning: dataset 'frogs' is provided more than once: bigan-frogs 1.2, bigan-pond 2.0\n"
    )


# BIGAN_PLUGINS


@pytest.mark.parametrize(
    ("setting", "loaded"),
    [
        (None, {"frogs", "toads", "tree_frogs"}),
        ("", set()),
        (" ", set()),
        ("frogs", {"frogs"}),
        ("frogs, toads", {"frogs", "toads"}),
        ("Tree-Frogs", {"tree_frogs"}),
        ("-frogs", {"toads", "tree_frogs"}),
        ("-frogs,-toads", {"tree_frogs"}),
        ("frogs,toads,-toads", {"frogs"}),
        ("bigan-frogs", {"frogs"}),
        ("-bigan_tree-frogs", {"frogs", "toads"}),
        ("frogs,-toads", {"frogs"}),
    ],
)
def test_the_environment_chooses_among_installed_plugins(
    setting: str | None, loaded: set[str], install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("frogs", "toads", "tree_frogs"):
        install(name)
    if setting is not None:
        monkeypatch.setenv("BIGAN_PLUGINS", setting)
    registry = load_registry()
    assert set(registry.datasets) - ALREADY == loaded
    assert registry.broken == ()


def test_a_plugin_that_is_switched_off_is_not_even_imported(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("frogs", "raise KeyboardInterrupt\n")
    monkeypatch.setenv("BIGAN_PLUGINS", "-frogs")
    assert load_registry().broken == ()


@pytest.mark.parametrize("setting", ["newts", "-newts"])
def test_a_plugin_named_that_is_not_installed_is_told(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGAN_PLUGINS", setting)
    registry = load_registry()
    assert [(b.name, "no installed package" in b.reason) for b in registry.broken] == [
        ("newts", True)
    ]
    with pytest.raises(PluginError) as caught:
        registry.dataset("newts")
    assert "BIGAN_PLUGINS names it" in caught.value.message


@pytest.mark.parametrize("setting", ["", "toads", "-shapes", "-bigan-shapes"])
def test_that_the_environment_keeps_a_plugin_off_is_told(
    setting: str, install: Install, monkeypatch: pytest.MonkeyPatch, bigan: Callable[..., object]
) -> None:
    install("shapes")
    install("toads")
    monkeypatch.setenv("BIGAN_PLUGINS", setting)
    outcome = bigan("train", "--dataset", "shapes", "--dry-run")
    assert outcome.code == 2
    assert outcome.err.splitlines()[-2:] == [
        "error: unknown dataset 'shapes'",
        "hint: BIGAN_PLUGINS disables shapes (bigan-shapes)",
    ]


def test_plugins_kept_off_are_told_where_none_has_the_name(
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    animals_source: Callable[[str], str],
    bigan: Callable[..., object],
) -> None:
    install("shapes", animals_source("triangles"))
    monkeypatch.setenv("BIGAN_PLUGINS", "")
    outcome = bigan("train", "--dataset", "triangles", "--dry-run")
    assert "BIGAN_PLUGINS disables " in outcome.err
    assert "shapes (bigan-shapes)" in outcome.err


# Names


@pytest.mark.parametrize("name", ["fashion_mnist", "fashion-mnist", "Fashion-MNIST"])
def test_names_are_found_however_they_are_joined(name: str) -> None:
    assert load_registry().dataset(name).name == "fashion_mnist"


@pytest.mark.parametrize(
    ("find", "name", "message", "hint"),
    [
        (
            Registry.dataset,
            "fashion-mnst",
            "unknown dataset 'fashion-mnst'",
            "did you mean 'fashion_mnist'? 'bigan datasets' lists all 6",
        ),
        (
            Registry.architecture,
            "dcgn",
            "unknown architecture 'dcgn'",
            "did you mean 'dcgan'? 'bigan architectures' lists all 2",
        ),
        (
            Registry.component,
            "reconstuction",
            "unknown score component 'reconstuction'",
            "did you mean 'reconstruction'? 'bigan components' lists all 19",
        ),
    ],
)
def test_an_unknown_name_gets_the_nearest(
    find: Callable[[Registry, str], type],
    name: str,
    message: str,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BIGAN_PLUGINS", "")
    with pytest.raises(PluginError) as caught:
        find(load_registry(), name)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.exit_code == 2


def test_the_reason_of_the_broken_plugin_of_that_name_is_the_error(install: Install) -> None:
    install("aardvarks", "import nowhere\n")
    install("frogs", "import nowhere\n")
    with pytest.raises(PluginError) as caught:
        load_registry().dataset("frogs")
    assert "plugin 'frogs' (bigan-frogs 1.2) is broken: ModuleNotFound" in caught.value.message
    assert "aardvarks" not in caught.value.message + caught.value.hint


def test_broken_plugins_of_other_names_are_counted(install: Install) -> None:
    install("aardvarks", "import nowhere\n")
    with pytest.raises(PluginError) as caught:
        load_registry().dataset("qqq")
    assert caught.value.hint.endswith("; 1 plugin is broken: see 'bigan plugins'")
    install("frogs", "import nowhere\n")
    with pytest.raises(PluginError) as caught:
        load_registry().dataset("qqq")
    assert caught.value.hint.endswith("; 2 plugins are broken: see 'bigan plugins'")


# Files


def test_a_local_file_is_loaded_by_its_path(
    tmp_path: Path, animals_source: Callable[[str], str]
) -> None:
    file = tmp_path / "my data-set.py"
    here = "\nfrom pathlib import Path as P\nHERE = P(__file__)\n"
    file.write_text(animals_source("frogs") + here)
    registry = load_registry([file, file])
    found = registry.datasets["frogs"]
    assert (found.source, found.version) == (str(file), "")
    module = sys.modules[found.cls.__module__]
    assert str(module.HERE) == str(file)
    assert registry.dataset("frogs").Options().crop == (4, 4)  # annotations were resolved
    del sys.modules[module.__name__]


def test_the_users_home_is_understood(
    tmp_path: Path, animals_source: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "frogs.py").write_text(animals_source("frogs"))
    assert "frogs" in load_registry([Path("~/frogs.py")]).datasets


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "it does not exist"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere' ({file}:1)"),
        ("a b", "SyntaxError: invalid syntax ({file}:1)"),
    ],
)
def test_a_broken_file_that_was_named_is_an_error(
    content: str | None, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "frogs.py"
    if content is not None:
        file.write_text(content)
    before = set(sys.modules)
    with pytest.raises(PluginError) as caught:
        load_registry([file])
    assert caught.value.message.startswith(f"plugin file {file}: {reason.format(file=file)}")
    assert not [name for name in set(sys.modules) - before if "bigan_local" in name]


def test_a_file_without_a_hook_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "frogs.py").write_text("")
    with pytest.raises(PluginError, match="it implements no hook; there are "):
        load_registry([tmp_path / "frogs.py"])


def test_a_folder_is_not_a_plugin_file(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="it is a folder, not a file"):
        load_registry([tmp_path])


def test_a_file_with_the_name_of_a_built_in_is_told_to_change_it(
    tmp_path: Path, animals_source: Callable[[str], str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(animals_source("mnist"))
    with pytest.raises(PluginError) as caught:
        load_registry([file])
    assert caught.value.message == (
        f"plugin file {file}: its dataset 'mnist' has the name of one that comes with bigan"
    )
    assert caught.value.hint == "give Mnist.name another value"


def test_what_is_not_python_is_not_executed(tmp_path: Path) -> None:
    file = tmp_path / "frogs.toml"
    file.write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\n")
    with pytest.raises(PluginError, match=r"it is not a Python file \(\.py\)"):
        load_registry([file])
    assert not (tmp_path / "mark").exists()


# The command line


def test_five_broken_plugins_do_not_stop_a_command(
    install: Install, bigan_process: Callable[..., object]
) -> None:
    for number, name in enumerate(
        ("import error", "syntax error", "wrong hook name", "wrong argument", "hook that raises")
    ):
        install(f"frogs{number}", BROKEN[name][0])
    done = bigan_process("datasets", "--json")
    assert done.code == 0
    names = {data["name"] for data in json.loads(done.out)["datasets"]}
    assert names == ALREADY
    assert "Traceback" not in done.err
    for number in range(5):
        assert done.err.count(f"plugin 'frogs{number}'") == 1


def test_five_broken_plugins_do_not_stop_training_and_each_is_told_once(
    install: Install, bigan: Callable[..., object], tmp_path: Path
) -> None:
    kinds = ("import error", "syntax error", "wrong hook name", "wrong argument")
    kinds += ("hook that raises", "options that are not valid")
    for number, name in enumerate(kinds):
        install(f"frogs{number}", BROKEN[name][0])
    done = bigan(
        *("train", "--dataset", "digits", "--epochs", "1", "--device", "cpu"),
        *("--feature-maps-gen", "4", "--feature-maps-disc", "4", "--save-dir", tmp_path / "run"),
    )
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert (tmp_path / "run" / "models" / "best.safetensors").is_file()
    for number in range(len(kinds)):
        lines = [line for line in done.err.splitlines() if f"'frogs{number}'" in line]
        assert len(lines) == 1
        assert lines[0].startswith("warning: plugin ")
    outcome = bigan("plugins", "--json")
    why = {p["name"]: p["broken"] for p in json.loads(outcome.out)["plugins"] if p["broken"]}
    for number, name in enumerate(kinds):
        for part in BROKEN[name][1]:
            assert part.replace("frogs.py", f"frogs{number}.py") in why[f"frogs{number}"]


def test_a_run_that_needs_a_broken_plugin_is_told_why(
    install: Install, bigan: Callable[..., object], tmp_path: Path
) -> None:
    install("frogs", BROKEN["import error"][0])
    outcome = bigan("train", "--dataset", "frogs", "--save-dir", tmp_path / "run")
    assert outcome.code == 2
    assert outcome.err.startswith("error: unknown dataset 'frogs'")
    assert "is broken: ModuleNotFoundError: No module named 'frog_library'" in outcome.err
    assert not (tmp_path / "run").exists()


COUNT_IMPORTS = """
import sys
from bigan_cli.cli.main import main
main(sys.argv[1:])
print("imported", sum(name.startswith("plugin_bigan_frogs") for name in sys.modules))
"""


@pytest.mark.parametrize(
    ("words", "imported"),
    [
        (("train", "--help"), 0),
        pytest.param(("--help",), 0, marks=pytest.mark.slow),
        pytest.param(("plugins", "--help"), 0, marks=pytest.mark.slow),
        pytest.param(("plugins",), 50, marks=pytest.mark.slow),
    ],
)
def test_help_imports_none_of_fifty_plugins(
    words: tuple[str, ...], imported: int, install: Install
) -> None:
    for number in range(50):
        install(f"frogs{number:02}")
    done = subprocess.run(
        [sys.executable, "-c", COUNT_IMPORTS, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"imported {imported}"


@pytest.mark.slow
def test_completion_imports_none_of_fifty_plugins(
    install: Install, bigan_process: Callable[..., object], tmp_path: Path
) -> None:
    mark = tmp_path / "imported"
    for number in range(50):
        install(f"frogs{number:02}", f"open({str(mark)!r}, 'w').close()\n")
    done = bigan_process(
        "train",
        _BIGAN_COMPLETE="complete_bash",
        COMP_WORDS="bigan train --dat",
        COMP_CWORD="2",
        _TYPER_COMPLETE_ARGS="bigan train --dat",
    )
    assert "--data-root" in done.out
    assert not mark.exists()
    bigan_process("datasets")
    assert mark.exists()


# Options in help


def test_help_shows_the_options_of_what_is_named(
    tmp_path: Path, animals_source: Callable[[str], str], bigan: Callable[..., object]
) -> None:
    file = tmp_path / "frogs.py"
    file.write_text(animals_source("frogs"), encoding="utf-8")
    words = ("train", "--dataset", "frogs", f"--plugin={file}", "--architecture=dcgan", "--help")
    outcome = bigan(*words)
    text = " ".join(outcome.out.split())
    assert outcome.code == 0
    assert "Options of the dataset frogs:" in text
    assert "--set data.options.zoom=VALUE How near: a number more than 0 and" in text
    assert "--set model.options.feature_maps_gen=VALUE" in text
    plain = " ".join(bigan("train", "--help").out.split())
    assert "Options of the dataset" not in plain
    assert "--dataset NAME --help" in plain


def test_help_for_what_there_is_not_says_so(bigan: Callable[..., object]) -> None:
    outcome = bigan("train", "--help", "--dataset", "fashion-mnst")
    assert outcome.code == 2
    assert "did you mean 'fashion_mnist'?" in outcome.err


# Files for the listings


@pytest.mark.parametrize("words", [("datasets",), ("datasets", "frogs"), ("plugins",)])
def test_listings_take_a_local_file(
    words: tuple[str, ...],
    tmp_path: Path,
    animals_source: Callable[[str], str],
    bigan: Callable[..., object],
) -> None:
    file = tmp_path / "frogs.py"
    file.write_text(animals_source("frogs"), encoding="utf-8")
    outcome = bigan(*words, "--plugin", file)
    assert outcome.code == 0
    assert "frogs" in outcome.out or "zoom" in outcome.out
    if words[1:]:
        assert "--set data.options.OPTION=VALUE" in outcome.err
    missing = bigan(*words, "--plugin", tmp_path / "toads.py")
    assert (missing.code, missing.out) == (2, "")
    assert "toads.py: it does not exist" in missing.err


def test_architectures_take_a_local_file(tmp_path: Path, bigan: Callable[..., object]) -> None:
    file = tmp_path / "ponds.py"
    file.write_text(
        HEAD
        + "class Ponds(Architecture):\n    name = 'ponds'\n    summary = 'deep ones'\n"
        + "    def build(self, image_shape, latent_dim): ...\n\n"
        + "@hookimpl\ndef bigan_architectures():\n    return [Ponds]\n",
        encoding="utf-8",
    )
    outcome = bigan("architectures", "--plugin", file)
    assert f"ponds\tdeep ones\t{file}\n" in outcome.out
