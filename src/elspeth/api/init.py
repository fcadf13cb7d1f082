"""A first pipeline: small, real, and complete."""

from dataclasses import dataclass
from json import dumps
from pathlib import Path
from shlex import quote

from elspeth.api.schema import json_schema
from elspeth.contracts.errors import UsageError

SCHEMA_FILE = "pipeline.schema.json"

PIPELINE = f"""\
# yaml-language-server: $schema=./{SCHEMA_FILE}
#
# The fourteen mountains of more than 8,000 metres: each gets its height in feet, then the highest go one way.
#
#   peaks.csv -> feet -> very_high? -- true  -> out/highest.csv
#                                   `- false -> out/others.jsonl

source:
  plugin: csv
  options:
    path: data/peaks.csv
    schema:
      mode: fixed
      fields: ["name: str", "height_m: int", "countries: str", "first_ascent: date"]

transforms:
  - name: feet
    plugin: value_transform
    options:
      operations:
        - target: height_ft
          expression: "round(row['height_m'] / 0.3048)"

gates:
  - name: very_high
    condition: "row['height_m'] >= 8500"
    routes: {{"true": highest, "false": others}}

sinks:
  highest: {{plugin: csv, options: {{path: out/highest.csv}}}}
  others: {{plugin: json, options: {{path: out/others.jsonl}}}}
"""

PEAKS = """\
name,height_m,countries,first_ascent
Everest,8849,Nepal/China,1953-05-29
K2,8611,Pakistan/China,1954-07-31
Kangchenjunga,8586,Nepal/India,1955-05-25
Lhotse,8516,Nepal/China,1956-05-18
Makalu,8485,Nepal/China,1955-05-15
Cho Oyu,8188,Nepal/China,1954-10-19
Dhaulagiri I,8167,Nepal,1960-05-13
Manaslu,8163,Nepal,1956-05-09
Nanga Parbat,8126,Pakistan,1953-07-03
Annapurna I,8091,Nepal,1950-06-03
Gasherbrum I,8080,Pakistan/China,1958-07-05
Broad Peak,8051,Pakistan/China,1957-06-09
Gasherbrum II,8034,Pakistan/China,1956-07-07
Shishapangma,8027,China,1964-05-02
"""

GITIGNORE = """\
# what runs write: results, and the landscape (the audit trail)
out/
.elspeth/
"""


@dataclass(frozen=True, slots=True)
class Started:
    """What `init` made, and the shell commands that come next."""

    directory: Path
    files: tuple[Path, ...]
    commands: tuple[str, ...]


def init(directory: Path) -> Started:
    """Write a working pipeline with its data into ``directory``, which may be there already.

    Nothing that exists is overwritten: raises UsageError, before anything is written, if one of the
    files is there, or if the directory can't be written to.
    """
    contents = {
        "pipeline.yaml": PIPELINE,
        "data/peaks.csv": PEAKS,
        ".gitignore": GITIGNORE,
        SCHEMA_FILE: dumps(json_schema(), indent=1, ensure_ascii=False) + "\n",
    }
    taken = [name for name in contents if (directory / name).exists()]
    if taken:
        raise UsageError(
            f"already there: {', '.join(str(directory / name) for name in taken)}",
            fix="choose another directory: nothing is overwritten, and nothing was written",
        )
    try:
        for name, text in contents.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{error.filename or directory} can't be written: {error.strerror}",
            fix="choose another directory",
        ) from error
    return Started(directory, tuple(directory / name for name in contents), _commands(directory))


def _commands(directory: Path) -> tuple[str, ...]:
    enter = () if directory.resolve() == Path.cwd() else (f"cd {quote(str(directory))}",)
    return (
        *enter,
        "elspeth validate pipeline.yaml",
        "elspeth run pipeline.yaml",
        "elspeth explain latest --row 0",
    )
