"""`neurenix schema`: the JSON schema of the configuration."""

from __future__ import annotations

import click

from neurenix.cli.options import common
from neurenix.config.schema import schema_json


@click.command("schema")
@common
def command(as_json: bool) -> None:
    """Print the JSON schema of [tool.neurenix].

    Editors and validators that read a schema check pyproject.toml with it; it is JSON with and without --json.
    """
    click.echo(schema_json(), nl=False)
