"""Lines that have no end yet: prompts and progress bars, on a terminal and into a pipe."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from lateness import in_time

WEB = "web         | "
API = "api         | "


def test_a_prompt_is_shown_within_two_tenths_of_a_second(pipeline):
    terminal = pipeline()
    terminal.start()
    terminal.presenter.tell("warm")
    terminal.feed(b"Password: ")
    seconds = terminal.turn_until(lambda: terminal.rows()[-1] == WEB + "Password:")
    in_time(seconds, 0.2)
    terminal.feed(b"ok\nnext\n")
    terminal.finish()
    assert terminal.rows()[1:] == [WEB + "Password: ok", WEB + "next"]


def test_nobody_writes_into_an_unfinished_line(pipeline):
    terminal = pipeline()
    terminal.start("web")
    terminal.start("api")
    terminal.feed(b"one two", "web")
    terminal.turn_until(lambda: terminal.rows() == [WEB + "one two"])
    terminal.feed(b"other\n", "api")
    terminal.turn_until(lambda: terminal.rows() == [API + "other", WEB + "one two"])
    terminal.feed(b"> ", "api")
    terminal.turn_until(lambda: terminal.rows() == [API + "other", API + ">"])
    terminal.presenter.tell("ours")
    terminal.feed(b" three\n", "web")
    terminal.turn_until(
        lambda: terminal.rows() == [API + "other", "orchestrate | ours", WEB + "one two three", API + ">"]
    )
    terminal.end("api")
    terminal.turn_until(
        lambda: terminal.rows() == [API + "other", "orchestrate | ours", WEB + "one two three", API + ">"]
    )
    terminal.finish()
    assert terminal.log("web") == b"one two three\n"
    assert terminal.log("api") == b"other\n> \n"


def test_an_unfinished_line_is_cut_to_the_width_and_whole_in_the_end(pipeline):
    terminal = pipeline(columns=40)
    terminal.start()
    text = "日本 and a long question with \x1b[31mred\x1b[m words? "
    terminal.feed(text.encode())
    terminal.turn_until(lambda: "long" in terminal.rows()[0])
    assert len(terminal.rows()) == 1
    terminal.presenter.tell("x")
    terminal.turn_until(lambda: terminal.rows()[0] == "orchestrate | x")
    assert len(terminal.rows()) == 2
    terminal.finish()
    assert "".join(terminal.rows()[1:]) == WEB + "日本 and a long question with red words?"


def test_into_a_pipe_an_unfinished_line_waits_for_its_end(pipeline):
    pipe = pipeline("pipe")
    pipe.start("web")
    pipe.start("api")
    pipe.feed(b"one ", "web")
    pipe.feed(b"other\n", "api")
    pipe.turn_until(lambda: b"other" in pipe.out)
    pipe.feed(b"two\n", "web")
    pipe.turn_until(lambda: b"two" in pipe.out)
    assert bytes(pipe.out) == (API + "other\n" + WEB + "one two\n").encode()


def states(terminal, text):
    """How often the row was drawn with another text of the pattern."""
    return re.findall(text, re.sub(rb"\x1b\[[0-9;]*m", b"", bytes(terminal.out)))


@pytest.mark.parametrize(
    "form",
    [b"\r%d%%", b"\r\x1b[K%d%%", b"\x1b[1G\x1b[0K%d%%", b"\x1b[2K\r%d%%", b"%d%%\r"],
    ids=["CR", "erased", "npm", "pip", "CR after"],
)
def test_a_progress_bar_is_drawn_once_a_second_at_most_and_ends_right(form, pipeline):
    terminal = pipeline()
    terminal.start()
    began = time.monotonic()
    percent = 0
    while time.monotonic() - began < 2.4:
        percent += 1
        terminal.feed(form % percent)
        terminal.turn(0.005)
    drawn = states(terminal, rb"\d+%")
    assert 2 <= len(drawn) <= 2 + (time.monotonic() - began), drawn
    terminal.feed(b"\n")
    terminal.finish()
    assert terminal.rows() == [WEB + f"{percent}%"]
    assert terminal.log() == b"".join(form % number for number in range(1, percent + 1)) + b"\n"


def test_a_spinner_that_turns_for_hours_costs_nothing_and_goes_on(pipeline):
    terminal = pipeline()
    stream = terminal.start()
    terminal.feed(b"working |" + b"\b/\b-\b\\\b|" * 50_000)
    assert len(stream.splitter.pending) < 20_000
    terminal.feed(b"\b+")
    terminal.turn_until(lambda: terminal.rows() == [WEB + "working +"])
    terminal.feed(b"\bdone\n")
    terminal.finish()
    assert terminal.rows() == [WEB + "working done"]


def test_a_row_that_is_erased_at_the_end_leaves_no_line(pipeline):
    terminal = pipeline().show(b"10%\r20%\r\x1b[K")
    assert terminal.rows() == [""]
    assert pipeline("pipe").show(b"10%\r20%\r\x1b[K").lines() == []


def test_a_file_gets_the_final_state_only(pipeline):
    bar = b"".join(b"\r%3d%%|%-50s|" % (percent, b"#" * (percent // 2)) for percent in range(101))
    pipe = pipeline("pipe").show(bar * 300 + b"\ndone\n")
    assert pipe.lines() == [b"100%|" + b"#" * 50 + b"|", b"done"]
    assert pipe.log() == bar * 300 + b"\ndone\n"


def test_prompts_of_several_the_newest_stands(pipeline):
    terminal = pipeline()
    for name in ("web", "api"):
        terminal.start(name)
    terminal.feed(b"first?", "web")
    terminal.turn_until(lambda: terminal.rows() == [WEB + "first?"])
    terminal.feed(b"second?", "api")
    terminal.turn_until(lambda: terminal.rows() == [API + "second?"])
    terminal.end("api")
    terminal.turn_until(lambda: terminal.rows() == [API + "second?", WEB + "first?"])


# Real programs, each in its own pty below the real multiplexer.


class Slow(BaseHTTPRequestHandler):
    """2 MB in pieces: pip draws a bar from half a MiB on."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2000000")
        self.end_headers()
        for _ in range(200):
            self.wfile.write(b"x" * 10_000)

    def log_message(self, *_):
        pass


