"""Trains a digit reader, exports it to WebAssembly, runs it in a real browser and compares the answers with Python's.

    python webassembly_integration.py                        # everything, in a temporary folder
    python webassembly_integration.py webassembly_model      # … and keep the export there
    python webassembly_integration.py --serve                # … and leave the page open to try

Exits with 0 when the browser and Python agree to 1e-5, with 1 when they do not or the model is bad, and with 2
when there is no browser to ask (`pip install playwright` and `playwright install chromium` bring one).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import neurenix
from neurenix.nn import CrossEntropyLoss, Linear, ReLU, Sequential, Softmax
from neurenix.optim import Adam
from neurenix.server import serve
from neurenix.wasm import export_to_wasm

DATA = Path(__file__).parent / "data" / "digits.npz"
NAME = "digit_reader"
HELD_OUT = 500
LIMIT = 1e-5

Floats = NDArray[np.float32]

# What the browser is asked to do: load the export as any page would, and answer for each row of numbers.
IN_THE_PAGE = """
async ({ name, rows }) => {
  const { loadModel } = await import(`./${name}.js`);
  const model = await loadModel();
  const { output } = await model.forward({ input: new Float32Array(rows.flat()) });
  const proof = await model.selfTest();
  return { answers: output.toArray(), variant: model.variant, proved: proof.passed };
}
"""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    arguments.add_argument("folder", nargs="?", type=Path, help="where the export goes; a temporary folder if left out")
    arguments.add_argument("--serve", action="store_true", help="keep serving the page afterwards, until Ctrl-C")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="neurenix-") as temporary:
        folder = chosen.folder or Path(temporary)

        images, labels = load_digits()
        model, accuracy = train(images, labels)
        print(f"trained   {len(images) - HELD_OUT} digits, {accuracy:.1%} of {HELD_OUT} others read right")

        digits = tuple("0123456789")
        export_to_wasm(Sequential(model, Softmax()), folder, NAME, labels=digits, demo=True)
        size = sum(f.stat().st_size for f in folder.glob(f"{NAME}.*")) / 1024
        print(f"exported  {NAME} to {folder}, {size:.0f} KiB with its parameters")

        asked = images[-HELD_OUT:][:32]
        expected = neurenix.load_model(folder / f"{NAME}.json").forward({"input": asked})["output"]
        with serve(folder) as server:
            print(f"serving   {server.url}")
            answer = ask_browser(server.url, asked)
            status = 2 if answer is None else report(answer, expected)
            if chosen.serve:
                wait_for_interrupt(server.url)
        return status if accuracy > 0.8 else 1


def load_digits() -> tuple[Floats, NDArray[np.int64]]:
    """Return 5,000 handwritten digits as rows of 196 values from 0 to 1 (14 by 14 pixels), and what they are."""
    with np.load(DATA) as file:
        images, labels = file["images"], file["labels"]
    halved = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    return (halved.reshape(-1, 196) / 255).astype(np.float32), labels.astype(np.int64)


def train(images: Floats, labels: NDArray[np.int64]) -> tuple[Sequential, float]:
    """Train a small network, and return it with its accuracy on the images that it was not shown."""
    neurenix.manual_seed(0)
    random = np.random.default_rng(0)
    model = Sequential(Linear(196, 32), ReLU(), Linear(32, 10))
    loss_of, optimizer = CrossEntropyLoss(), Adam(model.parameters(), lr=0.004)
    for _ in range(4):
        for chosen in np.array_split(random.permutation(len(images) - HELD_OUT), 90):
            loss = loss_of(model(neurenix.Tensor(images[chosen])), neurenix.Tensor(labels[chosen]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    with neurenix.no_grad():
        guesses = model(neurenix.Tensor(images[-HELD_OUT:])).numpy().argmax(axis=1)
    return model, float((guesses == labels[-HELD_OUT:]).mean())


def ask_browser(url: str, rows: Floats) -> dict[str, Any] | None:
    """Open the page in Chromium, run the model there, and return what it says; None without a browser."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        print(f"browser   Playwright is not installed; open {url} with --serve to try the model by hand")
        return None
    options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        # NEURENIX_CHROMIUM names a browser; Playwright's own is the other choice.
        system = os.environ.get("NEURENIX_CHROMIUM") or next(filter(os.path.exists, ["/usr/bin/chromium"]), None)
        try:
            browser = playwright.chromium.launch(executable_path=system, args=options)
        except Error as error:
            print(f"browser   Chromium does not start: {str(error).splitlines()[0]}")
            return None
        page = browser.new_page()
        page.goto(url)
        answer: dict[str, Any] = page.evaluate(IN_THE_PAGE, {"name": NAME, "rows": rows.tolist()})
        browser.close()
        return answer


def report(answer: dict[str, Any], expected: Floats) -> int:
    """Print how far the browser is from Python, and return the exit status."""
    worst = float(np.abs(np.asarray(answer["answers"]) - expected).max())
    agree = worst <= LIMIT and answer["proved"]
    print(f"browser   {len(expected)} answers by the {answer['variant']} variant, largest difference {worst:.1e}")
    print("result    " + ("Python and the browser agree" if agree else f"they DISAGREE: the limit is {LIMIT:.0e}"))
    return 0 if agree else 1


def wait_for_interrupt(url: str) -> None:
    try:
        print(f"try it at {url} (Ctrl-C ends)")
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    sys.exit(main())
