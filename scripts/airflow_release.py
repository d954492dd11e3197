"""Print for an Airflow release which CPythons it supports, and the day after its upload: `3.10-3.12 2025-08-30`.

Usage: python -I airflow_release.py VERSION. It asks the package index that pip is configured for, with pip's own code,
so that proxies, certificates, credentials and mirrors work as for pip. That code is internal to pip: run it with the
pip of locks/pip.txt only. If it fails, it prints one line and exits with 2 (bad version) or 1.
"""

import datetime
import sys

from pip._internal.commands import create_command
from pip._internal.exceptions import PipError
from pip._vendor.packaging.specifiers import InvalidSpecifier, SpecifierSet
from pip._vendor.packaging.version import InvalidVersion, Version

OLDEST = Version("2.6")
MINORS = range(10, 30)  # of the CPythons that this may choose from: orchestrate's tools need 3.10


class Refused(Exception):
    """There is no such release, or it cannot be installed; the message is one line."""


def candidates() -> dict[Version, list]:
    """Return the files of every Airflow release on the index. Raises PipError."""
    command = create_command("download")
    options, _ = command.parse_args([])
    options.quiet = 3  # its warnings about unreachable mirrors repeat the error that follows
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options=options, session=session, ignore_requires_python=True)
        files: dict[Version, list] = {}
        for candidate in finder.find_all_candidates("apache-airflow"):
            files.setdefault(Version(str(candidate.version)), []).append(candidate.link)
    return files


def pythons(requires: str, released: datetime.date) -> str:
    """Return the range of CPythons that a release supports.

    `!=3.13` means "before 3.13" in Airflow's metadata. Without an upper bound, take the CPythons that were half a year
    old at the release: a newer one has no wheels of that time.
    """
    try:
        specifier = SpecifierSet(requires)
    except InvalidSpecifier:
        specifier = SpecifierSet()
    supported = []
    for minor in MINORS:
        if specifier.contains(f"3.{minor}"):
            supported.append(minor)
        elif supported:
            break
    if supported and supported[-1] == MINORS[-1]:
        supported = [minor for minor in supported if datetime.date(2012 + minor, 4, 1) <= released]
    if not supported:
        raise Refused(f"needs Python {requires}, and orchestrate 3.{MINORS[0]} or later")
    return f"3.{supported[0]}-3.{supported[-1]}"


def release(wanted: str) -> str:
    """Return the line to print. Raises Refused or PipError."""
    try:
        version = Version(wanted)
    except InvalidVersion:
        raise Refused(f"invalid Airflow version '{wanted}': expected one such as 3.3.2") from None
    if version < OLDEST:
        raise Refused(f"Airflow {wanted} is not supported: use {OLDEST} or later")
    files = candidates()
    if version not in files:
        raise Refused(f"unknown Airflow version '{wanted}': {available(version, sorted(files))}")
    links = files[version]
    uploaded = [link.upload_time for link in links]
    if None in uploaded:
        raise Refused("the package index does not tell when a file was uploaded; use a version with a lock file")
    day = max(uploaded).astimezone(datetime.timezone.utc).date()
    try:
        return f"{pythons(links[0].requires_python or '', day)} {day + datetime.timedelta(days=1)}"
    except Refused as error:
        raise Refused(f"cannot install Airflow {wanted}: it {error}") from None


def available(version: Version, known: list[Version]) -> str:
    """Name releases near a version that does not exist."""
    final = [one for one in known if not one.is_prerelease and one >= OLDEST]
    if not final:
        return "the package index has no Airflow, or cannot be reached"
    newest = {one.release[:2]: one for one in final}  # the last patch of each minor
    near = [one for one in final if one.release[:2] == version.release[:2]] or list(newest.values())
    return "the package index has " + ", ".join(map(str, near[-5:]))


def main() -> int:
    """Return the exit status."""
    try:
        print(release(sys.argv[1]))
    except Refused as error:
        print(error)
        return 2
    except PipError as error:
        print("cannot read the package index: " + str(error).strip().partition("\n")[0])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
