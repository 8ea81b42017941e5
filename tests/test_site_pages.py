"""The generated pages in Chromium: each kind of input can be given, answers are Python's, errors say the way out."""

from __future__ import annotations

import json
import re
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accessibility import violations
from local_server import Site, closed, stalled
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from site_models import HOSTILE_LABELS, LONG, MARKUP, export_models, make_site

from neurenix import load_model
from neurenix.project.build_record import BuiltModel
from neurenix.site import InputHints, SiteOptions
from neurenix.site.hosting import HEADERS

pytest_plugins = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]

BRIEF_CSP = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"
MODELS = ("digits", "flowers", "painter", LONG, "words", "loudness")
DONE = "html[data-state=done]"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[BuiltModel]:
    """One model of each kind."""
    return export_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def folder(models: list[BuiltModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of them."""
    return make_site(models, tmp_path_factory.mktemp("pages")).directory


@pytest.fixture
def site(folder: Path, serve: Callable[..., Site]) -> Site:
    return serve(folder, {**HEADERS, "Cache-Control": "no-store"})


@pytest.fixture
def visit(site: Site, page: Page) -> Iterator[Callable[[str], Page]]:
    """Open a model's page and wait for its first answer. In the end nothing was complained about."""

    def open_model(name: str) -> Page:
        page.goto(f"{site.url}/models/{name}/index.html")
        page.wait_for_selector(DONE)
        return page

    yield open_model
    assert not page.complaints.errors  # type: ignore[attr-defined]


def answers(page: Page, folder: Path, model: str, inputs: dict[str, Any]) -> None:
    """Wait until the page's raw result is Python's answer to the same inputs."""
    expected = load_model(folder / "models" / model / f"{model}.json", device="reference").forward(inputs)["output"]
    for attempt in range(20):
        result = raw_result(page)
        assert (model, "wasm") == (result["model"], result["device"])
        output = result["outputs"]["output"]
        found = np.array(output["values"])
        close = list(expected.shape) == output["shape"] and np.allclose(found, expected, rtol=1e-4, atol=1e-5)
        if close or attempt == 19:
            break
        page.wait_for_timeout(100)
    assert list(expected.shape) == output["shape"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def raw_result(page: Page) -> dict[str, Any]:
    with page.expect_download() as download:
        page.click("#download")
    found: dict[str, Any] = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    return found


def drop(page: Page, selector: str, name: str, content: bytes, mime: str) -> None:
    """Drop a file on an element, as a mouse does."""
    transfer = page.evaluate_handle(
        """([name, bytes, type]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(bytes)], name, { type }));
            return transfer;
        }""",
        [name, list(content), mime],
    )
    page.dispatch_event(selector, "drop", {"dataTransfer": transfer})


def png(path: Path, pixels: np.ndarray[Any, Any]) -> bytes:
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def settle(page: Page, before: str) -> None:
    """Wait until the answer is no longer `before`."""
    for _ in range(200):
        if page.inner_text("#answers") != before:
            return
        page.wait_for_timeout(50)
    raise AssertionError("the answer stayed as it was")


def test_a_dropped_picture_is_answered_as_python_does(
    visit: Callable[[str], Page], folder: Path, tmp_path: Path
) -> None:
    page = visit("painter")
    before = page.evaluate("document.querySelector('canvas.answer').toDataURL()")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)
    blocks = np.kron(pixels[::8, ::8], np.ones((16, 16, 1))).astype(np.uint8)  # sharp edges would blur when resized
    drop(page, ".sheet", "noise.png", png(tmp_path / "noise.png", blocks), "image/png")
    for _ in range(100):
        if before != page.evaluate("document.querySelector('canvas.answer').toDataURL()"):
            break
        page.wait_for_timeout(50)
    seen = page.evaluate(
        """() => {
            const canvas = document.querySelector('canvas.seen');
            return Array.from(canvas.getContext('2d').getImageData(0, 0, 24, 32).data);
        }"""
    )
    rgba = np.array(seen, np.float32).reshape(32, 24, 4)
    centres = (slice(4, None, 8), slice(4, None, 8))
    assert np.abs(rgba[centres][..., :3] - pixels[::8, ::8]).max() <= 2
    answers(page, folder, "painter", {"picture": (rgba[..., :3] / 255).transpose(2, 0, 1)[None].astype(np.float32)})
    page.locator("summary", has_text="How the picture becomes values").click()
    page.select_option("#input-picture-scaling", "imagenet")
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    scaled = ((rgba[..., :3] / 255 - mean) / spread).transpose(2, 0, 1)[None].astype(np.float32)
    answers(page, folder, "painter", {"picture": scaled})
    assert "ImageNet mean and spread" in page.inner_text(".gets")


def test_a_drawing_is_answered_at_once(visit: Callable[[str], Page], folder: Path) -> None:
    page = visit("digits")
    before = page.inner_text("#answers")
    page.locator("canvas.paper").scroll_into_view_if_needed()
    paper = page.locator("canvas.paper").bounding_box()
    assert paper
    page.mouse.move(paper["x"] + paper["width"] * 0.3, paper["y"] + paper["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(paper["x"] + paper["width"] * 0.7, paper["y"] + paper["height"] * 0.6, steps=5)
    page.mouse.up()
    settle(page, before)
    seen = page.evaluate(
        """() => {
            const canvas = document.querySelector('canvas.seen');
            return Array.from(canvas.getContext('2d').getImageData(0, 0, 16, 16).data);
        }"""
    )
    grey = np.array(seen, np.float32).reshape(1, 1, 16, 16, 4)[..., 0] / 255
    assert grey[0, 0, 0, 0] == 0 and grey.max() > 0.8  # light ink on dark, as the page says
    assert "light for dark" in page.inner_text(".gets")
    answers(page, folder, "digits", {"image": grey})
    page.click("text=Clear")
    answers(page, folder, "digits", {"image": np.zeros((1, 1, 16, 16), np.float32)})


def test_a_picture_comes_from_the_clipboard_a_file_or_the_camera(
    visit: Callable[[str], Page], folder: Path, tmp_path: Path
) -> None:
    page = visit("digits")
    grey = np.full((40, 40), 64, np.uint8)
    content = png(tmp_path / "grey.png", grey)
    expected = {"image": np.full((1, 1, 16, 16), (255 - 64) / 255, np.float32)}
    before = page.inner_text("#answers")
    page.evaluate(
        """(bytes) => {
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([Uint8Array.from(bytes)], 'x.png', { type: 'image/png' }));
            document.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }));
        }""",
        list(content),
    )
    settle(page, before)
    answers(page, folder, "digits", expected)
    page.click("text=Clear")
    answers(page, folder, "digits", {"image": np.zeros((1, 1, 16, 16), np.float32)})
    with page.expect_file_chooser() as chooser:
        page.click("text=Open file")
    chooser.value.set_files(tmp_path / "grey.png")
    answers(page, folder, "digits", expected)
    page.context.grant_permissions(["camera"])
    before = page.inner_text("#answers")
    page.click("text=Camera")
    page.get_by_role("dialog").get_by_text("Take the picture").click()
    settle(page, before)
    assert page.get_by_role("dialog").count() == 0


def test_what_is_no_picture_is_refused_with_the_way_out(visit: Callable[[str], Page]) -> None:
    page = visit("digits")
    drop(page, ".sheet", "notes.txt", b"hello", "text/plain")
    page.wait_for_selector("html[data-state=error]")
    assert "“notes.txt” is no picture that this browser can read. Take a PNG" in page.get_by_role("alert").inner_text()
    page.click("#run")
    page.wait_for_selector(DONE)
    assert not page.is_visible("#problem")


def test_a_declared_model_has_a_form_of_its_columns(visit: Callable[[str], Page], folder: Path) -> None:
    page = visit("flowers")
    place = page.get_by_label(MARKUP)
    assert ["<i>hill</i>", "meadow"] == place.locator("option").all_inner_texts()
    page.get_by_label("petal length").fill("2.1")
    page.get_by_label("petal width (cm)").fill("0.4")
    place.select_option(label="meadow")
    page.click("#run")
    page.wait_for_selector(DONE)
    answers(page, folder, "flowers", {"input": np.array([[2.1, 0.4, 1]], np.float32)})
    assert HOSTILE_LABELS[0] in page.inner_text("#answers .number")
    assert page.locator("#announcement").inner_text().startswith(HOSTILE_LABELS[0])
    assert not page.is_visible(".outside")
    page.get_by_label("petal length").fill("900")
    assert page.inner_text(".outside small").startswith("Outside of ")
    page.click("text=Reset")
    assert not page.is_visible(".outside")
    page.get_by_label("petal length").fill("")
    page.click("#run")
    page.wait_for_selector("html[data-state=error]")
    assert page.get_by_role("alert").inner_text().startswith("bad_input “petal length” needs a number, such as 4")


def test_a_hostile_name_is_shown_and_never_obeyed(site: Site, page: Page) -> None:
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    for path in ("/index.html", "/models/flowers/index.html"):
        page.goto(site.url + path)
        page.wait_for_timeout(300)
        assert page.locator("img, main i").count() == 0
        assert MARKUP in page.locator("body").inner_text()
    assert not said
    assert not page.complaints.errors  # type: ignore[attr-defined]


def test_a_vector_is_typed_pasted_or_filled(visit: Callable[[str], Page], folder: Path, tmp_path: Path) -> None:
    page = visit(LONG)
    values = np.linspace(-1, 1, 100, dtype=np.float32).round(3)
    page.get_by_label("signal", exact=True).fill(json.dumps(values.tolist()))
    page.keyboard.press("Control+Enter")
    answers(page, folder, LONG, {"signal": values[None]})
    page.fill("#dim-batch", "2")
    page.keyboard.press("Tab")
    assert "100 of 200 values" == page.inner_text("#input-signal-count")
    page.click("#run")
    page.wait_for_selector("html[data-state=error]")
    assert "signal has 100 values; [2, 100] takes 200" in page.get_by_role("alert").inner_text()
    (tmp_path / "two.csv").write_text("\n".join(",".join(map(str, row)) for row in (values, -values)), encoding="utf-8")
    with page.expect_file_chooser() as chooser:
        page.click("text=Open file")
    chooser.value.set_files(tmp_path / "two.csv")
    page.wait_for_selector(DONE)
    answers(page, folder, LONG, {"signal": np.stack([values, -values])})
    page.get_by_label("signal", exact=True).fill("1 2 x")
    page.click("#run")
    page.wait_for_selector("html[data-state=error]")
    assert "“x” is no number" in page.get_by_role("alert").inner_text()
    page.get_by_role("button", name="Zeros: signal").click()
    page.wait_for_selector(DONE)
    answers(page, folder, LONG, {"signal": np.zeros((2, 100), np.float32)})


def test_ids_are_as_many_as_are_given_and_their_mask_follows(visit: Callable[[str], Page], folder: Path) -> None:
    page = visit("words")
    assert "Ids from 0 to 49" in page.inner_text("#input-input_ids")
    page.get_by_label("input_ids", exact=True).fill("7 3 3 49 0")
    assert "1, 1, 1, 1, 1" == page.input_value("#input-attention_mask-values")
    page.click("#run")
    given = {"input_ids": np.array([[7, 3, 3, 49, 0]]), "attention_mask": np.ones((1, 5), np.float32)}
    answers(page, folder, "words", given)
    page.get_by_label("input_ids", exact=True).fill("1.5")
    page.click("#run")
    page.wait_for_selector("html[data-state=error]")
    assert "“1.5” is no whole number" in page.get_by_role("alert").inner_text()


def test_a_sound_is_decoded_resampled_and_cut(visit: Callable[[str], Page], tmp_path: Path) -> None:
    page = visit("loudness")
    assert "Silence" in page.inner_text(".sound")
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        one = (8000 * np.sin(2 * np.pi * 440 * np.arange(44100 * 3) / 44100)).astype("<i2")
        file.writeframes(np.stack([one, one], 1).tobytes())
    with page.expect_file_chooser() as chooser:
        page.click("text=Open file")
    before = page.inner_text("#answers")
    chooser.value.set_files(tmp_path / "tone.wav")
    settle(page, before)
    assert "3.00 s, 48000 samples: the model gets the first 32000" in page.inner_text(".sound")
    loudness = raw_result(page)["outputs"]["output"]["values"][0][0]
    assert abs(loudness - 8000 / 32768 / np.sqrt(2)) < 0.002
    page.select_option("#input-sound-rate", "8000")
    page.get_by_text("24000 samples: the model gets them all").wait_for()


def test_the_microphone_is_recorded(visit: Callable[[str], Page]) -> None:
    page = visit("loudness")
    page.context.grant_permissions(["microphone"])
    page.click("text=Record")
    page.get_by_text("Stop").wait_for()
    page.wait_for_timeout(1200)
    before = page.inner_text("#answers")
    page.click("text=Stop")
    settle(page, before)
    assert re.search(r"[\d.]+ s, \d+ samples", page.inner_text(".sound"))


def test_a_page_makes_its_inputs_as_the_model_was_trained(
    models: list[BuiltModel], folder: Path, tmp_path: Path, serve: Callable[..., Site], page: Page
) -> None:
    mean, std = (0.1, 0.4, 0.7), (0.5, 0.25, 0.125)
    hints = {
        "painter": InputHints(mean, std),
        "digits": InputHints(mean=(0.25,), invert=False),
        "loudness": InputHints(sample_rate=11025),
    }
    site = serve(make_site(models, tmp_path, options=SiteOptions(inputs=hints)).directory)
    page.goto(f"{site.url}/models/painter/index.html")
    page.wait_for_selector(DONE)
    white = np.tile(((1 - np.array(mean)) / std)[None, :, None, None], (1, 1, 32, 24)).astype(np.float32)
    answers(page, folder, "painter", {"picture": white})
    assert "as the model was trained" in page.inner_text(".gets")
    page.goto(f"{site.url}/models/digits/index.html")
    page.wait_for_selector(DONE)
    answers(page, folder, "digits", {"image": np.full((1, 1, 16, 16), 0.75, np.float32)})
    page.goto(f"{site.url}/models/loudness/index.html")
    page.wait_for_selector(DONE)
    assert "11025" == page.get_by_label("Samples per second").input_value()
    page.click("text=Tone")
    page.get_by_text("1.00 s, 11025 samples").wait_for()
    assert not page.complaints.errors  # type: ignore[attr-defined]


def test_an_input_may_always_be_given_as_values(visit: Callable[[str], Page], folder: Path) -> None:
    page = visit("digits")
    page.get_by_label("Give it as").select_option("values")
    page.get_by_role("button", name="Zeros: image").click()
    answers(page, folder, "digits", {"image": np.zeros((1, 1, 16, 16), np.float32)})
    assert "256 values" == page.inner_text("#input-image-count")


def test_the_page_says_where_it_runs_how_long_it_took_and_that_it_is_right(visit: Callable[[str], Page]) -> None:
    page = visit("flowers")
    assert re.fullmatch(r"wasm · scalar · 1 thread · [\d.]+ ms", page.inner_text("#facts"))
    page.click("#self-test")
    page.wait_for_selector("#verdict[data-passed=true]")
    assert re.search(
        r"Passed on this device: \d cases?, largest error .+, allowed 0.0001\.", page.inner_text("#verdict")
    )


def test_a_model_that_cannot_be_loaded_is_an_error_with_a_way_out(site: Site, page: Page) -> None:
    site.fail("digits.bin", lambda handler, body: handler.answer(body[:-1] + b"?"))
    page.goto(f"{site.url}/models/digits/index.html")
    page.wait_for_selector("html[data-state=error]")
    alert = page.get_by_role("alert").inner_text()
    assert alert.startswith("bad_integrity") and "Upload the whole folder again" in alert
    del site.faults["digits.bin"]
    page.click("text=Try again")
    page.wait_for_selector(DONE)


@pytest.mark.parametrize("name", MODELS)
def test_every_control_has_a_label_and_the_keyboard_reaches_it(visit: Callable[[str], Page], name: str) -> None:
    page = visit(name)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, a, summary, canvas, dialog, progress')]
            .filter((element) => !(element.labels?.length || element.ariaLabel || element.textContent.trim()))
            .map((element) => element.outerHTML)"""
    )
    assert [] == unnamed
    wanted = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, a, summary')]
            .filter((element) => element.checkVisibility() && element.type !== 'file').length"""
    )
    reached = []
    for _ in range(wanted + 3):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                """() => {
                    const all = [...document.querySelectorAll('button, input, select, textarea, a, summary')];
                    const now = document.activeElement;
                    const { outlineStyle, outlineWidth } = getComputedStyle(now);
                    return [all.indexOf(now), outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2];
                }"""
            )
        )
    controls = [index for index, _ in reached if index >= 0]
    assert wanted == len(set(controls))
    assert sorted(set(controls)) == list(dict.fromkeys(controls))  # in the order of the page
    assert all(outlined for index, outlined in reached if index >= 0)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(({ id }) => id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["", *MODELS])
def test_a_page_fits_a_phone_in_both_schemes(folder: Path, site: Site, chromium: Browser, name: str) -> None:
    for scheme in ("light", "dark"):
        context = chromium.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{site.url}/models/{name}/index.html" if name else f"{site.url}/index.html")
        page.wait_for_selector(DONE if name else "h1")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        small = page.evaluate(
            """() => [...document.querySelectorAll('button, select, .button, textarea')]
                .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 40)
                .map((element) => element.outerHTML)"""
        )
        assert [] == small
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        assert [] == violations(page)
        context.close()


def test_what_is_wrong_or_no_answer_is_shown_as_well_on_a_phone(site: Site, chromium: Browser) -> None:
    for scheme in ("light", "dark"):
        context = chromium.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{site.url}/models/flowers/index.html")
        page.wait_for_selector(DONE)
        page.get_by_label("petal width (cm)").fill("")
        page.click("#run")
        page.wait_for_selector("html[data-state=error]")
        expect(page.locator("#problem")).to_be_in_viewport()
        expect(page.get_by_label("petal width (cm)")).to_be_focused()
        assert page.get_by_text("This answer is to what was given before.").is_visible()
        assert [] == violations(page)
        page.get_by_label("petal width (cm)").fill("1")
        page.click("#run")
        page.wait_for_selector(DONE)
        expect(page.locator("#answers .number")).to_be_in_viewport()
        context.close()


def test_a_name_from_right_to_left_turns_nothing_around_it(visit: Callable[[str], Page]) -> None:
    page = visit("flowers")
    share = page.evaluate(
        """() => {
            const [label, share] = document.querySelectorAll('#answers .number > *');
            label.textContent = 'مريض';
            const range = document.createRange();
            range.selectNodeContents(share);
            const pieces = [...range.getClientRects()];
            return { pieces: pieces.length, after: pieces[0].left - label.getBoundingClientRect().right };
        }"""
    )
    assert 1 == share["pieces"]
    assert share["after"] >= 0


@pytest.mark.parametrize("lost", ["neurenix-site/demo.js", "demo/answers.js", "digits/digits.js"])
def test_a_script_that_does_not_arrive_is_an_error_with_a_way_out(site: Site, page: Page, lost: str) -> None:
    site.fail(lost, closed)
    page.goto(f"{site.url}/models/digits/index.html")
    page.wait_for_selector("html[data-state=error]")
    assert re.match(
        r"fetch_failed (A script of this page|digits\.js) could not be loaded\.", page.inner_text("#problem")
    )
    assert not page.is_visible("#loading")
    assert [] == violations(page)
    site.faults.clear()
    page.click("text=Try again")
    page.wait_for_selector(DONE)


def test_a_model_that_takes_long_to_load_says_how_far_it_is(site: Site, page: Page) -> None:
    site.fail("digits.bin", stalled)
    page.goto(f"{site.url}/models/digits/index.html")
    page.get_by_text(re.compile(r"Loading the model: 0\.\d of 0\.\d MB")).wait_for()
    assert [] == violations(page)


def test_the_pages_keep_a_strict_policy_of_another_wording(
    folder: Path, serve: Callable[..., Site], page: Page
) -> None:
    site = serve(folder, {"Content-Security-Policy": BRIEF_CSP, "Cache-Control": "no-store"})
    for path in ("/index.html", "/models/digits/index.html", "/models/flowers/index.html"):
        page.goto(site.url + path)
        page.wait_for_selector(DONE if "models" in path else "h1")
    assert not page.complaints.errors  # type: ignore[attr-defined]


def test_the_site_works_below_any_path(folder: Path, serve: Callable[..., Site], page: Page) -> None:
    inside = serve(folder.parent, {**HEADERS, "Cache-Control": "no-store"})
    page.goto(f"{inside.url}/site/")
    page.get_by_role("link", name="Try it (flowers)").click()
    page.wait_for_selector(DONE)
    page.get_by_role("link", name="All models").click()
    page.wait_for_url("**/site/index.html")
    assert all(request.startswith("/site") or request == "/favicon.ico" for request in inside.requests)
    assert not page.complaints.errors  # type: ignore[attr-defined]


def test_a_page_opened_as_a_file_says_what_to_do(folder: Path, page: Page) -> None:
    page.goto((folder / "models" / "digits" / "index.html").as_uri())
    page.wait_for_selector("html[data-place=file]")
    assert "neurenix serve FOLDER" in page.inner_text("#as-file")
    page.goto((folder / "index.html").as_uri())
    assert page.get_by_role("link", name="Try it (digits)").is_visible()
