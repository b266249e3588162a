"""The bench as DSPy's optimisers know it: a module to call, a metric, language models.

Runs and scores go through the build's own executors, so every optimiser tries the prompt that a release will
serve, checks included. A run that fails is an answer that scores 0 with its reason, as in all of a build.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import dspy
from dspy.teleprompt.bootstrap_trace import FailedPrediction

from compiler.bench import Bench
from compiler.candidate import Candidate
from compiler.evaluation.answers import Answer
from compiler.lowering import executor, interpreted, sole_predictor
from compiler.optimizers.crossing import Crossing
from compiler.optimizers.proposing import ProposerAdapter, Voice, language_model
from compiler.optimizers.tally import State, Tally, state_of
from compiler.scoring import Scorer, Trace
from programs.errors import LoweringImpossible
from programs.execution import Executor
from programs.measuring import Measured

NO_LIMIT = 10**9  # DSPy's limit of failing examples; what ends a build here is the build's to decide
_PROPOSING: Mapping[str, object] = {"temperature": 1.0}  # where an optimiser asks for no other


class UnreadReply(FailedPrediction):
    """A reply without the declared outputs, as the outputs of a call; GEPA tells it to the proposer."""

    def keys(self) -> Sequence[str]:
        return ("unreadable_reply",)

    def __getitem__(self, key: str) -> str:
        return str(self.completion_text)


class Call(NamedTuple):
    """A predictor's, by its name."""

    predictor: str
    inputs: Mapping[str, Any]
    outputs: Any


class Run(dspy.Prediction):
    """A run's outputs; the rest of what is known of it travels along for the metric."""

    def __init__(
        self, outputs: Mapping[str, Any], candidate: Candidate, scorer: Scorer, sampled: bool
    ) -> None:
        super().__init__(**outputs)
        self._candidate, self._scorer, self._sampled = candidate, scorer, sampled
        self._fault: Answer | None = None


class Track(NamedTuple):
    """One run's way through a program's predictors, as DSPy traces it."""

    executor: Executor
    names: Mapping[int, str]
    """Of the predictors that the trace may show."""
    trace: Trace | None
    """None where there is only one predictor, whose call is the run."""

    def calls(self, inputs: Mapping[str, Any], said: Any) -> list[Call]:
        """All calls; a reply that could not be read is that of the first predictor without one that could."""
        traced = self.trace or ()
        calls = [
            Call(self.names[id(who)], dict(given), out) for who, given, out in traced if id(who) in self.names
        ]
        waiting = [name for name in self.names.values() if name not in {call.predictor for call in calls}]
        if waiting and (self.trace is None or isinstance(said, UnreadReply)):
            calls.append(Call(waiting[0], dict(inputs), said))
        return calls


