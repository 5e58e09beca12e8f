"""Text from outside is seen, never obeyed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.outside_text import (
    UNSEEN,
    code_span,
    markdown,
    one_line,
    shortened,
    visible,
    visible_json,
)

NASTY = [
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31m",
    "a\rb",
    "a\x08\x08b",
    "\u202egpj.exe",
    "\u2066left\u2069",
    "two\nlines\n| a | b |",
    "[red]markup[/]",
    "<script>alert(1)</script>",
    "`code` *bold* [a](http://evil)",
    "\udcff",
    "\u2028",
    "\U000e0041",
    "zero\u200bwidth",
]


@pytest.mark.parametrize("text", NASTY)
def test_nothing_is_obeyed(text: str) -> None:
    for shown in (visible(text), one_line(text), markdown(text), code_span(text)):
        assert not UNSEEN.search(shown)
        shown.encode()
    assert "\n" not in one_line(text) + markdown(text) + code_span(text)
    assert "<" not in markdown(text)
    assert json.loads(visible_json(json.dumps(text, ensure_ascii=False))) == text


@given(st.text(st.characters()))
def test_any_text_is_shown_without_control_signs_and_json_stays_what_it_is(text: str) -> None:
    assert not UNSEEN.search(visible(text))
    assert not set(one_line(text)) & set("\n\r\t")
    shown = visible_json(json.dumps(text, ensure_ascii=False))
    assert not UNSEEN.search(shown) and json.loads(shown) == text


@given(st.text(st.characters(exclude_categories=("C", "Zl", "Zp", "Cf"))))
def test_plain_text_is_left_alone(text: str) -> None:
    if not UNSEEN.search(text):
        assert visible(text) == text


def test_what_is_escaped_can_be_read() -> None:
    assert visible("a\x1b[31mred\x1b[0m\r\nb\tc") == "ared\nb\tc"
    assert one_line("a\nb\x07\u202e") == "a\\nb\\x07\\u202e"
    assert markdown("a|b <i> _c_") == "a\\|b &lt;i&gt; \\_c\\_"
    assert code_span("a`b") == "`` a`b ``"


def test_what_is_cut_says_so() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abc..."
