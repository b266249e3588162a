"""What settings there are and which values they take; every mistake at once, each as one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from engine.errors import SettingsInvalid
from engine.settings_access import Caps, access_mistakes
from engine.settings_cache import Cache, cache_mistakes
from engine.settings_console import Console, console_mistakes
from engine.settings_fleet import Fleet, Timeouts, fleet_mistakes
from engine.settings_limits import Limit, limits_mistakes, redis_mistakes
from engine.settings_programs import ProgramTable, programs_mistakes
from engine.settings_sound import is_sound, sound
from engine.settings_sources import Sources
from engine.settings_telemetry import LogFormat, LogLevel, Telemetry, telemetry_mistakes
from engine.settings_traffic import Traffic, traffic_mistakes

Port = Annotated[int, Field(ge=0, le=65535)]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _split(value: object) -> object:
    # A variable of the environment can't hold a list.
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Engine(_Table):
    """[engines.NAME]"""

    urls: Names = ()
    model: str | None = None
    kind: Literal["vllm", "lmstudio", "openai"] = "vllm"
    key_env: str | None = None
    usd_per_hour: Usd | None = None
    usd_per_million_input: Usd | None = None
    usd_per_million_output: Usd | None = None
    usd_per_million_cached: Usd | None = None
    expose: Names = ()
    fleet: Fleet = Fleet()
    timeouts: Timeouts = Timeouts()


class Bound(_Table):
    """[students.NAME] and [teachers.NAME]"""

    engine: str
    model: str | None = None


class Gateway(_Table):
    """[gateway]"""

    host: str = "127.0.0.1"
    port: Port = 8080
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 9091
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    strict: bool = False
    trace: bool = False
    constrain: bool = False
    cache_salt: bool = False
    warm: bool = True
    allow_origins: Names = ()
    allow_credentials: bool = False
    max_steps: Annotated[int, Field(ge=1)] | None = None
    max_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"
    access_log: bool = False
    database: str = "gateway.db"
    pepper: str | None = None
    pepper_file: Path = Path("gateway.pepper")
    keys_hold_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 0.0
    open: bool = False
    admin_host: str = "127.0.0.1"
    admin_port: Port = 0
    caps: Caps = Caps()
    redis: str | None = None
    limits_fail_open: bool = False
    telemetry: Telemetry = Telemetry()
    traffic: Traffic = Traffic()
    cache: Cache | None = None


class Guards(_Table):
    """[compiler.guards]"""

    max_unparseable_increase: Share = 0.01
    max_cost_increase: Share | None = None
    max_latency_increase: Share | None = None


class Compiler(_Table):
    """[compiler]"""

    concurrency: Annotated[int, Field(ge=1)] = 16
    mlflow_uri: str | None = None
    max_usd: Usd | None = None
    guards: Guards = Guards()


class Top(_Table):
    """The whole file."""

    engines: dict[str, Engine] = {}
    students: dict[str, Bound] = {}
    teachers: dict[str, Bound] = {}
    student: str = "default"
    releases: Path = Path("releases")
    state: Path = Path(".smallforge")
    home: Path | None = None
    tables: Path | None = None
    student_check: Literal["strict", "warn"] = "strict"
    expose: Names = ()
    limits: dict[str, Limit] = {}
    programs: dict[str, ProgramTable] = {}
    gateway: Gateway = Gateway()
    compiler: Compiler = Compiler()
    console: Console = Console()


def validated(sources: Sources) -> Top:
    """The settings as typed values. Raises SettingsInvalid with every mistake there is."""
    values = _with_url_as_student(sources.values)
    errors: list[ErrorDetails] = []
    try:
        top = Top.model_validate(values)
    except ValidationError as exc:
        errors = exc.errors()
        top = Top.model_validate(sound(values, [error["loc"] for error in errors]))
    wrong = [error["loc"] for error in errors]
    mistakes = [_sentence(error) for error in errors]
    for sections, check in _CHECKS:
        # What a check reads may be wrong itself, and what it then said would follow from that alone.
        if all(is_sound(section, wrong) for section in sections.split()):
            mistakes += check(top, sources)
    if mistakes:
        raise SettingsInvalid(mistakes)
    return top


def _with_url_as_student(values: Mapping[str, object]) -> dict[str, Any]:
    """`student = "http://...#model"` written out: an engine and a student, both called default."""
    plain: dict[str, Any] = dict(values)
    url = plain.get("student")
    if not isinstance(url, str) or "://" not in url:
        return plain
    engines = dict(plain.get("engines") or {})
    given = dict(engines.get("default") or {})
    address, _, model = url.partition("#")
    named = {"model": model} if model else {}
    # Prices and models written for another address do not hold for this one.
    engines["default"] = {**(given if "urls" not in given else {}), "urls": [address], **named}
    students = {**dict(plain.get("students") or {}), "default": {"engine": "default"}}
    return {**plain, "student": "default", "engines": engines, "students": students}


def _replaced_by_url(values: Mapping[str, object]) -> set[str]:
    """The engine that the configured default student names; a URL for one command leaves it configured."""
    students = values.get("students")
    default = students.get("default") if isinstance(students, Mapping) else None
    return {str(default.get("engine"))} if isinstance(default, Mapping) else set()


def _engine_mistakes(top: Top, sources: Sources) -> Iterator[str]:
    for name, engine in top.engines.items():
        place = f"engines.{name}"
        for url in engine.urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                yield f"{place}.urls: {url!r} is no URL; write for example 'http://127.0.0.1:8000'"
        if engine.usd_per_hour is not None and engine.usd_per_million_output is not None:
            yield f"{place} has a price by the hour and one by the token; keep one of them"
        if (engine.usd_per_million_input is None) != (engine.usd_per_million_output is None):
            yield f"{place} needs both usd_per_million_input and usd_per_million_output, or neither"
        if engine.usd_per_million_cached is not None and engine.usd_per_million_input is None:
            yield f"{place}.usd_per_million_cached needs usd_per_million_input and usd_per_million_output too"
        yield from fleet_mistakes(place, engine.urls, engine.fleet, engine.timeouts)
        if engine.key_env is not None and sources.secret(engine.key_env) is None:
            yield f"{place}.key_env: the environment has no variable {engine.key_env!r}, nor has .env"


def _expose_mistakes(top: Top) -> Iterator[str]:
    places = {"expose": top.expose} | {
        f"engines.{name}.expose": it.expose for name, it in top.engines.items()
    }
    seen: dict[str, str] = {}
    for place, models in places.items():
        for model in models:
            if not model.strip():
                yield f"{place}: {model!r} is no model's name"
            elif model in seen:
                yield f"{place}: {model!r} is exposed already, by {seen[model]}; keep one of them"
            seen[model] = place
    for name, engine in top.engines.items():
        if engine.expose and not engine.urls:
            yield (
                f"engines.{name}.expose: only models of a server can be exposed, and this one has no urls; "
                "for the local engine write `expose` at the top"
            )


def _origin_mistakes(gateway: Gateway) -> Iterator[str]:
    place = "gateway.allow_origins"
    for origin in gateway.allow_origins:
        parts = urlsplit(origin)
        if origin != "*" and (not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}".lower()):
            yield (
                f"{place}: {origin!r} is no origin; write for example 'http://localhost:3000', in small "
                "letters and without a path, or '*' for every page"
            )
    if "*" in gateway.allow_origins and gateway.allow_credentials:
        yield f"{place}: '*' and allow_credentials can't go together; name the origins instead"


def _binding_mistakes(top: Top, sources: Sources) -> Iterator[str]:
    bound = [("students", top.students), ("teachers", top.teachers)]
    for table, bindings in bound:
        for name, binding in bindings.items():
            if binding.engine not in top.engines:
                known = ", ".join(repr(engine) for engine in sorted(top.engines)) or "none"
                yield f"{table}.{name}.engine: there is no engine {binding.engine!r}; configured: {known}"
    # A name with a slash is a hosted model, or one of an engine; that is looked at when it is opened.
    if top.student not in {"default", *top.students, *top.teachers} and "/" not in top.student:
        known = ", ".join(repr(name) for name in sorted({*top.students, *top.teachers})) or "none"
        yield (
            f"student: {top.student!r} is no URL, no configured student and no provider/model; "
            f"configured: {known}"
        )
    used = {binding.engine for _, bindings in bound for binding in bindings.values()}
    used |= _replaced_by_url(sources.values)
    # Models that are exposed at the top are looked for on every server.
    used |= {name for name, engine in top.engines.items() if engine.expose or (top.expose and engine.urls)}
    for name in sorted(set(top.engines) - used):
        yield f"engines.{name} is used by no student or teacher; [students.default] can name it"


_CHECKS: Sequence[tuple[str, Callable[[Top, Sources], Iterable[str]]]] = (
    ("", _engine_mistakes),
    ("", lambda top, _: _expose_mistakes(top)),
    ("gateway.allow_origins gateway.allow_credentials", lambda top, _: _origin_mistakes(top.gateway)),
    ("gateway.telemetry", lambda top, _: telemetry_mistakes(top.gateway.telemetry)),
    (
        "gateway.cache gateway.redis gateway.cache_salt",
        lambda top, _: cache_mistakes(top.gateway.cache, top.gateway.redis, top.gateway.cache_salt),
    ),
    ("gateway.traffic", lambda top, _: traffic_mistakes(top.gateway.traffic)),
    (
        "gateway.database gateway.pepper",
        lambda top, _: access_mistakes(top.gateway.database, top.gateway.pepper),
    ),
    ("console", lambda top, _: console_mistakes(top.console)),
    ("gateway.redis", lambda top, _: redis_mistakes(top.gateway.redis)),
    (
        "gateway.redis gateway.workers",
        lambda top, _: limits_mistakes(top.limits, top.gateway.redis, top.gateway.workers),
    ),
    (
        "students teachers",
        lambda top, _: programs_mistakes(top.programs, {*top.students, *top.teachers}),
    ),
    ("engines students teachers student expose", _binding_mistakes),
)
"""What values say against each other, each with the sections that it needs whole; a table of names is not
among them where the rest of its names can be looked at without one that is wrong."""


def _sentence(error: ErrorDetails) -> str:
    place = ".".join(str(word) for word in error["loc"])
    if error["type"] == "extra_forbidden":
        known = _known_names(error["loc"][:-1])
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return f"{place} is no setting; " + (
            f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
        )
    if error["type"] == "missing":
        return f"{place} is missing"
    # Values can be secrets put in the wrong place; a long one is not repeated.
    shown = repr(error["input"])
    return f"{place} = {shown if len(shown) <= 60 else '...'}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _known_names(place: tuple[int | str, ...]) -> list[str]:
    """The names allowed in the table at `place`."""
    tables: Mapping[str, type[BaseModel]] = {
        "engines": Engine,
        "students": Bound,
        "teachers": Bound,
        "console": Console,
        "limits": Limit,
        "programs": ProgramTable,
        "gateway": Gateway,
        "compiler": Compiler,
    }
    inner: Mapping[tuple[object, object], type[BaseModel]] = {
        ("compiler", "guards"): Guards,
        ("engines", "fleet"): Fleet,
        ("engines", "timeouts"): Timeouts,
        ("gateway", "cache"): Cache,
        ("gateway", "caps"): Caps,
        ("gateway", "telemetry"): Telemetry,
        ("gateway", "traffic"): Traffic,
    }
    table = tables[str(place[0])] if place else Top
    return sorted(inner.get((place[0], place[-1]) if place else ("", ""), table).model_fields)
