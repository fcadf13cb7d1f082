"""The floor: what `bench_pipeline.py` runs through ELSPETH, as a loop without any record of it.

Usage: python plain_loop.py INPUT LARGE SMALL
"""

import csv
import sys
from typing import Any

Row = dict[str, Any]


def map_fields(row: Row) -> Row:
    """As ``field_mapper`` with ``mapping: {name: customer, note: comment}``."""
    return {
        "id": int(row["id"]),
        "customer": row["name"],
        "amount": float(row["amount"]),
        "category": row["category"],
        "comment": row["note"],
    }


def truncate(row: Row) -> Row:
    """As ``truncate`` with ``fields: {comment: 40}, suffix: "..."``."""
    comment = row["comment"]
    return {**row, "comment": comment[:37] + "..."} if len(comment) > 40 else row


def main(source: str, large_path: str, small_path: str) -> None:
    fields = ["id", "customer", "amount", "category", "comment"]
    with (
        open(source, newline="", encoding="utf-8") as lines,
        open(large_path, "w", newline="", encoding="utf-8") as large_file,
        open(small_path, "w", newline="", encoding="utf-8") as small_file,
    ):
        large, small = csv.DictWriter(large_file, fields), csv.DictWriter(small_file, fields)
        large.writeheader()
        small.writeheader()
        for raw in csv.DictReader(lines):
            row = truncate(map_fields(raw))
            if row["amount"] > 500:
                large.writerow(row)
            else:
                small.writerow(row)


if __name__ == "__main__":
    main(*sys.argv[1:])
