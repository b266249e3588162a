"""Rows of a damaged SQLite file, read from its pages: nothing but a row's own page has to be whole.

Reads the leaves of tables as SQLite's file format lays them out, in the file and in its write-ahead log.
Knows nothing of what the rows mean; who asks has to tell those that are right from those that are not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

PAGE = 4096  # bytes; what SQLite makes unless it is told otherwise
_FILE_HEADER = 100  # bytes, at the beginning of the first page
_LOG_HEADER, _FRAME_HEADER = 32, 24  # bytes, of a write-ahead log and of each page in it
_TABLE_LEAF = 0x0D
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # bytes, by the serial type of a column

Row = tuple[int | float | str | bytes | None, ...]


class _Unreadable(Exception):
    """Something on a page is not what it should be."""


def log_of(path: Path) -> Path:
    """The write-ahead log of the file."""
    return path.with_name(path.name + "-wal")


def rows_of(path: Path) -> Iterator[Row]:
    """Every row that can still be read, newer ones of the write-ahead log last."""
    pages = _pages(path)
    for number, page in pages.items():
        yield from _page_rows(page, _FILE_HEADER if number == 1 else 0, pages)
    yield from rows_of_log(path)


def rows_of_log(path: Path) -> Iterator[Row]:
    """Those of the file's write-ahead log, of which SQLite itself leaves out all after the first damage."""
    log = log_of(path)
    frames = _frames(log.read_bytes()) if log.exists() else []
    # A row that goes on over further pages finds them in the log, or in the file.
    pages = _pages(path) | dict(frames) if frames else {}
    for number, page in frames:
        yield from _page_rows(page, _FILE_HEADER if number == 1 else 0, pages)


def _pages(path: Path) -> dict[int, bytes]:
    data = path.read_bytes() if path.exists() else b""
    return {at // PAGE + 1: data[at : at + PAGE] for at in range(0, len(data), PAGE)}


def _frames(data: bytes) -> list[tuple[int, bytes]]:
    """Pages of a write-ahead log with their numbers."""
    size = _FRAME_HEADER + PAGE
    starts = range(_LOG_HEADER, len(data) - size + 1, size)
    return [(_number(data, at, 4), data[at + _FRAME_HEADER : at + size]) for at in starts]


def _page_rows(page: bytes, begin: int, pages: dict[int, bytes]) -> Iterator[Row]:
    if len(page) < begin + 8 or page[begin] != _TABLE_LEAF:
        return
    for cell in range(_number(page, begin + 3, 2)):
        try:
            at = _number(page, begin + 8 + 2 * cell, 2)
            yield _row(_payload(page, at, pages))
        except (_Unreadable, UnicodeDecodeError):
            continue


def _payload(page: bytes, at: int, pages: dict[int, bytes]) -> bytes:
    """A cell's content, which goes on over further pages where it is long."""
    length, at = _varint(page, at)
    _, at = _varint(page, at)  # the row's number
    most, least = PAGE - 35, (PAGE - 12) * 32 // 255 - 23
    here = length
    if length > most:
        here = least + (length - least) % (PAGE - 4)
        here = here if here <= most else least
    payload = bytearray(page[at : at + here])
    if length > here:
        following = _number(page, at + here, 4)
        while following and len(payload) < length:
            more = pages.get(following, b"")
            following = _number(more, 0, 4)
            payload += more[4 : 4 + length - len(payload)]
    if len(payload) != length:
        raise _Unreadable
    return bytes(payload)


def _row(payload: bytes) -> Row:
    """A record: the length of its head, a type for each column, then the columns."""
    head, at = _varint(payload, 0)
    types = []
    while at < head:
        kind, at = _varint(payload, at)
        types.append(kind)
    values: list[int | float | str | bytes | None] = []
    for kind in types:
        value, at = _value(payload, at, kind)
        values.append(value)
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[int | float | str | bytes | None, int]:
    if kind in (0, 8, 9):
        return {0: None, 8: 0, 9: 1}[kind], at
    if kind == 7:
        _number(payload, at, 8)
        return float(struct.unpack_from(">d", payload, at)[0]), at + 8
    length = _INTEGERS[kind] if kind in _INTEGERS else (kind - 12) // 2
    data = payload[at : at + length]
    if kind in (10, 11) or len(data) != length:
        raise _Unreadable
    if kind in _INTEGERS:
        return int.from_bytes(data, "big", signed=True), at + length
    return (data.decode() if kind % 2 else data), at + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, seven bits in each, and where it ends."""
    value = 0
    for index in range(9):
        if at + index >= len(data):
            raise _Unreadable
        byte = data[at + index]
        if index == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    raise AssertionError("a varint ends at its ninth byte")


def _number(data: bytes, at: int, length: int) -> int:
    if at + length > len(data):
        raise _Unreadable
    return int.from_bytes(data[at : at + length], "big")
