"""`make demo-crash`: a run is killed in the middle and goes on, nobody can tell; then one byte is changed."""

import hashlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

HOME = Path("examples/crash")
OUT = HOME / "out"
OUTPUTS = ("review.csv", "paid.jsonl")
LANDSCAPE = OUT / "landscape.db"
ORDERS = 60_000
ELSPETH = [sys.executable, "-m", "elspeth"]


def tell(text: str) -> None:
    """One step of the story."""
    print(f"\n── {text}", flush=True)


def elspeth(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command and show what it says."""
    print(f"$ elspeth {' '.join(words)}", flush=True)
    done = subprocess.run([*ELSPETH, *words], text=True, capture_output=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    print("".join(f"  {line}\n" for line in lines if line), end="", flush=True)
    return done


def start() -> None:
    """An empty directory with an input in it."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    lines = (f"{n},{n % 17 + 1},{n % 89}.{n % 100:02}\n" for n in range(ORDERS))
    (OUT / "orders.csv").write_text("id,units,price\n" + "".join(lines))


def hashes() -> dict[str, str]:
    """SHA-256 of every output."""
    return {name: hashlib.sha256((OUT / name).read_bytes()).hexdigest() for name in OUTPUTS}


def committed() -> int:
    """How many rows the record has by now."""
    if not LANDSCAPE.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{LANDSCAPE}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT rows_read FROM checkpoints").fetchone()
    except sqlite3.OperationalError:  # it is being made
        return 0
    return found[0] if found else 0


def kill_in_the_middle() -> int:
    """Start the run, and kill it without warning; how many rows were committed."""
    run = subprocess.Popen(
        [*ELSPETH, "run", f"{HOME}/pipeline.yaml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while run.poll() is None and committed() < ORDERS // 3:
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    return committed()


def change_a_byte() -> Path:
    """A copy of the record in which one byte of one row's data is another."""
    copy = OUT / "copy.db"
    with closing(sqlite3.connect(LANDSCAPE)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    where = "WHERE row_no = 88 AND token_no = 0"
    with closing(sqlite3.connect(copy)) as connection, connection:
        (payload,) = connection.execute(f"SELECT payload FROM traces {where}").fetchone()
        changed = payload.replace("8", "9", 1)
        print(f"  row 88 was {payload}\n  and now is {changed}")
        connection.execute(f"UPDATE traces SET payload = ? {where}", (changed,))
    return copy


def main() -> int:
    """Tell the story; the exit code is 0 if it ended as it should."""
    tell(f"{ORDERS:,} orders go through a pipeline, and nothing disturbs them.")
    start()
    elspeth("run", f"{HOME}/pipeline.yaml")
    expected = hashes()
    tell("The same again, but after a third of the rows the process gets SIGKILL.")
    start()
    rows = kill_in_the_middle()
    there = [name for name in OUTPUTS if (OUT / name).exists()]
    print(f"  killed; {rows:,} rows are committed, output files published: {', '.join(there) or 'none'}")
    tell("Somebody resumes it.")
    elspeth("resume", "--database", f"sqlite:///{LANDSCAPE}")
    found = hashes()
    for name in OUTPUTS:
        same = "identical" if found[name] == expected[name] else "DIFFERENT"
        print(f"  {name:<12} undisturbed {expected[name][:16]}…  resumed {found[name][:16]}…  {same}")
    tell("Is the record whole? Every record is a leaf of a tree whose head is known.")
    whole = elspeth("verify", "--database", f"sqlite:///{LANDSCAPE}")
    tell("Now one byte of one row is changed in a copy of the record.")
    changed = elspeth("verify", "--database", f"sqlite:///{change_a_byte()}")
    fine = 0 < rows < ORDERS and not there and found == expected
    fine = fine and whole.returncode == 0 and changed.returncode == 1
    tell("Nothing was lost, nothing was doubled, and the change was found." if fine else "THIS WENT WRONG.")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
