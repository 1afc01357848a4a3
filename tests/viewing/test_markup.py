from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medconsist.viewing.markup import badges, markdown, readable, safe, table

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=//example.org/x onerror=alert(1)>',
    "\u202egnp.exe",
    "name\x00with nul",
    "![x](//example.org/x.png)",
    "a" * 4096,
]


class Tags(HTMLParser):
    """Collect the elements that a browser would build."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {tag, *(name for name, _ in attrs if name.startswith("on"))}


def elements(page: str) -> set[str]:
    parser = Tags()
    parser.feed(page)
    return parser.names


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_adds_no_element(name: str) -> None:
    ours = {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert elements(table([name, "b"], [[name, name]], caption=name)) <= ours
    assert elements(badges([name])) == {"span"}


@given(st.text(max_size=600))
def test_any_text_becomes_one_line_of_bounded_length(text: str) -> None:
    shown = readable(text)
    assert len(shown) <= 400
    assert "\n" not in shown


@given(st.text(max_size=600))
def test_escaped_text_cannot_open_a_tag_or_leave_an_attribute(text: str) -> None:
    assert not set("<>\"'") & set(safe(text))


def test_a_direction_override_is_made_visible() -> None:
    assert readable("\u202eabc") == "\N{REPLACEMENT CHARACTER}abc"


def test_ordinary_names_stay_as_they_are() -> None:
    assert readable("Größe 5 µm, χ²") == "Größe 5 µm, χ²"


def test_an_empty_cell_is_a_dash() -> None:
    assert "<td>–</td>" in table(["a", "b"], [["x", ""]], caption="c")


def test_markdown_of_a_hostile_name_has_no_markup_left() -> None:
    assert markdown("![x](y)") == r"\!\[x\]\(y\)"
    assert markdown(":red[a] $b$ *c*") == r"\:red\[a\] \$b\$ \*c\*"
