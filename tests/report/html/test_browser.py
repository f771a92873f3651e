"""Reports in a real headless Chromium: they work by mouse and keyboard, and load nothing."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pytest

from bigan_cli.cli.main import main

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install .[browser]")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)>.png"


@pytest.fixture(scope="module")
def tested(trained, tmp_path_factory):
    """Return the report of a run with labels."""
    run = shutil.copytree(trained, tmp_path_factory.mktemp("tested") / "run")
    assert main(["report", "--run", str(run), "--device", "cpu"]) == 0
    return run / "report.html"


@pytest.fixture(scope="module")
def scored(trained, pictures, tmp_path_factory):
    """Return the report of scored images, one of them with a hostile name."""
    folder = tmp_path_factory.mktemp("scored")
    shutil.copy(next(pictures.glob("*.png")), folder / HOSTILE)
    words = ("--run", str(trained), "--device", "cpu", "--report", str(folder / "report.html"))
    assert main(["score", str(pictures), str(folder), *words]) == 0
    return folder / "report.html"


@pytest.fixture(scope="module")
def compared(trained, tested, tmp_path_factory):
    """Return the comparison of that run with one of its untrained networks."""
    folder = tmp_path_factory.mktemp("compared")
    other = shutil.copytree(trained, folder / "untrained")
    shutil.copy(other / "models" / "epoch-0000.safetensors", other / "models" / "best.safetensors")
    assert main(["evaluate", "--run", str(other), "--device", "cpu"]) == 0
    page = folder / "compared.html"
    assert main(["compare", str(other), str(tested.parent), "--output", str(page)]) == 0
    return page


@contextmanager
def opened(browser, file, *, width=1440, scheme="light"):
    """Open a report; at the end there must have been no message and no request but its own."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    messages, requests = [], []
    page = context.new_page()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    try:
        yield page
        assert messages == []
        outside = [url for url in requests if not url.startswith("data:")]
        assert outside == [file.as_uri()]
    finally:
        context.close()


def number(page, name):
    return int(page.inner_text(f"#{name}").replace(",", ""))


def cards(page):
    return page.eval_on_selector_all(".card", "all => all.map(card => Number(card.dataset.index))")


@pytest.mark.parametrize("width", [1440, 390])
def test_the_handle_recounts_by_keyboard_and_by_mouse(browser, tested, width):
    with opened(browser, tested, width=width) as page:
        stops = page.evaluate("JSON.parse(document.getElementById('data').textContent).stops")
        start = page.evaluate("JSON.parse(document.getElementById('data').textContent).start")

        def shows(stop):
            assert number(page, "flagged") == stop["flagged"]
            assert number(page, "false") == stop["false"]
            assert number(page, "true") == stop["true"]
            assert page.inner_text("#command").endswith(f"--fpr {stop['option']}")
            handle = page.get_attribute("#handle", "aria-valuetext")
            assert f"{stop['flagged']:,} flagged" in handle

        shows(stops[start])
        page.focus("#handle")
        page.keyboard.press("ArrowRight")
        shows(stops[start + 1])
        for _ in range(2):
            page.keyboard.press("ArrowLeft")
        shows(stops[start - 1])
        page.keyboard.press("End")
        shows(stops[-1])
        assert "the smallest that" in page.inner_text("#strictest")
        page.keyboard.press("Home")
        shows(stops[0])
        page.click("#reset")
        shows(stops[start])
        page.locator("#scores").scroll_into_view_if_needed()
        box = page.locator("#scores").bounding_box()
        cut = page.locator("#cut").bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(cut["x"] + 1, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * stops[-1]["x"] / 100, middle, steps=5)
        page.mouse.up()
        shows(stops[-1])
        slider = page.locator("#handle").bounding_box()
        page.mouse.click(slider["x"] + 3, slider["y"] + slider["height"] / 2)
        assert number(page, "flagged") > stops[-1]["flagged"]


def test_the_gallery_shows_extremes_mistakes_and_classes(browser, tested):
    with opened(browser, tested) as page:
        data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
        rank = data["stops"][data["start"]]["rank"]
        flagged = [each <= rank for each in data["ranks"]]
        order = sorted(range(data["total"]), key=lambda i: -data["scores"][i])
        assert cards(page) == order[:12]
        page.click("#next")
        assert len(cards(page)) == 12
        assert not set(cards(page)) & set(order[:12])
        page.click("label:has-text('Least anomalous')")
        assert cards(page) == order[::-1][:12]
        page.click("label:has-text('False alarms')")
        wrong = [i for i in order if not data["outlier"][i] and flagged[i]]
        assert cards(page) == wrong[:12]
        page.click("label:has-text('Missed')")
        missed = [i for i in order[::-1] if data["outlier"][i] and not flagged[i]]
        assert cards(page) == missed[:12]
        page.click("label:has-text('Most anomalous')")
        page.select_option("#class", label="3")
        label = data["classes"].index("3")
        assert cards(page)
        assert all(data["labels"][i] == label for i in cards(page))


def test_an_image_can_be_enlarged_and_left_by_keyboard(browser, tested):
    with opened(browser, tested) as page:
        page.locator(".card .enlarge").first.focus()
        page.keyboard.press("Enter")
        assert page.is_visible("#viewer .components")
        first = page.inner_text("#viewer .file")
        page.keyboard.press("ArrowRight")
        assert page.inner_text("#viewer .file") != first
        page.keyboard.press("Escape")
        assert not page.is_visible("#viewer")


def test_all_images_are_in_the_table(browser, scored):
    with opened(browser, scored) as page:
        page.click("summary")
        page.wait_for_selector("#table tbody tr")  # filled after the event of opening
        assert page.locator("#table tbody tr").count() == 50
        page.fill("#search", "onerror")
        assert page.locator("#table tbody tr").count() == 1
        assert HOSTILE in page.inner_text("#table tbody tr")
        assert page.locator("img[src='x']").count() == 0


def test_pointing_at_the_latent_space_shows_the_image(browser, tested):
    with opened(browser, tested) as page:
        page.locator("#scatter").scroll_into_view_if_needed()
        assert not page.is_visible("#hover")
        page.locator("#scatter circle").first.hover(force=True)
        assert page.is_visible("#hover")
        assert "score" in page.inner_text("#hover")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light")])
@pytest.mark.parametrize("which", ["tested", "scored", "compared"])
def test_it_fits_the_screen_and_is_accessible(browser, request, which, width, scheme):
    file = request.getfixturevalue(which)
    with opened(browser, file, width=width, scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if which != "compared":
            page.click("summary")
        found = axe.Axe().run(page).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert not serious, [(each["id"], each["nodes"][0]["html"][:200]) for each in serious]


def test_a_comparison_is_printed_in_light_colours(browser, compared):
    with opened(browser, compared, scheme="dark") as page:
        page.emulate_media(media="print")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == "rgb(255, 255, 255)"
        assert not page.is_visible("nav")
        assert page.is_visible("circle")


def test_it_prints_without_controls(browser, tested):
    with opened(browser, tested, scheme="dark") as page:
        page.emulate_media(media="print")
        assert not page.is_visible("#handle")
        assert not page.is_visible("nav")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == "rgb(255, 255, 255)"
        assert page.is_visible("h1")
        assert page.pdf()[:4] == b"%PDF"
