"""What every test stands on: pytest is a child subreaper, and after each test it counts its children."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import hypothesis
import lateness
import pytest
from examples import examples, is_in_part

save_coverage = None
if "COVERAGE_RCFILE" in os.environ:  # by scripts/test --coverage: the workers of xdist too
    from programs.measured import measure

    save_coverage = measure()

# A submission is judged on what it changes, not on what a random search happens to find that day.
hypothesis.settings.register_profile("usual", max_examples=examples(100), derandomize="CI" in os.environ, deadline=None)
hypothesis.settings.load_profile("usual")

if sys.platform == "linux":
    import harness
    from programs.reaper import PR_SET_CHILD_SUBREAPER, prctl

    prctl(PR_SET_CHILD_SUBREAPER, 1)
else:
    harness = None


SLOW = set(
    "test_faults test_full_disk test_graceful_stop test_guardian test_manual test_more_faults test_one_home"
    " test_output_speed test_recipes test_security test_leftovers test_standard_streams"
    " test_systemd_booted test_tree".split()
)


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker("slow")
    if left_out := [item for item in items if not is_in_part(item.nodeid)]:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if is_in_part(item.nodeid)]


def pytest_configure(config):
    """Give what the tests start the signals of a plain shell, whatever we were started by: `nohup` ignores HUP, and
    `sh -c '… &'` INT and QUIT; both are inherited across fork and exec (signal(7))."""
    config.pluginmanager.register(lateness)
    # A system list of its own: what other tests and the user run is none of ours.
    os.environ["ORCHESTRATE_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="orchestrate-tests-")
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_collection_finish():
    """Spare later garbage collections what lives as long as the tests: modules, and thousands of collected tests."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    if save_coverage:
        save_coverage()
    shutil.rmtree(os.environ.pop("ORCHESTRATE_RUNTIME_DIR"), ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep whether the test itself failed: what that leaves is killed without a second complaint."""
    report = (yield).get_result()
    if report.when == "call":
        item.stash[FAILED] = report.failed


FAILED = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def no_process_left(request):
    """A test that leaves a process fails, with that process named."""
    yield
    if harness is None:
        return
    left = harness.end_all_runs() + harness.end_all_children()
    if left and not request.node.stash.get(FAILED, False):
        pytest.fail(f"{request.node.nodeid} left {len(left)} processes or internal errors:\n" + "\n".join(left))


class Home:
    """A directory with a Procfile, and the command started on it."""

    def __init__(self, path: Path):
        self.path = path
        self.lock = path / ".orchestrate" / "lock"

    def write(self, text="", name="Procfile", **components):
        """Write a Procfile: the text as it is, then a line a component (`a_b=` is the component `a-b`)."""
        lines = "".join(f"{key.replace('_', '-')}: {command}\n" for key, command in components.items())
        (self.path / name).write_text(text + lines)
        return self

    def command(self, *options, file="Procfile"):
        return [*harness.command_under_test(), "up", "-f", self.path / file, *options]

    def up(self, *options, file="Procfile", before=(), **run):
        """Start it; `before` is what stands before the command, `run` goes to harness.Run."""
        return harness.Run([*before, *self.command(*options, file=file)], **run)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def home_at():
    """A home at a path of the test's own choice."""
    return Home


@pytest.fixture
def homes(tmp_path):
    """As many homes as a test wants: `homes("name")`."""

    def make(name):
        path = tmp_path / name
        path.mkdir()
        return Home(path)

    return make


@pytest.fixture
def pipeline(tmp_path):
    """Makes as many instances of programs/output_pipeline.py as a test needs, each with its own logs."""
    from programs.output_pipeline import OutputPipeline

    made = []

    def make(*words, **options):
        made.append(OutputPipeline(tmp_path / f"logs{len(made)}", *words, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def tmux(tmp_path_factory):
    """As many terminals of terminal.py as a test wants; nothing is left of any."""
    from terminal import Tmux

    opened = []

    def open_one(**options):
        opened.append(Tmux(tmp_path_factory.mktemp("tmux"), **options))
        return opened[-1]

    yield open_one
    for one in opened:
        assert one.end() == []


@pytest.fixture
def network(tmp_path):
    """Hosts on a network of their own: `network("head", "worker-1")`; skipped where they cannot be made."""
    from hosts import Network, Refused

    made = []

    def make(*names, directory=tmp_path):
        try:
            made.append(Network(directory / f"network{len(made)}", names))
        except Refused as reason:
            pytest.skip(str(reason))
        return made[-1]

    yield make
    for one in made:
        one.close()
