"""The configuration of every command: `smallforge.toml`, `.env` and `SMALLFORGE_*` variables, flags.

Read once, at the edge, into frozen dataclasses; all mistakes are reported together. A key of a hosted service
is never written into the file: its engine names the variable, of the environment or of `.env`, that holds it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from engine.errors import EngineNotFound
from engine.providers import KEY_VARIABLES, provider_of
from engine.settings_access import CapSettings
from engine.settings_cache import CacheSettings, cache_from
from engine.settings_console import ConsoleSettings
from engine.settings_fleet import FleetSettings, TimeoutSettings
from engine.settings_limits import LimitSettings, limits_from
from engine.settings_programs import ProgramSettings, programs_from
from engine.settings_sources import read_sources
from engine.settings_telemetry import LogFormat, LogLevel, TelemetrySettings
from engine.settings_traffic import TrafficSettings
from engine.settings_validation import validated

EngineKind = Literal["vllm", "lmstudio", "openai"]
StudentCheck = Literal["strict", "warn"]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that only this machine can reach."""
_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True)
class EngineSettings:
    """One place where a model runs.

    With `urls` it is a server that is up, each a machine of its own; with a `model` and no `urls` a hosted
    one, reached through LiteLLM; with neither the local engine. Prices are USD, an hour's for each of `urls`;
    None is unknown. `key` is the value that `key_env` names.
    `expose` names models of the server that the gateway's clients may ask as they are.
    """

    name: str
    urls: tuple[str, ...] = ()
    model: str | None = None
    kind: EngineKind = "vllm"
    key_env: str | None = None
    usd_per_hour: float | None = None
    usd_per_million_input: float | None = None
    usd_per_million_output: float | None = None
    usd_per_million_cached: float | None = None
    expose: tuple[str, ...] = ()
    fleet: FleetSettings = field(default_factory=FleetSettings)
    timeouts: TimeoutSettings = field(default_factory=TimeoutSettings)
    key: str | None = field(default=None, repr=False)

    @property
    def is_fleet(self) -> bool:
        """Whether calls are shared among its URLs, or wait before them."""
        return len(self.urls) > 1 or self.fleet.max_in_flight is not None


@dataclass(frozen=True)
class Binding:
    """A logical student or teacher: which engine it runs on, and which of that engine's models it is."""

    name: str
    engine: str
    model: str | None = None


@dataclass(frozen=True)
class GatewaySettings:
    """Where the gateway listens, with how many processes, and whether it refuses requests with parts that a
    program would ignore.

    Pages of `allow_origins` may read its answers, and send cookies with `allow_credentials`.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9091
    workers: int = 1
    strict: bool = False
    trace: bool = False
    """Whether a traced request may see prompts and raw replies."""
    constrain: bool = False
    """Whether students on vLLM are held to their programs' format."""
    cache_salt: bool = False
    """Whether vLLM's prefix cache is kept apart by the callers' keys."""
    warm: bool = True
    """Whether vLLM reads the constant part of a prompt ahead of the first request."""
    allow_origins: tuple[str, ...] = ()
    allow_credentials: bool = False
    max_steps: int | None = None
    max_seconds: float | None = None
    """What one answer of a program of several steps may take, where the program allows more."""
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"
    access_log: bool = False
    """Whether each request has a line in the log; one that failed always has."""
    database: str = field(default="gateway.db", repr=False)
    """A file of SQLite or the URL of a PostgreSQL server; used by what needs one, and made by it."""
    pepper: str | None = field(default=None, repr=False)
    pepper_file: Path = Path("gateway.pepper")
    """The secret under which keys are digested: itself, or the file that has it."""
    keys_hold_seconds: float = 0.0
    """For how long keys that were let in before still are, while the database can't be asked."""
    open: bool = False
    """Whether others than this machine may ask though there are no keys."""
    admin_host: str = "127.0.0.1"
    admin_port: int = 0
    """Where admins make and revoke keys over HTTP; 0 is nowhere."""
    caps: CapSettings = field(default_factory=CapSettings)
    redis: str | None = field(default=None, repr=False)
    """Where several gateways and workers count together; its address may hold a password."""
    limits_fail_open: bool = False
    """Whether requests are served, uncounted, while that Redis is gone."""
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    traffic: TrafficSettings = field(default_factory=TrafficSettings)
    cache: CacheSettings | None = None


@dataclass(frozen=True)
class GuardSettings:
    """By how much a release may be worse than the champion that it replaces; None is no limit.

    Unparseable replies by their share of all, cost and median latency by their share of the champion's.
    """

    max_unparseable_increase: float = 0.01
    max_cost_increase: float | None = None
    max_latency_increase: float | None = None


@dataclass(frozen=True)
class CompilerSettings:
    """How builds run: calls in flight, where they are logged, what they may cost in all."""

    concurrency: int = 16
    mlflow_uri: str | None = None
    max_usd: float | None = None
    guards: GuardSettings = GuardSettings()


