"""Which files define the system: the first message of a new user, formats of other tools, parents, several files."""

import json
import os

import pytest
from definitions import STAY, Directory, component
from harness import Run, command_under_test, environment
from privileges import unprivileged

from orchestrator.config import foreign_formats
from orchestrator.config.encoding import as_utf8


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path)


def message(directory, *words):
    return directory.output(*words, status=2).splitlines()


def test_an_empty_directory_gets_a_procfile_to_copy(here):
    first, *hint = message(here)
    assert first == f"orchestrate: cannot find orchestrate.toml or Procfile in {here.path}"
    assert hint == [
        "hint: run `orchestrate init`, or write a file named Procfile with one line for each program:",
        "    web: python -m http.server",
        "    worker: python worker.py",
    ]
    assert os.listdir(here.path) == []


@pytest.mark.parametrize("words", [[], ["up"], ["start"], ["check"], ["config"], ["graph"], ["up", "-d"]])
def test_every_command_that_needs_a_definition_gives_the_hint(words, here):
    assert message(here, *words)[1].startswith("hint: ")


@pytest.mark.parametrize("name", ["Procfile.dev", "procfile", "Procfile_test", "orchestrate.dev.toml"])
def test_a_file_of_ours_with_another_name_is_named(name, here):
    (here.path / name).write_text("web: true\n")
    assert message(here)[1] == f"hint: found {name}; use it with `-f {name}`"


@pytest.mark.parametrize("name", foreign_formats.NAMES)
def test_a_definition_of_another_tool_is_named(name, here):
    (here.path / name).write_text("")
    assert message(here)[1].startswith(
        f"hint: {name} is for {foreign_formats.tool_of(name)}; convert it with `orchestrate import {name}`, or write"
    )


def test_of_package_json_the_script_is_shown(here):
    (here.path / "package.json").write_text(json.dumps({"scripts": {"build": "x", "dev": "vite"}}))
    assert message(here)[-1] == "    web: npm run dev"


COMPOSE = "# x\nservices:\n  web:\n    image: nginx\n"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("compose.yaml", "web: true\n", "YAML"),
        ("other.yml", COMPOSE, "YAML"),
        ("Procfile", COMPOSE, "YAML"),
        ("definition", "---\nprocs:\n- x\n", "YAML"),
        ("package.json", "{}", "JSON"),
        ("Procfile", '\n {"scripts": {}}', "JSON"),
        ("supervisord.conf", "[program:web]\ncommand=cat\n", "INI"),
    ],
)
def test_formats_of_other_tools_are_not_read_as_a_procfile(name, text, kind, here):
    (here.path / name).write_text(text)
    first, hint = message(here, "-f", name)
    assert first.startswith(f"orchestrate: cannot read {name}: it is {kind}")
    assert hint.startswith(f"hint: convert it with `orchestrate import {name}`, or write a Procfile")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("system", component("web", STAY)),
        ("system.conf", "# x\n\n" + component("web", STAY)),
        ("system", "env_file = []\n" + component("web", STAY)),
        ("system", f"# x\nweb: A=1 {STAY}\n"),
        ("Procfile.toml", component("web", STAY)),
        ("procs.txt", f"web: {STAY}\n"),
    ],
)
def test_if_the_name_does_not_decide_the_content_does(name, text, here):
    (here.path / name).write_text(text)
    assert "web" in here.output("check", "-f", name)


def test_toml_that_is_named_procfile_is_reported_once(here):
    (here.path / "Procfile").write_text(component("web", STAY))
    assert message(here) == ["orchestrate: cannot read Procfile: it is TOML", "hint: give it a name that ends in .toml"]


def test_a_wrong_name_and_a_directory_get_a_hint(here):
    (here.path / "sub").mkdir()
    (here.path / "sub" / "Procfile").write_text("web: true\n")
    assert message(here, "-f", "sub")[1] == "hint: use `-f sub/Procfile`"
    assert message(here, "-f", "a b=sub/Procfile")[0].startswith("orchestrate: invalid name 'a b': a name starts with")
    assert message(here, "-f", "sub/Profile")[1] == "hint: did you mean 'Procfile'?"
    (here.path / ".env").write_text("\nPROCFILE=Profile\n")
    assert message(here)[0] == "orchestrate: cannot read Profile: no such file (from PROCFILE in .env:2)"


# Parents


def test_the_definition_is_found_in_a_parent_directory_and_named(here):
    here.write(component("web", STAY), dot_env="A=parent\n")
    (here.path / "a" / "b").mkdir(parents=True)
    below = Directory(here.path / "a" / "b")
    run = below.up()
    run.wait_ready("web")
    assert f"using {here.path}/orchestrate.toml: no definition in {below.path}" in run.err.decode()
    assert "web" in below.output("ps")
    assert "A=parent" in below.output("env", "web")
    below.output("down")
    assert (run.wait(), run.survivors(1)) == (0, []), str(run)
    assert (here.path / ".orchestrate").exists()


