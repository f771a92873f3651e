"""MkDocs hook: pages from files outside ``docs/``, and links to such files.

The pages of the site are written so that their relative links also work on a code host. Links
that leave ``docs/`` are rewritten here: to the page that a file of the repository became, or to a
copy of the file on the site. Links to folders become text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]

# File of the repository -> page of the site.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "plugins/README.md": "plugin-packages.md",
    **{
        path.relative_to(ROOT).as_posix(): f"plugins/{path.parent.name}.md"
        for path in sorted(ROOT.glob("plugins/*/README.md"))
    },
}
# What the README says is on this page of the site.
_README = "index.md"
# Where copies of other files are.
_COPIES = "files"

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages made from files outside ``docs/``, and copies of the files linked to."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for source in sorted(_linked_files(files)):
        name = posixpath.join(_COPIES, source)
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return *markdown* with its links to files outside ``docs/`` rewritten for the site."""
    here = page.file.src_uri
    parts = _FENCE.split(markdown)
    parts[::2] = [_LINK.sub(lambda link: _rewritten(link, here), part) for part in parts[::2]]
    return "".join(parts)


def _rewritten(link: re.Match[str], here: str) -> str:
    mark, text, address = link.groups()
    source, hash_sign, anchor = _source(address, here)
    if source is None:
        return link[0]
    if source.startswith("docs/"):
        target = source.removeprefix("docs/")
    elif source == "README.md":
        target = _README
    elif source in PAGES or f"{source}/README.md" in PAGES:
        target = PAGES.get(source) or PAGES[f"{source}/README.md"]
    elif (ROOT / source).is_file():
        target = posixpath.join(_COPIES, source)
    elif (ROOT / source).is_dir():
        return text
    else:
        return link[0]  # MkDocs reports it
    return f"{mark}[{text}]({posixpath.relpath(target, _folder(here))}{hash_sign}{anchor})"


def _source(address: str, here: str) -> tuple[str | None, str, str]:
    """Return (file of the repository, "#" or "", anchor) of a link on the page *here*.

    The file is None for an address of the web and for an anchor of the same page.
    """
    path, hash_sign, anchor = address.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return None, hash_sign, anchor
    source = posixpath.normpath(posixpath.join(posixpath.dirname(_origin(here)), path))
    return source, hash_sign, anchor


def _folder(page: str) -> str:
    return posixpath.dirname(page) or "."


def _origin(page: str) -> str:
    """Return the file of the repository that a page is from."""
    return next((source for source, made in PAGES.items() if made == page), f"docs/{page}")


def _linked_files(files: Files) -> set[str]:
    """Return the files outside ``docs/`` that pages link to, apart from those that are pages."""
    found = set()
    for file in files.documentation_pages():
        text = "".join(_FENCE.split(file.content_string)[::2])
        for link in _LINK.finditer(text):
            source, _, _ = _source(link[3], file.src_uri)
            if source and not source.startswith("docs/") and source not in {*PAGES, "README.md"}:
                found.add(source)
    return {source for source in found if (ROOT / source).is_file()}
