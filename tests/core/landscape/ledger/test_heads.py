"""Heads as text, keys, and the anchors outside the database."""

import os
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.contracts.errors import LandscapeError, NotFoundError, UsageError
from elspeth.core.landscape.ledger.anchors import FileAnchor, StdoutAnchor, anchor_of, read_anchors
from elspeth.core.landscape.ledger.heads import (
    Head,
    NoteError,
    SigningKey,
    head_note,
    parse_note,
    parse_verifier_key,
)

ROOT = bytes(range(32))
# The example of the Go package golang.org/x/mod/sumdb/note: key, text and signature are its own.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)


def head(size: int = 5, key: SigningKey | None = None) -> Head:
    origin = "elspeth/run/r-1"
    return Head(1, 0, origin, size, ROOT, head_note(origin, size, ROOT, key))


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32), st.booleans())
def test_what_a_head_says_can_be_read_back(size: int, root: bytes, signed: bool) -> None:
    key = SigningKey.generate("audit.example.com") if signed else None
    found = parse_note(head_note("elspeth/run/r-1", size, root, key))
    assert (found.origin, found.run_id, found.size, found.root) == ("elspeth/run/r-1", "r-1", size, root)
    assert key is None or key.verifier.signed(found)


def test_only_the_right_key_has_signed() -> None:
    one, other = SigningKey.generate("one"), SigningKey.generate("one")
    note = head(5, one).note
    assert one.verifier.signed(parse_note(note))
    assert not other.verifier.signed(parse_note(note))
    assert not one.verifier.signed(parse_note(note.replace("\n5\n", "\n6\n", 1)))
    assert not one.verifier.signed(parse_note(head(5).note))


def test_another_implementations_key_is_read() -> None:
    key = parse_verifier_key(GO_KEY)
    assert (key.name, key.key_id.hex(), str(key)) == ("PeterNeumann", "c74f20a3", GO_KEY)


@pytest.mark.parametrize(
    "note",
    [
        "", "x", "a\n5\n", "a\n05\nAAAA\n", f"a\n5\n{b64encode(ROOT).decode()}", "a\n5\nAAAA\n",
        "\n5\nAAAA\n",
        f"a\n-5\n{b64encode(ROOT).decode()}\n", f"a\n5\n{b64encode(ROOT).decode()}\n\nno signature\n",
        f"a\n5\n{b64encode(ROOT).decode()}\n\n— k AA==\n", f"a\n5\n{b64encode(ROOT).decode()}\nmore\n",
    ],
)  # fmt: skip
def test_what_is_no_head_is_refused(note: str) -> None:
    with pytest.raises(NoteError):
        parse_note(note)


def put_key(tmp_path: Path, mode: int = 0o600) -> tuple[SigningKey, Path]:
    key, path = SigningKey.generate("k"), tmp_path / "signing.key"
    path.write_text(f"{key}\n")
    path.chmod(mode)
    return key, path


def test_a_key_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    key, path = put_key(tmp_path)
    assert SigningKey.load(path).verifier == key.verifier
    assert parse_verifier_key(str(key.verifier)) == key.verifier


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    _, path = put_key(tmp_path, mode)
    with pytest.raises(UsageError, match=rf"can be read by others \(mode {mode:04o}\)") as raised:
        SigningKey.load(path)
    assert f"chmod 600 {path}" in raised.value.fix


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    key, path = put_key(tmp_path)
    with pytest.raises(NotFoundError, match="there is no signing key at"):
        SigningKey.load(tmp_path / "none.key")
    for text in ("", "hello", str(key)[:-8], str(key).replace("+k+", "+j+"), str(key.verifier)):
        path.write_text(text)
        with pytest.raises(UsageError, match="is no signing key"):
            SigningKey.load(path)
    with pytest.raises(UsageError, match="that is a private key"):
        parse_verifier_key(str(key))
    for text in ("", "a+b", str(key.verifier)[:-4], str(key.verifier).replace("k+", "j+", 1)):
        with pytest.raises(UsageError, match="no public key"):
            parse_verifier_key(text)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "tab\there"])
def test_names_that_a_note_can_not_hold_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="a key can't be called"):
        SigningKey.generate(name)


def test_a_private_key_never_shows_in_its_repr() -> None:
    key = SigningKey.generate("k")
    assert str(key).rpartition("+")[2] not in repr(key)


def test_heads_are_appended_to_a_file(tmp_path: Path) -> None:
    anchor = anchor_of(str(tmp_path / "far" / "heads.jsonl"))
    heads = [head(size, SigningKey.generate("k")) for size in (3, 7)]
    for each in heads:
        anchor.put(each)
    assert isinstance(anchor, FileAnchor)
    found = list(read_anchors(anchor.path))
    assert [(each.run_id, each.size, each.root) for each in found] == [("r-1", 3, ROOT), ("r-1", 7, ROOT)]
    assert all(each.signatures for each in found)


def test_heads_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(anchor_of("stdout"), StdoutAnchor)
    anchor_of("stdout").put(head())
    assert capsys.readouterr().out.startswith('{"origin":"elspeth/run/r-1","head":0,"size":5,')


def test_other_lines_and_a_torn_last_one_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log"
    FileAnchor(path).put(head())
    whole = path.read_bytes()
    path.write_bytes(b"2026-11-21 some log line\n" + whole + whole[: len(whole) // 2])
    assert len(list(read_anchors(path))) == 1
    path.write_bytes(whole[: len(whole) // 2] + b"\n" + whole)
    with pytest.raises(UsageError, match=r"line 1 of the anchor file .* holds no head"):
        list(read_anchors(path))
    path.write_bytes(whole.replace(b'"size":5', b'"size":6'))
    with pytest.raises(UsageError, match=r"line 1 of the anchor file .* contradicts itself"):
        list(read_anchors(path))
    with pytest.raises(NotFoundError, match="there is no anchor file"):
        list(read_anchors(tmp_path / "none"))


def test_an_anchor_that_can_not_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LandscapeError, match="the head can't be anchored in") as raised:
        FileAnchor(tmp_path / "file" / "heads").put(head())
    assert "elspeth resume" in raised.value.fix
    assert os.listdir(tmp_path) == ["file"]
