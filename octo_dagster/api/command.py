"""`octo keys`: who may ask the read API, and what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from octo_dagster.api.keys import EVERYTHING, Keys, Pages, shown
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError

keys = typer.Typer(help="Who may ask the read API, and what.", no_args_is_help=True)
console = Console()
errors = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="Who will use it: a name for people.")],
    tables: Annotated[
        list[str] | None, typer.Option("--table", help="TABLE or TABLE:column,column; may be repeated.")
    ] = None,
    per_second: Annotated[int, typer.Option(help="Requests a second.", min=1)] = 1_000,
    pages: Annotated[
        bool, typer.Option("--pages", help="For signing in to the pages, which show every column.")
    ] = False,
    act: Annotated[
        bool, typer.Option("--act", help="With --pages: may also start runs, approve plans, write files.")
    ] = False,
) -> None:
    """Make a key. It is shown now and never again; only its hash is kept."""
    if not tables and not pages:
        raise ConfigError("say what the key is for: --table TABLE, --pages, or both")
    if act and not pages:
        raise ConfigError("--act goes with --pages")
    may: Pages | None = ("act" if act else "look") if pages else None
    from octo_dagster.api.scopes import doubts  # noqa: PLC0415 - only this command needs the API itself

    project, wanted = Project.here(), scopes(tables or ())
    for warning in doubts(project, wanted):
        errors.print(f"[yellow]{escape(warning)}[/yellow]", highlight=False)
    secret = Keys(project.home).add(name, wanted, per_second, may)
    print(secret)  # noqa: T201 - the command's output


def scopes(said: Sequence[str]) -> dict[str, str | list[str]]:
    """Table → columns. ConfigError for `table:` without a column, which an unset variable makes: it must not
    be read as every column."""
    found: dict[str, str | list[str]] = {}
    for text in said:
        table, colon, columns = (part.strip() for part in text.partition(":"))
        named = [column.strip() for column in columns.split(",") if column.strip()]
        if not table or (colon and not named):
            raise ConfigError(f"--table: {text!r} is neither TABLE nor TABLE:column,column")
        if table in found:
            raise ConfigError(f"--table: {table} is named twice; put its columns together, with commas")
        found[table] = named or EVERYTHING
    return found


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """The keys there are and were, without what opens anything."""
    held = [shown(key) for key in Keys(Project.here().home).all()]
    if as_json:
        print(json.dumps(held, indent=2))  # noqa: T201 - the command's output
    else:
        console.print(table_of(held))


@keys.command("revoke")
def revoke_key(name: Annotated[str, typer.Argument(help="The key's name.")]) -> None:
    """End a key, from the next request on."""
    Keys(Project.here().home).revoke(name)
    console.print(f"{name}: revoked", highlight=False)


def table_of(held: Sequence[Mapping[str, Any]]) -> Table:
    """The API's keys."""
    table = Table("name", "for", "a second", "made", "revoked", title="Keys of the read API")
    for key in held:
        parts = [f"{name}: {', '.join(c) if c != '*' else 'all'}" for name, c in key["tables"].items()]
        parts += [f"pages: {key['pages']}"] if key["pages"] else []
        cells = (
            key["name"],
            "; ".join(parts),
            str(key["per_second"]),
            key["made_at"],
            key["revoked_at"] or "",
        )
        table.add_row(*(escape(cell) for cell in cells))
    return table
