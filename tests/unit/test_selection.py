"""Which components run, in how many instances, and with which variables."""

import pytest

from orchestrator.config.definition import ComponentDefinition, Definition
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.environment import Layers, Variable
from orchestrator.config.interpolation import ExpansionError, expand
from orchestrator.config.redaction import MASK, mask
from orchestrator.config.resolve import Settings, resolve
from orchestrator.config.selection import Selected, SelectionRequest, parse_formation, select
from orchestrator.model.errors import UsageError
from orchestrator.model.prompt_rules import PromptAction, Rule
from orchestrator.model.spec import Condition, Dependency, HttpProbe, LogProbe, PromptProbe

HERE = Place("f.toml", 1, "/here")


def component(name, needs="", **keys):
    depends_on = tuple(Dependency(other) for other in needs.split())
    return ComponentDefinition(name=name, place=HERE, depends_on=depends_on, **{"command": "x", **keys})


SYSTEM = [
    component("db"),
    component("api", "db"),
    component("web", "api"),
    component("web-admin", "api", profiles=("admin",)),
    component("worker", replicas=3),
    component("off", replicas=0),
]


def chosen(**wishes):
    found, notes = select(SYSTEM, SelectionRequest(**wishes))
    return " ".join(instance for one in found for instance in one.instances), notes


WORKERS = "worker.1 worker.2 worker.3"


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({}, f"db api web {WORKERS}"),
        ({"names": ["db"]}, "db"),
        ({"names": ["web*"], "dependencies": False}, "web web-admin"),
        ({"names": ["web", "db"], "dependencies": False}, "db web"),
        ({"names": ["off"]}, "off"),
        ({"profiles": ["admin"]}, f"db api web web-admin {WORKERS}"),
        ({"profiles": ["*"], "without": ["work*"]}, "db api web web-admin"),
        ({"without": ["worker"]}, "db api web"),
        ({"formation": {"worker": 1}}, "db api web worker"),
        ({"formation": {"all": 1}}, "db api web worker off"),
        ({"formation": {"all": 0, "db": 2}}, "db.1 db.2"),
    ],
)
def test_choice(wishes, expected):
    assert chosen(**wishes)[0] == expected


def test_dependencies_are_pulled_in_and_said():
    assert chosen(names=["web-admin"]) == (
        "db api web-admin",
        ["api starts too: web-admin needs it", "db starts too: api needs it"],
    )


def test_a_dependency_that_is_left_out_is_said():
    assert chosen(names=["api"], without=["db"]) == ("api", ["api starts without db, which is left out"])


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"names": ["wbe"]}, "unknown component 'wbe'\nhint: did you mean 'web'?"),
        ({"names": ["x*"]}, "unknown component 'x\\*'\nhint: there are: db, api"),
        ({"without": ["nobody"]}, "unknown component 'nobody'"),
        ({"profiles": ["admn"]}, "unknown profile 'admn'\nhint: did you mean 'admin'?"),
        ({"formation": {"wbe": 1}}, "unknown component 'wbe'"),
        ({"without": ["*"]}, "nothing is left to start"),
        ({"names": ["web"], "formation": {"all": 0}}, "nothing is left to start"),
    ],
)
def test_wrong_wishes(wishes, words):
    with pytest.raises(UsageError, match=words):
        chosen(**wishes)


def test_formation():
    assert parse_formation("web=2, worker=0,all=1,") == {"web": 2, "worker": 0, "all": 1}


@pytest.mark.parametrize("text", ["web", "web=", "=2", "web=-1", "web=x", "web=1001", "web=²"])
def test_a_formation_that_is_none(text):
    with pytest.raises(UsageError, match="is not NAME=NUMBER"):
        parse_formation(text)


# Variables


def resolved(*components, shell=None, base="5000", counts=None):
    report = Report()
    selected = [Selected(m, (counts or {}).get(m.name, m.replicas), i) for i, m in enumerate(components)]
    definition = Definition(title="t", directory="/here", components=components)
    settings = Settings(port=Variable(base, ""))
    found = resolve(definition, selected, Layers(shell or {}), settings, lambda *_: pytest.fail("no files"), report)
    return {c.name: c for c in found.system.components}, report


def test_ports_as_foreman_has_them():
    found, _ = resolved(component("a", replicas=2), component("b"), component("c", port=80, replicas=2))
    assert {name: c.environment["PORT"] for name, c in found.items()} == {
        "a.1": "5000",
        "a.2": "5001",
        "b": "5100",
        "c.1": "80",
        "c.2": "81",
    }


def ports(*components, **more):
    found, report = resolved(*components, **more)
    return {name: spec.environment.get("PORT") for name, spec in found.items()}, report.problems


