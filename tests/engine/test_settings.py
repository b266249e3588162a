"""Where settings come from, which one wins, and that every mistake is told at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from engine.errors import EngineNotFound, SettingsInvalid
from engine.settings import Binding, EngineSettings, Settings, read_settings, resolve_student
from engine.settings_sources import Sources, read_sources
from engine.settings_validation import validated


def settings_file(folder: Path, text: str) -> Path:
    file = folder / "smallforge.toml"
    file.write_text(text)
    return file


def mistakes_in(folder: Path, text: str, **variables: str) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        validated(read_sources(settings_file(folder, text), variables, {}))
    return caught.value.mistakes


def settings_named(mistakes: tuple[str, ...]) -> list[str]:
    """The setting that each mistake begins with."""
    return [mistake.split(" ", 1)[0].rstrip(":") for mistake in mistakes]


def sources(folder: Path, text: str = "", variables: Mapping[str, str] | None = None) -> Sources:
    return read_sources(settings_file(folder, text), variables or {}, {})


def test_guards_of_a_promotion_are_settings_too(tmp_path: Path) -> None:
    text = "[compiler.guards]\nmax_cost_increase = 0.1\n"
    guards = read_settings(settings_file(tmp_path, text)).compiler.guards
    assert (guards.max_cost_increase, guards.max_unparseable_increase) == (0.1, 0.01)
    assert mistakes_in(tmp_path, "[compiler.guards]\nmax_cost = 1\nmax_latency_increase = -1\n") == (
        "compiler.guards.max_latency_increase = -1: input should be greater than or equal to 0",
        "compiler.guards.max_cost is no setting; did you mean 'max_cost_increase'?",
    )


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    settings = read_settings(settings_file(tmp_path, ""))
    assert settings == Settings()
    assert (settings.gateway.port, settings.compiler.concurrency, settings.releases) == (
        8080,
        16,
        Path("releases"),
    )


def test_settings_can_not_be_changed(tmp_path: Path) -> None:
    settings = read_settings(settings_file(tmp_path, ""))
    with pytest.raises(FrozenInstanceError):
        settings.student = "other"  # type: ignore[misc]


def test_one_line_names_a_student(tmp_path: Path) -> None:
    settings = read_settings(settings_file(tmp_path, 'student = "http://host:8000"'))
    assert resolve_student(settings) == EngineSettings("default", urls=("http://host:8000",))


def test_a_url_as_flag_replaces_the_configured_engine_and_its_price(tmp_path: Path) -> None:
    text = '[engines.default]\nurls = ["http://a"]\nmodel = "m"\nusd_per_hour = 1\n'
    file = settings_file(tmp_path, text + '[students.default]\nengine = "default"')
    settings = read_settings(file, {"student": "http://b"})
    assert settings.engines["default"] == EngineSettings("default", urls=("http://b",))


def test_a_url_as_flag_leaves_a_configured_default_student_as_it_is(tmp_path: Path) -> None:
    text = '[engines.local]\nurls = ["http://a:1"]\n[students.default]\nengine = "local"\n'
    settings = read_settings(settings_file(tmp_path, text), {"student": "http://b:2"})
    assert settings.engines["default"].urls == ("http://b:2",)
    assert settings.engines["local"].urls == ("http://a:1",)


def test_a_url_may_name_the_model_after_a_hash(tmp_path: Path) -> None:
    file = settings_file(
        tmp_path, 'student = "http://a:1/v1#google/gemma"\n[engines.default]\nusd_per_hour = 1'
    )
    named = EngineSettings("default", urls=("http://a:1/v1",), model="google/gemma", usd_per_hour=1.0)
    assert read_settings(file).engines["default"] == named
    other = read_settings(file, {"student": "http://a:1/v1#other"}).engines["default"]
    assert (other.model, other.usd_per_hour) == ("other", 1.0)


def test_a_price_without_urls_goes_with_the_one_line(tmp_path: Path) -> None:
    settings = read_settings(
        settings_file(tmp_path, 'student = "http://a"\n[engines.default]\nusd_per_hour = 1')
    )
    assert settings.engines["default"].usd_per_hour == 1.0


@pytest.mark.parametrize(("flag", "price"), [("http://a", 1.0), ("http://b", None)])
def test_the_price_of_the_one_line_is_not_that_of_another_address(
    tmp_path: Path, flag: str, price: float | None
) -> None:
    file = settings_file(tmp_path, 'student = "http://a"\n[engines.default]\nusd_per_hour = 1')
    settings = read_settings(file, {"student": flag})
    assert settings.engines["default"] == EngineSettings("default", urls=(flag,), usd_per_hour=price)


def test_the_environment_wins_over_dotenv_and_dotenv_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SMALLFORGE_GATEWAY__PORT=2\nSMALLFORGE_GATEWAY__METRICS_PORT=2\n")
    found = validated(
        sources(
            tmp_path, "[gateway]\nport = 1\nmetrics_port = 1\nhost = 'h'", {"SMALLFORGE_GATEWAY__PORT": "3"}
        )
    )
    assert (found.gateway.port, found.gateway.metrics_port, found.gateway.host) == (3, 2, "h")


def test_flags_win_over_everything(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "[gateway]\nport = 1\nstrict = true")
    settings = read_settings(file, {"gateway": {"port": 4}})
    assert (settings.gateway.port, settings.gateway.strict) == (4, True)


def test_a_variable_can_hold_a_list_of_urls(tmp_path: Path) -> None:
    variables = {
        "SMALLFORGE_ENGINES__BIG__URLS": "http://a, http://b",
        "SMALLFORGE_TEACHERS__BIG__ENGINE": "big",
        "SMALLFORGE_DATA": "/data",
    }
    assert validated(sources(tmp_path, "", variables)).engines["big"].urls == ("http://a", "http://b")


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    mistakes = mistakes_in(
        tmp_path,
        "gatway = 1\n[gateway]\nport = 'abc'\nmetrics_port = 70000\n[compiler]\nconcurrency = 0\n"
        "[engines.x]\nkind = 'ollama'\nurl = 'http://a'",
    )
    text = "\n".join(mistakes)
    assert len(mistakes) == 6
    assert "gatway is no setting; did you mean 'gateway'?" in text
    assert "gateway.port = 'abc': input should be a valid integer" in text
    assert "engines.x.url is no setting; did you mean 'urls'?" in text
    assert "engines.x.kind = 'ollama': input should be 'vllm', 'lmstudio' or 'openai'" in text


def test_mistakes_between_settings_are_told_too(tmp_path: Path) -> None:
    mistakes = mistakes_in(
        tmp_path,
        "student = 'fast'\n[engines.a]\nurls = ['host:8000']\nusd_per_hour = 1\nusd_per_million_output = 1\n"
        "key_env = 'NO_SUCH_KEY'\n[students.default]\nengine = 'b'",
    )
    assert settings_named(mistakes) == [
        "engines.a.urls",
        "engines.a",
        "engines.a",
        "engines.a.key_env",
        "students.default.engine",
        "student",
        "engines.a",
    ]


def test_mistakes_of_both_kinds_are_told_together(tmp_path: Path) -> None:
    mistakes = mistakes_in(
        tmp_path,
        "[gateway]\nprot = 80\nredis = 'nonsense'\nallow_origins = ['nowhere']\ncaps = 3\n"
        "[engines.a]\nkind = 'ollama'\n[engines.b]\nurls = ['host:8000']\n[students.default]\nengine = 'b'",
    )
    assert settings_named(mistakes) == [
        "engines.a.kind",
        "gateway.caps",
        "gateway.prot",
        "engines.b.urls",
        "gateway.allow_origins",
        "gateway.redis",
    ]


@pytest.mark.parametrize(
    "text, wrong",
    [
        (
            "[gateway]\nredis = 5\nworkers = 2\ncache = { store = 'redis' }\n[limits.a]\nconcurrency = 1",
            "redis",
        ),
        ("[engines.a]\nport = 1\n[students.default]\nengine = 'a'", "engines.a.port"),
        ("engines = 7\nstudent = 'mine'", "engines"),
    ],
)
def test_what_follows_from_a_mistake_alone_is_not_told_as_another(
    tmp_path: Path, text: str, wrong: str
) -> None:
    (mistake,) = mistakes_in(tmp_path, text)
    assert wrong in mistake


def test_models_are_exposed_at_the_top_or_by_their_server(tmp_path: Path) -> None:
    text = "expose = ['tiny']\n[engines.a]\nurls = ['http://a']\nexpose = ['qwen', 'embedder']\n"
    settings = read_settings(settings_file(tmp_path, text))
    assert (settings.expose, settings.engines["a"].expose) == (("tiny",), ("qwen", "embedder"))
    assert validated(sources(tmp_path, "", {"SMALLFORGE_EXPOSE": "a, b"})).expose == ("a", "b")


def test_every_mistake_in_what_is_exposed_is_told(tmp_path: Path) -> None:
    text = "expose = ['tiny', '']\n[engines.a]\nurls = ['http://a']\nexpose = ['tiny']\n"
    assert mistakes_in(tmp_path, text + "[engines.b]\nmodel = 'openai/gpt-4.1'\nexpose = ['gpt-4.1']") == (
        "expose: '' is no model's name",
        "engines.a.expose: 'tiny' is exposed already, by expose; keep one of them",
        "engines.b.expose: only models of a server can be exposed, and this one has no urls; for the "
        "local engine write `expose` at the top",
    )


def test_pages_are_allowed_by_their_origin(tmp_path: Path) -> None:
    text = "[gateway]\nallow_origins = ['http://localhost:3000', 'https://chat.example']"
    settings = read_settings(settings_file(tmp_path, text))
    assert settings.gateway.allow_origins == ("http://localhost:3000", "https://chat.example")


@pytest.mark.parametrize(
    "origin", ["localhost:3000", "http://localhost:3000/", "http://LOCALHOST", "null", ""]
)
def test_what_is_no_origin_is_told(tmp_path: Path, origin: str) -> None:
    (mistake,) = mistakes_in(tmp_path, f"[gateway]\nallow_origins = ['{origin}']")
    assert mistake.startswith(f"gateway.allow_origins: {origin!r} is no origin; write for example")


def test_every_page_may_not_come_with_credentials(tmp_path: Path) -> None:
    text = "[gateway]\nallow_origins = ['*']\nallow_credentials = true"
    assert mistakes_in(tmp_path, text) == (
        "gateway.allow_origins: '*' and allow_credentials can't go together; name the origins instead",
    )


def test_a_key_is_read_from_the_variable_that_is_named_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BIG_KEY=sk-canary\n")
    file = settings_file(
        tmp_path,
        "[engines.big]\nmodel = 'openai/gpt-4.1'\nkey_env = 'BIG_KEY'\n[teachers.big]\nengine = 'big'",
    )
    settings = read_settings(file, {"student": "big"})
    assert settings.engines["big"].key == "sk-canary"
    assert "sk-canary" not in repr(settings)


def test_a_named_file_has_to_exist_and_be_toml(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="there is no file"):
        read_settings(tmp_path / "none.toml")
    with pytest.raises(SettingsInvalid, match="is not TOML"):
        read_settings(settings_file(tmp_path, "a ="))


def test_a_binding_chooses_the_model_of_its_engine(tmp_path: Path) -> None:
    text = "[engines.e]\nurls = ['http://a']\nmodel = 'x'\n[students.default]\nengine = 'e'\nmodel = 'y'"
    settings = read_settings(settings_file(tmp_path, text + "\n[teachers.t]\nengine = 'e'"))
    default, teacher = resolve_student(settings), resolve_student(settings, "t")
    assert default is not None and default.model == "y"
    assert teacher is not None and teacher.model == "x"


def test_no_engine_means_the_local_one_and_an_unknown_name_is_told() -> None:
    assert resolve_student(Settings()) is None
    with pytest.raises(EngineNotFound, match="No student or teacher 'fast' is configured; known: default"):
        resolve_student(Settings(), "fast")


def test_the_environment_of_this_process_is_what_is_read(tmp_path: Path) -> None:
    assert not [name for name in os.environ if name.startswith("SMALLFORGE_GATEWAY")]
    assert read_settings(settings_file(tmp_path, "student_check = 'warn'")).student_check == "warn"


def test_a_name_with_a_slash_is_a_hosted_model_with_its_providers_key() -> None:
    settings = Settings(keys={"huggingface": "hf-canary"})
    engine = resolve_student(settings, "huggingface/Qwen/Qwen3-8B")
    assert engine is not None and (engine.model, engine.key) == ("huggingface/Qwen/Qwen3-8B", "hf-canary")
    assert engine.urls == () and "hf-canary" not in repr(engine) + repr(settings)
    other = resolve_student(settings, "openai/gpt-4.1")
    assert other is not None and other.key is None


def test_an_engines_name_before_a_slash_chooses_among_its_models() -> None:
    engines = {"lab": EngineSettings("lab", urls=("http://a",), model="x", usd_per_hour=1.0)}
    engine = resolve_student(Settings(engines=engines), "lab/google/gemma")
    assert engine == EngineSettings("lab", urls=("http://a",), model="google/gemma", usd_per_hour=1.0)


def test_a_configured_name_may_hold_a_slash() -> None:
    engines = {"e": EngineSettings("e", urls=("http://a",))}
    settings = Settings(engines=engines, teachers={"openai/x": Binding("openai/x", "e")})
    assert resolve_student(settings, "openai/x") == engines["e"]


def test_a_hosted_engine_that_names_no_variable_gets_its_providers_key(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "HUGGINGFACE_API_KEY=second\nHF_TOKEN=first\nANTHROPIC_API_KEY=claude\nOWN=own\n"
    )
    file = settings_file(
        tmp_path,
        "[engines.a]\nmodel = 'anthropic/claude-haiku-4-5'\n[teachers.a]\nengine = 'a'\n"
        "[engines.b]\nmodel = 'huggingface/x/y'\nkey_env = 'OWN'\n[teachers.b]\nengine = 'b'",
    )
    settings = read_settings(file)
    keys = [resolve_student(settings, name) for name in ("a", "b", "huggingface/x/y")]
    assert [engine.key for engine in keys if engine] == ["claude", "own", "first"]
