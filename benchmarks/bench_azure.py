"""Azure Blob Storage through ELSPETH against the client library used plainly, on a storage emulator.

    python benchmarks/bench_azure.py [--quick] [--work DIR]

Prints a table, and writes it to docs/performance.md unless --quick is given. The emulator takes part of the
same two cores, so that the figures are ratios of one run, not speeds of Azure.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elspeth.testing.azurite import Azurite
from measuring import Usage, best, measure

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

    def job(self, name: str, file: str, size: int, runs: int = 1) -> Usage:
        """The least that a job took."""
        command = [
            sys.executable, str(ROOT / "benchmarks" / "azure_jobs.py"), name, self.server.connection_string,
            str(self.work / file), str(size),
        ]  # fmt: skip
        return best(runs, lambda: measure(command, cwd=self.work))

    def table(self) -> list[str]:
        """All that is measured, as lines of Markdown."""
        sizes, runs = self.sizes, self.sizes.runs
        self.job("prepare", "in.bin", sizes.mib)
        lines: list[str] = [
            "| what | the library | ELSPETH | ratio of speed | CPU | peak memory |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        pairs = (
            (f"upload of {sizes.mib} MiB", "up_sdk", "up_ours", "in.bin", sizes.mib),
            (f"download of {sizes.mib} MiB", "down_sdk", "down_ours", "out.bin", sizes.mib),
        )
        for what, plain, audited, file, size in pairs:
            lines.append(_line(what, self.job(plain, file, size, runs), self.job(audited, file, size, runs)))
            (self.work / "out.bin").unlink(missing_ok=True)
        self.job("fill_small", "x", sizes.small)
        small = [self.job(name, "x", sizes.small, runs) for name in ("small_sdk", "small_ours")]
        lines.append(_line(f"{sizes.small:,} small blobs as rows", *small))
        return [*lines, "", self._sinks()]

    def _sinks(self) -> str:
        rows, runs = self.sizes.rows, self.sizes.runs
        pairs = (("sink_file", "start_file"), ("send_file", "start_library"), ("sink_blob", "start_blob"))
        local, library, blob = (
            self.job(work, "rows.jsonl", rows, runs).cpu - self.job(start, "rows.jsonl", rows, runs).cpu
            for work, start in pairs
        )
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
