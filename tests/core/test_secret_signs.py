"""The quick look for signs of a secret overlooks none that the patterns would find."""

from hypothesis import given, settings
from hypothesis import strategies as st

from elspeth.core import secrets
from elspeth.core.secrets import Redactor

# Letters that ignore case in odd ways are among them: dotted and dotless i, long s, the sign for Kelvin.
PARTS = [
    "Bearer ", "BEARER\t", "bas\u0130c ", "Ba\u017fic ", "bas\u0131c ", "sig=", "S\u0130G=", "\u017fig=",
    "s\u0131g=", "pwd=", "AccountKey=", "Account\u212aey=", "password=", "SharedAccessSignature=", "https://",
    "user", ":", "@", "abcdefghij", "&", "; ", "\u00e9", "\u00df",
]  # fmt: skip


@settings(max_examples=400)
@given(st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=4)), max_size=9).map("".join))
def test_nothing_is_overlooked(text: str) -> None:
    redactor = Redactor(None)
    expected = text
    for pattern in secrets._SECRET_PARTS:
        expected = pattern.sub(redactor._part, expected)
    assert redactor.text(text) == expected
