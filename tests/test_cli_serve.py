"""Claims about `neurenix serve` and the server's live reload."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_calls import call, differences
from scratch_project import Project, make_project, make_shared
from test_server import get

from neurenix.cli import watching
from neurenix.cli.serve import ServeReport
from neurenix.server import ISOLATION_HEADERS, RELOAD_EVENTS, RELOAD_MODULE, Changes, RunningServer, serve

REPOSITORY = Path(__file__).parent.parent
TAG = f'<script type="module" src="{RELOAD_MODULE}"></script>'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "more").mkdir(parents=True)
    (site / "index.html").write_text("<html><HEAD><title>a</title></HEAD><body>b</body></html>", encoding="utf-8")
    (site / "more" / "index.html").write_text("plain", encoding="utf-8")
    (site / "a.js").write_text("</head>", encoding="utf-8")
    (tmp_path / "secret.html").write_text("secret", encoding="utf-8")
    return site


# ── live reload ─────────────────────────────────────────────────────────────────────────────────────────


def test_every_page_gets_the_module_and_nothing_else_does(folder: Path) -> None:
    with serve(folder, changes=Changes()) as server:
        page, more, script = (get(server, path) for path in ("/", "/more/", "/a.js"))
        module = get(server, RELOAD_MODULE)
    assert f"<html><HEAD><title>a</title>{TAG}</HEAD><body>b</body></html>" == page[2].decode()
    assert str(len(page[2])) == page[1]["content-length"]
    assert f"plain{TAG}" == more[2].decode()
    assert b"</head>" == script[2]
    assert "text/javascript; charset=utf-8" == module[1]["content-type"]
    assert b"EventSource" in module[2]


def test_without_changes_pages_are_what_the_files_are(folder: Path) -> None:
    with serve(folder) as server:
        assert (folder / "index.html").read_bytes() == get(server, "/")[2]
        assert 404 == get(server, RELOAD_MODULE)[0] == get(server, RELOAD_EVENTS)[0]


@pytest.mark.parametrize("path", ["/../secret.html", "/link.html", "/linked/secret.html"])
def test_a_page_outside_the_folder_is_not_served_with_reload_either(folder: Path, path: str) -> None:
    (folder / "link.html").symlink_to(folder.parent / "secret.html")
    (folder / "linked").symlink_to(folder.parent)
    with serve(folder, changes=Changes()) as server:
        assert 404 == get(server, path)[0]


def test_the_policy_allows_the_module_and_goes_out_with_it(folder: Path) -> None:
    with serve(folder, changes=Changes()) as server:
        for path in ("/", RELOAD_MODULE):
            headers = get(server, path)[1]
            assert "script-src 'self'" in headers["content-security-policy"]
            assert "connect-src 'self'" in headers["content-security-policy"]


@contextmanager
def listening(server: RunningServer, host: str | None = None) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("GET", RELOAD_EVENTS, headers={"Host": host or f"127.0.0.1:{server.port}"})
        yield connection.getresponse()
    finally:
        connection.close()


def next_state(answer: http.client.HTTPResponse) -> str:
    while not (line := answer.readline()).startswith(b"data: "):
        assert line, "the stream has ended"
    return line.decode().strip().removeprefix("data: ")


def test_open_pages_hear_of_each_change(folder: Path) -> None:
    changes = Changes()
    with serve(folder, changes=changes) as server, listening(server) as one, listening(server) as two:
        assert "text/event-stream" == one.getheader("content-type")
        states = [next_state(one)]
        assert states == [next_state(two)]
        for _ in range(3):
            changes.notify()
            states.append(next_state(one))
            assert states[-1] == next_state(two)
    assert 4 == len(set(states))


def test_a_new_run_of_the_server_is_a_change_too() -> None:
    assert Changes().state != Changes().state


def test_another_site_cannot_listen(folder: Path) -> None:
    with serve(folder, changes=Changes()) as server, listening(server, "evil.example:80") as answer:
        assert 403 == answer.status


def test_the_server_ends_though_pages_are_open(folder: Path) -> None:
    changes = Changes()
    start = time.monotonic()
    with serve(folder, changes=changes) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", RELOAD_EVENTS)
        next_state(connection.getresponse())
    connection.close()
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("host", "name", "status"),
    [("0.0.0.0", "192.168.0.7", 200), ("0.0.0.0", "evil.example", 403), ("127.0.0.1", "192.168.0.7", 403),
     ("localhost", "localhost", 200)],
)  # fmt: skip
def test_only_an_address_or_its_own_name_reaches_the_server(folder: Path, host: str, name: str, status: int) -> None:
    with serve(folder, host=host) as server:
        assert status == get(server, "/", host=f"{name}:{server.port}")[0]


# ── watching ────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def counted(changes: Iterator[None]) -> Iterator[list[float]]:
    seen: list[float] = []
    thread = threading.Thread(target=lambda: [seen.append(time.monotonic()) for _ in changes], daemon=True)
    thread.start()
    time.sleep(0.3)
    yield seen
    thread.join(0)


def wait_for(seen: list[float], count: int) -> None:
    end = time.monotonic() + 10
    while len(seen) < count and time.monotonic() < end:
        time.sleep(0.02)
    assert count == len(seen)


@pytest.mark.slow
def test_a_folder_is_seen_to_change_even_when_it_is_replaced(folder: Path) -> None:
    stop = threading.Event()
    with counted(watching.folder_changes(folder, stop, 0.05)) as seen:
        (folder / "index.html").write_text("other", encoding="utf-8")
        wait_for(seen, 1)
        (folder / "more" / "index.html").unlink()
        wait_for(seen, 2)
        folder.rename(folder.with_name("old"))
        time.sleep(0.3)
        assert 2 == len(seen), "an absent folder is one that is being replaced"
        folder.mkdir()
        (folder / "index.html").write_text("new", encoding="utf-8")
        wait_for(seen, 3)
        stop.set()


@pytest.mark.slow
@pytest.mark.parametrize("with_watchfiles", [True, False])
def test_a_project_is_seen_to_change_but_not_by_what_tools_write(
    tmp_path: Path, with_watchfiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("src", "dist", ".git", "src/__pycache__"):
        (tmp_path / name).mkdir()
    if not with_watchfiles:
        monkeypatch.setitem(sys.modules, "watchfiles", None)
    stop = threading.Event()
    with counted(watching.project_changes(tmp_path, stop, 0.05)) as seen:
        for name in ("dist/x", ".git/x", "src/__pycache__/x.pyc", ".hidden"):
            (tmp_path / name).write_text("x", encoding="utf-8")
        time.sleep(1.0)
        assert [] == seen
        (tmp_path / "src" / "a.py").write_text("x = 1", encoding="utf-8")
        wait_for(seen, 1)
        stop.set()


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def served(*arguments: str, path: str = str(REPOSITORY), **variables: str) -> Iterator[tuple[RunningServer, str]]:
    """Run the command, yield its server and first line, and end it as Ctrl-C does: with status 0."""
    environment = {**os.environ, "PYTHONPATH": path, **variables}
    command = [sys.executable, "-m", "neurenix", "serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True, encoding="utf-8"
    ) as process:
        watchdog = threading.Timer(240, process.kill)  # a server that says nothing must not stop all tests
        watchdog.start()
        try:
            assert process.stdout is not None
            lines = process.stdout.readline()
            while lines.startswith("{") and not lines.endswith("}\n"):
                lines += process.stdout.readline()
            url = json.loads(lines)["url"] if lines.startswith("{") else lines.split()[0]
            yield RunningServer(url, int(url.rstrip("/").rpartition(":")[2])), lines
            process.send_signal(signal.SIGINT)
            assert 0 == process.wait(20), process.communicate()[1]
        finally:
            watchdog.cancel()
            process.kill()


@pytest.mark.slow
def test_a_folder_is_served_isolated_and_with_reload(folder: Path) -> None:
    with served(str(folder)) as (server, line):
        assert f"{server.url} serves {folder}; Ctrl-C ends it.\n" == line
        headers, page = get(server, "/")[1:]
        with listening(server) as answer:
            before = next_state(answer)
            (folder / "index.html").write_text("<title>changed</title>", encoding="utf-8")
            assert before != next_state(answer)
        assert b"changed" in get(server, "/")[2]
    assert TAG in page.decode()
    for name, value in ISOLATION_HEADERS.items():
        assert value == headers[name.lower()]


@pytest.mark.slow
def test_what_is_not_wanted_is_left_out(folder: Path) -> None:
    with served(str(folder), "--no-isolated", "--no-reload", "--json") as (server, line):
        headers, page = get(server, "/")[1:]
    report = json.loads(line)
    assert [] == list(differences(ServeReport, report, ""))
    assert (str(folder), None, False, False) == (
        report["directory"], report["project"], report["reload"], report["isolated"],
    )  # fmt: skip
    assert not any(name.lower() in headers for name in ISOLATION_HEADERS)
    assert (folder / "index.html").read_bytes() == page


def test_a_port_that_is_taken_is_an_error_with_the_way_out(folder: Path) -> None:
    with serve(folder) as server:
        result = call("serve", folder, "--port", server.port, status=1)
    assert result.stderr.startswith(f"neurenix: error: port {server.port} of 127.0.0.1 cannot be used: ")
    assert "try --port 0" in result.stderr


def test_a_missing_folder_is_wrong_usage() -> None:
    assert "'no-such-folder' does not exist" in call("serve", "no-such-folder", status=2).stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    shared = make_shared(tmp_path / "shared")
    return make_project(tmp_path / "project", shared, tmp_path / "cache")


@pytest.mark.slow
def test_a_project_is_built_served_and_built_again_on_changes(project: Project, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    path, cache = project.environment["PYTHONPATH"], project.environment["NEURENIX_CACHE_DIR"]
    variables = {"NEURENIX_CACHE_DIR": cache, "TMPDIR": str(temporary)}
    with served(str(project.root), path=path, **variables) as (server, _):
        assert b"<title>mine</title>" in get(server, "/")[2]
        assert 200 == get(server, "/models/tiny/tiny.json")[0]
        with listening(server) as answer:
            before = next_state(answer)
            project.write("web/index.html", "<!DOCTYPE html><title>changed</title>")
            assert before != next_state(answer)
            assert b"<title>changed</title>" in get(server, "/")[2]
        # A change that cannot be built leaves the last site that could.
        project.configure('train = "scratch_app.training:train"', 'train = "nonsense"')
        time.sleep(3)
        assert b"<title>changed</title>" in get(server, "/")[2]
        project.configure('train = "nonsense"', 'train = "scratch_app.training:train"')
    assert [] == list(temporary.glob("neurenix-*")), "what was built for serving is removed"
    assert not (project.root / "dist").exists()


def test_a_project_that_cannot_be_built_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.neurenix.models.x]\nload = 5\n", encoding="utf-8")
    message = call("serve", tmp_path, "--port", 0, status=1).stderr
    assert message.startswith("neurenix: bad_config: ")
    assert "expected string" in message
