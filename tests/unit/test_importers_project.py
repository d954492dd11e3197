"""`orchestrate init` as a function: what a directory contains, to a definition that is valid as it is."""

import json
import re

from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import loading, toml
from orchestrator.config.definition import merge
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.importers import project
from orchestrator.config.importers.draft import Nearby, render
from orchestrator.config.validate import validate

FILES = {
    "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")',
    "shop/celery.py": "",
    "shop/settings.py": "CELERY_BEAT_SCHEDULE = {}",
    "requirements.txt": "Django\ncelery[redis]\n",
    "main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n",
    "app.py": "site = Flask(__name__)\n",
    "tasks.py": 'jobs = Celery("x")\n',
    "package.json": json.dumps({"scripts": {"dev": "vite", "watch:css": "x --watch", "build": "vite build"}}),
    "pnpm-lock.yaml": "",
    "compose.yaml": 'services:\n  db: {image: postgres, ports: ["127.0.0.1:5433:5432"]}\n  web: {build: .}\n',
    "Procfile": "web: gunicorn app\nrelease: ./migrate\n",
    "Procfile.dev": "# the server\nweb: bin/rails server\ncss: npm run css\nweb: twice\n",
    "process-compose.yaml": "processes: {}",
    "airflow.cfg": "",
}
PROGRAMS = ("python", "python3", "uv", "npm", "pnpm", "docker", "gunicorn", "airflow", ".venv/bin/python")


def nearby(files, programs):
    """A directory with these files, in which these programs can run."""
    names = {f"{name.split('/')[0]}/" if "/" in name else name for name in files}

    def fault(command):
        word = command.removeprefix("exec ").split()[0]
        return "" if word in programs or word in ("while", "./migrate") else f"command not found: {word}"

    return Nearby("/srv/app", frozenset({*names, ".venv/"}), lambda name: files.get(name), fault)


def read(text):
    """The definition of a text, and what is wrong with it."""
    report = Report()
    document = toml.parse(text.encode(), Place("orchestrate.toml", 0, "/srv/app"), report)
    assert document is not None, report.problems
    if "components" not in document.tree:
        assert "airflow" in document.tree
        document.tree["components"] = {"scheduler": {"command": "airflow scheduler"}}
    found = loading.read(merge([document]), "orchestrate.toml", report)
    validate(found, report)
    return found, report.problems


def detected(files, programs=PROGRAMS):
    around = nearby({name: FILES[name] for name in files.split()}, programs)
    return render(project.detect(around)).partition("Ctrl-C stops them.\n")[2]


@settings(deadline=None, max_examples=examples(300))
@given(st.sets(st.sampled_from(list(FILES))), st.sets(st.sampled_from(PROGRAMS)))
def test_each_definition_is_valid_and_can_run(files, programs):
    around = nearby({name: FILES[name] for name in files}, programs)
    found, problems = read(render(project.detect(around)))
    assert problems == []
    for member in (*found.components, *found.init):
        assert member.command == "airflow scheduler" or around.fault(member.command) == ""


def test_django_with_celery_and_a_database_in_a_container():
    assert (
        detected("manage.py shop/celery.py shop/settings.py requirements.txt compose.yaml")
        == """
# Service db of compose.yaml, in a container.
[components.db]
command = "exec docker compose up --no-log-prefix db"
# owner: the process that listens belongs to Docker
ready = { tcp = 5433, owner = "any" }

# Runs once at each start, before the components that depend on it.
[components.migrate]
command = ".venv/bin/python manage.py migrate"
depends_on = { db = "ready" }
on_exit = "ignore"

# The development server of Django.
[components.web]
command = ".venv/bin/python manage.py runserver $PORT"
port = 8000
# ready once its own process accepts connections
ready = { tcp = "127.0.0.1:${PORT}" }
depends_on = { db = "ready", migrate = "succeeded" }

[components.worker]
command = ".venv/bin/python -m celery -A shop worker -l info"
# seconds that running tasks may take before they are killed
stop = { timeout = 30 }
depends_on = { db = "ready", migrate = "succeeded" }

[components.beat]
command = ".venv/bin/python -m celery -A shop beat -l info"
depends_on = { db = "ready", migrate = "succeeded" }

# Apache Airflow is installed. This line adds its components:
# [airflow]
"""
    )


def test_fastapi_beside_node():
    assert (
        detected("main.py package.json pnpm-lock.yaml", ("python3", "pnpm"))
        == """
[components.web]
command = "python3 -m uvicorn main:app --reload --port $PORT"
port = 8000
# ready once its own process accepts connections
ready = { tcp = "127.0.0.1:${PORT}" }

# Script dev: vite
[components.dev]
command = "pnpm run dev"

# Script watch:css: x --watch
[components.watch-css]
command = "pnpm run watch:css"
# start it with `orchestrate start watch-css`
autostart = false
"""
    )


def test_a_procfile_for_development_comes_first():
    text = detected("Procfile Procfile.dev manage.py", ("npm",))
    assert re.findall(r"^(# )?\[(.*)\]$", text, re.MULTILINE) == [("# ", "components.web"), ("", "components.css")]
    assert "# the server\n# Commented out: command not found: bin/rails.\n# [components.web]\n" in text


def test_an_airflow_home_gets_the_preset():
    assert detected("airflow.cfg").startswith(
        '# The table [airflow] adds all components of Apache Airflow.\n\n[airflow]\nhome = "."\n'
    )
