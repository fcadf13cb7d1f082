"""Lines of a file in messages, without what may be a secret."""

import pytest

from elspeth.core.config.excerpts import excerpt


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  api_key: sk-12345", "  api_key: ********"),
        ("{endpoint: x, api_key: 'sk-1', b: 2}", "{endpoint: x, api_key: ******, b: 2}"),
        ('db_password: "a, b" # why', "db_password: ****** # why"),
        ("url: postgresql://me:pw@host/db", "url: postgresql://me:**@host/db"),
        ("connection_string: AccountKey=abc==", "connection_string: ****************"),
        ("Authorization: Bearer abc", "Authorization: **********"),
        ("api_key: ${API_KEY}", "api_key: ${API_KEY}"),
        ("tokens_per_minute: 5", "tokens_per_minute: 5"),
        ("keyword: hello", "keyword: hello"),
        ("\tx: 1\r", " x: 1"),
    ],
)
def test_secrets_become_asterisks_of_the_same_width(line, shown):
    assert excerpt(line) == shown


def test_long_lines_are_cut_behind_the_interesting_part():
    assert excerpt("x" * 500) == "x" * 159 + "…"
    assert len(excerpt("x" * 500, column=300)) == 340
