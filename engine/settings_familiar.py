"""Variables that users have from other tools already, understood where nothing of ours says otherwise.

They count less than flags, SMALLFORGE_* variables and the file. The keys of hosted services have a table of
their own, in `providers`.
"""

from __future__ import annotations

from collections.abc import Mapping

FAMILIAR: Mapping[str, str] = {
    "LM_STUDIO_API_URL": "the engine, student and teacher `lmstudio`, and the student if there is none",
    "LM_STUDIO_CHAT_MODEL": "the model of the engine `lmstudio`",
    "LM_API_TOKEN": "the key of the engine `lmstudio`",
    "STUDENT_MODEL": "the student: a model of LM_STUDIO_API_URL, else a URL, a name or provider/model",
    "MLFLOW_TRACKING_URI": "where builds are logged",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "where the gateway sends its traces",
}
"""Variable -> what it stands for."""

LM_STUDIO = "lmstudio"


def from_familiar(variables: Mapping[str, str], configured: Mapping[str, object]) -> dict[str, object]:
    """The settings that these variables stand for; `configured` is what is said elsewhere."""
    found = {name: variables[name].strip() for name in FAMILIAR if variables.get(name, "").strip()}
    settings: dict[str, object] = {}
    student = found.get("STUDENT_MODEL")
    url = found.get("LM_STUDIO_API_URL")
    students: dict[str, object] = {}
    if url is not None:
        settings["engines"] = {LM_STUDIO: _lm_studio(url, found)}
        settings["teachers"] = {LM_STUDIO: {"engine": LM_STUDIO}}
        students[LM_STUDIO] = {"engine": LM_STUDIO}
    if not _has_student(configured):
        if url is not None and student not in _names(configured) and "://" not in (student or ""):
            students["default"] = {"engine": LM_STUDIO, **({"model": student} if student else {})}
        elif student is not None:
            settings["student"] = student
    if students:
        settings["students"] = students
    if "MLFLOW_TRACKING_URI" in found:
        settings["compiler"] = {"mlflow_uri": found["MLFLOW_TRACKING_URI"]}
    if "OTEL_EXPORTER_OTLP_ENDPOINT" in found:
        settings["gateway"] = {"telemetry": {"endpoint": found["OTEL_EXPORTER_OTLP_ENDPOINT"]}}
    return settings


def _lm_studio(url: str, found: Mapping[str, str]) -> dict[str, object]:
    engine: dict[str, object] = {"kind": "lmstudio", "urls": [url if "://" in url else f"http://{url}"]}
    if "LM_STUDIO_CHAT_MODEL" in found:
        engine["model"] = found["LM_STUDIO_CHAT_MODEL"]
    if "LM_API_TOKEN" in found:
        engine["key_env"] = "LM_API_TOKEN"
    return engine


def _has_student(configured: Mapping[str, object]) -> bool:
    students = configured.get("students")
    return "student" in configured or (isinstance(students, Mapping) and "default" in students)


def _names(configured: Mapping[str, object]) -> set[object]:
    """The logical students and teachers that are configured."""
    tables = (configured.get("students"), configured.get("teachers"))
    return {name for table in tables if isinstance(table, Mapping) for name in table}
