# shellcheck shell=sh
# Virtual environments for the scripts of this directory, made once and kept. To be sourced, after setting
#   scripts   the absolute path of this directory
#   me        the name that messages begin with
# and giving
#   $checkout, $locks, $venvs             where things are
#   say TEXT..., fail STATUS TEXT...      one line on stderr; `fail` also ends the script
#   check_airflow_version VERSION         ends the script with 2 unless it looks like a version
#   make_venv NAME RANGE INSTALLER PART...  sets $venv; described below
#   install_lock, install_checkout        installers
#   make_orchestrate_venv, make_airflow_venv VERSION
#
# Environments for tests, for example, are made by
#   install_tests() { install_lock "$1" "$2" && install_checkout "$1" "$3"; }
#   make_venv test 3.10- install_tests "$locks/test.txt" "$checkout" "$checkout/setup.cfg" "$checkout/setup.py"
#   "$venv/bin/python" -m pytest
#
# Settings: ORCHESTRATE_VENVS is the directory of the environments (default: .venv in the checkout), PYTHON the
# Python to make them with (default: python3). Nothing here runs pip's or Airflow's code when all is made already.

checkout=$(dirname -- "${scripts:?}")
locks=$scripts/locks
venvs=${ORCHESTRATE_VENVS:-$checkout/.venv}
case $venvs in /*) ;; *) venvs=${PWD%/}/$venvs ;; esac

say() { printf '%s: %s\n' "${me:?}" "$*" >&2; }

fail() {
    fail_status=$1
    shift
    say "$*"
    exit "$fail_status"
}

check_airflow_version() {
    case $1 in
    *[!0-9A-Za-z.]* | [!0-9]* | *. | "") fail 2 "invalid Airflow version '$1': expected one such as 3.3.2" ;;
    esac
}

# make_airflow_venv VERSION: from the lock file, or, for a version without one, with what the package index had on the
# day after its release: that is what it was tested with. What was uploaded later may be too new for it.
make_airflow_venv() {
    check_airflow_version "$1"
    lock=$locks/airflow-$1.txt
    if [ -f "$lock" ]; then
        make_venv "airflow-$1" "$(sed -n 's/^# python: //p' "$lock")" install_lock "$lock"
        return
    fi
    venv=$venvs/airflow-$1 venv_installer=install_release
    venv_hash=$(venv_hash "apache-airflow==$1")
    venv_is_made && return
    make_venv pip 3.10- install_lock "$locks/pip.txt"
    dated_pip=$venv/bin/python
    release=$("$dated_pip" -I "$scripts/airflow_release.py" "$1") || fail $? "$release"
    say "no lock file for Airflow $1: taking what the package index had on ${release#* }"
    make_venv "airflow-$1" "${release% *}" install_release "apache-airflow==$1"
}

make_orchestrate_venv() {
    make_venv orchestrate 3.10- install_checkout "$checkout" \
        "$checkout/setup.cfg" "$checkout/setup.py" "$checkout/pyproject.toml" "$locks/test.txt"
}

# make_venv NAME RANGE INSTALLER PART...
#
# Makes the virtual environment $venvs/NAME with a CPython of RANGE (3.10-3.12; 3.10- is open) by calling
# `INSTALLER VENV PART...`, and sets $venv to its path. Does nothing when it was made of the same parts before:
# of a file the content counts, of anything else (a directory, say) the name. A failure ends the script: with 2
# when there is no suitable Python, with 1 when something could not be installed.
#
# The stamp is written last and removed first, so what an interrupted run leaves is never taken for finished. The
# lock belongs to the open file, which all that the installer starts inherits: it ends with the last of them,
# however this script dies, and cannot go stale.
make_venv() {
    venv=$venvs/$1 venv_range=$2 venv_installer=$3
    venv_lock=$venvs/.$1.lock
    shift 3
    venv_hash=$(venv_hash "$@")
    venv_is_made && return
    find_python "$venv_range"
    mkdir -p -- "$venvs" || exit 1
    (
        "$python" -I -c "$take_lock" 2>/dev/null || {
            say "waiting for another run that is making $venv"
            "$python" -I -c "$take_lock" wait
        } || exit 1
        venv_is_made || build_venv "$@"
    ) 9>>"$venv_lock" || exit
}

# The path counts too: an environment that was moved has wrong paths in its scripts.
venv_hash() {
    {
        printf '%s\n' "$venv" "$venv_installer"
        for part; do
            if [ -f "$part" ]; then cat -- "$part"; else printf '%s\n' "$part"; fi
        done
    } | { sha256sum 2>/dev/null || shasum -a 256; } | cut -d ' ' -f 1
}

# The Python is looked at as well: an upgrade of the machine's own leaves a dangling link.
venv_is_made() {
    [ -x "$venv/bin/python" ] && [ -f "$venv/.made-of" ] && [ "$(cat "$venv/.made-of")" = "$venv_hash" ]
}

build_venv() {
    say "making $venv with $("$python" -V); this happens once"
    unset PIP_TARGET PIP_PREFIX PIP_REQUIRE_HASHES
    export PIP_USER=0
    rm -f -- "$venv/.made-of"
    rm -rf -- "$venv"
    if "$python" -I -m venv "$venv" >&2 && "$venv_installer" "$venv" "$@" >&2; then
        printf '%s\n' "$venv_hash" >"$venv/.made-of"
    else
        rm -rf -- "$venv"
        fail 1 "cannot make $venv: see above"
    fi
}

# flock(2) on the shell's descriptor 9. By Python, because flock(1) is not everywhere.
take_lock='
import fcntl, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.flock(9, fcntl.LOCK_EX | (0 if sys.argv[1:] else fcntl.LOCK_NB))
'

# find_python RANGE: sets $python to $PYTHON or python3, or where that is not of RANGE to another one on PATH.
find_python() {
    low=${1%-*} high=${1#*-}
    for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 python3.10; do
        "$python" -I -c "$is_suitable" "$low" "${high:-3.999}" 2>/dev/null || continue
        "$python" -I -c 'import ensurepip, venv' 2>/dev/null && return
        fail 2 "$(command -v "$python") cannot make virtual environments: apt install python3-venv"
    done
    python=${PYTHON:-python3}
    found=$("$python" -I -c "$describe" 2>/dev/null) || found="not found"
    fail 2 "cannot make $venv: no Python $low ${high:+to }${high:-or later} on PATH ($python is $found);" \
        "set PYTHON to one"
}

is_suitable='
import sys
low, high = (tuple(map(int, bound.split("."))) for bound in sys.argv[1:])
sys.exit(not (sys.implementation.name == "cpython" and low <= sys.version_info[:2] <= high))
'

describe='import platform; print(platform.python_implementation(), platform.python_version())'

# install_lock VENV LOCK: by uv where there is one, which is faster; else, or when it fails, by the venv's pip.
install_lock() {
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --compile-bytecode --python "$1/bin/python" --require-hashes --requirement "$2" &&
            return
        say "uv could not install ${2##*/}: trying pip"
    fi
    venv_pip "$1" --require-hashes --requirement "$2"
}

