"""YAML in and out: types, duplicate keys, bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.yaml_text import MAX_BYTES, YamlError, read_yaml, write_yaml

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(blacklist_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_reads_back(value):
    assert read_yaml(write_yaml(value))[0] == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("1e5", 1e5),
        (".5", 0.5),
        ("no", "no"),
        ("on", "on"),
        ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"),
        ("0x1f", 31),
        ("0o17", 15),
        ("-7", -7),
        ("010", 10),
        ("~", None),
        ("10%", "10%"),
        (".inf", ".inf"),
    ],
)
def test_types_follow_yaml_1_2(text, value):
    found = read_yaml(text)[0]
    assert (found, type(found)) == (value, type(value))


def test_every_key_has_its_line():
    _, lines = read_yaml("a: 1\nb:\n  c: [x,\n    y]\n")
    assert lines[("a",)] == 1
    assert lines[("b", "c")] == 3
    assert lines[("b", "c", 1)] == 4


def test_every_duplicate_is_named_with_both_lines():
    with pytest.raises(YamlError) as caught:
        read_yaml("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert caught.value.problems == [
        "line 2: b.c is already given on line 2. Keep one of the two",
        "line 3: a is already given on line 1. Keep one of the two",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: '" + "x" * MAX_BYTES + "'", "bytes"),
        ("[" * 10_000, "nested more than 32 levels"),
        ("a: &a x\nb: [" + "*a, " * 200 + "]", "more than 100 aliases"),
        ("a: &a [*a]", "aliases make the document too large"),
        (
            "a0: &a0 [x, x]\n"
            + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 30)),
            "aliases make the document too large",
        ),
        ("a: 1\n--- \nb: 2", "found a second document"),
        ("{a: 1}: b", "found a list or a mapping for a key"),
    ],
)
def test_hostile_text_is_refused(text, sentence):
    with pytest.raises(YamlError, match=sentence):
        read_yaml(text)


def test_aliases_and_merge_keys_work():
    value, _ = read_yaml("base: &base {x: 1, y: 2}\nother: {<<: *base, y: 3}\n")
    assert value["other"] == {"x": 1, "y": 3}


def test_many_keys_are_refused_before_the_document_is_built() -> None:
    text = "".join(f"k{number}: 1\n" for number in range(11))
    assert len(read_yaml(text, max_keys=11)[0]) == 11
    with pytest.raises(YamlError, match=r"line 11: more than 10 keys"):
        read_yaml(text, max_keys=10)
    inner = "a:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    with pytest.raises(YamlError, match=r"line 12: more than 10 keys"):
        read_yaml(inner, max_keys=10)
    deeper = "a:\n" + "".join(f"  {line}\n" for line in inner.splitlines())
    assert len(read_yaml(deeper, max_keys=10)[0]["a"]["a"]) == 11


@pytest.mark.parametrize("number", ["9" * 301, "-" + "9" * 5000, "0x" + "f" * 5000])
def test_a_number_of_very_many_digits_is_refused(number: str) -> None:
    with pytest.raises(YamlError, match=r"line 1, column 4: a number of .* Write a number"):
        read_yaml(f"a: {number}")
