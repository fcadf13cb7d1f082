"""Two models, split and paired, compared: what `make demo-experiment` shows.

The rows are real and labelled: names of Unicode characters, and what kind of sign the standard says
each is. The models are two servers on this machine that know the words of such names differently well.
Run it from the root of the repository.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from elspeth.testing.llm import Behaviour, LoopbackLLM

ROOT = Path(__file__).resolve().parents[2]
HERE = "examples/experiments"
OUT = ROOT / HERE / "out"
DATABASE = f"sqlite:///{HERE}/out/landscape.db"
KINDS = {"L": "letter", "N": "number", "P": "punctuation", "S": "symbol", "M": "mark"}
ROWS = 1500

SMALL = {
    "LETTER": "letter",
    "DIGIT": "number",
    "NUMBER": "number",
    "SIGN": "symbol",
    "MARK": "mark",
    "ARROW": "symbol",
    "PUNCTUATION": "punctuation",
    "IDEOGRAPH": "letter",
}
LARGE = {
    **SMALL,
    "SYLLABLE": "letter",
    "SYLLABICS": "letter",
    "HIEROGLYPH": "letter",
    "CUNEIFORM": "letter",
    "COMBINING": "mark",
    "VOWEL": "mark",
    "BRACKET": "punctuation",
    "COMMA": "punctuation",
    "SYMBOL": "symbol",
    "FACE": "symbol",
    "SELECTOR": "mark",
    "RADICAL": "symbol",
}


def main() -> int:
    """Tell the story; returns an exit code."""
    os.chdir(ROOT)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    write_rows(OUT / "signs.csv")
    large = Behaviour(latency_s=0.04, lognormal=0.4, answer=model(LARGE, "symbol"), seed=1)
    small = Behaviour(latency_s=0.012, lognormal=0.4, answer=model(SMALL, "I can't say."), seed=2)
    judge = Behaviour(latency_s=0.008, lognormal=0.4, answer=prefer, seed=3)
    with LoopbackLLM(large) as one, LoopbackLLM(small) as other, LoopbackLLM(judge) as third:
        for name, server in (("LARGE", one), ("SMALL", other), ("JUDGE", third)):
            os.environ[f"{name}_URL"] = f"{server.url}/v1"
        say(f"{ROWS:,} names of signs, split between two models")
        elspeth("run", f"{HERE}/split.yaml")
        elspeth("experiment", "status", "signs-split")
        say("the same names through both models: every row is compared with itself")
        elspeth("run", f"{HERE}/paired.yaml")
        say(f"the models were called {one.calls + other.calls:,} times: once per row, then twice per row")
        say(f"and the judge {third.calls:,} times: about every pair in both orders")
    elspeth("experiment", "list")
    elspeth("experiment", "compare", "signs-split")
    elspeth("experiment", "compare", "signs-paired")
    elspeth("experiment", "compare", "signs-paired", "--html", f"{HERE}/out/comparison.html")
    say("rows on which they disagree, and the story of one row")
    elspeth("experiment", "flips", "signs-paired", "--limit", "3")
    elspeth("explain", "latest", "--row", "7")
    return 0


def write_rows(path: Path) -> None:
    """Signs drawn with a fixed seed from all that have a name and a kind."""
    signs = [
        (f"U+{number:04X}", name, KINDS[kind])
        for number in range(0x21, 0x20000)
        if (name := unicodedata.name(chr(number), ""))
        and (kind := unicodedata.category(chr(number))[0]) in KINDS
        and not name.startswith(("CJK UNIFIED", "HANGUL SYLLABLE"))
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["code_point", "text", "gold"])
        writer.writerows(Random(42).sample(signs, ROWS))


def model(knows: Mapping[str, str], otherwise: str) -> Callable[[Mapping[str, Any]], str]:
    """A model that knows some words, and else says always the same."""

    def answer(body: Mapping[str, Any]) -> str:
        words = str(body["messages"][-1]["content"]).splitlines()[-1].replace("-", " ").split()
        return next((knows[word] for word in words if word in knows), otherwise)

    return answer


def prefer(body: Mapping[str, Any]) -> str:
    """A judge that knows more words than both; where it knows nothing it likes what stands first."""
    text = str(body["messages"][-1]["content"])
    name = text.split("The name is ")[1].split(".")[0]
    said = [text.split(f"Answer {place}: ")[1].splitlines()[0] for place in (1, 2)]
    right = next((LARGE[word] for word in name.replace("-", " ").split() if word in LARGE), None)
    choice = "tie" if said[0] == said[1] else "2" if said[1] == right else "1"
    (field,) = body["response_format"]["json_schema"]["schema"]["properties"]
    return json.dumps({field: choice})


def elspeth(*words: str) -> None:
    """Run a command as a user would, and show it."""
    database = () if words[0] == "run" else ("--database", DATABASE)
    print(f"\n$ elspeth {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "elspeth", *words, *database], check=True)


def say(text: str) -> None:
    """A line between the commands."""
    print(f"\n── {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
