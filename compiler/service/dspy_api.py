"""/api/dspy: training, its status and questions, in the shapes that these clients were written for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from compiler.models import suggestions, survey
from compiler.service.asking import Form, Said, ask, champion_or_plain
from compiler.service.errors import RequestInvalid
from compiler.service.jobs import Standing
from compiler.service.jobs_api import release_of
from compiler.service.office import Office, TheOffice
from compiler.service.orders import Order
from programs.embedding import EMBEDDERS

routes = APIRouter(prefix="/api/dspy", tags=["dspy"])


class TrainAsked(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    teacher_model: str | None = None
    student_model: str | None = None
    data_path: str
    save_path: str | None = None


class ExampleAsked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    context: str
    question: str


class Message(BaseModel):
    role: Literal["user", "assistant", "system"]
    content: str


class Turn(BaseModel):
    question: str
    answer: str


class ContextAsked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    question: str
    context: str = ""
    history: list[Message | Turn] = []


@routes.post("/train")
async def train(asked: TrainAsked, office: TheOffice) -> dict[str, Any]:
    """Starts a build of the configured program, or puts it in line behind those that run."""
    order = Order(
        program=office.folders.program(office.settings.console.program),
        data=office.folders.rows(asked.data_path),
        student=office.students.check(asked.student_model),
        teacher=office.students.check(asked.teacher_model),
        releases=None if asked.save_path is None else office.folders.saves(asked.save_path),
    )
    standing = await office.dispatch.add(order, "dspy", estimate=False)
    ahead = sum(one.under_way for one in await office.dispatch.standings()) - 1
    told = f"was put in line, {ahead} under way" if ahead else "has started"
    message = f"Training {standing.job.id} {told}."
    return {"status": "success", "message": message, "training_status": _in_short(standing)}


@routes.get("/status")
async def status(office: TheOffice) -> dict[str, Any]:
    """The newest training that was started here."""
    newest = next((one for one in await office.dispatch.standings() if one.job.origin == "dspy"), None)
    nothing = {"is_training": False, "current_task": None, "progress": 0.0, "start_time": None}
    short = nothing if newest is None else _in_short(newest)
    return {"status": "success", "training_status": {**short, **_at_the_end(newest)}}


@routes.post("/example")
async def example(asked: ExampleAsked, office: TheOffice, response: Response) -> dict[str, Any]:
    """A question about a context, for the champion; where there is none, for the program as it is."""
    return await _answer(office, response, {"context": asked.context, "question": asked.question}, [])


@routes.post("/ask_with_context")
async def ask_with_context(asked: ContextAsked, office: TheOffice, response: Response) -> dict[str, Any]:
    """The same with earlier turns."""
    turns = _turns(asked.history)
    return await _answer(office, response, {"context": asked.context, "question": asked.question}, turns)


@routes.get("/models")
async def models(office: TheOffice) -> dict[str, Any]:
    """Which models can be named: teachers by their tier, students that are configured or answer now."""
    suggested, found = suggestions(), await survey(office.settings, {})
    tiers = {
        tier.replace(" ", "_"): [one.name for one in suggested.teachers if one.tier == tier]
        for tier in ("high quality", "balanced", "fast")
    }
    tiers["balanced"] = list(dict.fromkeys([*office.settings.teachers, *tiers["balanced"]]))
    served = [f"{one.engine}/{one.model}" for one in found.served if one.engine in office.settings.engines]
    local = list(dict.fromkeys([*office.students.names(), *served]))
    embedding = [name for name in served if "embed" in name.lower()]
    return {
        "teacher_models": tiers,
        "student_models": {
            "local_models": [name for name in local if name not in embedding],
            "embedding_models": [*EMBEDDERS, *embedding],
        },
    }


async def _answer(
    office: Office, response: Response, given: Mapping[str, str], turns: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    settings = office.settings
    name = office.folders.program(settings.console.program)
    form = await asyncio.to_thread(champion_or_plain, settings.releases, name, settings.tables)
    inputs = _by_roles(form, given)
    chat = form.executor.chat
    history = [{chat.user: question, chat.answer: answer} for question, answer in turns]
    said: Said = await ask(form, inputs, history if chat.history else [], office.students, None)
    response.headers["x-smallforge-release"] = form.name
    return {"status": "success", "result": {"answer": said.answer, "student_model": said.student}}


def _by_roles(form: Form, given: Mapping[str, str]) -> dict[str, str]:
    """Question and context by the program's own names: fields of those names, else as a chat's texts."""
    names = {field.name for field in form.executor.inputs}
    chat = form.executor.chat
    places = {"question": chat.user, "context": "context" if "context" in names else chat.system}
    inputs = {place: given[what] for what, place in places.items() if place is not None and given[what]}
    if given["context"] and places["context"] is None:
        raise RequestInvalid(f"{form.name!r} takes no context")
    return inputs


def _turns(history: Sequence[Message | Turn]) -> list[tuple[str, str]]:
    """Pairs of question and answer; of messages, each user text with the assistant's that follows it."""
    pairs: list[tuple[str, str]] = []
    question: str | None = None
    for turn in history:
        if isinstance(turn, Turn):
            pairs.append((turn.question, turn.answer))
        elif turn.role == "user":
            question = turn.content
        elif turn.role == "assistant" and question is not None:
            pairs.append((question, turn.content))
            question = None
    return pairs


def _in_short(standing: Standing) -> dict[str, Any]:
    progress = standing.progress
    return {
        "is_training": standing.under_way,
        "current_task": progress.stage if standing.under_way else None,
        "progress": round(progress.share, 4),
        "start_time": progress.began or standing.job.created,
    }


def _at_the_end(standing: Standing | None) -> dict[str, Any]:
    if standing is None or standing.under_way:
        return {"completion_time": None, "error": None, "results": None}
    result, failed = standing.progress.result, standing.state in ("failed", "cancelled")
    return {
        "completion_time": standing.progress.ended_at,
        "error": " ".join(standing.why) if failed else None,
        "results": None
        if result is None
        else {
            "program": result.program,
            "release": release_of(result),
            "path": str(result.path),
            "alias": result.alias,
            "score_before": result.baseline.mean,
            "score_after": result.compiled.mean,
            "interval": [result.compiled.low, result.compiled.high],
            "p": result.difference.p,
            "examples": result.compiled.n,
            "usd": result.spent.usd,
        },
    }
