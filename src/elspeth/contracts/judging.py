"""What a judge says of two answers: the words that judges, engine and statistics share."""

from typing import Final

INPUT: Final = "input"
CONTROL: Final = "control"
VARIANT: Final = "variant"
"""The fields of a pair: the row that came in, and what the control and a variant made of it.

The last two also name who won.
"""

TIE: Final = "tie"
WINNER: Final = "judge_winner"
"""The field in which a judge says who won: `CONTROL`, `VARIANT` or `TIE`."""

FLIPPED: Final = "judge_flipped"
"""The field in which a judge says whether its answer turned with the order, and so is a tie."""

FAILED: Final = "failed"
FLIPS: Final = "flipped"
UNPAIRED: Final = "unpaired"
"""What is counted beside winners: pairs that could not be judged, flips, rows that lack an answer."""