def test_beyond_the_last_port_there_is_none():
    found = ports(component("a"), component("b"), base="65500", shell={"PORT": "65500"})
    assert found == ({"a": "65500", "b": None}, [])
    assert resolved(*(component(f"c{number}") for number in range(1000)))[1].problems == []


@pytest.mark.parametrize(
    "keys",
    [
        {"command": "serve $PORT"},
        {"command": "serve ${PORT:-80}"},
        {"command": ("serve", "-p", "${PORT}")},
        {"environment": {"URL": "http://x:${PORT}"}},
        {"ready": (HttpProbe("http://x:${PORT}"),)},
        {"cwd": "$PORT"},
    ],
)
def test_a_component_that_uses_it_needs_one(keys):
    problems = ports(component("a"), component("b", **keys), base="65500")[1]
    assert "b: uses PORT, but b would be beyond 65535; set its `port`, or a base" in problems[0]


def test_no_port_is_needed_by_one_that_sets_it_or_says_something_like_it():
    assert ports(component("a"), component("b", command="echo $PORTAL $$PORT_X"), base="65500")[1] == []
    keys = {"command": "serve $PORT", "environment": {"PORT": "1"}}
    assert ports(component("a"), component("b", **keys), base="65500") == ({"a": "65500", "b": "1"}, [])


def test_no_two_components_have_the_same_port():
    assert ports(component("a", port=5200), component("b"), component("c"))[0] == {
        "a": "5200",
        "b": "5100",
        "c": "5201",
    }
    found = ports(component("a"), component("b"), counts={"a": 102, "b": 1})[0]
    assert (found["a.100"], found["a.101"], found["b"]) == ("5099", "5101", "5100")
    assert len(set(found.values())) == 103


@pytest.mark.parametrize("port", [8080, "${P:-8080}", "${web.PORT}"])
def test_two_components_that_set_the_same_port(port):
    problems = ports(component("web", port=8080), component("api", port=port))[1]
    assert problems == ["f.toml:1: api: api and web have the same PORT 8080"]
    assert ports(component("web", port=8080, replicas=3), component("api", port=8082))[1] != []


def test_the_port_of_another_component():
    web = component("web", port="${P}", replicas=2)
    api = component(
        "my-api",
        command="curl ${web.PORT} ${web.2.PORT} $PORT",
        environment={"A": "${web.PORT}", "B": "${my-api.PORT}", "C": "$web.PORT"},
        ready=(HttpProbe("http://x:${web.2.PORT}/"),),
    )
    found, report = resolved(web, api, shell={"P": "80"})
    spec = found["my-api"]
    assert report.problems == []
    assert spec.argv[-1] == "curl 80 81 $PORT"
    assert (spec.environment["A"], spec.environment["B"], spec.environment["C"]) == ("80", "5100", ".PORT")
    assert spec.ready[0].url == "http://x:81/"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"command": "echo ${wbe.PORT}"}, "api: ${wbe.PORT}: unknown component 'wbe'; did you mean 'web'?"),
        ({"environment": {"A": "${wbe.PORT}"}}, "'${wbe.PORT}': no component 'wbe' has a PORT"),
        ({"command": "echo ${web.PORT}", "base": "65500"}, "api: ${last.PORT}: last has no PORT"),
        ({"port": "${api.PORT}"}, "api: port refers to itself: api → api"),
    ],
)
def test_a_port_that_there_is_not(keys, problem):
    base = keys.pop("base", "5000")
    if base != "5000":
        keys = {"command": "echo ${last.PORT}"}
    problems = ports(
        component("web"), component("api", **keys), *([component("last")] if base != "5000" else []), base=base
    )[1]
    assert problem in "\n".join(problems)


def test_what_tells_an_instance_who_it_is():
    found, _ = resolved(component("web", replicas=2), component("db"))
    names = ("PS", "ORCHESTRATE_COMPONENT", "ORCHESTRATE_INSTANCE")
    assert [found["web.2"].environment[name] for name in names] == ["web.2", "web", "web.2"]
    assert [found["db"].environment[name] for name in names] == ["db.1", "db", "db"]


def test_own_variables_beat_all_and_may_refer_to_others():
    variables = {
        "PATH": "mine:${PATH}",
        "URL": "http://x:${PORT}/${A:-a}",
        "TWICE": "${URL}${URL}",
        "D": "$$5 $1 $(x) $",
        "E": "$URL",
    }
    found, report = resolved(component("web", environment=variables), shell={"PATH": "/bin"})
    environment = found["web"].environment
    assert report.problems == []
    assert environment["PATH"] == "mine:/bin"
    assert environment["TWICE"] == "http://x:5000/a" * 2
    assert environment["D"] == "$5 $1 $(x) $"
    assert environment["E"] == "http://x:5000/a"


