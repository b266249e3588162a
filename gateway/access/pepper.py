"""The secret of this installation under which keys are digested: a setting, else a file of its owner only."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from engine.settings_access import LEAST_PEPPER
from gateway.errors import StartFailed


@dataclass(frozen=True)
class Pepper:
    """`setting` is the pepper itself; without it `file` holds one."""

    file: Path
    setting: str | None = field(default=None, repr=False)

    @property
    def told(self) -> str:
        """Where it is, for a sentence."""
        return f"the file {str(self.file)!r}" if self.setting is None else "the setting gateway.pepper"

    def read(self) -> bytes:
        """Raises StartFailed where there is none, or one that others can read."""
        if self.setting is not None:
            return self.setting.encode()
        try:
            mode, text = self.file.stat().st_mode, self.file.read_text().strip()
        except FileNotFoundError:
            raise StartFailed(
                f"The pepper {str(self.file)!r} is gone, and no key can be checked without it: put the file "
                "back, set gateway.pepper_file to where it is, or name a new gateway.database and make new "
                "keys."
            ) from None
        except OSError as error:
            raise StartFailed(f"The pepper {str(self.file)!r} can't be read: {error.strerror}.") from error
        if mode & 0o077:
            raise StartFailed(
                f"Others can read the pepper {str(self.file)!r} of the keys: chmod 600 {self.file}"
            )
        if len(text) < LEAST_PEPPER:
            raise StartFailed(
                f"The pepper {str(self.file)!r} has fewer than {LEAST_PEPPER} characters: it is cut."
            )
        return text.encode()

    def read_or_make(self) -> bytes:
        """The same; makes the file if there is none. Of two that make it at once, one does."""
        if self.setting is None and not self.file.exists():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=self.file.parent, prefix=".pepper-")  # of mode 0600
            with os.fdopen(handle, "w") as written:
                written.write(secrets.token_hex(32) + "\n")
            with contextlib.suppress(FileExistsError):
                os.link(draft, self.file)
            os.unlink(draft)
        return self.read()


def proof_of(pepper: bytes) -> str:
    """What a database may hold to know its pepper again."""
    return hmac.new(pepper, b"the pepper of these keys", "sha256").hexdigest()
