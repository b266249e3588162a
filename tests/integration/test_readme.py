"""The README's own client, copied out of it and pointed at a gateway that runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.integration.conftest import House

README = (Path(__file__).parent.parent.parent / "README.md").read_text()


def test_the_client_in_the_readme_gets_an_answer(gateway: House, tmp_path: Path) -> None:
    (snippet,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    path = tmp_path / "client.py"
    path.write_text(snippet.replace("http://127.0.0.1:8080", gateway.gateway))
    shown = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"-?\d+\n", shown)
