"""A component that asks is noticed, once; one that is only silent is not. Answers by rule leave no trace."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from harness import Run, command_under_test, pump

PYTHON = shlex.join(["exec", sys.executable, "-c"])
IPYTHON = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor"]
FOREVER = "import select; select.select([], [], [])"
KEY = "import os, select, threading, tty; tty.setcbreak(0); "


def python(code):
    return f"{PYTHON} {shlex.quote(f'exec({code!r})')}"  # on one line


def notices(system):
    notice = r'^orchestrate \| (\w+) is waiting for input(?: at "(.*)")?; answer it with: orchestrate attach \1$'
    return re.findall(notice, system.text, re.M)


def notice(name, prompt):
    """The pattern of a notice."""
    return re.escape(
        f'orchestrate | {name} is waiting for input at "{prompt}"; answer it with: orchestrate attach {name}'
    )


@pytest.mark.parametrize(
    ("command", "prompt"),
    [
        ("exec env PS1='shell> ' bash --norc --noprofile", "shell>"),
        (shlex.join(["exec", sys.executable, "-q"]), ">>>"),
        (python("x = 1\nbreakpoint()\nx = 2"), "(Pdb)"),
        (python("import getpass; getpass.getpass()"), "Password:"),
        (python("input('Do you want to continue? [Y/n] ')"), "Do you want to continue? [Y/n]"),
        ("printf 'Name: '; read name", "Name:"),
        ("sh -c 'printf \"Late: \"; sleep 0.7; read name'", "Late:"),
        (python("print('\\033[1;32mcolor\\033[0m? ', end='', flush=True); input()"), "color?"),
        (python("import os, tty; tty.setcbreak(0); print('a key? ', end='', flush=True); os.read(0, 1)"), "a key?"),
        ("echo 'Do you want to continue? [Y/n]'; read answer", "Do you want to continue? [Y/n]"),
        ("bash -c 'echo Press any key to continue...; read -n1 -s'", "Press any key to continue..."),
        (
            python(f"{KEY}print('? Name › ', end='', flush=True); r, w = os.pipe(); select.select([0, r], [], [])"),
            "? Name ›",
        ),
        (python(f"{KEY}print('? Name › ', end='', flush=True); select.select([0], [], [], 1000)"), "? Name ›"),
    ],
)
def test_who_asks_is_noticed_once(home, command, prompt):
    home.write(web=command)
    system = home.up()
    system.wait_for(notice("web", prompt))
    assert notices(system) == [("web", prompt)]
    system.stop() if "bash" not in command else system.end()


def test_ipython_is_noticed(home):
    home.write(web=shlex.join(["exec", "env", "HOME=.", *IPYTHON]))
    system = home.up(env={**os.environ, "TERM": "xterm-256color"})
    system.wait_for(notice("web", "In [1]:"))
    assert len(re.findall(r"^web *\|\s*$", system.text, re.M)) < 3, "the room for its menus is not shown"
    system.stop()


@pytest.mark.skipif(not shutil.which("apt-get") or os.geteuid() != 0, reason="no apt, or not its user")
def test_apt_is_noticed(home):
    """Its y/n, as it asks before it removes something; nothing is removed."""
    installed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ", "procps"], capture_output=True, text=True, check=True
    )
    home.write(web=f"exec apt-get -o Debug::NoLocking=1 remove {installed.stdout.split()[0]}")
    system = home.up()
    system.wait_for(r'orchestrate \| web is waiting for input at ".*\[Y/n\]"; answer it with: orchestrate attach web')
    system.stop()


POSTGRES = """
[init.initdb]
command = "./pg initdb -D data -A trust -U shop"
[components.db]
command = "exec ./pg postgres -D data -k $PWD/data -h ''"
ready = { log = "ready to accept connections" }
stop = { signal = "INT", scope = "leader" }
[components.psql]
command = "exec psql -h $PWD/data -U shop -d postgres"
depends_on = { db = "ready" }
"""


@pytest.mark.skipif(not shutil.which("psql") or not Path("/usr/lib/postgresql").exists(), reason="no PostgreSQL here")
def test_psql_is_noticed(home_at):
    with tempfile.TemporaryDirectory(prefix="psql-") as place:  # which the server's own user can reach
        os.chmod(place, 0o755)
        psql_is_noticed(home_at(Path(place)))


def psql_is_noticed(home):
    shutil.copy(Path(__file__).parent.parent / "examples" / "shop" / "pg", home.path / "pg")
    home.write(POSTGRES, name="orchestrate.toml")
    system = home.up(file="orchestrate.toml")
    system.wait_for(notice("psql", "postgres=#"))
    assert [name for name, _ in notices(system)] == ["psql"]
    system.stop()


@pytest.mark.parametrize(
    "command",
    [
        "read name",
        "echo whole line; read name",
        "bash -c 'read -n1 -s'",
        "bash -c 'read -s secret'",
        "printf '\\033[?1049h\\033[?1049l'; sleep 1; less /etc/passwd",
        python(f"{KEY}select.select([0], [], [])"),
    ],
)
def test_who_waits_without_a_question_is_noticed_once(home, command):
    if "less" in command and not shutil.which("less"):
        pytest.skip("not installed")
    home.write(web=command, other="sleep 6; printf 'Name: '; read name")
    system = home.up()
    system.wait_for(r"^orchestrate \| web is waiting for input; answer it with: orchestrate attach web$")
    system.wait_for(notice("other", "Name:"))
    assert [name for name, _ in notices(system)] == ["web", "other"]
    system.stop()


FULL_SCREEN = {
    "read": "printf '\\033[?1049hedit: '; read name",
    "less": "less /etc/passwd",
    "man": "exec man man",
}


def test_a_full_screen_program_that_waits_is_reported_once(home):
    """The report of the full-screen program names the command to type, so nothing is added when it waits."""
    commands = {name: command for name, command in FULL_SCREEN.items() if name == "read" or shutil.which(name)}
    home.write(**commands, other="sleep 6; printf 'Name: '; read name")
    system = home.up()
    system.wait_for(notice("other", "Name:"))
    assert [name for name, _ in notices(system)] == ["other"]
    for name in commands:
        assert system.text.count(f"{name} runs a full-screen program; view it with: orchestrate attach {name}\n") == 1
    system.stop()


def test_a_server_that_reads_commands_is_noticed_once(home):
    """However many lines it prints meanwhile, and whatever they end in."""
    code = (
        "import sys, threading, time\n"
        "def log():\n"
        "    for n in range(4): time.sleep(1.5); print(f'request {n}:', flush=True)\n"
        "    print('all logged', flush=True)\n"
        "threading.Thread(target=log, daemon=True).start()\n"
        "for line in sys.stdin: print('got', line, flush=True)\n"
    )
    home.write(web=python(code), other="sleep 8; printf 'Name: '; read name")
    system = home.up()
    system.wait_for("all logged")
    system.wait_for(notice("other", "Name:"))
    assert [name for name, _ in notices(system)] == ["web", "other"]
    system.stop()


def test_a_rule_answers_a_question_that_is_a_whole_line(home):
    code = "print('Go on? [Y/n]', flush=True); print('got', input(), flush=True)\n".replace("\\'", '"') + FOREVER
    system = with_rules(home, code, "prompt = '\\[Y/n\\]$', answer_env = 'YES'")
    system.wait_for(r"^web +\| got y")
    assert notices(system) == []
    system.stop()


def test_a_silent_component_is_not(home):
    """What makes sure that nothing was said: another component's prompt, which is asked only seconds later."""
    shown = "import sys, os; sys.stdout.write('42% '); sys.stdout.flush(); "
    home.write(
        sleeps="printf '42%% '; exec sleep 1000",
        reads=python(shown + "os.read(os.pipe()[0], 1)"),
        selects=python(shown + "import select; select.select([0], [], [])"),
        raw="stty raw -echo; printf '42%% '; exec sleep 1000",
        watcher=python(
            f"{KEY}print('Compiling … ', end='', flush=True); r, w = os.pipe(); select.select([0, r], [], [])"
        ),
        percent=python(f"{KEY}print('42% ', end='', flush=True); r, w = os.pipe(); select.select([0, r], [], [])"),
        bar=python(f"{KEY}print('[###   ] ', end='', flush=True); r, w = os.pipe(); select.select([0, r], [], [])"),
        thread=python(
            f"{KEY}print('Compiling... ', end='', flush=True); "
            "threading.Thread(target=os.read, args=[0, 1]).start(); select.select([], [], [])"
        ),
        animated=python(f"{KEY}print('\\033[?1049hload: ', end='', flush=True); select.select([0], [], [], 1000)"),
        quiet=python(f"{KEY}select.select([0], [], [], 1000)"),
        server=python(f"{KEY}print('ready', flush=True); r, w = os.pipe(); select.select([0, r], [], [])"),
        console=python(
            f"{KEY}print('serving (port 80)', flush=True); "
            "threading.Thread(target=os.read, args=[0, 1]).start(); select.select([], [], [])"
        ),
        late="sleep 6; printf 'Name: '; read name",
    )
    system = home.up()
    system.wait_for(r"late is waiting for input")
    assert notices(system) == [("late", "Name:")]
    system.stop()


