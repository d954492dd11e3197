"""Another user of the machine gets nothing, and disturbs nothing: tested as one."""

import shutil
import subprocess

from harness import Run, command_under_test, tree
from test_more_faults import as_nobody, needs_nobody, public  # noqa: F401 - a fixture

SECRET = "hunter2-77ab"


def tried(*words):
    """What somebody else sees, and whether it went well."""
    done = subprocess.run(as_nobody(*map(str, words)), capture_output=True, text=True, check=False, cwd="/")
    return done.returncode, done.stdout + done.stderr


@needs_nobody
def test_another_user_reads_asks_and_ends_nothing(public, home_at):  # noqa: F811
    """The home itself is open to all: what is promised is our corner in it."""
    home = home_at(public)
    home.write(web=f"echo {SECRET}; {tree('plain')}")
    run = home.up("--color", "never")
    run.wait_ready("web")
    corner = home.path / ".orchestrate"
    assert SECRET in (corner / "logs" / "web.log").read_text()
    for words in (["ls", corner], ["cat", corner / "logs" / "web.log"], ["cat", corner / "state.json"]):
        status, text = tried(*words)
        assert status != 0, words
        assert "Permission denied" in text
    orchestrate = command_under_test()
    asked = [["ps"], ["status"], ["why"], ["logs"], ["events"], ["send", "web", "x"], ["stop"], ["kill"], ["down"]]
    for words in [*asked, ["attach", "web"], ["signal", "KILL", "web"]]:
        status, text = tried(*orchestrate, *words, "-C", home.path)
        assert status not in (0, 3), (words, text)
        assert "Traceback" not in text
        assert SECRET not in text
    status, text = tried(*orchestrate, "up", "-f", home.path / "Procfile")
    assert (status, "Traceback" in text) == (1, False), text
    assert "cannot use" in text
    for pid in (run.pid, run.guardians()[0][0]):
        status, _ = tried(shutil.which("kill"), "-KILL", pid)
        assert status != 0
    run.stop()


@needs_nobody
def test_a_home_that_another_user_has_prepared_is_refused(public, home_at):  # noqa: F811
    """Somebody else's corner, with links in it, in a directory that is everybody's."""
    home = home_at(public)
    home.write(web=tree("plain"))
    outside = public / "outside"
    outside.write_text("untouched")
    corner = home.path / ".orchestrate"
    prepare = (
        f"mkdir -m 777 {corner} {corner}/logs; ln -s {outside} {corner}/lock; ln -s {outside} {corner}/logs/web.log"
    )
    assert tried("sh", "-c", prepare)[0] == 0
    run = Run(home.command("--color", "never"))
    assert run.wait() == 1
    assert "it belongs to uid 65534" in run.messages
    assert outside.read_text() == "untouched"
