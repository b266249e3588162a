"""The Hugging Face hub: what files a model has there, and their content from any byte on.

Stands on `huggingface_hub` for addresses, tokens and the meaning of refusals. Not for the content: its
downloads throw away what they have of a file when they are interrupted. Its errors become ours here only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from compiler.errors import ArgumentInvalid, FetchFailed, HubUnreachable
from engine.hub_cache import is_commit

_SECONDS = 30.0  # of silence, before a connection counts as broken
_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")
_RANGE = re.compile(r"bytes (\d+)-")
_OK, _PARTIAL, _UNAUTHORISED, _FORBIDDEN, _TOO_MANY, _SERVER_ERRORS = 200, 206, 401, 403, 429, 500
_NEIGHBOURS = 500  # names of the same owner that are looked at for a near miss


@dataclass(frozen=True)
class HubFile:
    """A file of a model. The digest is the hub's own: SHA-256 of large files, git's id of the others."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Listing:
    """All files of a model as they are at one commit."""

    model: str
    revision: str
    commit: str
    files: tuple[HubFile, ...]


class Content(NamedTuple):
    """Bytes as they arrive. `begin` is 0 where the server would not begin later."""

    begin: int
    chunks: Iterator[bytes]


class Hub:
    """A server that speaks the hub's protocol.

    Without an endpoint it is that of HF_ENDPOINT, else huggingface.co. Without a token it is the one that
    Hugging Face's own tools would send, if there is any; it is shown nowhere.
    """

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        self.endpoint = str(endpoint or constants.ENDPOINT).rstrip("/")
        if not re.match(r"https?://[^/]", self.endpoint):
            raise FetchFailed(
                f"the hub's address {self.endpoint!r} begins with neither https:// nor http://; "
                "HF_ENDPOINT names it"
            )
        self._api = HfApi(endpoint=self.endpoint, token=token, library_name="smallforge")
        self._headers: dict[str, str] = build_hf_headers(token=token, library_name="smallforge")
        key = self._headers.get("authorization", "").removeprefix("Bearer ")
        if not re.fullmatch(r"[!-~]*", key):
            raise FetchFailed("the token of the hub (HF_TOKEN) holds a blank or a letter that no token has")
        self._has_token = bool(key)

    def listing(self, model: str, revision: str) -> Listing:
        """The files of the model at the revision, a branch, tag or commit.

        Raises:
            HubUnreachable, FetchFailed: it can't be asked, or has no such model, or none for this account.
            ArgumentInvalid: no model can have that name.
        """
        try:
            with self._in_sentences(model, revision):
                info = self._api.model_info(model, revision=revision, files_metadata=True, timeout=_SECONDS)
            files = tuple(map(_file_of, info.siblings))
            if not is_commit(info.sha):
                raise ValueError(f"{info.sha!r} is no commit")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._not_a_hub(f"its list of the files of {model!r} can't be read ({error})") from error
        return Listing(model, revision, info.sha, files)

    @contextmanager
    def content(self, listing: Listing, file: HubFile, begin: int) -> Iterator[Content]:
        """The bytes of the file from `begin` on, while the block runs.

        Raises:
            HubUnreachable: no connection, or it broke.
            FetchFailed: the hub refuses, or answers with something else.
        """
        url = hf_hub_url(listing.model, file.name, revision=listing.commit, endpoint=self.endpoint)
        headers = {**self._headers, "Accept-Encoding": "identity"}
        if begin:
            headers["Range"] = f"bytes={begin}-"
        with (
            self._in_sentences(listing.model, listing.revision),
            get_session().stream("GET", url, headers=headers, timeout=_SECONDS) as reply,
        ):
            hf_raise_for_status(reply)
            if reply.status_code == _OK:
                begin = 0
            else:
                found = _RANGE.match(reply.headers.get("Content-Range", ""))
                if reply.status_code != _PARTIAL or found is None or int(found[1]) != begin:
                    raise self._not_a_hub(f"it sends another part of {file.name!r} than was asked for")
            yield Content(begin, reply.iter_bytes())

    def _not_a_hub(self, what: str) -> FetchFailed:
        return FetchFailed(
            f"{self.endpoint} does not answer as the Hugging Face hub does: {what}; a proxy, a sign-in page "
            "of the network or HF_ENDPOINT may be the reason"
        )

    @contextmanager
    def _in_sentences(self, model: str, revision: str) -> Iterator[None]:
        try:
            yield
        except OfflineModeIsEnabled as error:
            raise HubUnreachable(
                "HF_HUB_OFFLINE is set, so the hub is not asked; unset it to download"
            ) from error
        except HFValidationError as error:
            raise ArgumentInvalid(f"{model!r} is no name that a model can have: {error}") from error
        except GatedRepoError as error:
            raise FetchFailed(self._gated(model)) from error
        except RepositoryNotFoundError as error:
            raise FetchFailed(self._unknown(model)) from error
        except RevisionNotFoundError as error:
            raise FetchFailed(
                f"{model!r} has no revision {revision!r}; give a branch, a tag or a commit in full, as in "
                f"{self.endpoint}/{model}/commits"
            ) from error
        except DisabledRepoError as error:
            raise FetchFailed(f"the hub has closed the model {model!r} to everybody") from error
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status >= _SERVER_ERRORS:
                raise HubUnreachable(
                    f"{self.endpoint} answers {status} for {model!r}; try again later"
                ) from error
            raise FetchFailed(self._refused(model, status)) from error
        except HTTPError as error:
            raise HubUnreachable(
                f"can't reach {self.endpoint} ({str(error) or type(error).__name__}); check the network and "
                "HTTPS_PROXY, or name a mirror by HF_ENDPOINT"
            ) from error

    def _gated(self, model: str) -> str:
        page = f"{self.endpoint}/{model}"
        if self._has_token:
            return (
                f"{model!r} is gated, and the account of your token has no right to it (yet); ask for it at "
                f"{page}, and see that the token may read gated models"
            )
        return (
            f"{model!r} is gated: its owners decide who may have it; ask for it at {page}, then set HF_TOKEN "
            f"to a token of that account, from {self.endpoint}/settings/tokens"
        )

    def _unknown(self, model: str) -> str:
        near = " or ".join(map(repr, self._near(model)))
        private = "" if self._has_token else "; for a private one set HF_TOKEN"
        return f"the hub has no model {model!r} that you may see" + (
            f", but {near}{private}" if near else private
        )

    def _near(self, model: str) -> list[str]:
        """Models whose names are nearly this one's; none where the hub won't tell."""
        owner, _, name = model.partition("/")
        try:
            found = [
                one.id
                for asked in ({"search": name, "limit": 20}, {"author": owner, "limit": _NEIGHBOURS})
                for one in self._api.list_models(sort="downloads", **asked)
            ]
        except (HTTPError, ValueError, TypeError, KeyError, AttributeError):
            return []
        known = {id.lower(): id for id in reversed(found)}
        return [known[id] for id in get_close_matches(model.lower(), known, n=3, cutoff=0.8)]

    def _refused(self, model: str, status: int) -> str:
        if status in (_UNAUTHORISED, _FORBIDDEN):
            if self._has_token:
                return (
                    f"the hub refuses your token for {model!r} ({status}); HF_TOKEN, or what `hf auth login` "
                    f"stored, must be one of {self.endpoint}/settings/tokens"
                )
            return (
                f"the hub shows {model!r} to nobody without a token ({status}); set HF_TOKEN to one of "
                f"{self.endpoint}/settings/tokens"
            )
        if status == _TOO_MANY:
            return "the hub has had too many requests from here (429); try again later, or set HF_TOKEN"
        return f"the hub answers {status} for {model!r}; see {self.endpoint}/{model}"


def _file_of(sibling: Any) -> HubFile:
    """The file as the hub lists it. Raises ValueError, TypeError or AttributeError for an unknown form."""
    digest = sibling.blob_id if sibling.lfs is None else sibling.lfs.sha256
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is no digest")
    if not isinstance(sibling.rfilename, str) or not isinstance(sibling.size, int) or sibling.size < 0:
        raise ValueError(f"{sibling.rfilename!r} with {sibling.size!r} bytes is no file")
    return HubFile(sibling.rfilename, sibling.size, digest)