@pytest.fixture
def url():
    server = HTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def run_real(one, command, **options):
    one.start()
    slave = one.components["web"][1]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, **options)
    one.turn_until(lambda: process.poll() is not None, 60)
    assert process.returncode == 0, one.log()
    one.finish()
    return one


def test_curl(url, pipeline):
    if not shutil.which("curl"):
        pytest.skip("no curl here")
    pipe = run_real(pipeline("pipe"), ["curl", "-o", "/dev/null", url])
    assert len(pipe.lines()) == 3, pipe.lines()
    assert re.match(rb"100 +1953k +100 +1953k", pipe.lines()[-1]), pipe.lines()
    terminal = run_real(pipeline(columns=120), ["curl", "-#", "-o", "/dev/null", url])
    assert terminal.rows() == [WEB + "#" * 72 + " 100.0%"] or re.fullmatch(r".*#+ 100\.0%", terminal.rows()[-1]), (
        terminal.rows()
    )
    assert len(terminal.rows()) == 1


TQDM = "import time, tqdm\nfor _ in tqdm.tqdm(range(3000), mininterval=0, ascii=True, ncols=60): pass\nprint('after')"


def test_tqdm(pipeline):
    pytest.importorskip("tqdm")
    for sink in ("terminal", "pipe"):
        one = run_real(pipeline(sink), [sys.executable, "-c", TQDM])
        shown = one.rows() if sink == "terminal" else [WEB + line.decode() for line in one.lines()]
        assert len(shown) == 2, shown
        assert re.search(r"100%\|#+\| 3000/3000 \[", shown[0])
        assert shown[1] == WEB + "after"
        assert one.log().count(b"\r") > 100, "the log has every state"


def test_pip(url, pipeline, tmp_path):
    """A source distribution whose download draws a bar: rich erases and rewrites rows, and hides the cursor."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "-d",
        str(tmp_path),
        f"{url}six-1.0.zip",
    ]
    one = pipeline(columns=120)
    one.start()
    slave = one.components["web"][1]
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={"TERM": "xterm-256color", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    one.turn_until(lambda: process.poll() is not None, 60)
    one.finish()
    shown = "\n".join(one.rows())
    assert b"\x1b[?25l" in one.log(), "it drew a bar"
    assert b"\x1b[?25" not in one.out
    assert shown.count("2.0/2.0 MB") == 1, shown
    assert not re.search(r"^web +\| +\S+ [ \d.]+/2.0 MB.*\n.*/2.0 MB", shown, re.MULTILINE), shown


def test_npm(pipeline, tmp_path):
    """Its spinner knows neither CR nor BS: it goes back by CSI G."""
    if not shutil.which("npm"):
        pytest.skip("no npm here")
    (tmp_path / "dep").mkdir()
    (tmp_path / "dep" / "package.json").write_text('{"name": "dep", "version": "1.0.0"}')
    (tmp_path / "package.json").write_text('{"name": "x", "version": "1.0.0"}')
    environment = {
        "TERM": "xterm-256color",
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "NO_UPDATE_NOTIFIER": "1",
    }
    command = ["npm", "install", "--no-audit", "--no-fund", "--offline", "./dep"]
    for sink in ("terminal", "pipe"):
        shutil.rmtree(tmp_path / "node_modules", ignore_errors=True)
        one = run_real(pipeline(sink), command, cwd=tmp_path, env=environment)
        shown = one.rows() if sink == "terminal" else [(WEB + line.decode()).rstrip() for line in one.lines()]
        assert any(re.fullmatch(rf"{re.escape(WEB)}(added|changed|up to date).*", line) for line in shown), shown
        assert not any(re.fullmatch(r"[|/\\⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏-]+", line[len(WEB) :]) for line in shown), shown
