"""What all three kinds of plugin class have in common: a name, typed options, a quick import."""

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
    few,
    marked_checks,
    prepared,
    promise,
    require,
)

# Seconds each, and no use before a run asks for the class.
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
        options: Its options, as a config file would give them; its defaults where None.
    """

    kind: ClassVar[Kind]

    def __init__(self, cls: type[Any], options: Mapping[str, Any] | None) -> None:
        self.cls = cls
        self.given = dict(options or {})

    def checks(self) -> list[Check]:
        """Return the checks, in the order in which they are best read."""
        return marked_checks(self)

    @prepared
    def options(self) -> Options:
        """The options to work with.

        Raises:
            ContractViolation: They are not valid.
        """
        try:
            options: Options = self.cls.Options.from_table(self.given)
        except ValidationError as error:
            wrong = few(
                f"{'.'.join(map(str, e['loc'])) or 'options'}: {e['msg']}" for e in error.errors()
            )
            raise ContractViolation(f"the options {self.given} are refused: {wrong}") from error
        return options

    @promise
    def is_accepted(self) -> str:
        """Name, summary, options and class attributes are what bigan accepts."""
        try:
            check_class(self.cls, self.kind)
        except PluginRejected as refused:
            raise ContractViolation(str(refused)) from refused
        return f"{self.kind.word} '{self.cls.name}'"

    @promise
    def options_are_described(self) -> str:
        """Every option says what it means."""
        fields = self.cls.Options.model_fields
        silent = [name for name, f in fields.items() if not (f.description or "").strip()]
        require(not silent, f"without a description: {few(silent)}")
        if not fields:
            return "it has no options"
        return f"{len(fields)} option{'s' if len(fields) > 1 else ''}"

    @promise
    def options_are_strict(self) -> str:
        """An option that does not exist is refused."""
        try:
            self.cls.Options.from_table({**self.given, "no_such_option": 1})
        except ValidationError as error:
            if any(e["loc"] == ("no_such_option",) for e in error.errors()):
                return ""
            raise
        raise ContractViolation(
            "Options accepts 'no_such_option': a misspelt option would go unnoticed"
        )

    @promise
    def options_survive_saving(self) -> str:
        """Options read back from a saved configuration are the same."""
        saved = json.loads(self.options.model_dump_json(by_alias=True))
        without_none = {key: value for key, value in saved.items() if value is not None}
        again = self.cls.Options.from_table(without_none)
        require(again == self.options, f"saved as {without_none}, read back as {again!r}")
        return ""

    @promise
    def imports_late(self) -> str:
        """Its module can be imported without what takes seconds to import."""
        module = self.cls.__module__
        if module.startswith(LOCAL_MODULE):
            raise NotApplicable("not checked for a local file")
        where = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(  # noqa: S603  this interpreter, and a module that is loaded already
            [sys.executable, "-c", _IMPORT, module, *_HEAVY],
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
            f"importing {module} imports {few(heavy)}, which every command then waits for; "
            "import it inside the methods that use it",
        )
        return ""
