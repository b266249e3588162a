from __future__ import annotations

import subprocess
import sys

import smallforge


def test_every_public_name_is_there() -> None:
    assert [name for name in smallforge.__all__ if not hasattr(smallforge, name)] == []


def test_every_program_error_is_public() -> None:
    def tree(kind: type[Exception]) -> set[str]:
        return {kind.__name__}.union(*(tree(leaf) for leaf in kind.__subclasses__()))

    # RunFailed is how an executor tells its caller what a failed run cost; `_Busy` is its module's own.
    known = {name for name in tree(smallforge.ProgramError) - {"RunFailed"} if not name.startswith("_")}
    assert known <= set(smallforge.__all__)


def test_importing_the_public_names_imports_no_dspy() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "import sys, smallforge; print('dspy' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "False\n"
