"""Where MLflow keeps a team's runs: its address, checked and shown without secrets, and its opened client.

MLflow is imported here and nowhere else, and only when a store is opened.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from compiler.errors import UserMistake

OFF = "off"
MISSING = (
    "tracking needs {name!r}, which is not installed: pip install 'smallforge[compiler]', "
    "or give --mlflow-uri off"
)
_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_ELSEWHERE = ("databricks", "databricks-uc", "uc")
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_LONGEST_REASON = 300  # characters
_PLAIN_REASONS = ("connection refused", "timed out", "name or service not known", "no route to host")


class TrackingUnavailable(UserMistake):
    """MLflow is not installed, its address is none, or its store fails while somebody waits for it."""


@dataclass(frozen=True)
class Address:
    """A store's URI. `own` is the state folder if the store is the SQLite file in it."""

    uri: str
    own: Path | None = None

    @property
    def shown(self) -> str:
        return self.redact(self.uri)

    @property
    def secret(self) -> bool:
        """Whether there is something in it that nobody should read."""
        return self.shown != self.uri

    def redact(self, text: str) -> str:
        """The text without this URI's user, password and query."""
        user = re.search(r"//([^/?]*@)", self.uri)
        given = user[1] if user else ""
        _, _, query = self.uri.partition("?")
        for part, instead in ((given, "***@"), (query, "***")):
            text = text.replace(part, instead) if part else text
        password = re.escape(given[:-1].partition(":")[2])
        return re.sub(rf"(?<!\w){password}(?!\w)", "***", text) if password else text


@dataclass(frozen=True)
class Store:
    """An open store. `failures` is what its client raises when the store, and not our code, is at fault."""

    client: Any
    entities: Any
    failures: tuple[type[Exception], ...]
    address: Address

    def reason(self, error: Exception) -> str:
        """Why it failed, in one line without secrets."""
        text = self.address.redact(str(error).strip().partition("\n")[0])
        plain = next((reason for reason in _PLAIN_REASONS if reason in text.lower()), text)
        return plain[:_LONGEST_REASON]

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """For commands that need the store.

        Raises:
            TrackingUnavailable: it fails; one sentence.
        """
        try:
            yield
        except self.failures as error:
            raise TrackingUnavailable(
                f"MLflow at {self.address.shown!r} failed: {self.reason(error)}"
            ) from error


def address_of(uri: str | None, state: Path) -> Address:
    """The address that a setting means; None is SQLite in the state folder.

    Raises:
        TrackingUnavailable: it is no address that MLflow could open.
    """
    if uri is None:
        return Address(f"sqlite:///{(state / 'mlflow.db').resolve()}", state.resolve())
    address = Address(uri)
    try:
        parts = urlsplit(uri)
        scheme, host = parts.scheme.partition("+")[0], parts.hostname
        _ = parts.port
    except ValueError:
        scheme, host = "", None
    others = {entry.name for entry in entry_points(group="mlflow.tracking_store")}
    if scheme in _SERVERS and host:
        return address
    if (scheme in _DATABASES and "://" in uri) or uri in _ELSEWHERE or scheme in {*_ELSEWHERE, *others}:
        return address
    raise TrackingUnavailable(
        f"{address.shown!r} is no address of MLflow: give http://HOST:PORT, sqlite:///FILE "
        "(or postgresql://, mysql://, mssql://), or 'off'"
    )


def is_installed() -> bool:
    return importlib.util.find_spec("mlflow") is not None


def open_store(address: Address) -> Store:
    """Imports MLflow and opens the store; a new SQLite file gets its tables here.

    Raises:
        TrackingUnavailable: something is not installed, or the store fails.
    """
    mlflow = _import_mlflow()
    store = Store(None, mlflow.entities, _failures(mlflow), address)
    try:
        with store.waited_for(), _alone(address):
            return Store(mlflow.MlflowClient(address.uri), mlflow.entities, store.failures, address)
    except ModuleNotFoundError as error:  # the driver of a database
        raise TrackingUnavailable(MISSING.format(name=error.name)) from error


def experiment_of(store: Store, program: str) -> str:
    """The id of the program's experiment; made where there is none, restored where it was deleted."""
    with _alone(store.address):
        found = store.client.get_experiment_by_name(program)
        if found is None:
            own = store.address.own
            return str(store.client.create_experiment(program, own and (own / "mlartifacts").as_uri()))
        if found.lifecycle_stage == "deleted":
            store.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


@contextmanager
def _alone(address: Address) -> Iterator[None]:
    """While no other process sets up our own file: builds that begin together would make its tables twice."""
    if address.own is None:
        yield
        return
    address.own.mkdir(parents=True, exist_ok=True)
    with FileLock(address.own / "mlflow.lock", mode=0o600):
        yield


def _failures(mlflow: Any) -> tuple[type[Exception], ...]:
    failures: list[type[Exception]] = [mlflow.exceptions.MlflowException, OSError]
    if importlib.util.find_spec("sqlalchemy"):
        from sqlalchemy.exc import SQLAlchemyError

        failures.append(SQLAlchemyError)
    return tuple(failures)


def _import_mlflow() -> Any:
    # MLflow is set up by its environment alone, and reads it while it is imported.
    os.environ.update(_QUIET)
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow.entities
        import mlflow.exceptions
    except ModuleNotFoundError as error:
        raise TrackingUnavailable(MISSING.format(name=error.name)) from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow
