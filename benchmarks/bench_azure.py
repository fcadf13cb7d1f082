"""Azure Blob Storage through ELSPETH against the client library used plainly, on a storage emulator.

    python benchmarks/bench_azure.py [--quick] [--work DIR]

Prints a table, and writes it to docs/performance.md unless --quick is given. The emulator takes part of the
same two cores, so that the figures are ratios of one run, not speeds of Azure.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elspeth.testing.azurite import Azurite
from measuring import Usage, least, measure

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench-azure:begin -->\n", "<!-- bench-azure:end -->\n"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is moved."""

    mib: int
    small: int
    rows: int
    runs: int


class Bench:
    """Runs jobs against one emulator."""

    def __init__(self, server: Azurite, work: Path, sizes: Sizes) -> None:
        self.server = server
        self.work = work
        self.sizes = sizes

    def job(self, name: str, file: str, size: int) -> Usage:
        """What one job took, as it says itself: loading modules is no part of it."""
        command = [
            sys.executable, str(ROOT / "benchmarks" / "azure_jobs.py"), name, self.server.connection_string,
            str(self.work / file), str(size),
        ]  # fmt: skip
        measure(command, cwd=self.work)
        told = (self.work / "last-output.txt").read_text(encoding="utf-8").splitlines()[-1]
        (self.work / "out.bin").unlink(missing_ok=True)
        return Usage(**json.loads(told))

    def least(self, names: Sequence[str], file: str, size: int) -> list[Usage]:
        """The least that each job took; the jobs take turns, so that a busy moment hits all alike."""
        rounds = [[self.job(name, file, size) for name in names] for _ in range(self.sizes.runs)]
        return [least(usages) for usages in zip(*rounds, strict=True)]

    def table(self) -> list[str]:
        """All that is measured, as lines of Markdown."""
        sizes = self.sizes
        self.job("prepare", "in.bin", sizes.mib)
        lines: list[str] = [
            "| what | the library | ELSPETH | ratio of speed | CPU | peak memory |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for what, way, file in (("upload", "up", "in.bin"), ("download", "down", "out.bin")):
            names = [f"{way}_sdk_a", f"{way}_sdk_b", f"{way}_ours"]
            one, other, ours = self.least(names, file, sizes.mib)
            plain = min(one, other, key=lambda usage: usage.wall)
            lines.append(_line(f"{what} of {sizes.mib} MiB", plain, ours))
        self.job("fill_small", "x", sizes.small)
        library, plain, quick = self.least(["small_sdk", "small_plain", "small_ours"], "x", sizes.small)
        what = f"{sizes.small:,} small blobs as rows"
        lines += [_line(what, library, plain), _line(f"{what}, with `smallblobs`", library, quick)]
        return [*lines, "", self._sinks()]

    def _sinks(self) -> str:
        rows = self.sizes.rows
        names = ["sink_file", "send_file", "sink_blob"]
        local, library, blob = (usage.cpu for usage in self.least(names, "rows.jsonl", rows))
        whole, goal = local + library, 1.3 * local + library
        return (
            f"Sink, {rows:,} rows to one JSONL blob: {blob:.2f} s of CPU; the local file sink takes"
            f" {local:.2f} s, the library with the same bytes {library:.2f} s:"
            f" {blob / whole:.2f} × the sum (goal: {goal / whole:.2f})."
        )


def _line(what: str, plain: Usage, ours: Usage) -> str:
    return (
        f"| {what} | {plain.wall:.2f} s | {ours.wall:.2f} s | {plain.wall / ours.wall:.2f} "
        f"| {plain.cpu:.2f} s → {ours.cpu:.2f} s | {ours.peak / 1e6:.0f} MB |"
    )


def publish(lines: Sequence[str]) -> None:
    """Put the table between its marks."""
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text(head + BEGIN + "\n".join(lines) + "\n" + END + tail, encoding="utf-8")


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, and nothing is written")
    parser.add_argument("--work", type=Path, default=ROOT / "benchmarks" / ".work")
    chosen = parser.parse_args()
    sizes = Sizes(16, 50, 2_000, 1) if chosen.quick else Sizes(1024, 5_000, 100_000, 2)
    work = chosen.work / "azure"
    work.mkdir(parents=True, exist_ok=True)
    with Azurite(ROOT, directory=work / "emulator") as server:
        lines = Bench(server, work, sizes).table()
    shutil.rmtree(work)
    sys.stdout.write("\n".join(lines) + "\n")
    if not chosen.quick:
        publish(lines)


if __name__ == "__main__":
    main()
