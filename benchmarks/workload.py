"""The rows and the pipelines that are measured."""

import csv
import random
from pathlib import Path

NAMES = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Niklaus", "Radia", "Tony")
CATEGORIES = ("travel", "food and drink", "rent", "medical", "household goods", "fees")
LETTERS = "abcdefghijklmnopqrstuvwxyz     "

GATE = """  - name: by_amount
    condition: "row['amount'] > 500"
    routes: {"true": large, "false": small}
"""

FORK = """  - name: both
    condition: "row['amount'] >= 0"
    routes: {"true": fork, "false": discard}
    fork_to: [large, small]
"""


def write_rows(path: Path, rows: int) -> None:
    """CSV of id, name, amount, category and a note of 60 characters; the same for the same ``rows``."""
    chance = random.Random(rows)
    # Notes are cut from one long random text: quick to make, and hardly any two rows share one.
    letters = "".join(chance.choices(LETTERS, k=1_000_000))
    with path.open("w", newline="", encoding="utf-8") as output:
        writer = csv.writer(output)
        writer.writerow(["id", "name", "amount", "category", "note"])
        for number in range(1, rows + 1):
            name = " ".join(chance.choices(NAMES, k=3))
            amount = round(chance.uniform(1, 1000), 2)
            start = chance.randrange(len(letters) - 60)
            writer.writerow([number, name, amount, chance.choice(CATEGORIES), letters[start : start + 60]])


def write_pipeline(path: Path, source: Path, gate: str, url: str) -> None:
    """A pipeline beside its outputs: field_mapper, truncate, one gate, two CSV sinks."""
    home = path.parent
    path.write_text(
        f"""source:
  plugin: csv
  options:
    path: {source}
    schema:
      mode: fixed
      fields: ["id: int", "name: str", "amount: float", "category: str", "note: str"]
transforms:
  - name: names
    plugin: field_mapper
    options: {{mapping: {{name: customer, note: comment}}}}
  - name: shorten
    plugin: truncate
    options: {{fields: {{comment: 40}}, suffix: "..."}}
gates:
{gate}sinks:
  large: {{plugin: csv, options: {{path: {home / "large.csv"}}}}}
  small: {{plugin: csv, options: {{path: {home / "small.csv"}}}}}
landscape: {{url: "{url}"}}
""",
        encoding="utf-8",
    )
