import pickle
from traceback import format_exception_only

import pytest

from bigan_cli import errors
from bigan_cli.data.decode import UnreadableImage
from bigan_cli.errors import (
    BiganError,
    ConfigError,
    DataError,
    InputTypeError,
    RunDirectoryError,
    TrainingError,
    UsageError,
    did_you_mean,
)


@pytest.mark.parametrize(
    ("wrong", "known", "hint"),
    [
        ("epoch", ["epochs", "lr"], "did you mean 'epochs'?"),
        ("fashion-mnst", ["mnist", "fashion_mnist"], "did you mean 'fashion_mnist'?"),
        ("DIGITS", ["digits"], "did you mean 'digits'?"),
        ("zebra", ["digits", "mnist"], ""),
        ("anything", [], ""),
    ],
)
def test_nearest_name(wrong, known, hint):
    assert did_you_mean(wrong, known) == hint


def test_exit_codes_are_those_of_the_tree_in_the_docstring():
    for line in errors.__doc__.splitlines():
        words = line.strip(" │├└─").split()
        if len(words) > 1 and words[1].isdigit():
            assert getattr(errors, words[0]).exit_code == int(words[1]), line


def test_every_error_is_in_the_docstring():
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, BiganError):
            assert name in errors.__doc__


def test_config_error_keeps_all_problems():
    error = ConfigError([("one", "do this"), ("two", "")])
    assert (str(error), error.hint) == ("one", "do this")
    assert error.problems == (("one", "do this"), ("two", ""))


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (DataError("too few images", "add some"), ValueError),
        (TrainingError("diverged"), RuntimeError),
        (InputTypeError("an int is no image"), TypeError),
        (RunDirectoryError("no run in x", "name another"), ValueError),
        (ConfigError([("one", "do this"), ("two", "")]), ValueError),
        (UnreadableImage("truncated file"), ValueError),
    ],
)
def test_errors_are_caught_as_built_in_ones_and_survive_pickling(error, builtin):
    assert isinstance(error, builtin)
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error)
    assert (str(copied), vars(copied)) == (str(error), vars(error))


def test_a_traceback_ends_with_the_hint():
    text = "".join(format_exception_only(UsageError("no such run", "pass 'overwrite=True'")))
    assert text.splitlines()[-1] == "hint: pass 'overwrite=True'"
    assert len(format_exception_only(UsageError("no such run"))) == 1
