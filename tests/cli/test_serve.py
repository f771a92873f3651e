"""``bigan serve``: real requests to a real process."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import struct
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.forked_process import ForkedProcess

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """Run ``bigan serve`` and yield (port, process); at the end it must stop with exit code 0."""

    @contextmanager
    def run(*words):
        words = ("serve", "--port", "0", "--device", "cpu", *words)
        process = ForkedProcess(words, tmp_path_factory.mktemp("serving"))
        process.wait_for("\n")
        address = re.search(r"http://127\.0\.0\.1:(\d+)", process.err)
        assert address, process.err
        try:
            yield int(address[1]), process
        finally:
            if process.running:
                process.send_signal(signal.SIGTERM)
        assert process.end(60) == 0, process.err
        assert "Traceback" not in process.err

    return run


@pytest.fixture(scope="module")
def port(serving, trained, ensemble):
    """Return the port of a service with two models and small limits."""
    words = ("--model", f"first={trained}", "--model", f"second={ensemble}")
    limits = ("--max-body", "1", "--max-megapixels", "2", "--queue", "300")
    with serving(*words, *limits) as (number, _):
        yield number


def ask(port, path, body=None, headers=None, method=None):
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        with suppress(BrokenPipeError):  # answered before the whole body was sent
            connection.request(
                method or ("GET" if body is None else "POST"), path, body, headers or {}
            )
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def form(**files):
    """Return the body and the headers of a form with files."""
    parts = [
        f'--line\r\ncontent-disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files.items()
    ]
    return b"".join(parts) + b"--line--\r\n", {"content-type": "multipart/form-data; boundary=line"}


@pytest.fixture(scope="module")
def scored(build_once, trained, pictures):
    """Return path -> row of ``bigan score``, as JSON."""
    from bigan_cli.cli.main import main

    def fill(base):
        base.mkdir()
        words = ("--run", str(trained), "--device", "cpu", "--output", str(base / "scores.jsonl"))
        assert main(["score", str(pictures), *words]) == 0

    lines = (build_once("served", fill) / "scores.jsonl").read_text().splitlines()
    return {row["path"]: row for row in map(json.loads, lines)}


def test_scores_are_those_of_score_to_the_bit_alone_and_under_load(port, scored):
    def one(path):
        code, _, body = ask(port, "/score?name=x", Path(path).read_bytes())
        assert code == 200
        return json.loads(body)["results"][0]

    paths = list(scored)
    alone = {path: one(path) for path in paths[:3]}
    with ThreadPoolExecutor(50) as pool:
        together = dict(zip(paths, pool.map(one, paths), strict=True))
    for path, row in {**together, **alone}.items():
        assert {**row, "path": path} == scored[path]


def test_several_images_of_a_form_and_another_model(port, pictures, scored):
    paths = sorted(pictures.glob("*.png"))[:3]
    body, headers = form(**{path.name: path.read_bytes() for path in paths}, bad=b"no image")
    code, _, answer = ask(port, "/score", body, headers)
    document = json.loads(answer)
    assert code == 200
    assert document["model"]["name"] == "first"
    assert [row["path"] for row in document["results"]] == [*(p.name for p in paths), "bad"]
    assert [row["score"] for row in document["results"][:3]] == [
        scored[str(path)]["score"] for path in paths
    ]
    assert document["results"][3]["error"] == "not an image in a known format"
    code, _, answer = ask(port, "/score?model=second", body, headers)
    other = json.loads(answer)
    assert other["model"]["name"] == "second"
    assert other["results"][0]["score"] != document["results"][0]["score"]


def test_a_map_is_the_picture_that_score_writes(bigan, port, trained, pictures, tmp_path):
    path = next(pictures.glob("*.png"))
    code, headers, picture = ask(port, "/score?map=png", path.read_bytes())
    assert (code, headers["content-type"]) == (200, "image/png")
    assert headers["x-bigan-label"] in ("normal", "anomaly")
    words = ("--run", trained, "--device", "cpu", "--maps", tmp_path)
    assert bigan("score", path, *words).code == 0
    with (
        Image.open(tmp_path / f"{path.name}.png") as expected,
        Image.open(io.BytesIO(picture)) as p,
    ):
        np.testing.assert_array_equal(np.asarray(p), np.asarray(expected))


@pytest.mark.slow
def test_the_map_of_a_photograph_of_another_shape_is_that_of_score(
    bigan, serving, photographs, tmp_path
):
    run, path = photographs / "run", tmp_path / "wide.jpg"
    with Image.open(photographs / "test" / "spot" / "00.png") as image:
        image.resize((300, 90)).save(path)
    with serving("--run", run) as (port, _):
        _, _, answer = ask(port, "/score", path.read_bytes())
        picture = ask(port, "/score?map=png", path.read_bytes())[2]
    words = ("--run", run, "--device", "cpu", "--maps", tmp_path / "maps", "--json")
    (row,) = map(json.loads, bigan("score", path, *words).lines)
    assert {**json.loads(answer)["results"][0], "path": str(path)} == row
    expected = np.asarray(Image.open(tmp_path / "maps" / "wide.jpg.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(picture))), expected)


def test_health_figures_and_page(port, pictures):
    ask(port, "/score", next(pictures.glob("*.png")).read_bytes())
    code, _, body = ask(port, "/healthz")
    health = json.loads(body)
    assert (code, health["status"], set(health["models"])) == (200, "ok", {"first", "second"})
    figures = ask(port, "/metrics")[2].decode()
    assert re.search(r'bigan_requests_total\{code="200"\} [1-9]', figures)
    assert "bigan_batch_images_bucket" in figures
    code, headers, page = ask(port, "/")
    assert code == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"http" not in page.replace(b"http-equiv", b"")  # nothing from elsewhere


def png_header(width, height):
    """Return a PNG file that declares a size and holds nearly nothing."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