class DspyBench:
    """One search's view of a bench; its methods are called in the optimiser's threads."""

    def __init__(self, bench: Bench, crossing: Crossing, tally: Tally) -> None:
        self.train, self.dev = list(bench.train), list(bench.dev)
        self.seed, self.threads, self.report = bench.seed, bench.concurrency, bench.report
        self._bench, self._crossing, self._tally = bench, crossing, tally
        self._sampling = bench.subject.program.sampling.as_request()
        self._executors: dict[Candidate, Executor] = {}
        self.student_lm = self._lm("student", bench.student)
        taught = bench.teacher.model is not bench.student.model
        self.teacher_settings = {"lm": self._lm("teacher", bench.teacher)} if taught else {}
        self.proposer_lm = language_model("proposer", Voice(bench.proposer, crossing), _PROPOSING)
        self.program = self._program()

    def settings(self) -> dict[str, Any]:
        """What `dspy.context` gets around a search."""
        return {
            "lm": self.student_lm,
            "adapter": ProposerAdapter(),
            "num_threads": self.threads,
            "max_errors": NO_LIMIT,
            "disable_history": True,
            "track_usage": False,
            "trace": None,
            "callbacks": [],
        }

    def metric(self, example: dspy.Example, prediction: Any, trace: Any = None) -> float:
        return self._crossing.run(self._judge(example, prediction, trace, counts=trace is None)).score

    def feedback(
        self, gold: dspy.Example, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None
    ) -> dspy.Prediction:
        """The metric with what an answer lacks in words, as GEPA and SIMBA hand it to the proposer."""
        # Called with a trace GEPA asks again, only for the words: of an answer that is scored already.
        measured = self._crossing.run(self._judge(gold, pred, None, counts=trace is None))
        return dspy.Prediction(score=measured.score, feedback=measured.feedback or _told(gold, measured))

    def _lm(self, name: str, scorer: Scorer) -> dspy.LM:
        return language_model(name, Voice(scorer.model, self._crossing, scorer), self._sampling)

    def _program(self) -> dspy.Module:
        """The program's module, whose calls are runs of ours.

        Its class goes by the name and place of the program's own, whose source proposers are shown.
        """
        module = self._bench.subject.module.deepcopy()
        kind = type(module)
        own = {"forward": _forward(self), "__module__": kind.__module__, "__qualname__": kind.__qualname__}
        module.__class__ = types.new_class(kind.__name__, (kind,), exec_body=lambda body: body.update(own))
        return module

    def run(self, module: dspy.Module, inputs: Mapping[str, Any]) -> Run:
        """One run of a module's present prompts, by the model that it or DSPy's settings name."""
        predictors = dict(module.named_predictors())
        lm = next((p.lm for p in predictors.values() if p.lm is not None), dspy.settings.lm)
        scorer, asked = self._bench.student, self._sampling
        if isinstance(lm.engine, Voice):  # and no model that the program itself binds
            scorer = lm.engine.scorer or scorer
            asked = {name: lm.kwargs[name] for name in self._sampling if lm.kwargs.get(name) is not None}
        run, calls = self._crossing.run(self._run(state_of(module), scorer, asked, inputs))
        trace = dspy.settings.trace
        if trace is not None:
            trace.extend((predictors[name], given, said) for name, given, said in calls if name in predictors)
        return run

    async def _run(
        self, state: State, scorer: Scorer, asked: Mapping[str, object], inputs: Mapping[str, Any]
    ) -> tuple[Run, list[Call]]:
        candidate = self._tally.candidate(state)
        if scorer is self._bench.student:
            fitting = await self._bench.fits(candidate)
            if fitting is None:
                return _too_long(candidate, scorer), []
            candidate = fitting
        track = self._track(candidate)
        done = await scorer.run(track.executor, dspy.Example(**inputs).with_inputs(*inputs), asked)
        run = Run(done.outputs, candidate, scorer, sampled=dict(asked) != self._sampling)
        said: Any = run
        if isinstance(done, Answer):
            run._fault = done
            if not done.outputs and done.steps:
                said = UnreadReply(done.steps[-1].text)
        return run, track.calls(inputs, said) if done.steps else []

    def _track(self, candidate: Candidate) -> Track:
        subject = self._bench.subject
        try:
            sole_predictor(subject.module)
        except LoweringImpossible:
            module, trace = candidate.applied_to(subject.module), Trace()
            names = {id(predictor): name for name, predictor in module.named_predictors()}
            return Track(interpreted(module, subject.program, trace), names, trace)
        if candidate not in self._executors:
            self._executors[candidate] = executor(subject.module, subject.program, candidate)
        return Track(self._executors[candidate], dict(enumerate(self._bench.predictors())), None)

    async def _judge(self, example: dspy.Example, prediction: Any, trace: Any, counts: bool) -> Measured:
        if not isinstance(prediction, Run):
            return Measured(0.0)
        fault = prediction._fault
        if fault is not None:
            measured = Measured(fault.score, fault.parts, fault.feedback or fault.error or "")
        else:
            judge = prediction._scorer.judge
            measured, error = await judge.score(example, dict(prediction.items()), trace)
            measured = measured if error is None else Measured(0.0, feedback=error)
        # Only what the release itself would answer counts for a candidate.
        if counts and prediction._scorer is self._bench.student and not prediction._sampled:
            self._tally.judged(prediction._candidate, example, measured.score)
        return measured


def _forward(bench: DspyBench) -> Any:
    def forward(self: dspy.Module, **inputs: Any) -> Run:
        return bench.run(self, inputs)

    return forward


def _too_long(candidate: Candidate, scorer: Scorer) -> Run:
    run = Run({}, candidate, scorer, sampled=False)
    run._fault = Answer(0.0, fault="too_long", error="the prompt does not fit the student's window")
    return run


def _told(example: dspy.Example, measured: Measured) -> str:
    """The feedback of a metric that gives only a number."""
    right = "; ".join(f"{name}: {value}" for name, value in example.labels().items())
    return f"This answer scores {measured.score:g}. What was expected: {right}"