def test_a_system_of_this_directory_comes_before_a_definition_in_a_parent(here):
    here.write(component("parent", STAY))
    (here.path / "sub").mkdir()
    below = Directory(here.path / "sub")
    run = below.run("-f", "/dev/stdin", before=["sh", "-c", f'echo "own: {STAY}" | "$@"', "sh"])
    run.wait_ready("own")
    assert "own" in below.output("ps")
    assert "own" in below.output("logs")
    below.output("down")
    assert (run.wait(), run.survivors(1)) == (0, []), str(run)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_definition_in_a_parent_that_another_user_owns_is_not_used(tmp_path_factory):
    """In /tmp anybody could put one, and it would run as whoever works in a directory below."""
    before = unprivileged()
    parent = Directory(tmp_path_factory.mktemp("shared"))
    parent.path.chmod(0o755)
    (parent.path / "Procfile").write_text("web: true\n")
    os.chown(parent.path / "Procfile", 4321, 4321)
    (parent.path / "sub").mkdir()
    run = Run([*before, *command_under_test()], cwd=parent.path / "sub", env=environment())
    assert run.wait() == 2, str(run)
    assert f"hint: {parent.path}/Procfile belongs to another user" in run.err.decode()


def test_root_is_where_a_definition_from_elsewhere_runs(here):
    for name in ("defined", "app"):
        (here.path / name).mkdir()
    (here.path / "defined" / "Procfile").write_text("web: pwd; echo $A\n")
    (here.path / "defined" / ".env").write_text("A=defined\n")
    (here.path / "app" / ".env").write_text("A=app\n")
    out = here.output("-f", "defined/Procfile", "--root", "app", "--no-prefix", "--color", "never")
    printed = [line for line in out.splitlines() if line != "1 component started"]
    assert printed[:2] == [str(here.path / "app"), "app"]
    assert (here.path / "app" / ".orchestrate").exists()
    assert "cannot use --root gone: no such directory" in message(here, "--root", "gone")[0]


# Several files


@pytest.fixture
def two(here):
    for name in ("api", "web"):
        (here.path / name).mkdir()
        (here.path / name / "Procfile").write_text("# x\nserver: pwd; echo $A$B\n")
        (here.path / name / ".env").write_text(f"A={name}\n")
    (here.path / ".env").write_text("A=all\nB=all\n")
    return here


def test_two_procfiles_that_share_a_name_are_an_error_that_says_what_to_do(two):
    assert message(two, "-f", "api/Procfile", "-f", "web/Procfile") == [
        "orchestrate: web/Procfile:2: 'server' is already defined in api/Procfile:2",
        "hint: tell them apart with `-f api=api/Procfile -f web=web/Procfile`: components api.NAME, each in its own"
        " directory",
    ]


def test_names_tell_procfiles_apart_and_each_has_its_directory_and_variables(two):
    words = ["-f", "api=api/Procfile", "-f", "web=web/Procfile"]
    out = two.output(*words, "--on-exit", "ignore", "--color", "never")
    for name in ("api", "web"):
        assert f"{name}.server  | {two.path}/{name}\n" in out
        assert f"{name}.server  | {name}all\n" in out
    assert (two.path / ".orchestrate").exists()
    checked = two.output("check", *words)
    assert checked == "api/Procfile, web/Procfile are valid: 2 components: api.server, web.server\n"
    assert "api.server" in two.output("check", *words, "api.*")


def test_a_procfile_of_another_directory_has_its_own_variables_too(two):
    (two.path / "web" / "Procfile").write_text("other: true\n")
    words = ["-f", "api/Procfile", "-f", "web/Procfile"]
    assert "A=web " in two.output("env", *words, "other")
    assert "A=api " in two.output("env", *words, "server")


def test_a_file_whose_name_has_the_sign_can_be_named(here):
    (here.path / "a=b").write_text("web: true\n")
    assert here.output("check", "-f", "a=b").endswith("1 component: web\n")


def test_only_a_procfile_can_have_a_name(here):
    here.write(component("web", STAY))
    assert message(here, "-f", "a=orchestrate.toml")[0].startswith("orchestrate: cannot use the name 'a'")


def test_toml_is_still_merged_over_toml(here):
    here.write(component("web", "true"))
    (here.path / "more.toml").write_text(component("web", "false"))
    assert 'command = "false"' in here.output("config", "-f", "orchestrate.toml", "-f", "more.toml")


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["Procfile", "orchestrate.toml", ".env"])
def test_files_of_windows_are_read(name, encoding, here):
    texts = {"Procfile": "web: echo $A ü\r\n", "orchestrate.toml": component("web", "echo $A ü"), ".env": "A=ü\r\n"}
    (here.path / "Procfile").write_text("web: true\n")
    mark = "\ufeff" if encoding.endswith("-be") else ""
    (here.path / name).write_bytes((mark + texts[name]).encode(encoding))
    assert "web" in here.output("check")
    if name == ".env":
        assert "A='ü'" in here.output("env")


@pytest.mark.parametrize("data", [b"", b"a", b"\xff\xfe", b"\xff\xfea", b"a\0", b"\xef\xbb\xbf", b"web: \xff\xfe\n"])
def test_any_bytes_become_text_or_stay(data):
    assert isinstance(as_utf8(data), bytes)


def test_a_decomposed_name_is_the_same_name(here):
    """What macOS and some editors write: an e and a combining accent."""
    (here.path / "Procfile").write_text("cafe\u0301: true\n")
    assert "caf\u00e9" in here.output("check", "cafe\u0301")
    assert "caf\u00e9" in here.output("check", "caf\u00e9")
    here.write(
        '[components."cafe\u0301"]\ncommand = "true"\n[components.b]\ncommand = "true"\ndepends_on = ["caf\u00e9"]'
    )
    assert "caf\u00e9" in here.output("check", "-x", "b", "-l", "cafe\u0301")
