"""What a request to the service is refused for: an HTTP status, a code for programs, a sentence for people.

ServiceError
├── Unauthorised       401  no key, or not the right one
├── Forbidden          403  from a page of another site, or under a name that is not this machine's
├── PathRefused        400  a path outside the configured folders, or through a link
├── RequestInvalid     422  a field is missing or is no value of its kind
├── JobUnknown         404  no job of that id
├── JobBusy            409  not possible while the job stands as it does
├── ReleaseMissing     404  no release, or not that one
├── UploadTooLarge     413
├── PlaceUnavailable   502  where builds run does not answer
└── Unanswered         502  the program's answer can't be used
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from compiler.errors import CompilerError, PromotionRefused, UserMistake
from engine.errors import EngineError
from programs.errors import DataInvalid, ProgramError, ProgramNotFound, ReleaseNotFound


class ServiceError(Exception):
    """Base of this package's errors; its text is one sentence."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"


class Unauthorised(ServiceError):
    status = 401
    code = "unauthorised"


class Forbidden(ServiceError):
    status = 403
    code = "forbidden"


class PathRefused(ServiceError):
    code = "path_refused"


class RequestInvalid(ServiceError):
    status = 422
    code = "request_invalid"


class JobUnknown(ServiceError):
    status = 404
    code = "job_unknown"


class JobBusy(ServiceError):
    status = 409
    code = "job_busy"


class ReleaseMissing(ServiceError):
    status = 404
    code = "release_unknown"


class UploadTooLarge(ServiceError):
    status = 413
    code = "upload_too_large"


class PlaceUnavailable(ServiceError):
    status = 502
    code = "place_unavailable"


class Unanswered(ServiceError):
    status = 502
    code = "answer_unusable"


SENTENCES: tuple[type[Exception], ...] = (ServiceError, CompilerError, EngineError, ProgramError)
"""The bases of all errors whose text is for the user."""
LOWER: Mapping[type[Exception], tuple[int, str]] = {
    PromotionRefused: (409, "promotion_refused"),
    UserMistake: (422, "user_mistake"),
    CompilerError: (500, "compiler_error"),
    ReleaseNotFound: (404, "release_unknown"),
    ProgramNotFound: (404, "program_unknown"),
    DataInvalid: (422, "data_invalid"),
    ProgramError: (422, "program_error"),
}
"""What `programs` and `compiler` raise, the narrower class first: the status and the code."""


def status_and_code(error: Exception) -> tuple[int, str] | None:
    """None for an error that is no sentence for the user."""
    if isinstance(error, ServiceError):
        return error.status, error.code
    if isinstance(error, EngineError):
        return 502, f"engine_{error.reason}"
    return next((told for kind, told in LOWER.items() if isinstance(error, kind)), None)
