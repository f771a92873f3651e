"""The documentation site builds without a warning, and works from a disk without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bigan_cli.cli.main import COMMANDS, build_command

pytest.importorskip("material", reason="no MkDocs: pip install .[docs]")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = ("index", "command-line", "configuration", "api", "results", "plugins/bigan-resnet")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]* src=\"?([^\" >]+)", text)
        loaded += re.findall(r"<link[^>]* rel=\"?stylesheet[^>]* href=\"?([^\" >]+)", text)
        assert not [url for url in loaded if re.match(r"(https?:)?//", url)], page


def test_the_command_line_page_has_every_command_and_option(site):
    text = (site / "command-line.html").read_text(encoding="utf-8")
    root = build_command()
    for entries in COMMANDS.values():
        for name in entries:
            assert f"bigan {name}</code>" in text
            command = root.commands[name]
            for inner in (command, *getattr(command, "commands", {}).values()):
                for parameter in inner.params:
                    flags = [option for option in parameter.opts if option.startswith("--")]
                    assert all(flag in text for flag in flags)


def test_the_python_page_has_every_public_name(site):
    import bigan_cli

    text = (site / "api.html").read_text(encoding="utf-8")
    for name in bigan_cli.__all__:
        if name != "__version__":
            assert f'id="bigan_cli.{name}"' in text, name
    assert ":class:" not in text


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_pages_fit_the_screen_and_are_accessible(browser, site, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    messages, requests = [], []
    page = context.new_page()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    for name in PAGES:
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    # On a page of its own: axe requests style sheets again, and browsers complain about files.
    page = context.new_page()
    # Every second page, generated ones among them, has all that the other scheme and width change.
    for name in PAGES if scheme == "light" else PAGES[::2]:
        page.goto((site / f"{name}.html").as_uri())
        found = axe.Axe().run(page).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert not serious, [(name, each["id"], each["nodes"][0]["html"]) for each in serious]
    context.close()


def test_pages_can_be_searched_from_a_disk(browser, site):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto((site / "index.html").as_uri())
    page.locator("[data-md-component=search-query]").click()
    page.wait_for_selector(".md-search-result__meta:has-text('Type to start')", timeout=60_000)
    page.keyboard.type("cross-fitting")
    page.wait_for_selector(".md-search-result__item", timeout=60_000)
    assert "cross-fitting" in page.inner_text(".md-search-result__list").lower()
    page.close()
