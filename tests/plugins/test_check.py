"""``bigan plugins check``: the conformance kit from the command line."""

from __future__ import annotations

import json

import pytest

SMALL = ("--set", "model.options.feature_maps_gen=4", "--set", "model.options.feature_maps_disc=4")


def rows(out):
    heading, *lines = (line.split("\t") for line in out.splitlines())
    return [dict(zip(heading, line, strict=True)) for line in lines]


@pytest.mark.parametrize(
    "words",
    [
        ("digits",),
        pytest.param(("dcgan", *SMALL), marks=pytest.mark.slow),
        ("latent-neighbours",),
    ],
)
def test_what_is_built_in_keeps_its_contract(words, bigan):
    outcome = bigan("plugins", "check", *words)
    assert outcome.code == 0, outcome.err
    found = rows(outcome.out)
    assert len(found) > 10
    assert {row["status"] for row in found} <= {"passed", "skipped"}


def test_what_does_not_hold_is_told_and_the_exit_code_is_3(bigan, tmp_path, animals_source):
    file = tmp_path / "frogs.py"
    source = animals_source("frogs").replace('("green", "brown")', '("green",)')
    file.write_text(source, encoding="utf-8")
    outcome = bigan("plugins", "check", "--plugin", file)
    assert outcome.code == 3
    broken = [row for row in rows(outcome.out) if row["status"] == "failed"]
    assert {row["of"] for row in broken} == {"dataset frogs"}
    details = {row["requirement"]: row["detail"] for row in broken}
    promise = "Every label is the index of a class, and every normal class has images to train on"
    assert details[promise] == "the labels of the train split are 0 to 1 for 1 classes"
    assert outcome.err.startswith("error: dataset frogs: ")

    as_json = json.loads(bigan("plugins", "check", "frogs", "--plugin", file, "--json").out)
    assert as_json["schema"] == 1
    assert as_json["failed"] == len(broken)
    assert as_json["passed"] + as_json["failed"] + as_json["skipped"] == len(as_json["checks"])
    assert {"kind", "of", "name", "requirement", "status", "detail"} == set(as_json["checks"][0])


def test_what_is_not_checked_of_a_local_file_says_so(bigan, tmp_path, animals_source):
    file = tmp_path / "frogs.py"
    file.write_text(animals_source("frogs"), encoding="utf-8")
    details = {
        row["requirement"]: row["detail"]
        for row in rows(bigan("plugins", "check", "--plugin", file).out)
    }
    late = "Importing its module does not import slow libraries"
    assert details[late] == "not checked for a local file"


def test_an_option_can_be_set_and_is_checked(bigan, tmp_path, animals_source):
    file = tmp_path / "frogs.py"
    file.write_text(animals_source("frogs"), encoding="utf-8")
    words = ("plugins", "check", "frogs", "--plugin", file, "--set")
    assert bigan(*words, "data.options.zoom=2.5").code == 3  # its two splits are the same
    outcome = bigan(*words, "data.options.pond=deep")
    assert outcome.code == 2
    assert 'data.options.pond must be "large" or "small", got "deep"' in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("frogs",), "unknown dataset, architecture, score component or tracker 'frogs'"),
        (("digits", "--kind", "score"), "unknown score component 'digits'"),
        (
            ("digits", "--kind", "model"),
            "unknown kind 'model': it is one of dataset, architecture, score",
        ),
        ((), "nothing to check"),
        (("--plugin", "nowhere.py"), "plugin file nowhere.py: it does not exist"),
    ],
)
def test_what_cannot_be_checked_is_told(words, message, bigan):
    outcome = bigan("plugins", "check", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {message}")


def test_why_a_broken_plugin_cannot_be_checked_is_told(install, bigan):
    install("frogs", "import nowhere\n")
    outcome = bigan("plugins", "check", "frogs")
    assert outcome.code == 2
    assert "plugin 'frogs' (bigan-frogs 1.2) is broken: ModuleNotFoundError" in outcome.err
    assert outcome.err.startswith(
        "error: unknown dataset, architecture, score component or tracker 'frogs': "
    )


def test_of_two_with_one_name_neither_is_checked(install, animals_source, bigan):
    install("frogs")
    install("pond", animals_source("frogs"), package="bigan-pond", version="2.0")
    outcome = bigan("plugins", "check", "frogs")
    assert outcome.code == 2
    assert "dataset 'frogs' is provided by bigan-frogs 1.2 and bigan-pond 2.0" in outcome.err
