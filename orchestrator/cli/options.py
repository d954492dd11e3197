"""Groups of options that several commands share, as frozen dataclasses. The options of one command are beside it."""

from __future__ import annotations

from dataclasses import dataclass

WAIT_FOR_DATABASE = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class LocationOptions:
    """The files that define a system, the directory of -C, and its home.

    `preset` is `airflow` for the commands below `orchestrate airflow`. `bundle` is the archive that the home is from.
    """

    file: tuple[str, ...] = ()
    root: str | None = None
    env: tuple[str, ...] = ()
    env_override: bool = False
    directory: str | None = None
    home: str | None = None
    preset: str = ""
    bundle: str = ""


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """The system, its selected components (none for all), and the output format."""

    location: LocationOptions
    names: tuple[str, ...] = ()
    json: bool = False


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The chosen components, their number, ports, terminals and exits.

    Each text is a list of names, separated by commas, as it was typed. `timeout` is the grace period in seconds.
    """

    names: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    profile: tuple[str, ...] = ()
    formation: tuple[str, ...] = ()
    no_deps: bool = False
    no_tty: tuple[str, ...] = ()
    no_init: bool = False
    quiet: tuple[str, ...] = ()
    base_port: int | None = None
    no_port: bool = False
    any_port: bool = False
    timeout: float | None = None
    on_exit: str | None = None
    can_end: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StartOptions:
    """The options of `up` and `airflow` that do not depend on the definition.

    Sizes are in bytes, `wait` in seconds: None for no limit, 0 to wait without one. `history` is a number of starts.
    """

    color: str | None = None
    timestamps: bool = False
    utc: bool = False
    no_prefix: bool = False
    no_status: bool = False
    ui: bool = False
    json: bool = False
    bell: bool = False
    log_dir: str | None = None
    no_log: bool = False
    log_size: int | None = None
    log_files: int | None = None
    history: int | None = None
    history_size: int | None = None
    detach: bool = False
    on_hangup: str | None = None
    wait: float | None = None
    end_survivors: bool = False
    exit_code_from: str | None = None


@dataclass(frozen=True, slots=True)
class LineOptions:
    """How lines are printed: by `logs`, and by the merged stream in another terminal."""

    color: str | None = None
    timestamps: bool = False
    utc: bool = False
    no_prefix: bool = False
    json: bool = False


@dataclass(frozen=True, slots=True)
class PresetOptions:
    """The options of `orchestrate airflow`. `components` and `left_out` are lists of names, separated by commas."""

    airflow: str | None = None
    executor: str | None = None
    workers: int = 1
    concurrency: int | None = None
    queues: str | None = None
    worker_grace: float | None = None
    flower: bool = False
    servers: str | None = None
    listen: str | None = None
    components: str | None = None
    left_out: str | None = None
    port: int | None = None
    any_port: bool = False
    bind: str | None = None
    wait_for_database: float = WAIT_FOR_DATABASE
