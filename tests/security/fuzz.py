"""Fuzzes a target by coverage, with atheris: `python -m tests.security.fuzz chat -max_total_time=600`.

`all` takes turns with all of them. What follows goes to libFuzzer. New cases are kept in a folder that
`--keep FOLDER` names, else in a temporary one; `corpus/` holds those that are kept for good. A crash leaves
its case in the working directory and ends with a traceback.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def main(arguments: list[str]) -> None:
    import atheris  # nothing else needs it

    with atheris.instrument_imports(include=["programs", "engine", "gateway", "json_repair"]):
        from tests.security.targets import TARGETS
    logging.disable()
    name, *rest = arguments
    names = sorted(TARGETS)

    def once(data: bytes) -> None:
        if name == "all" and len(data) > 1:
            TARGETS[names[data[0] % len(names)]](data[1:])
        elif name != "all" and data:
            TARGETS[name](data)

    with tempfile.TemporaryDirectory() as folder:
        kept = Path(rest.pop(rest.index("--keep") + 1)) if "--keep" in rest else Path(folder)
        rest = [word for word in rest if word != "--keep"]
        for number, each in enumerate(names) if name == "all" else [(None, name)]:
            for case in sorted((CORPUS / each).iterdir()):
                first = b"" if number is None else bytes([number])
                (kept / f"{each}-{case.name}").write_bytes(first + case.read_bytes())
        atheris.Setup([sys.argv[0], *rest, str(kept)], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