# install_release VENV REQUIREMENT: nothing that was uploaded after the day that $release ends with. By uv or by the pip of
# locks/pip.txt: the venv's own may be too old to know about dates.
install_release() {
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --compile-bytecode --python "$1/bin/python" --exclude-newer "${release#* }T23:59:59Z" "$2" &&
            return
        say "uv could not install $2: trying pip"
    fi
    "$dated_pip" -I -m pip --python "$1/bin/python" install --quiet --no-input --disable-pip-version-check \
        --uploaded-prior-to "${release#* }T23:59:59Z" "$2"
}

# install_checkout VENV CHECKOUT: editable, so that a changed source needs no new installation. What orchestrate
# depends on is taken in the versions the tests run with, as far as test.txt has it; the sed leaves NAME==VERSION
# and the marker, because constraints may have no extras, and hashes would be demanded of the checkout too.
install_checkout() {
    sed -n 's/^\([A-Za-z0-9._-]*\)\(\[[^]]*\]\)\{0,1\}\(==[^\\]*\).*/\1\3/p' "$locks/test.txt" \
        >"$1/constraints.txt" &&
        venv_pip "$1" --constraint "$1/constraints.txt" --editable "$2"
}

venv_pip() {
    venv_python=$1/bin/python
    shift
    "$venv_python" -I -m pip install --quiet --no-input --disable-pip-version-check --use-pep517 "$@"
}
