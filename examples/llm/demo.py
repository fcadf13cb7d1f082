"""Rows through a language model on a bad day, then once more from the record alone: ``make demo-llm``.

The model is a toy on this machine: it looks for words. Its server fails one call in five. Run it from the
root of the repository.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elspeth.testing.llm import Behaviour, LoopbackLLM

ROOT = Path.cwd()
OUT = ROOT / "examples/llm/out"
DATABASE = ("--database", "sqlite:///examples/llm/out/landscape.db")
PIPELINE = "examples/llm/pipeline.yaml"
OUTPUTS = [OUT / name for name in ("kinds.csv", "to_read.csv")]
WORDS = {
    "civil": [
        "law",
        "liberty",
        "privacy",
        "movement",
        "slavery",
        "torture",
        "arrest",
        "trial",
        "nationality",
    ],
    "political": ["government", "opinion", "assembly", "association", "asylum", "public service"],
    "economic": ["work", "property", "pay", "unions", "leisure"],
    "social": ["social", "family", "marriage", "living", "motherhood", "marry"],
    "cultural": ["cultural", "education", "scientific", "religion", "arts"],
}


def answer(body: Mapping[str, Any]) -> str:
    """What the toy says: the kind whose words occur most, or the first word that it knows."""
    question = body["messages"][-1]["content"].lower()
    found = {kind: sum(word in question for word in words) for kind, words in WORDS.items()}
    if "response_format" not in body:
        known = [word for words in WORDS.values() for word in words if word in question]
        return known[0] if known else "dignity"
    kind, hits = max(found.items(), key=lambda item: item[1])
    sure = hits / (sum(found.values()) or 1)
    return json.dumps({"kind": kind if hits else "other", "confidence": round(sure, 2)})


def say(text: str) -> None:
    """A line for the reader, in its place between those of the commands."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def elspeth(*arguments: str, url: str) -> None:
    """Run a command as a person would."""
    say(f"\n$ elspeth {' '.join(arguments)}")
    command = [sys.executable, "-m", "elspeth", *arguments, *DATABASE]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "LLM_URL": url}, check=False)
    if done.returncode not in (0, 1):  # 1: the run is complete, and rows are in the error sink
        sys.exit(done.returncode)


def hashes() -> dict[str, str]:
    """What is in the outputs now."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in OUTPUTS}


def main() -> None:
    behaviour = Behaviour(
        latency_s=0.4, lognormal=0.5, error_rate=0.2, seed=7, retry_after="0.2", answer=answer
    )
    shutil.rmtree(OUT, ignore_errors=True)
    with LoopbackLLM(behaviour) as server:
        url = f"{server.url}/v1"
        elspeth("run", PIPELINE, url=url)
        faults = ", ".join(f"{count} × {kind}" for kind, count in sorted(server.faults.items()))
        say(f"\nthe server counted {server.calls} calls: {server.answered} answered, {faults}")
        say(f"at most {server.peak_in_flight} were in flight")
    before = hashes()
    elspeth("runs", "show", "latest", "--calls", url=url)
    elspeth("explain", "latest", "--row", "11", url=url)
    say("\nThe server is stopped now. The same run once more, from the record:")
    for path in OUTPUTS:
        path.unlink()
    elspeth("run", PIPELINE, "--mode", "replay", "--from", "latest", url=url)
    same = hashes() == before
    say("\nthe outputs are identical, byte for byte" if same else "\nTHE OUTPUTS DIFFER")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
