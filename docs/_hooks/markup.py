"""MkDocs hook: changes to the HTML of every page."""

from __future__ import annotations

import re
from typing import Any


def on_page_content(html: str, **_: Any) -> str:
    """Mark the names of options, which style.css keeps on one line."""
    return re.sub(
        r"<code>(--?[a-z][a-z-]*(?: [\w.]{1,10})?)</code>", r'<code class="option">\1</code>', html
    )


def on_post_page(output: str, **_: Any) -> str:
    """Name the dialog of the search, for screen readers."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')
