"""The studio and the report in a real Chromium: what a person does there, by mouse and by keyboard, wide and narrow."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from conftest import loaded_model, random_vector, save_tiny, tiny_model
from steerlab.embedded import MODEL_NAME
from steerlab.formats.safetensors_file import save_vector
from steerlab.report import write_report
from test_report import made, rows
from test_studio import write_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    WHY = "no Chromium is here: apt-get install chromium"
    if os.environ.get("STEERLAB_CI"):
        pytest.fail(WHY, pytrace=False)
    pytest.skip(WHY, allow_module_level=True)

WRITTEN = re.compile("^Written")
SECONDS = 30_000  # milliseconds to wait at most for anything
expect.set_options(timeout=SECONDS)
LONG = "900"  # tokens: seconds of writing


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@dataclass(frozen=True, kw_only=True)
class Started:
    """A studio that runs as a command: its process and its address."""

    process: subprocess.Popen[str]
    address: str


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("studio")
    save_vector(random_vector(loaded_model(MODEL_NAME), 2, 3, 4), folder / "own.safetensors")
    save_vector(random_vector(tiny_model("llama"), 1), folder / "foreign.safetensors")
    save_tiny("llama", folder / "tiny")
    write_run(folder / "runs" / "first")
    command = [sys.executable, "-c", "from steerlab.cli import main; main()", "studio", "--no-browser", "--port", "0"]
    for option, value in (
        ("--model", MODEL_NAME),
        ("--model", folder / "tiny"),
        ("--vector", folder / "own.safetensors"),
        ("--vector", folder / "foreign.safetensors"),
        ("--runs", folder / "runs"),
    ):
        command += [option, str(value)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("studio: http://127.0.0.1:"), said + process.communicate(timeout=60)[1]
        yield Started(process=process, address=said.split()[1])
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.strip()) == (0, "studio: ended.")


@contextmanager
def opened(browser: Browser, address: str, *, width: int = 1280, scheme: str = "light") -> Iterator[BrowserContext]:
    """A browser context in which an outside request or an error on the console fails the test."""
    outside: list[str] = []
    errors: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    context.set_default_timeout(SECONDS)

    def pass_or_block(route: Route) -> None:
        if route.request.url.startswith((address, "data:")):
            route.continue_()
        else:
            outside.append(route.request.url)
            route.abort()

    context.route("**/*", pass_or_block)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    # a refusal that the page shows is on the console of Chromium, too
    context.on(
        "console",
        lambda said: errors.append(said.text) if said.type == "error" and "Failed to load" not in said.text else None,
    )
    try:
        yield context
    finally:
        context.close()
    assert outside == []
    assert errors == []


def ready(context: BrowserContext, studio: Started) -> Page:
    """A tab with the studio, its model loaded."""
    page = context.new_page()
    page.goto(studio.address)
    expect(page.locator("#facts")).to_contain_text("6 layers")
    return page


@pytest.fixture
def page(browser: Browser, studio: Started) -> Iterator[Page]:
    with opened(browser, studio.address) as context:
        yield ready(context, studio)


def write(page: Page, *, tokens: str = "16") -> None:
    """Write both ways and wait for the end."""
    page.fill("#tokens", tokens)
    page.click("#write")
    expect(page.locator("#status")).to_have_text(WRITTEN)


def set_coefficient(page: Page, value: str) -> None:
    page.fill("#coefficient", value)
    page.press("#coefficient", "Tab")


def test_both_sides_stream_and_what_differs_is_marked(page: Page) -> None:
    set_coefficient(page, "2")
    page.fill("#tokens", "120")
    page.click("#write")
    for side in ("#unsteered", "#steered"):
        expect(page.locator(f"{side} > *").nth(3)).to_be_attached()
    expect(page.locator("#cancel")).to_be_enabled()
    expect(page.locator("#status")).to_have_text("Written: they differ where marked.")
    expect(page.locator("#steered mark").first).to_be_attached()
    expect(page.locator("#steered-end")).to_contain_text("tokens")
    expect(page.locator("#cancel")).to_be_disabled()


def test_at_coefficient_zero_nothing_is_marked(page: Page) -> None:
    set_coefficient(page, "0")
    write(page)
    expect(page.locator("#status")).to_have_text("Written: both are the same.")
    expect(page.locator("mark")).to_have_count(0)


def test_moving_the_slider_by_key_writes_again(page: Page) -> None:
    set_coefficient(page, "0")
    write(page)
    page.focus("#slider")
    page.keyboard.press("End")
    expect(page.locator("#coefficient")).to_have_value("2")
    expect(page.locator("#status")).to_have_text("Written: they differ where marked.")


def test_next_tokens_at_the_cursor_and_over_a_completion(page: Page) -> None:
    page.fill("#prompt", "import os\ndef f(")
    page.focus("#prompt")
    page.keyboard.press("Control+Home")
    page.click("#next")
    expect(page.locator("#error")).to_contain_text("before the first character")
    page.focus("#prompt")
    page.keyboard.press("Control+End")
    page.click("#next")
    expect(page.locator("#next-table tbody tr")).to_have_count(10)
    expect(page.locator("#error")).to_be_hidden()
    expect(page.locator("#next-note")).to_contain_text("KL of steered from unsteered")
    write(page)
    page.focus("#unsteered")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#next-where")).to_contain_text("in place of unsteered token 2")
    expect(page.locator("#unsteered .here")).to_have_count(1)
    page.locator("#steered > *").nth(4).click()
    expect(page.locator("#next-where")).to_contain_text("in place of steered token 5")


def test_the_dose_strip_comes_in_one_go(page: Page) -> None:
    page.click("#strip")
    expect(page.locator("#chart circle")).to_have_count(21)
    expect(page.locator("#strip-note")).to_contain_text("way of the wave")
    box = page.locator("#chart svg").bounding_box()
    assert box is not None
    assert box["width"] > 200
    page.locator("#strip-numbers summary").click()
    expect(page.locator("#strip-numbers tbody tr")).to_have_count(21)


def test_a_vector_is_built_from_pairs_typed_on_the_page(page: Page) -> None:
    page.locator("#builder summary").click()
    page.select_option("#source", "")
    for number in range(3):
        page.fill("#negative", f"os.system(x{number})")
        page.fill("#positive", f"subprocess.run([x{number}], check=True)")
        page.click("#add")
    page.fill("#name", "typed here")
    page.fill("#build-layers", "1,3")
    page.click("#build")
    expect(page.locator("#status")).to_have_text("Built: typed here, layers 1, 3.")
    expect(page.locator("#recipe")).to_contain_text("3 pairs")
    write(page)
    with page.expect_download() as saved:
        page.click("#save")
    assert saved.value.suggested_filename.endswith(".safetensors")
    page.fill("#lines", "{")
    page.click("#build")
    expect(page.locator("#error")).to_contain_text("the pairs on the page line 1: not JSON")


def test_a_question_about_a_program_fills_prompt_and_answers(page: Page) -> None:
    page.locator("#asker summary").click()
    expect(page.locator("#program option").nth(3)).to_be_attached()
    page.click("#ask")
    expect(page.locator("#prompt")).to_have_value(re.compile(r"[\s\S]{100,}"))
    page.click("#strip")
    expect(page.locator("#chart circle")).to_have_count(21)


def test_a_wrong_vector_is_one_line_and_the_next_try_works(page: Page) -> None:
    page.select_option("#vector", label="foreign (for tiny-llama)")
    page.click("#write")
    expect(page.locator("#error")).to_have_text(
        "the vector has d_model 32, embedded has 256: build one for this model."
    )
    page.select_option("#vector", label="own")
    write(page)
    expect(page.locator("#error")).to_be_hidden()


def test_settings_that_cannot_be_are_one_line(page: Page) -> None:
    for box in page.locator("#layers input:checked").all():
        box.uncheck()
    page.click("#write")
    expect(page.locator("#error")).to_contain_text("no layer is chosen")
    page.locator("#layers input").first.check()
    page.fill("#prompt", "")
    page.click("#write")
    expect(page.locator("#error")).to_contain_text("no token")


def test_another_model_is_loaded_and_its_facts_shown(page: Page) -> None:
    page.select_option("#model", index=1)
    expect(page.locator("#facts")).to_contain_text("4 layers")
    page.select_option("#vector", label="foreign")
    write(page)
    page.select_option("#model", index=0)
    expect(page.locator("#facts")).to_contain_text("6 layers")


def test_escape_cancels_and_the_model_is_free_again(page: Page) -> None:
    page.fill("#tokens", LONG)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#steered > *").nth(5)).to_be_attached()
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_have_text("Cancelled.")
    expect(page.locator("#error")).to_be_hidden()
    n = page.locator("#steered > *").count()
    assert 5 < n < int(LONG)
    write(page, tokens="3")
    expect(page.locator("#unsteered > *")).not_to_have_count(n)


def test_of_two_tabs_one_waits_for_the_other_and_each_keeps_its_own(browser: Browser, studio: Started) -> None:
    with opened(browser, studio.address) as context:
        first, second = ready(context, studio), ready(context, studio)
        set_coefficient(first, "0")
        first.fill("#prompt", "x = [0, 0, 0,")  # it goes on with it for as long as it is let
        first.fill("#tokens", LONG)
        first.click("#write")
        expect(first.locator("#steered > *").nth(5)).to_be_attached()
        second.fill("#prompt", "def second(")
        second.fill("#tokens", "8")
        second.click("#write")
        expect(second.locator("#status")).to_contain_text("Waiting: the model is busy: it is writing a completion")
        expect(second.locator("#error")).to_be_hidden()
        first.click("#cancel")
        expect(second.locator("#status")).to_have_text(WRITTEN)
        expect(first.locator("#status")).to_have_text("Cancelled.")
        assert first.locator("#coefficient").input_value() == "0"
        assert second.locator("#coefficient").input_value() != "0"
        assert first.locator("#unsteered").text_content() != second.locator("#unsteered").text_content()


def test_who_waits_can_stop_waiting_and_a_closed_tab_frees_the_model(browser: Browser, studio: Started) -> None:
    with opened(browser, studio.address) as context:
        first, second = ready(context, studio), ready(context, studio)
        first.fill("#tokens", LONG)
        first.click("#write")
        expect(first.locator("#steered > *").nth(5)).to_be_attached()
        second.click("#write")
        expect(second.locator("#status")).to_contain_text("Waiting")
        second.keyboard.press("Escape")
        expect(second.locator("#status")).to_have_text("Cancelled.")
        first.close()
        write(second)


def test_a_cell_of_a_run_shows_its_completions_as_text(page: Page) -> None:
    page.click("nav a[href='#runs']")
    expect(page.locator("#verdict")).to_have_text("no gain.")
    expect(page.locator("#heat button")).to_have_count(3)
    page.locator("#heat button").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#cell article")).to_have_count(3)
    expect(page.locator("#cell pre").nth(1)).to_have_text("grid 1+3 <b>no</b>")
    expect(page.locator("#cell pre b")).to_have_count(0)
    expect(page.locator("#heat button[aria-pressed=true]")).to_have_attribute("aria-label", re.compile(r"layers 1\+3"))


def test_the_page_is_worked_by_keyboard_alone(page: Page) -> None:
    reached = []
    while "strip" not in reached:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", reached[-1]
    wanted = ["skip", "model", "vector", "operation", "positions", "slider", "coefficient", "prompt", "write", "strip"]
    assert [name for name in reached if name in wanted] == wanted


def test_a_studio_that_is_gone_is_said_in_one_line(page: Page) -> None:
    page.context.set_offline(True)
    page.click("#write")
    expect(page.locator("#error")).to_have_text("the studio does not answer: is it still running?")


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


CONTRASTS = """() => [
  ...document.querySelectorAll("label, .soft, h3, mark, button.main, td, nav a, #heat button"),
].map(element => {
  let behind = element;
  while (behind && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
  return [element.id || element.tagName, getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
})"""


def check_contrasts(page: Page) -> None:
    """Every text has at least the contrast that WCAG 2.2 asks for (AA: 4.5)."""
    for name, ink, paper in page.evaluate(CONTRASTS):
        light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ink, paper)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_it_is_readable_wide_and_narrow_light_and_dark(
    browser: Browser, studio: Started, width: int, scheme: str
) -> None:
    with opened(browser, studio.address, width=width, scheme=scheme) as context:
        page = ready(context, studio)
        write(page)
        page.click("#next")
        expect(page.locator("#next-table tbody tr")).to_have_count(10)
        page.click("#strip")
        expect(page.locator("#chart circle")).to_have_count(21)
        page.locator("#builder summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#next-table").evaluate("table => table.scrollWidth <= table.parentElement.clientWidth")
        check_contrasts(page)
        page.click("nav a[href='#runs']")
        page.locator("#heat button").first.click()
        expect(page.locator("#cell article")).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        check_contrasts(page)
        page_colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (luminance(page_colour) > 0.5) == (scheme == "light")


@pytest.mark.parametrize("width", [360, 1440])
def test_the_report_opens_from_disk_with_its_figures_and_asks_nobody(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    path = write_report(made(), rows(), tmp_path)
    with opened(browser, "file://", width=width) as context:
        page = context.new_page()
        page.goto(path.as_uri())
        expect(page.locator(".verdict")).to_contain_text("Steered 0.72")
        figures = page.locator("figure svg").all()
        assert len(figures) >= 4
        for figure in figures:
            box = figure.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) > 50
        page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("thead button:visible").first.click()
        expect(page.locator("th[aria-sort]").first).to_be_attached()
        printed = page.pdf()
        assert printed.startswith(b"%PDF")
        assert len(printed) > 20_000
