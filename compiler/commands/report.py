"""`compiler report`: the picture of a build, drawn again from its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from compiler.options import read_flags, with_settings
from compiler.releases import find_release
from compiler.report.page import find_evidence, make_report, read_evidence


@click.command()
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--build", "build_id", metavar="BUILD_ID", help="Which build of the release. [the last]")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="[./NAME-VERSION.html]"
)
@with_settings
def report(name: str, build_id: str | None, out: Path | None, **flags: Any) -> None:
    """Draw the report of a build from its evidence.

    Without a version it is the champion's.
    """
    release = find_release(read_flags(flags).releases, name)
    page = make_report(read_evidence(find_evidence(release, build_id)))
    path = out or Path(f"{release.parent.name}-{release.name}.html")
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(path), error.strerror) from error
    click.echo(f"Wrote {path}")
