"""The checks common to all kinds of plugin class: name, typed options, import time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ValidationError

from bigan_cli.contracts import Options
from bigan_cli.plugins.checks import check_class
from bigan_cli.plugins.registry import Kind
from bigan_cli.plugins.sources import LOCAL_MODULE, PluginRejected
from bigan_cli.testing._checks import (
    Check,
    ContractViolation,
    NotApplicable,
    cached_fixture,
    check,
    marked_checks,
    require,
    shorten,
)

# Each takes seconds to import, and is not needed before a run uses the class.
_HEAVY = ("torch", "torchvision", "tensorflow", "sklearn", "scipy", "matplotlib", "pandas")
_IMPORT = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*[name for name in sys.argv[2:] if name in sys.modules])
"""


class PluginKit:
    """The checks of any plugin class.

    Args:
        cls: The class.
        options: Its options, as in a config file; None for the defaults.
    """

    kind: ClassVar[Kind]

    def __init__(self, cls: type[Any], options: Mapping[str, Any] | None) -> None:
        self.cls = cls
        self.given = dict(options or {})

    def checks(self) -> list[Check]:
        """Return the checks, in the order of the report."""
        return marked_checks(self)

    @cached_fixture
    def options(self) -> Options:
        """The options of the checks.

        Raises:
            ContractViolation: They are not valid.
        """
        try:
            options: Options = self.cls.Options.from_table(self.given)
        except ValidationError as error:
            wrong = shorten(
                f"{'.'.join(map(str, e['loc'])) or 'options'}: {e['msg']}" for e in error.errors()
            )
            raise ContractViolation(f"the options {self.given} are refused: {wrong}") from error
        return options

    @check
    def is_accepted(self) -> str:
        """Name, summary, options and class attributes are valid."""
        try:
            check_class(self.cls, self.kind)
        except PluginRejected as refused:
            raise ContractViolation(str(refused)) from refused
        return f"{self.kind.word} '{self.cls.name}'"

    @check
    def options_are_described(self) -> str:
        """Every option has a description."""
        fields = self.cls.Options.model_fields
        silent = [name for name, f in fields.items() if not (f.description or "").strip()]
        require(not silent, f"without a description: {shorten(silent)}")
        if not fields:
            return "it has no options"
        return f"{len(fields)} option{'s' if len(fields) > 1 else ''}"

    @check
    def options_are_strict(self) -> str:
        """An unknown option is refused."""
        try:
            self.cls.Options.from_table({**self.given, "no_such_option": 1})
        except ValidationError as error:
            if any(e["loc"] == ("no_such_option",) for e in error.errors()):
                return ""
            raise
        raise ContractViolation(
            "Options accepts 'no_such_option': a misspelt option would go unnoticed"
        )

    @check
    def options_survive_saving(self) -> str:
        """Options read back from a saved configuration are the same."""
        saved = json.loads(self.options.model_dump_json(by_alias=True))
        without_none = {key: value for key, value in saved.items() if value is not None}
        again = self.cls.Options.from_table(without_none)
        require(again == self.options, f"saved as {without_none}, read back as {again!r}")
        return ""

    @check
    def imports_late(self) -> str:
        """Importing its module does not import slow libraries."""
        module = self.cls.__module__
        if module.startswith(LOCAL_MODULE):
            raise NotApplicable("not checked for a local file")
        where = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # -P: a random.py in the current folder is not imported.
        done = subprocess.run(  # noqa: S603  this interpreter and a loaded module
            [sys.executable, "-P", "-c", _IMPORT, module, *_HEAVY],
            capture_output=True,
            text=True,
            check=False,
            env=where,
        )
        if done.returncode:
            raise NotApplicable(f"the module {module} cannot be imported by its name")
        heavy = done.stdout.splitlines()[-1].split() if done.stdout.strip() else []
        require(
            not heavy,
            f"importing {module} imports {shorten(heavy)}, which delays every command; "
            "import it inside the methods that use it",
        )
        return ""
