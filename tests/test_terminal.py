"""Tables on a terminal: nothing is cut off, and words are not broken where numbers could give way."""

import pytest

from bioplastic.terminal import console, count, table

LEARNERS = ("error relay", "error relay, unscreened", "backprop")


def printed(capsys, *headings: str, left=(0,)) -> list[str]:
    rows = [[name, *["-0.67 [-1.33, -0.33]"] * (len(headings) - 1)] for name in LEARNERS]
    console().print(table("A title", headings, rows, "A caption.", left=left))
    return capsys.readouterr().out.splitlines()


def test_a_table_that_fits_is_one_line_a_row(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.rstrip() for line in printed(capsys, "learner", "0.1", "0.3")]
    assert lines[:2] == ["A title", "learner                                   0.1                   0.3"]
    assert lines[3:] == [f"{name:23}  -0.67 [-1.33, -0.33]  -0.67 [-1.33, -0.33]" for name in LEARNERS] + ["A caption."]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_where_it_is_narrow_estimates_break_at_the_bracket_and_words_stay_whole(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = printed(capsys, "learner", *("0.1", "0.2", "0.3", "0.4")[: width // 20])
    assert max(map(len, lines)) <= width
    said = "\n".join(lines)
    assert "…" not in said
    for word in ("unscreened", "backprop", "-0.67", "-0.33]"):
        assert word in said.split()


def test_columns_of_words_stand_on_the_left(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = printed(capsys, "learner", "word", left=(0, 1))
    assert lines[1].rstrip() == "learner                  word"


def test_count():
    assert (count(1, "seed"), count(3, "seed"), count(0, "cell")) == ("1 seed", "3 seeds", "0 cells")
