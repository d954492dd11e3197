"""Sizes, users and limits in a definition, and control groups as the kernel describes them."""

import pytest

from orchestrator.config.definition import merge
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.loading import read
from orchestrator.config.toml import parse
from orchestrator.config.units import parse_size, write_size
from orchestrator.model.spec import Limits
from orchestrator.runtime.cgroup import find_group


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("512M", 512 << 20),
        ("1.5G", 3 << 29),
        ("1 GiB", 1 << 30),
        ("2kb", 2048),
        ("7B", 7),
        ("", None),
        ("1 X", None),
        ("-1M", None),
        ("1e3", None),
        ("１M", None),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size
    if size is not None:
        assert parse_size(write_size(size)) == size


def define(*lines):
    report = Report()
    text = "\n".join(["[components.a]", 'command = "a"', *lines])
    found = read(merge([parse(text.encode(), Place("f.toml", 0, "/d"), report)]), "f.toml", report)
    return (found.components or [None])[0], report.in_order()


def test_limits_and_identity_are_read():
    instance, problems = define(
        'user = "www-data"', "group = 33", 'umask = "027"', "nice = 5", 'limits = { memory = "1G", files = 64 }'
    )
    assert problems == []
    assert (instance.user, instance.group, instance.umask, instance.nice) == ("www-data", "33", 0o27, 5)
    assert instance.limits == Limits(memory=1 << 30, files=64)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('umask = "999"', 'umask: must be octal digits, "000" to "777", such as "027", not \'999\''),
        ("umask = 22", "umask: must be octal digits, not 22"),
        ("nice = 20", "nice: must be a whole number from -20 to 19, not 20"),
        (
            'limits = { memory = "1" }',
            'limits.memory: must be a size such as "512M" or "1.5G", at least 1M, not \'1\'',
        ),
        ("limits = { nofile = 9 }", "limits.nofile: unknown key; did you mean 'files'?"),
        ('mem_limit = "1G"', "mem_limit: unknown key; did you mean limits = { memory = … }?"),
        ("user = -1", "user: must be a whole number from 0 to 4294967294, not -1"),
        ('uid = "x"', "uid: unknown key; did you mean 'user'?"),
    ],
)
def test_mistakes_are_reported_with_their_place(line, problem):
    assert define(line)[1] == [f"f.toml:3: components.a.{problem}"]


MOUNTS = """\
24 1 0:22 / /proc rw - proc proc rw
30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
31 24 0:27 /docker/ab /mnt/a\\040b rw shared:3 master:1 - cgroup2 none rw
"""


@pytest.mark.parametrize(
    ("path", "mounts", "directory"),
    [
        ("/", MOUNTS, "/sys/fs/cgroup"),
        ("/user.slice/x.scope", MOUNTS, "/sys/fs/cgroup/user.slice/x.scope"),
        ("/docker/ab/c", MOUNTS.splitlines()[2], "/mnt/a b/c"),
        ("/docker/abc", MOUNTS.splitlines()[2], ""),
        ("/", "30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory", ""),
        ("/", "", ""),
    ],
)
def test_a_group_is_found_in_the_mounted_hierarchy(path, mounts, directory):
    assert find_group(path, mounts) == directory


def test_defaults_are_for_initial_steps_too():
    """Those that a step can have; each keeps its place."""
    report = Report()
    text = """
[defaults]
unset = ["A"]
cwd = "sub"
shell = "bash"
stop = { timeout = 3 }
restart = "always"
user = "nobody"
[init.prepare]
command = "a"
cwd = "."
[components.web]
command = "b"
"""
    found = read(merge([parse(text.encode(), Place("f.toml", 0, "/d"), report)]), "f.toml", report)
    step, web = found.init[0], found.components[0]
    assert report.in_order() == []
    assert (step.unset, step.cwd, step.shell, step.stop.grace, step.user) == (("A",), ".", ("bash", "-c"), 3, "nobody")
    assert (web.unset, web.cwd, web.user, web.restart.policy.value) == (("A",), "sub", "nobody", "always")
    assert step.where("user") == Place("f.toml", 8, "/d")