def test_an_expansion_that_fails_is_told_with_its_place():
    report = resolved(component("web", environment={"A": "${B:?say which}"}, port="${P}"))[1]
    assert report.problems == ["f.toml:1: web: '' is not a port (from ${P})", "f.toml:1: B is not set: say which"]


def test_a_variable_that_is_not_set_is_said():
    report = resolved(component("web", environment={"A": "x${B}"}))[1]
    assert report.notes == ["f.toml:1: B is not set; using an empty string (write ${B:-} if intended, $$ for a dollar)"]


BROKEN = "missing ), unterminated subpattern at position 0"


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"ready": (LogProbe("${P}"),)}, f"log is not a valid regular expression: {BROKEN}"),
        ({"ready": (PromptProbe("${P}"),)}, f"prompt is not a valid regular expression: {BROKEN}"),
        ({"expect": (Rule("${P}", PromptAction.FAIL),)}, f"prompt is not a valid regular expression: {BROKEN}"),
        ({"ready": (HttpProbe("http://h/", body="${P}"),)}, f"body is not a valid regular expression: {BROKEN}"),
        (
            {"alive": (HttpProbe("http://h/", headers=(("X", "${P}"),)),)},
            f"X is not a valid regular expression: {BROKEN}",
        ),
        (
            {"ready": (HttpProbe("${P}"),)},
            "http must begin with http:// or https:// and a host, or with http+unix://, not '('",
        ),
        ({"ready": (HttpProbe("http://h:${Q}/"),)}, "http is not a valid URL: Port out of range 0-65535"),
    ],
)
def test_what_variables_make_of_patterns_and_urls_is_looked_at_too(keys, fault):
    """A pattern that is none ended the supervisor when the component was started."""
    report = resolved(component("web", **keys), shell={"P": "(", "Q": "99999"})[1]
    assert report.problems == [f"f.toml:1: web: {fault}"]


def test_all_instances_of_a_dependency_are_waited_for():
    found, _ = resolved(component("db", replicas=2), component("api", "db"))
    assert [d.name for d in found["api"].depends_on] == ["db.1", "db.2"]


def test_a_dependency_that_does_not_run_is_not_waited_for():
    found, _ = resolved(component("api", "db"))
    assert found["api"].depends_on == ()
    assert Condition.STARTED


VALUES = {"A": "a", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("${A}b$A", "aba"),
        ("$A.$A-$A/$NO/$A", "a.a-a//a"),
        ("$1 $( $ $- $? $'x' é$é", "$1 $( $ $- $? $'x' é$é"),
        ("${NO:-$A}", "a"),
        ("$$ $${A} $", "$ ${A} $"),
        ("${NO:-x}${EMPTY:-y}${A:-z}", "xya"),
        ("${NO-x}${EMPTY-y}", "x"),
        ("${A:+set}${NO:+set}${EMPTY:+set}${EMPTY+set}", "setset"),
        ("${NO:-${EMPTY:-${A}}}", "a"),
        ("${NO:-a}b}", "ab}"),
        ("${A:?no}", "a"),
        ("${NO}", ""),
    ],
)
def test_expansion(text, expected):
    assert expand(text, VALUES.get) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${A", "without its '}'"),
        ("${}", "names no variable"),
        ("${1}", "names no variable"),
        ("${A b}", "is not a valid expansion"),
        ("${NO:?message}", "NO is not set: message"),
        ("${EMPTY:?}", "EMPTY is not set: it must be"),
        ("${X:-" * 50 + "}" * 50, "too many"),
    ],
)
def test_expansions_that_are_none(text, words):
    with pytest.raises(ExpansionError, match=words):
        expand(text, VALUES.get)


@pytest.mark.parametrize(
    "name",
    "PASSWORD DB_PASSWORD DB_PASS PGPASSWORD MYSQL_PWD SECRET_KEY API_KEY AWS_SECRET_ACCESS_KEY token GITHUB_TOKEN "
    "AIRFLOW__CORE__FERNET_KEY KEY PRIVATE_KEY COOKIE".split(),
)
def test_secrets(name):
    assert mask(name, "value") == MASK


@pytest.mark.parametrize("name", "PWD OLDPWD PATH KEYBOARD MONKEY PASSENGER_PORT HOME AUTHOR COMPASS".split())
def test_what_is_no_secret(name):
    assert mask(name, "value") == "value"


def test_a_password_in_a_url():
    assert mask("DATABASE_URL", "postgres://me:pa55@host/db") == f"postgres://me:{MASK}@host/db"
