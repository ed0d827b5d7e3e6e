"""Nothing that is text becomes markup."""

import xml.etree.ElementTree as ET

import pytest

from workbench.report.markup import Markup, el, join

HOSTILE = "</title><script>alert('x')</script>\" onload=\"&amp; <img src=x>"


def test_text_comes_back_as_it_went_in():
    made = el("p", HOSTILE, el("b", HOSTILE), title=HOSTILE)
    read = ET.fromstring(made)
    assert (read.text, read[0].text, read.get("title")) == (HOSTILE, HOSTILE, HOSTILE)
    assert [child.tag for child in read.iter()] == ["p", "b"]


def test_what_is_joined_is_escaped_but_not_twice():
    assert join(["<", Markup("<br>"), 3, None]) == "&lt;<br>3"


@pytest.mark.parametrize("value", [None, False])
def test_attributes_can_be_left_out(value):
    assert el("p", hidden=value) == "<p></p>"
