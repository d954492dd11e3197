"""Finding Airflow and its interpreter; nothing is executed."""

import pytest

from orchestrator.presets.airflow import installation


def command(path, first_lines, *pythons):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(first_lines)
    path.chmod(0o755)
    for name in pythons:
        (path.parent / name).write_text("")
        (path.parent / name).chmod(0o755)
    return path


@pytest.fixture
def bin_directory(tmp_path):
    return tmp_path / "with a blank" / "bin"


def test_the_interpreter_is_in_the_first_line(tmp_path):
    path = command(tmp_path / "bin" / "airflow", f"#!{tmp_path}/bin/python3.11\n", "python", "python3.11")
    assert installation.find(str(path), None) == installation.Installation(str(path), f"{tmp_path}/bin/python3.11")


@pytest.mark.parametrize("quote", ['"', ""])
def test_or_in_the_shell_line_that_long_paths_get(bin_directory, quote):
    name = bin_directory / "python" if quote else bin_directory.parent.parent / "python"
    path = command(
        bin_directory / "airflow",
        f"#!/bin/sh\n'''exec' {quote}{name}{quote} \"$0\" \"$@\"\n' '''\nimport sys\n",
        "python",
    )
    if not quote:
        command(name, "")
    assert installation.find(str(path), None).python == str(name)


def test_or_beside_the_command_as_with_shims(tmp_path):
    path = command(tmp_path / "shims" / "airflow", "#!/usr/bin/env bash\nexec pyenv exec airflow\n", "python3")
    assert installation.find(str(path), None).python == f"{tmp_path}/shims/python3"


def test_an_environment_can_be_named_too(bin_directory):
    path = command(bin_directory / "airflow", f"#!{bin_directory}/python\n", "python")
    assert installation.find(str(bin_directory.parent), None).command == str(path)


def test_path_comes_first(bin_directory):
    path = command(bin_directory / "airflow", "#!/nonexistent/python\n", "python")
    assert installation.find(None, str(bin_directory)) == installation.Installation(
        str(path), str(bin_directory / "python")
    )


def test_a_relative_path_becomes_absolute(tmp_path, monkeypatch):
    path = command(tmp_path / "airflow", "", "python")
    monkeypatch.chdir(tmp_path)
    assert installation.find("./airflow", None).command == str(path)


@pytest.mark.parametrize(
    ("named", "words"),
    [("nothing", "no such file"), ("plain", "not executable"), ("alone", "cannot tell which Python")],
)
def test_what_is_none_is_one_clear_line(tmp_path, named, words):
    (tmp_path / "plain").write_text("")
    command(tmp_path / "alone", "#!/bin/sh\n")
    with pytest.raises(installation.NotFoundError, match=words) as caught:
        installation.find(str(tmp_path / named), None)
    assert caught.value.status == 2


def test_no_airflow_at_all_says_how_to_install_one(tmp_path, monkeypatch):
    monkeypatch.setattr(installation.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(
        installation.NotFoundError, match=r"no airflow on PATH\nhint: install one .*pip install apache-airflow"
    ):
        installation.find(None, str(tmp_path))


def test_the_version_is_read_from_the_packages(tmp_path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "apache_airflow-3.3.2.dist-info").mkdir(parents=True)
    (packages / "apache_airflow_core-3.3.1.dist-info").mkdir()
    python = command(tmp_path / "bin" / "python", "")
    assert installation.version(str(python)) == "3.3.2"
    assert installation.site_packages(str(python)) == packages
    assert installation.version(str(tmp_path / "other" / "bin" / "python")) == ""


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("2.6.3", "3.3.2", True),
        ("2.9.3", "2.11.2", True),
        ("3.3.1", "3.3.2", True),
        ("3.3.2rc1", "3.3.2", True),
        ("3.4.0.dev0", "3.4.0", True),
        ("3.3.2", "3.3.2", False),
        ("3.3.2", "3.3.2rc1", False),
        ("2.11.2", "2.9.3", False),
        ("", "3.3.2", False),
        ("3.3.2", "", False),
        ("custom", "3.3.2", False),
    ],
)
def test_which_of_two_versions_is_older(version, than, older):
    assert installation.is_older(version, than) is older
