"""``elspeth schema``."""

from elspeth.cli.options import AsJson, command_app, examples
from elspeth.cli.output import emit_json

app = command_app()


@app.command(epilog=examples("elspeth schema > pipeline.schema.json"))
def schema(as_json: AsJson = False) -> int:
    """Print the JSON Schema of pipeline files, for editors.

    Draft 7, made from the settings and the plugins that are installed here. In an editor with the
    YAML language server, name it in a pipeline file's first line:
    `# yaml-language-server: $schema=./pipeline.schema.json`. It is JSON with or without --json.
    """
    from elspeth.api.schema import json_schema  # noqa: PLC0415

    emit_json(json_schema())
    return 0