OTHERS = (
    "import os, select, sys, threading, time, tty\n"
    "def others():\n"
    "    while True: print('GET /\\n', end='', flush=True); select.select([], [], [], 0.05)\n"
    "threading.Thread(target=others, daemon=True).start()\n"
    "select.select([], [], [], 1.0)\n"  # it is a server, and an ordinary one
)
IPDB = (
    "from IPython.terminal.debugger import set_trace\n"
    "def view(): set_trace(); return 1\n"
    "view = threading.Thread(target=view); view.start(); view.join()"
)
BUSY = {
    "bar": "n = 0\nwhile True: n += 1; print(f'\\r{n}% ', end='', flush=True); select.select([], [], [], 0.05)",
    "silent": FOREVER,
    "raw": f"tty.setcbreak(0); print('42%', end=' ', flush=True); {FOREVER}",
    "keys": "tty.setcbreak(0)\nwhile True: print('press q: ', end='', flush=True); select.select([0], [], [], 0.05)",
    "loop": "tty.setcbreak(0); r, w = os.pipe(); select.select([0, r], [], [])",
}


def test_who_is_busy_is_not_taken_for_one_that_asks(home):
    """Threads print whole lines, and another shows a bar, reads keys in turn, or waits for more than the terminal.

    What makes sure that nothing was said: a prompt among such lines, which is noticed only seconds later."""
    asks = "select.select([], [], [], 3)\nbreakpoint()\npass"
    home.write(**{name: python(OTHERS + code) for name, code in BUSY.items()}, late=python(OTHERS + asks))
    system = home.up()
    system.wait_for(r"late is waiting for input")
    assert notices(system) == [("late", "(Pdb)")]
    system.stop()


