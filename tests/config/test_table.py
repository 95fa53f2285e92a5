"""A table of runs: one row a run, types as YAML reads them, and what is wrong named by its line."""

from __future__ import annotations

import pytest

from runferry.config.table import read_table
from runferry.errors import ConfigError


def test_cells_are_numbers_words_and_texts(tmp_path):
    file = tmp_path / "runs.csv"
    file.write_text('a,b\n1,1e-3\n-2.5,true\n007,null\n"x, y",FALSE\n+3,.5\n1_000,nan\n')
    assert read_table(file) == [
        {"a": 1, "b": 0.001},
        {"a": -2.5, "b": True},
        {"a": "007", "b": None},
        {"a": "x, y", "b": False},
        {"a": 3, "b": 0.5},
        {"a": "1_000", "b": "nan"},
    ]
    assert type(read_table(file)[0]["a"]) is int


def test_an_empty_cell_leaves_the_parameter_out_and_an_empty_line_is_none(tmp_path):
    file = tmp_path / "runs.tsv"
    file.write_text("\ufeffa\tb\r\n1\t\r\n\t2\r\n\t\r\n", newline="")
    assert read_table(file) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n3\n", "runs.csv, line 3: found 1 cells, expected 2"),
        ("a,b\n1,2\n\n1,2\n", "runs.csv, line 4: found the run of line 2 again"),
        ("a,a\n1,2\n", "line 1: found the column a twice"),
        ("a,\n1,2\n", "line 1: found column 2 without a name"),
        ("a,b\n", "found no row"),
        ("", "found no row"),
        ('a\n"x\n', "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(tmp_path, text, said):
    file = tmp_path / "runs.csv"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_table(file)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_or_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match=r"expected \.csv or \.tsv"):
        read_table(tmp_path / "runs.xlsx")
