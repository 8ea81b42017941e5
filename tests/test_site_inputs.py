"""The generated pages in Chromium: each kind of input can be given, and the answers are Python's."""

from __future__ import annotations

import json
import re
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from local_server import Site
from playwright.sync_api import Page
from site_models import HOSTILE_LABELS, LONG, MARKUP, make_site
from site_page import DONE, answers, drop, png, raw_result, settle

from neurenix.project.build_record import BuiltModel
from neurenix.site import InputHints, SiteOptions

pytest_plugins = ["browser", "site_fixtures"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]


def test_a_dropped_picture_is_answered_as_python_does(
    visit: Callable[[str], Page], page_folder: Path, tmp_path: Path
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
    answers(
        page, page_folder, "painter", {"picture": (rgba[..., :3] / 255).transpose(2, 0, 1)[None].astype(np.float32)}
    )
    page.locator("summary", has_text="How the picture becomes values").click()
    page.select_option("#input-picture-scaling", "imagenet")
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    scaled = ((rgba[..., :3] / 255 - mean) / spread).transpose(2, 0, 1)[None].astype(np.float32)
    answers(page, page_folder, "painter", {"picture": scaled})
    assert "ImageNet mean and spread" in page.inner_text(".gets")


def test_a_drawing_is_answered_at_once(visit: Callable[[str], Page], page_folder: Path) -> None:
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
    answers(page, page_folder, "digits", {"image": grey})
    page.click("text=Clear")
    answers(page, page_folder, "digits", {"image": np.zeros((1, 1, 16, 16), np.float32)})


def test_a_picture_comes_from_the_clipboard_a_file_or_the_camera(
    visit: Callable[[str], Page], page_folder: Path, tmp_path: Path
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
    answers(page, page_folder, "digits", expected)
    page.click("text=Clear")
    answers(page, page_folder, "digits", {"image": np.zeros((1, 1, 16, 16), np.float32)})
    with page.expect_file_chooser() as chooser:
        page.click("text=Open file")
    chooser.value.set_files(tmp_path / "grey.png")
    answers(page, page_folder, "digits", expected)
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


def test_a_declared_model_has_a_form_of_its_columns(visit: Callable[[str], Page], page_folder: Path) -> None:
    page = visit("flowers")
    place = page.get_by_label(MARKUP)
    assert ["<i>hill</i>", "meadow"] == place.locator("option").all_inner_texts()
    page.get_by_label("petal length").fill("2.1")
    page.get_by_label("petal width (cm)").fill("0.4")
    place.select_option(label="meadow")
    page.click("#run")
    page.wait_for_selector(DONE)
    answers(page, page_folder, "flowers", {"input": np.array([[2.1, 0.4, 1]], np.float32)})
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


def test_a_vector_is_typed_pasted_or_filled(visit: Callable[[str], Page], page_folder: Path, tmp_path: Path) -> None:
    page = visit(LONG)
    values = np.linspace(-1, 1, 100, dtype=np.float32).round(3)
    page.get_by_label("signal", exact=True).fill(json.dumps(values.tolist()))
    page.keyboard.press("Control+Enter")
    answers(page, page_folder, LONG, {"signal": values[None]})
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
    answers(page, page_folder, LONG, {"signal": np.stack([values, -values])})
    page.get_by_label("signal", exact=True).fill("1 2 x")
    page.click("#run")
    page.wait_for_selector("html[data-state=error]")
    assert "“x” is no number" in page.get_by_role("alert").inner_text()
    page.get_by_role("button", name="Zeros: signal").click()
    page.wait_for_selector(DONE)
    answers(page, page_folder, LONG, {"signal": np.zeros((2, 100), np.float32)})


def test_ids_are_as_many_as_are_given_and_their_mask_follows(visit: Callable[[str], Page], page_folder: Path) -> None:
    page = visit("words")
    assert "Ids from 0 to 49" in page.inner_text("#input-input_ids")
    page.get_by_label("input_ids", exact=True).fill("7 3 3 49 0")
    assert "1, 1, 1, 1, 1" == page.input_value("#input-attention_mask-values")
    page.click("#run")
    given = {"input_ids": np.array([[7, 3, 3, 49, 0]]), "attention_mask": np.ones((1, 5), np.float32)}
    answers(page, page_folder, "words", given)
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
    page_models: list[BuiltModel], page_folder: Path, tmp_path: Path, serve: Callable[..., Site], page: Page
) -> None:
    mean, std = (0.1, 0.4, 0.7), (0.5, 0.25, 0.125)
    hints = {
        "painter": InputHints(mean, std),
        "digits": InputHints(mean=(0.25,), invert=False),
        "loudness": InputHints(sample_rate=11025),
    }
    site = serve(make_site(page_models, tmp_path, options=SiteOptions(inputs=hints)).directory)
    page.goto(f"{site.url}/models/painter/index.html")
    page.wait_for_selector(DONE)
    white = np.tile(((1 - np.array(mean)) / std)[None, :, None, None], (1, 1, 32, 24)).astype(np.float32)
    answers(page, page_folder, "painter", {"picture": white})
    assert "as the model was trained" in page.inner_text(".gets")
    page.goto(f"{site.url}/models/digits/index.html")
    page.wait_for_selector(DONE)
    answers(page, page_folder, "digits", {"image": np.full((1, 1, 16, 16), 0.75, np.float32)})
    page.goto(f"{site.url}/models/loudness/index.html")
    page.wait_for_selector(DONE)
    assert "11025" == page.get_by_label("Samples per second").input_value()
    page.click("text=Tone")
    page.get_by_text("1.00 s, 11025 samples").wait_for()
    assert not page.complaints.errors  # type: ignore[attr-defined]


def test_an_input_may_always_be_given_as_values(visit: Callable[[str], Page], page_folder: Path) -> None:
    page = visit("digits")
    page.get_by_label("Give it as").select_option("values")
    page.get_by_role("button", name="Zeros: image").click()
    answers(page, page_folder, "digits", {"image": np.zeros((1, 1, 16, 16), np.float32)})
    assert "256 values" == page.inner_text("#input-image-count")
