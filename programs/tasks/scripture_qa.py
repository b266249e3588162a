"""Questions about verses of scripture and the Hebrew and Greek words behind them, with follow-ups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from programs.checks import mentions_one_of
from programs.comparison import shown
from programs.data import DATA_VARIABLE, data_folder, data_is_named, load_examples
from programs.errors import DataInvalid
from programs.plan import Field
from programs.program import Chat, Program, Sampling, Split
from programs.scripture import SAMPLE, passage
from programs.scripture_metrics import scripture_score

if TYPE_CHECKING:
    import dspy

INPUTS = (Field("context", required=False), Field("history", "history"), Field("question"))
INSTRUCTION = "Answer the question from the verses of the context and the Strong's list under each of them."
# The words for God, each by its id in both spellings, in our script and in its own.
GOD = (
    *("H0430", "H430", "elohim", "אֱלֹהִים", "אלהים", "H0433", "H433", "eloah", "אֱלוֹהַּ", "אלוה"),
    *(
        "H0410",
        "H410",
        "el",
        "אֵל",
        "אל",
        "H0426",
        "H426",
        "elah",
        "אֱלָהּ",
        "אלה",
        "G2316",
        "theos",
        "θεός",
        "θεος",
    ),
)
ASKED_FOR_GOD = ('"God"', "'God'", "“God”", "word for God", "name for God", "term for God", "word God")
NAMES_GOD = mentions_one_of(
    "answer", *GOD, when={"question": ASKED_FOR_GOD, "context": ("H0430", "H0433", "H0410", "H0426", "G2316")}
)

_EXODUS = passage(
    "Exodus 4:11",
    "The LORD asked who made the mouth of man.",
    ['H3068 יְהֹוָה (yehovah) "LORD"', 'H6310 פֶּה (peh) "mouth"', 'H0120 אָדָם (adam) "man"'],
)
_PSALM = passage(
    "Psalms 29:11",
    "The LORD gives strength to his people and blesses his people with peace.",
    ['H3068 יְהֹוָה (yehovah) "LORD"', 'H5797 עֹז (oz) "strength"', 'H5971 עַם (am) "people"',
     'H1288 בָּרַךְ (barakh) "bless"', 'H7965 שָׁלוֹם (shalom) "peace"'],
)  # fmt: skip
_COLOSSIANS = passage(
    "Colossians 3:15",
    "Let the peace of God rule in your hearts.",
    ['G1515 εἰρήνη (eirēnē) "peace"', 'G2316 θεός (theos) "God"', 'G2588 καρδία (kardia) "heart"'],
)
# Written for this file: context, earlier turns, question, reasoning, answer.
HANDPICKED: tuple[tuple[str, tuple[tuple[str, str], ...], str, str, str], ...] = (
    (
        f"{_EXODUS}\n\n{_PSALM}",
        (),
        'In Exodus 4:11, which Strong\'s number lies behind the word "mouth"?',
        'Exodus 4:11 lists H6310 פֶּה (peh) "mouth".',
        "H6310 peh",
    ),
    (
        f"{_PSALM}\n\n{_COLOSSIANS}",
        (),
        "What does Strong's G1515 mean as it is used in Colossians 3:15?",
        'Colossians 3:15 lists G1515 εἰρήνη (eirēnē) "peace".',
        "peace",
    ),
    (
        f"{_PSALM}\n\n{_EXODUS}",
        (),
        "Which of these verses have H3068 (yehovah)?",
        "H3068 is listed under Psalms 29:11 and Exodus 4:11.",
        "Psalms 29:11; Exodus 4:11",
    ),
    (
        _COLOSSIANS,
        (("What does Colossians 3:15 say?", "Let the peace of God rule in your hearts."),),
        'And which original-language word is "God" there? Give the Strong\'s number.',
        'Colossians 3:15 lists G2316 θεός (theos) "God".',
        "G2316 theos",
    ),
)


def make_module() -> dspy.Module:
    import dspy

    fields = {
        "context": (str, dspy.InputField(desc="verses, each with its Strong's list", default="")),
        "history": (dspy.History, dspy.InputField()),
        "question": (str, dspy.InputField()),
        "answer": (str, dspy.OutputField(desc="short; name words as H0430 elohim, verses as Genesis 1:1")),
    }
    return dspy.ChainOfThought(dspy.Signature(fields, INSTRUCTION))


def examples(split: Split) -> Sequence[dspy.Example]:
    """Rows of the folder that SMALLFORGE_DATA names, else our own small sample."""
    folder = data_folder()
    if folder is None and data_is_named():
        do = f"set {DATA_VARIABLE} to a folder with scripture_qa/train.jsonl, or to nothing for the sample"
        raise DataInvalid([f"the `datasets` library has no rows for 'scripture_qa': {do}"])
    path = rows_file(split, folder)
    return [] if path is None else read_file(path)


def rows_file(split: Split, folder: Path | None) -> Path | None:
    """`scripture_qa/<split>.jsonl`, as `compiler data generate` writes, or `scripture/qa_<split>.jsonl`."""
    if folder is not None:
        for pattern in ("scripture_qa/{}.jsonl", "scripture/qa_{}.jsonl"):
            if (folder / pattern.format("train")).is_file():
                path = folder / pattern.format(split)
                return path if path.is_file() else None
    return SAMPLE / f"{split}.jsonl"


def read_file(path: Path) -> list[dspy.Example]:
    """The rows of a file. Raises DataInvalid, which carries every line that does not fit."""
    return load_examples(path, INPUTS, [Field("answer")], as_fields)


def handpicked() -> Sequence[dspy.Example]:
    """Examples of each kind of question, written for this program."""
    import dspy

    return [
        dspy.Example(
            context=context,
            history=dspy.History(messages=[{"question": q, "answer": a} for q, a in earlier]),
            question=question,
            reasoning=reasoning,
            answer=answer,
        ).with_inputs("context", "history", "question")
        for context, earlier, question, reasoning, answer in HANDPICKED
    ]


def as_fields(row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """A row of either form: texts as the program takes them, or verses and chat messages as objects."""
    values = dict(row)
    try:
        values["context"] = _context(values.get("context"))
        values["history"] = list(_turns(values.get("history") or []))
        if isinstance(values.get("answer"), str) and not values["answer"].strip():
            raise ValueError("field 'answer' is empty")
    except (KeyError, TypeError, ValueError) as error:
        told = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise DataInvalid([told]) from error
    return [values]


def _context(given: Any) -> str:
    if given is None or isinstance(given, str):
        return given or ""
    if not isinstance(given, list) or not all(isinstance(verse, Mapping) for verse in given):
        raise ValueError("field 'context' must be a text, or a list of verses with ref, text and strongs")
    return "\n\n".join(passage(_text(v, "ref"), _text(v, "text"), _words(v)) for v in given)


def _words(verse: Mapping[str, Any]) -> list[str]:
    words = verse.get("strongs") or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"'strongs' of a verse must be a list of texts, not {shown(words)}")
    return words


def _turns(given: Any) -> Iterator[dict[str, str]]:
    """Exchanges under the names of the fields; chat messages are paired."""
    if not isinstance(given, list) or not all(isinstance(turn, Mapping) for turn in given):
        raise ValueError("field 'history' must be a list of past exchanges, or of chat messages")
    asked: dict[str, str] = {}
    for turn in given:
        if "role" not in turn:
            yield {name: _text(turn, name) for name in ("question", "answer") if name in turn}
        elif turn["role"] == "user":
            asked = {"question": _text(turn, "content")}
        elif turn["role"] == "assistant":
            yield {**asked, "answer": _text(turn, "content")}
            asked = {}
        else:
            raise ValueError(f"'role' in a history must be user or assistant, not {shown(turn['role'])}")


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given[name]
    if not isinstance(value, str):
        raise ValueError(f"{name!r} must be a text, not {shown(value)}")
    return value


program = Program(
    name="scripture_qa",
    make_module=make_module,
    examples=examples,
    metric=scripture_score("answer"),
    chat=Chat(
        user="question",
        answer="answer",
        system="context",
        history="history",
        reasoning=("reasoning",),
        verses="context",
    ),
    sampling=Sampling(temperature=0.0, max_tokens=300),
    description="Questions about verses of scripture and the Hebrew and Greek words behind them.",
    checks=(NAMES_GOD,),
    handpicked=handpicked,
    as_fields=as_fields,
)
