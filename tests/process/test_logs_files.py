"""Log files: every byte, once, under a time; whatever the disk does, and over the supervisor's death."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from examples import examples
from harness import PATIENCE, voice
from hypothesis import given, settings
from hypothesis import strategies as st
from lateness import in_time
from log_files import STAMP, logs, parts, text

from orchestrator.output.log_file import Faults, LogFile


class Told(list):
    @property
    def faults(self):
        return Faults(self.append)


# The file itself.


def test_each_line_has_the_utc_time_of_its_first_byte(tmp_path):
    log = LogFile(tmp_path / "web.log", Told().faults)
    before = time.time()
    log.write(b"one\r\ntw")
    log.write(b"o\r")
    log.write(b"\nthree")
    after = time.time()
    log.finish()
    raw = (tmp_path / "web.log").read_bytes()
    assert STAMP.sub(b"", raw) == b"one\ntwo\nthree\n"
    times = [stamp.decode() for stamp in STAMP.findall(raw)]
    assert len(times) == 3
    bounds = [time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) for at in (before, after)]
    assert all(bounds[0] <= at[:19] <= bounds[1] for at in times), (times, bounds)
    assert oct((tmp_path / "web.log").stat().st_mode)[-3:] == "600"


@given(
    st.lists(st.sampled_from([b"a", b"\r\n", b"\n", b"\r", b"\r\r\n", b"bc", b"\x1b[m", b"\xff"]), max_size=40),
    st.integers(1, 9),
    st.integers(30, 200),
)
@settings(max_examples=examples(200), deadline=None)
def test_any_chunks_over_any_rotation_are_the_bytes_that_were_written(tmp_path_factory, pieces, step, size):
    directory = tmp_path_factory.mktemp("logs")
    log = LogFile(directory / "web.log", Told().faults, size=size, kept=1000)
    written = b"".join(pieces)
    for position in range(0, len(written), step):
        log.write(written[position : position + step])
    log.finish()
    expected = written.replace(b"\r\n", b"\n")
    assert text(directory) == expected + (b"\n" if expected and not expected.endswith(b"\n") else b"")
    for part in parts(directory):
        raw = part.read_bytes()
        assert raw.endswith(b"\n")
        assert all(STAMP.match(line) for line in raw.split(b"\n")[:-1])
    shutil.rmtree(directory)


@given(st.lists(st.tuples(st.sampled_from([b"", b"a\r\nb", b"\n", b"c\r", b"x" * 30_000]), st.booleans()), max_size=20))
@settings(max_examples=examples(200), deadline=None)
def test_what_waits_for_more_is_written_in_order_and_once(tmp_path_factory, chunks):
    directory = tmp_path_factory.mktemp("logs")
    log = LogFile(directory / "web.log", Told().faults)
    written = b""
    for chunk, more in chunks:
        waits = log.write(chunk, more=more)
        written += chunk
        assert more or not waits
        if not waits:
            expected = written.removesuffix(b"\r").replace(b"\r\n", b"\n")
            assert text(directory) == expected
    log.finish()
    expected = written.replace(b"\r\n", b"\n")
    assert text(directory) == expected + (b"\n" if expected and not expected.endswith(b"\n") else b"")
    shutil.rmtree(directory)


def test_five_files_are_kept_and_the_rest_goes(tmp_path):
    log = LogFile(tmp_path / "web.log", Told().faults, size=1000)
    for number in range(500):
        log.write(b"line %d\r\n" % number)
    log.finish()
    assert [part.name for part in parts(tmp_path)] == ["web.log.4", "web.log.3", "web.log.2", "web.log.1", "web.log"]
    assert all(part.stat().st_size < 1100 for part in parts(tmp_path))
    kept = [int(number) for number in re.findall(rb"line (\d+)", text(tmp_path))]
    assert kept == list(range(kept[0], 500))
    assert kept[0] > 300


def test_a_line_without_an_end_cannot_fill_the_disk(tmp_path):
    log = LogFile(tmp_path / "web.log", Told().faults, size=1 << 20)
    for _ in range(1000):
        log.write(b"\r50%" * 5000)
    log.finish()
    assert sum(part.stat().st_size for part in parts(tmp_path)) <= 5 * (2 << 20) + 65536
    assert len(parts(tmp_path)) == 5


def test_a_fault_is_told_once_and_it_recovers_by_itself(tmp_path):
    told, directory = Told(), tmp_path / "logs"
    faults = told.faults
    directory.write_text("in the way")
    logs = [LogFile(directory / f"{name}.log", faults) for name in ("web", "api")]
    for log in logs:
        for _ in range(3):
            log.write(b"lost\r\n")
    assert told == [f"cannot write {directory}/web.log: File exists; components continue, retrying"]
    directory.unlink()
    for log in logs:
        log._retry_at = 0.0
        log.write(b"kept\r\n")
    assert told[1:] == [
        f"{directory}/{name}.log is written again; 18 bytes are missing in it" for name in ("web", "api")
    ]
    assert text(directory) == b"[orchestrate: 18 bytes are missing here]\nkept\n"


def test_what_was_lost_is_told_at_the_end_where_it_never_recovered(tmp_path):
    told, directory = Told(), tmp_path / "logs"
    directory.write_text("in the way")
    log = LogFile(directory / "web.log", told.faults)
    log.write(b"lost\r\n")
    log.finish()
    assert told[1:] == [f"6 bytes are missing in {directory}/web.log"]


def test_a_log_that_somebody_removed_is_begun_again(tmp_path):
    log = LogFile(tmp_path / "logs" / "web.log", Told().faults)
    log.write(b"one\r\n")
    shutil.rmtree(tmp_path / "logs")
    log._look_at = 0.0
    log.write(b"two\r\n")
    log.finish()
    assert text(tmp_path / "logs") == b"two\n"


def test_a_torn_line_of_an_earlier_run_is_ended(tmp_path):
    (tmp_path / "web.log").write_bytes(b"2026-01-01T00:00:00.000000Z torn")
    log = LogFile(tmp_path / "web.log", Told().faults)
    log.write(b"next\r\n")
    log.finish()
    assert text(tmp_path) == b"torn\nnext\n"


# In the whole.


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_costs_one_warning_and_nobody_else_and_the_log_recovers(small_disk, home):
    """What is missing is said to the byte, and marked in the file."""
    ballast, place = small_disk / "ballast", small_disk / "logs"
    ballast.write_bytes(b"x" * 240_000)
    run = home.write(web=voice("slowly", 0.05), api=voice("slowly", 0.05)).up("--log-dir", place)
    run.wait_for(r"^orchestrate \| cannot write .*$")
    ballast.unlink()
    run.wait_for(rf"^orchestrate \| {place}/(web|api).log is written again; [\d,]+ bytes are missing in it$")
    run.signal(signal.SIGTERM)
    run.wait()
    warnings = re.findall(r"^orchestrate \| cannot write (.*)", run.text, re.MULTILINE)
    assert len(warnings) == 1
    assert re.fullmatch(
        rf"{place}/(web|api|orchestrate).log: No space left on device; components continue, retrying", warnings[0]
    )
    name = re.search(r"(web|api)\.log is written again", run.text).group(1)
    shown = re.findall(rf"^{name} +\| (line \d+)$", run.text, re.MULTILINE)
    assert shown == [f"line {number}" for number in range(len(shown))]
    log = text(place, name)
    (missing,) = re.findall(rb"^\[orchestrate: ([\d,]+) bytes are missing here\]$", log, re.MULTILINE)
    before, after = re.split(rb"\[orchestrate: .*\]\n", log)
    written = "".join(f"{line}\n" for line in shown).encode() + b"last %d\n" % len(shown)
    assert written.endswith(after)
    kept = len(os.path.commonprefix([written, before]))
    assert kept == len(before), "there is no torn line"
    lost = written[kept : len(written) - len(after)]
    assert abs(len(lost) - int(missing.replace(b",", b""))) <= 20


def test_a_read_only_log_costs_a_warning_and_nobody_else(home):
    logs(home).mkdir(parents=True)
    (logs(home).parent).chmod(0o700)
    (logs(home) / "web.log").mkdir()
    run = home.write(web="echo one; echo two; exec cat", api="echo here; exec cat").up()
    run.wait_for(r"^web +\| two$")
    run.wait_for(r"^api +\| here$")
    run.stop()
    assert run.text.count("cannot write") == 1
    assert text(logs(home), "api") == b"here\n"
    assert b"cannot write" in text(logs(home), "orchestrate")


@pytest.mark.parametrize("size", ["50M", "20k"])
def test_after_the_supervisors_death_the_guardian_finishes_the_log(size, home):
    """All that the component says in its TERM handler: 500 KB that no pty holds."""
    run = home.write(web=voice("wordy"), other=voice("lastwords")).up("--log-size", size, "--log-files", "100")
    run.wait_ready("web", "other")
    run.signal(signal.SIGKILL)
    assert run.survivors(PATIENCE) == []
    assert text(logs(home)) == b"ready\n" + b"".join(b"word %d\n" % number for number in range(50_000)) + b"the end\n"
    assert (
        text(logs(home), "other")
        == b"ready\n" + b"".join(b"goodbye %d\n" % number for number in range(50)) + b"the end\n"
    )


def test_a_flood_does_not_keep_a_guardian_from_the_stop(home):
    run = home.write(web=voice("deaf")).up("-t", "1", "--log-size", "1M")
    run.wait_for(r"^web +\| ready$")
    since = run.signal(signal.SIGKILL)
    assert run.survivors(PATIENCE) == []
    in_time(run.vacant_at - since, 4)
    assert sum(part.stat().st_size for part in parts(logs(home))) < 10_000_000


def test_rotation_loses_and_doubles_no_line(home):
    """Also over a stop and a second run."""
    run = home.write(web="seq 20000; echo end; exec cat").up("--log-size", "50k", "--log-files", "100")
    run.wait_for(r"^web +\| end$")
    run.stop()
    run = home.up("--log-size", "50k", "--log-files", "100")
    run.wait_for(r"^web +\| end$")
    run.stop()
    assert len(parts(logs(home))) > 5  # a file takes whole turns of the loop, up to 64 kB before their timestamps
    assert text(logs(home)).split() == [*(b"%d" % number for number in range(1, 20001)), b"end"] * 2


def test_no_log_keeps_none_and_log_dir_another(home):
    run = home.write(web="echo one; exec cat").up("--no-log")
    run.wait_for("one")
    run.stop()
    assert not logs(home).exists()
    run = home.up("--log-dir", home.path / "a" / "b")
    run.wait_for("one")
    run.stop()
    assert text(home.path / "a" / "b") == b"one\n"
    assert not logs(home).exists()


@pytest.mark.parametrize(
    "option",
    [["--log-size", "0"], ["--log-size", "many"], ["--log-size", "-5"], ["--log-files", "0"], ["--log-files", "x"]],
)
def test_sizes_that_are_none_are_refused(option, home):
    run = home.write(web="echo one").up(*option)
    assert run.wait() == 2
    assert option[0] in run.messages


def test_a_log_directory_that_cannot_be_made_is_refused_with_what_to_do(home):
    (home.path / "file").touch()
    run = home.write(web="echo one").up("--log-dir", home.path / "file" / "logs")
    assert run.wait() == 1
    assert run.err.decode().startswith("orchestrate: cannot make ")
    assert "--no-log" in run.err.decode()
