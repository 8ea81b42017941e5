"""Claims about the local web server."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from neurenix.server import CONTENT_SECURITY_POLICY, RunningServer, serve


def get(server: RunningServer, path: str, host: str | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{server.port}"})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "models").mkdir(parents=True)
    (site / "index.html").write_text("<h1>hello</h1>", encoding="utf-8")
    for name in ("a.wasm", "a.js", "a.json", "a.bin", "a.css", "a.d.ts", "a.unknown", "a.JS"):
        (site / "models" / name).write_bytes(b"content of " + name.encode())
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    return site


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("a.wasm", "application/wasm"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.JS", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.bin", "application/octet-stream"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_each_kind_of_file_has_its_mime_type(folder: Path, name: str, mime: str) -> None:
    with serve(folder) as server:
        status, headers, body = get(server, f"/models/{name}")
    assert (200, mime, b"content of " + name.encode()) == (status, headers["content-type"], body)


def test_every_answer_carries_the_policy_and_is_never_kept(folder: Path) -> None:
    with serve(folder) as server:
        answers = [get(server, path) for path in ("/", "/models/a.js", "/nothing")]
    assert [200, 200, 404] == [status for status, _, _ in answers]
    for _, headers, _ in answers:
        assert CONTENT_SECURITY_POLICY == headers["content-security-policy"]
        assert "no-store" == headers["cache-control"]
        assert "nosniff" == headers["x-content-type-options"]
        assert "last-modified" not in headers


def test_a_test_may_choose_its_own_headers(folder: Path) -> None:
    with serve(folder, headers={"Cross-Origin-Opener-Policy": "same-origin"}) as server:
        _, headers, _ = get(server, "/")
    assert "same-origin" == headers["cross-origin-opener-policy"]
    assert "content-security-policy" not in headers


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/models/../../secret.txt", "//../secret.txt"]
)
def test_nothing_outside_the_folder_is_served(folder: Path, path: str) -> None:
    with serve(folder) as server:
        status, _, body = get(server, path)
    assert 404 == status
    assert b"secret" != body


def test_a_link_out_of_the_folder_is_not_followed(folder: Path) -> None:
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    with serve(folder) as server:
        assert 404 == get(server, "/link.txt")[0]


def test_a_folder_without_an_index_is_not_listed(folder: Path) -> None:
    with serve(folder) as server:
        status, _, body = get(server, "/models/")
    assert 404 == status
    assert b"a.wasm" not in body


def test_a_foreign_host_name_is_refused(folder: Path) -> None:
    with serve(folder) as server:
        assert 403 == get(server, "/", host=f"evil.example:{server.port}")[0]
        assert 200 == get(server, "/", host=f"localhost:{server.port}")[0]


def test_the_server_listens_to_this_machine_only(folder: Path) -> None:
    with serve(folder) as server:
        assert f"http://127.0.0.1:{server.port}/" == server.url


def test_two_servers_run_at_once_and_a_port_is_free_after_its_server(folder: Path) -> None:
    with serve(folder) as first, serve(folder) as second:
        assert first.port != second.port
        port = first.port
    with serve(folder, port) as again:
        assert 200 == get(again, "/")[0]


def test_a_log_line_is_written_for_each_request(folder: Path) -> None:
    lines: list[str] = []
    with serve(folder, log=lines.append) as server:
        get(server, "/models/a.js")
    assert ['"GET /models/a.js HTTP/1.1" 200 -'] == lines