FORM = {"content-type": "multipart/form-data; boundary=line"}


@pytest.mark.parametrize(
    ("path", "body", "headers", "code", "message"),
    [
        ("/score", b"not an image", {}, 422, "not an image"),
        ("/score?map=png", b"not an image", {}, 422, "not an image"),
        ("/score", b"", {}, 400, "no image"),
        ("/score", png_header(50_000, 50_000), {}, 422, "more than the limit of 2 megapixels"),
        ("/score", png_header(1000, 1000), {}, 422, "truncated"),
        ("/score", bytes(1_500_000), {}, 413, "larger than 1 MB"),
        ("/score", b"x", {"content-length": "999999999999"}, 413, "larger than 1 MB"),
        ("/score?model=none", b"x", {}, 404, "no model"),
        ("/score?map=jpg", b"x", {}, 400, "there is png"),
        ("/score", b"garbage", FORM, 400, ""),
        ("/score", b"--line\r\n\r\n", FORM, 400, ""),
        ("/score", b"x", {"content-type": "multipart/form-data"}, 400, "boundary"),
    ],
)
def test_hostile_bodies_are_answered_and_the_service_goes_on(
    port, path, body, headers, code, message
):
    found, _, answer = ask(port, path, body, headers)
    assert found == code, answer
    assert message in answer.decode()
    assert ask(port, "/healthz")[0] == 200


@pytest.mark.parametrize(
    ("path", "method", "code", "message"),
    [
        ("/nowhere", "GET", 404, "there is no GET /nowhere"),
        ("/score", "GET", 405, "GET /score is not allowed"),
    ],
)
def test_unknown_paths_and_methods_are_errors_in_json_like_all_others(
    port, path, method, code, message
):
    found, headers, answer = ask(port, path, method=method)
    assert found == code
    assert headers["content-type"] == "application/json"
    assert json.loads(answer) == {"error": message}


def test_huge_headers_are_refused(port):
    with suppress(ConnectionError):  # it may close before it has read all of them
        assert ask(port, "/score", b"x", {"x-large": "a" * 200_000})[0] == 400
    assert ask(port, "/healthz")[0] == 200


def test_many_small_chunks_beyond_the_limit_are_refused(port):
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        block = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        with suppress(OSError):  # it has answered and closed
            for _ in range(40):
                client.sendall(block)
        client.settimeout(30)
        try:
            answer = client.recv(4096)
        except ConnectionResetError:
            answer = b" 413 "
    assert b" 413 " in answer
    assert ask(port, "/healthz")[0] == 200


def test_too_many_images_at_a_time_are_told_to_come_back(serving, trained, pictures):
    path = next(pictures.glob("*.png"))
    body, headers = form(**{f"{i}.png": path.read_bytes() for i in range(4)})
    with serving("--run", trained, "--queue", "4") as (port, _):
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(lambda _: ask(port, "/score", body, headers), range(40)))
        codes = {code for code, _, _ in answers}
        assert 200 in codes
        assert codes <= {200, 429}
        assert all(head["retry-after"] == "1" for code, head, _ in answers if code == 429)
        body, headers = form(**{f"{i}.png": path.read_bytes() for i in range(5)})
        assert ask(port, "/score", body, headers)[0] == 413


def test_a_request_in_progress_is_answered_before_the_service_ends(serving, trained, pictures):
    path = next(pictures.glob("*.png"))
    content = path.read_bytes()
    with serving("--run", trained) as (port, process):
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
            client.sendall(head.encode() + content[:20])
            time.sleep(0.5)  # it is accepted, and waits for the rest
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            client.sendall(content[20:])
            client.settimeout(60)
            answer = b""
            while block := client.recv(65536):
                answer += block
        assert answer.startswith(b"HTTP/1.1 200")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["results"][0]["score"] is not None
        assert process.end(60) == 0


@pytest.mark.slow
def test_slow_clients_are_dropped_while_others_are_served(port, pictures):
    started = time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for i, client in enumerate(slow):
        rest = b"Content-Length: 9\r\n\r\nx" if i % 2 else b""
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\n" + rest)
    content = next(pictures.glob("*.png")).read_bytes()
    assert ask(port, "/score", content)[0] == 200
    for i, client in enumerate(slow):
        client.settimeout(120)
        answer = client.recv(4096)
        assert answer[:13] == (b"HTTP/1.1 408 " if i % 2 else b"")
        client.close()
    assert 10 < time.monotonic() - started < 100


@pytest.mark.slow
def test_two_hundred_clients_lose_nothing(port, scored):
    contents = {path: Path(path).read_bytes() for path in scored}
    paths, end, wrong = list(contents), time.monotonic() + 10, []

    def client(number):
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        done = 0
        while time.monotonic() < end:
            path = paths[(number + done) % len(paths)]
            connection.request("POST", "/score", contents[path])
            answer = connection.getresponse()
            row = json.loads(answer.read())["results"][0]
            if answer.status != 200 or row["score"] != scored[path]["score"]:
                wrong.append((path, answer.status, row))
            done += 1
        connection.close()
        return done

    with ThreadPoolExecutor(200) as pool:
        done = list(pool.map(client, range(200)))
    assert not wrong
    assert min(done) >= 1


def test_a_port_in_use_and_bad_names_are_refused(bigan, trained):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ("serve", "--run", trained, "--device", "cpu", "--port", taken.getsockname()[1])
        done = bigan(*words)
    assert done.code == 2
    assert "cannot listen on 127.0.0.1" in done.err
    assert bigan("serve", "--model", "no-equals").code == 2
    assert bigan("serve", "--run", trained, "--model", f"default={trained}").code == 2