@dataclass(frozen=True)
class Settings:
    """Everything a command can be told. `student` is the logical student that is meant when none is named.

    `keys` holds the keys of hosted services that the environment or `.env` has, by provider.
    """

    engines: Mapping[str, EngineSettings] = field(default_factory=dict)
    students: Mapping[str, Binding] = field(default_factory=dict)
    teachers: Mapping[str, Binding] = field(default_factory=dict)
    student: str = "default"
    releases: Path = Path("releases")
    state: Path = Path(".smallforge")
    home: Path | None = None
    tables: Path | None = None
    """Folder of the tables of scripture, for programs that look verses up."""
    student_check: StudentCheck = "strict"
    expose: tuple[str, ...] = ()
    """Models of engines that the gateway's clients may ask as they are, whichever server has them."""
    limits: Mapping[str, LimitSettings] = field(default_factory=dict)
    """How much of each model the gateway lets all its clients together use; "*" is each other model."""
    programs: Mapping[str, ProgramSettings] = field(default_factory=dict)
    """What the gateway does with each program's requests, where it isn't the usual."""
    gateway: GatewaySettings = GatewaySettings()
    compiler: CompilerSettings = CompilerSettings()
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    keys: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


def read_settings(path: Path | None = None, overrides: Mapping[str, object] = _NOTHING) -> Settings:
    """The settings from `path` (./smallforge.toml, if it is there), the environment and `overrides`.

    `overrides` are flags, named and nested as in the file. Raises SettingsInvalid with all mistakes.
    """
    sources = read_sources(path, os.environ, overrides)
    found = validated(sources)
    engines = {
        name: EngineSettings(
            name=name,
            key=sources.secret(engine.key_env),
            fleet=FleetSettings(**engine.fleet.model_dump()),
            timeouts=TimeoutSettings(**engine.timeouts.model_dump()),
            **engine.model_dump(exclude={"fleet", "timeouts"}),
        )
        for name, engine in found.engines.items()
    }
    plain = {"student", "releases", "state", "home", "tables", "student_check", "expose"}
    top = found.model_dump(include=plain)
    return Settings(
        engines=engines,
        students={name: Binding(name, it.engine, it.model) for name, it in found.students.items()},
        teachers={name: Binding(name, it.engine, it.model) for name, it in found.teachers.items()},
        gateway=GatewaySettings(
            telemetry=TelemetrySettings(**found.gateway.telemetry.model_dump()),
            traffic=TrafficSettings(**found.gateway.traffic.model_dump()),
            caps=CapSettings(**found.gateway.caps.model_dump()),
            cache=cache_from(found.gateway.cache),
            **found.gateway.model_dump(exclude={"telemetry", "traffic", "caps", "cache"}),
        ),
        console=ConsoleSettings(
            ray_key=sources.secret(found.console.ray_key_env), **found.console.model_dump()
        ),
        limits=limits_from(found.limits),
        programs=programs_from(found.programs),
        compiler=CompilerSettings(
            guards=GuardSettings(**found.compiler.guards.model_dump()),
            **found.compiler.model_dump(exclude={"guards"}),
        ),
        keys={
            provider: key
            for provider, names in KEY_VARIABLES.items()
            if (key := next(filter(None, map(sources.secret, names)), None))
        },
        **top,
    )


def resolve_student(settings: Settings, name: str | None = None) -> EngineSettings | None:
    """The engine of a logical student or teacher, its own model put in; None where the local engine is meant.

    A name with a slash that is not configured is ENGINE/MODEL of a configured server, else a hosted
    provider/model. Raises EngineNotFound for any other that is not configured.
    """
    wanted = name or settings.student
    binding = settings.students.get(wanted) or settings.teachers.get(wanted)
    if binding is not None:
        engine = settings.engines[binding.engine]
        return _with_key(settings, replace(engine, model=binding.model or engine.model))
    if wanted == "default":
        return None
    first, slash, rest = wanted.partition("/")
    if slash and first in settings.engines and settings.engines[first].urls:
        return replace(settings.engines[first], model=rest)
    if slash:
        return _with_key(settings, EngineSettings(wanted, model=wanted, kind="openai"))
    known = ", ".join(sorted({*settings.students, *settings.teachers, "default"}))
    raise EngineNotFound(
        f"No student or teacher {wanted!r} is configured; known: {known}. A URL or a hosted model such as "
        f"'openai/gpt-4.1' needs no configuration; else the file adds one: [students.{wanted}]"
    )


def _with_key(settings: Settings, engine: EngineSettings) -> EngineSettings:
    """The engine; if it is a hosted one that names no variable, with the key of its provider."""
    if engine.urls or engine.model is None or engine.key is not None:
        return engine
    return replace(engine, key=settings.keys.get(provider_of(engine.model)))
