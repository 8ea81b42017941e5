"""Claims about what a training says: its history as JSON and as a plot, its lines in a log, its bar in a terminal."""

from __future__ import annotations

import io
import json
import math
import re
import sys
import time
from pathlib import Path

import pytest
from training_cases import blobs, classifier, train

from neurenix.errors import InputError, MissingExtraError
from neurenix.training import (
    Callback,
    Run,
)


def test_a_history_is_json(tmp_path: Path) -> None:
    history = train(classifier(), metrics="accuracy")
    history.add({**history.rows[-1], "loss": math.inf})
    text = history.to_json(tmp_path / "h.json")
    assert text == (tmp_path / "h.json").read_text(encoding="utf-8")
    rows = json.loads(text)
    assert [*history["loss"][:3], None] == [row["loss"] for row in rows]


def test_a_history_draws_each_measure_and_its_validation(tmp_path: Path) -> None:
    history = train(classifier(), metrics="accuracy", validation=blobs(30))
    figure = history.plot(tmp_path / "h.png")
    assert b"\x89PNG" == (tmp_path / "h.png").read_bytes()[:4]
    assert ["loss", "accuracy", "lr"] == [axes.get_ylabel() for axes in figure.axes]
    first, second = figure.axes[0].lines
    assert (history["loss"], history["validation_loss"]) == (list(first.get_ydata()), list(second.get_ydata()))


def test_an_empty_history_says_so() -> None:
    history = train(classifier(), epochs=0)
    assert 0 == len(history)
    with pytest.raises(InputError, match="no epochs yet"):
        history.plot()
    with pytest.raises(InputError, match="has no 'loss'; it has no epochs yet"):
        history["loss"]


def test_a_log_gets_one_plain_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    history = train(classifier(), progress="auto", metrics="accuracy", epochs=10)
    captured = capsys.readouterr()
    assert "" == captured.out
    lines = captured.err.splitlines()
    assert 10 == len(lines)
    assert lines[1].startswith(f"epoch  2/10  loss {history['loss'][1]:#.4g}  accuracy {history['accuracy'][1]:.2%}  ")
    assert "\x1b" not in captured.err


class Slow(Callback):
    """Gives the bar, which is drawn ten times a second, time to be seen."""

    def on_batch_end(self, run: Run) -> None:
        time.sleep(0.11)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    train(classifier(), progress="auto", epochs=2, callbacks=[Slow()])
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "epoch 2/2  loss" in shown
    assert re.search("\x1b\\[[0-9]*m[123]/4", shown)


def test_a_terminal_without_rich_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    for name in ("rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    train(classifier(), progress="auto", epochs=1)
    assert sys.stderr.getvalue().startswith("epoch 1/1  loss")  # type: ignore[attr-defined]
    with pytest.raises(MissingExtraError, match=r"hatch-neurenix\[progress\]"):
        train(classifier(), progress="bar")
    with pytest.raises(InputError, match="got 'fancy'"):
        train(classifier(), progress="fancy")
