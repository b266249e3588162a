from __future__ import annotations

from pathlib import Path

import pytest

from compiler.tracking.mlflow_store import Address, TrackingUnavailable, address_of, open_store

SECRET = "postgresql://ann:pa55@db.example/mlflow?sslpassword=hush"


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5000",
        "https://ann:pa55@mlflow.example/path",
        "sqlite:///runs.db",
        "postgresql+psycopg2://db/mlflow",
        "databricks",
        "databricks://team",
    ],
)
def test_what_mlflow_opens_is_an_address(tmp_path: Path, uri: str) -> None:
    assert address_of(uri, tmp_path).uri == uri


@pytest.mark.parametrize("uri", ["htp://x", "http://", "http://x:port", "http://[x", "mlruns", "sqlite:x"])
def test_what_it_does_not_is_refused_with_what_is(tmp_path: Path, uri: str) -> None:
    with pytest.raises(TrackingUnavailable, match=r"is no address of MLflow: give http://HOST:PORT, sqlite"):
        address_of(uri, tmp_path)


def test_without_an_address_it_is_sqlite_in_the_state_folder(tmp_path: Path) -> None:
    address = address_of(None, tmp_path)
    assert address == Address(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    assert not address.secret


def test_user_password_and_query_are_never_shown() -> None:
    address = Address(SECRET)
    assert address.shown == "postgresql://***@db.example/mlflow?***" and address.secret
    assert address.redact(f"can't open {SECRET}: password pa55 of ann:pa55@db") == (
        "can't open postgresql://***@db.example/mlflow?***: password *** of ***@db"
    )


def test_a_refused_address_shows_no_password(tmp_path: Path) -> None:
    with pytest.raises(TrackingUnavailable) as caught:
        address_of("htp://ann:pa55@mlflow", tmp_path)
    assert "pa55" not in str(caught.value)


def test_a_missing_driver_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrackingUnavailable, match=r"tracking needs '\w+', which is not installed"):
        open_store(address_of("mssql+pymssql://ann:pa55@127.0.0.1:9/x", tmp_path))


def test_a_state_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(TrackingUnavailable, match=r"MLflow at 'sqlite:.*File exists"):
        open_store(address_of(None, tmp_path / "state"))