@pytest.mark.parametrize(
    ("code", "prompt"),
    [
        ("breakpoint()\npass", "(Pdb)"),
        ("threading.Thread(target=lambda: exec('breakpoint()\\npass')).start()", "(Pdb)"),
        ("if not os.fork(): breakpoint()\nos.wait()", "(Pdb)"),
        ("import getpass; getpass.getpass()", "Password:"),
        ("import IPython; IPython.embed(banner1='', colors='NoColor')", "In [1]:"),
        (IPDB, "ipdb>"),
    ],
    ids=["pdb", "pdb in a thread", "pdb in a worker", "getpass", "IPython", "ipdb in a thread"],
)
def test_who_asks_while_others_print_is_noticed_once(home, code, prompt):
    home.write(web=python(OTHERS + code))
    system = home.up(env={**os.environ, "TERM": "xterm-256color", "HOME": str(home.path)})
    system.wait_for("web is waiting for input")
    lines = system.text.count("GET /")
    assert pump(lambda: system.text.count("GET /") > lines + 60, 20)
    assert notices(system) == [("web", prompt)]
    system.stop()


def test_the_same_prompt_is_not_told_again_and_again(home):
    code = (
        "import select\nfor n in range(4): print('> ', end='', flush=True); select.select([0], [], [], 0.8); print()\n"
    )
    home.write(web=python("import tty; tty.setcbreak(0)\n" + code + "print('last? ', end='', flush=True); input()"))
    system = home.up()
    system.wait_for(r'waiting for input at "last\?"')
    assert [prompt for _, prompt in notices(system)] == [">", "last?"]
    system.stop()


ASKS = "import getpass, os; os.environ.pop('SECRET', None)\n"
RULES = """
[components.web]
command = ["{python}", "-c", '''{code}''']
environment = {{ SECRET = "correct horse", YES = "y" }}
expect = [{rules}]
"""


def with_rules(home, code, *rules, more=""):
    text = RULES.format(python=sys.executable, code=ASKS + code, rules=", ".join(f"{{ {rule} }}" for rule in rules))
    home.write(text + more, name="orchestrate.toml")
    return home.up(file="orchestrate.toml")


def traces(home, system, secret):
    """Where a secret can be read: our output, and every file of ours."""
    files = [path for path in (home.path / ".orchestrate").rglob("*") if path.is_file()]
    found = [str(path) for path in files if secret in path.read_bytes()]
    return found + ["the screen"] * (secret in bytes(system.out) + bytes(system.err))


@pytest.mark.parametrize(
    ("ask", "echoed"),
    [
        ("getpass.getpass()", False),
        ("input('Password: ')", True),
        ("__import__('readline') and input('Password: ')", True),
    ],
    ids=["hidden", "echoed", "readline"],
)
@pytest.mark.parametrize("how", ["answer_env = 'SECRET'", "answer_file = 'secret'"])
def test_an_answer_is_given_and_leaves_no_trace(home, ask, echoed, how):
    (home.path / "secret").write_text("correct horse\n")
    code = f'given = {ask}\nprint(len(given), given.startswith(\\"correct\\"), flush=True)\n{FOREVER}'.replace(
        '\\"', '"'
    )
    system = with_rules(home, code, f"prompt = 'Password: $', {how}")
    system.wait_for(r"^web +\| 13 True")
    system.wait_for(r"^orchestrate \| answered web \(Password:\)")
    system.stop()
    assert traces(home, system, b"correct horse") == []
    assert ("Password: …" in system.text) == echoed
    assert notices(system) == []


def test_a_password_that_is_refused_is_not_given_again(home):
    code = "while getpass.getpass() != 'no': print('wrong', flush=True)\n"
    system = with_rules(home, code, "prompt = 'Password: $', answer_env = 'SECRET'")
    system.wait_for(
        r'^orchestrate \| web did not take the answer and asks again at "Password:"; '
        r"answer it with: orchestrate attach web$"
    )
    assert system.text.count("wrong") == 1
    system.stop()


def test_a_question_is_answered_each_time(home):
    code = "for n in range(3): print('got', input(f'go on? [Y/n] '), flush=True)\n" + FOREVER
    system = with_rules(home, code, "prompt = '\\[Y/n\\] $', answer_env = 'YES'")
    system.wait_for(r"(^web +\| got y\n(.*\n)*){3}")
    system.stop()


def test_a_prompt_can_mean_an_alert_or_a_failure(home):
    """alert: said where the kernel does not tell; fail: it ends as one that has failed, and is started again."""
    code = f"print('node> ', end='', flush=True); {FOREVER}"
    system = with_rules(home, code, "prompt = '^node> $', do = 'alert'")
    system.wait_for(notice("web", "node>"))
    system.stop()


def test_a_prompt_can_mean_a_failure(home):
    code = f"print('Repair? ', end='', flush=True); {FOREVER}"
    rule = "prompt = 'Repair', do = 'fail'"
    system = with_rules(home, code, rule, more="restart = { policy = 'on-failure', max = 2, backoff = [0.1, 0.1] }\n")
    assert system.wait() == 1
    assert len(re.findall("^orchestrate .*Repair", system.text, re.M)) == 2  # one line for each run
    assert system.text.count("orchestrate | web failed, because it asked Repair?\n") == 2
    assert "giving up on web" in system.text


def test_a_prompt_can_mean_ready(home):
    code = f"print('node> ', end='', flush=True); {FOREVER}"
    after = "[components.after]\ncommand = 'echo it is ready; sleep 1000'\ndepends_on = { web = 'ready' }\n"
    system = with_rules(home, code, "prompt = '^node> $', do = 'ready'", more=after)
    system.wait_for(r"^after +\| it is ready")
    system.stop()
    assert notices(system) == []


def test_an_answer_that_is_not_there_is_said(home):
    system = with_rules(home, "getpass.getpass()", "prompt = 'Password: $', answer_file = 'nowhere'")
    system.wait_for(
        r'^orchestrate \| cannot answer web at "Password:": .*nowhere: No such file or directory; answer it with: orch'
    )
    system.stop()


def test_rules_that_are_none_are_refused(home):
    system = with_rules(
        home,
        "pass",
        "prompt = '('",
        "do = 'fail'",
        "prompt = 'a', do = 'fail', answer_env = 'YES'",
        "prompt = 'a', answer_env = 'NOT_SET'",
    )
    assert system.wait() == 2
    for words in ("is not a valid regular expression", "prompt", "can have only one of do, answer_env and answer_file"):
        assert words in system.messages


def test_ps_and_why_say_who_waits_for_input(home):
    home.write(web="printf 'Name: '; read name; sleep 1000", other="sleep 1000")
    system = home.up()
    system.wait_for(r"web is waiting for input")

    def said(verb):
        asked = Run([*command_under_test(), verb, "-C", home.path])
        assert asked.wait() == 0, str(asked)
        return asked.text

    assert re.search(r"^web +(running|ready), waiting for input ", said("ps"), re.M)
    assert not re.search(r"^other .*waiting", said("ps"), re.M)
    assert re.search(
        r'^web .*; it is waiting for input at "Name:"; answer it with: orchestrate attach web$', said("why"), re.M
    )
    assert Run([*command_under_test(), "send", "-C", home.path, "web", "me\r"]).wait() == 0
    system.wait_for(r"^web +\| Name: me")
    assert "waiting" not in said("ps")
    system.stop()
