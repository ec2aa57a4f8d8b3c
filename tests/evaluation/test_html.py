import re
from html.parser import HTMLParser

import pytest

from frisket.evaluation.html import duration, page
from frisket.evaluation.report import Report, Section, Table

VOID = {"meta", "img", "br", "line", "circle"}


class Balance(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_page_is_balanced_escaped_and_fetches_nothing():
    nasty = "<script>alert('x')</script> & \"quotes\""
    report = Report(
        title=nasty, summary=nasty, seed=7, timings={"training": 95.0}, command=nasty, versions={"torch": nasty},
        config={"key": nasty}, citations=[nasty],
        sections=[Section(title=nasty, text=f"{nasty}\n\nsecond", samples=((nasty, nasty),),
                          table=Table(columns=(nasty,), rows=((nasty,),), note=nasty))],
    )  # fmt: skip
    text = page(report)
    reader = Balance()
    reader.feed(text)
    assert reader.open == []
    assert "<script" not in text
    assert "".join(reader.text).count("alert('x')") >= 10
    assert not re.findall(r"(?:src|href)=['\"]?(?:https?:)?//", text)
    assert "prefers-color-scheme: dark" in text


def test_an_empty_report_has_no_empty_parts():
    text = page(Report(title="t"))
    for absent in ("<ul", "Reproduce", "<details", 'class="summary"'):
        assert absent not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8 s"), (42.2, "42 s"), (59.7, "1 min 0 s"), (185.0, "3 min 5 s"), (7440.0, "2 h 4 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
