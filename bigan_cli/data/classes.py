"""Class names and indices given by the user."""

from __future__ import annotations

from collections.abc import Sequence

from bigan_cli.errors import UsageError, did_you_mean

_LISTED = 12


def resolve_classes(
    refs: Sequence[int | str], class_names: Sequence[str], option: str, dataset: str
) -> tuple[int, ...]:
    """Return the indices of *refs*, each given by name or by index, sorted and without repeats.

    Names are compared without case and spaces. A reference that is the name of one class and
    the index of another (class folders ``1`` and ``7``) is the name, since users see names.

    Args:
        refs: Names or indices.
        class_names: The dataset's classes, by index.
        option: ``inlier`` or ``outlier``, for the message.
        dataset: Name of the dataset, for the message.

    Raises:
        UsageError: One of *refs* is not a class.
    """
    return tuple(sorted({_resolve(ref, class_names, option, dataset) for ref in refs}))


def _resolve(ref: int | str, class_names: Sequence[str], option: str, dataset: str) -> int:
    text = str(ref).strip()
    for same in (str, _fold):
        for index, name in enumerate(class_names):
            if same(name) == same(text):
                return index
    if text.isdecimal() and int(text) < len(class_names):
        return int(text)
    raise UsageError(
        f"{option} {text} is not a class of {dataset} ({_listing(class_names)})",
        _hint(text, class_names, option),
    )


def _hint(text: str, class_names: Sequence[str], option: str) -> str:
    near = "" if text.isdecimal() else did_you_mean(text, class_names)
    return near or f"name a class by its index or its name, as in --{option} {len(class_names) - 1}"


def _fold(name: str) -> str:
    return "".join(name.casefold().split())


def _listing(class_names: Sequence[str]) -> str:
    """Return ``0-9: 0 T-shirt/top, 1 Trouser, ...``, shorter if the names are the indices."""
    if len(class_names) == 1:
        return f"the only one is {class_names[0]}"
    span = f"0-{len(class_names) - 1}"
    if all(name == str(index) for index, name in enumerate(class_names)):
        return span
    shown = ", ".join(f"{index} {name}" for index, name in enumerate(class_names[:_LISTED]))
    return f"{span}: {shown}" + (", ..." if len(class_names) > _LISTED else "")
