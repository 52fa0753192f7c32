"""What the `files` source promises: nothing of a file is lost without a word."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.sources.files import Files
from octo_dagster.errors import SourceError
from octo_dagster.source import Pull


def rows(folder: Path, pattern: str, *columns: str, **settings: Any) -> list[tuple[Any, ...]]:
    """The wanted values of each row, then where it came from and its fault."""
    found = Files(folder=folder, **settings).read(Pull(pattern, columns=columns)).table()
    return [tuple(row.values()) for row in found.to_pylist()]


def test_a_bad_line_is_a_row_with_its_file_and_line(tmp_path: Path) -> None:
    """Too few fields, too many, a broken quote: each is kept as a fault, and reading goes on."""
    (tmp_path / "o.csv").write_text('id,total\n1,2\n2\n\n3,4,5\n"4"x,5\n6,"two\nlines"\n7,8\n')
    assert rows(tmp_path, "*.csv", "total", "id") == [
        ("2", "1", "o.csv:2", None),
        (None, None, "o.csv:3", "1 fields where the header has 2"),
        (None, None, "o.csv:5", "3 fields where the header has 2"),
        (None, None, "o.csv:6", "',' expected after '\"'"),
        ("two\nlines", "6", "o.csv:8", None),
        ("8", "7", "o.csv:9", None),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    """Whichever of the usual four the header has most of."""
    (tmp_path / "o.csv").write_text(
        f"id{delimiter}a{delimiter}b\n1{delimiter}2,5;x{delimiter}3\n".replace("2,5;x", "2.5")
    )
    assert rows(tmp_path, "o.csv", "id", "a", "b")[0][:3] == ("1", "2.5", "3")


def test_a_dialect_may_be_said(tmp_path: Path) -> None:
    """Delimiter, quote and encoding as the file's maker had them, compressed or not."""
    text = "id~name\n1~'Zoë ~ Ünal'\n".encode("cp1252")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(text))
    found = rows(tmp_path, "c*", "name", delimiter="~", quote="'", encoding="cp1252")
    assert found == [("Zoë ~ Ünal", "c.csv.gz:2", None)]


def test_a_file_half_uploaded_is_named(tmp_path: Path) -> None:
    """A compressed file that breaks off is no file yet: it is named, and nothing of it is kept."""
    whole = gzip.compress(b"id\n" + b"1\n" * 50_000)
    (tmp_path / "c.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"c\.csv\.gz: not the whole of a gzip file"):
        rows(tmp_path, "c*", "id")


def test_bytes_of_another_encoding_are_a_fault(tmp_path: Path) -> None:
    """A line that is not UTF-8 is refused by itself; emoji, right-to-left names and NUL are text."""
    (tmp_path / "c.csv").write_bytes("id,name\n1,🎁 שרה\n2,".encode() + b"Zo\xeb\n" + b"3,a\x00b\n")
    assert rows(tmp_path, "c.csv", "id", "name") == [
        ("1", "🎁 שרה", "c.csv:2", None),
        (None, None, "c.csv:3", "not text in the file's encoding"),
        ("3", "a\x00b", "c.csv:4", None),
    ]


def test_empty_files_have_no_rows(tmp_path: Path) -> None:
    """Nothing in it, or a header only: no rows and no error; the next file's header is the one asked."""
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.csv").write_text("id,total\n")
    assert rows(tmp_path, "*.csv", "id") == []
    assert Files(folder=tmp_path).columns(Pull("*.csv")) == ("id", "total")


def test_a_field_of_ten_megabytes_is_a_field(tmp_path: Path) -> None:
    """Size alone is no fault."""
    (tmp_path / "p.csv").write_text(f'id,description\n1,"{"x" * 10_000_000}"\n')
    assert len(rows(tmp_path, "p.csv", "description")[0][0]) == 10_000_000


def test_json_lines_keep_numbers_as_spelled(tmp_path: Path) -> None:
    """No float in between; a line that is not an object is a fault; an absent key is null."""
    (tmp_path / "o.jsonl").write_text('{"id": 1, "total": 0.10, "tags": ["a"], "vip": true}\n{"id"\n[1]\n')
    found = rows(tmp_path, "*.jsonl", "id", "total", "tags", "vip", "gone?")
    assert found[0] == ("1", "0.10", '["a"]', "true", None, "o.jsonl:1", None)
    assert [row[-2] for row in found[1:]] == ["o.jsonl:2", "o.jsonl:3"]
    assert found[1][-1].startswith("not JSON")
    assert found[2][-1] == "not a JSON object"


def test_a_key_that_no_row_has_is_misspelled(tmp_path: Path) -> None:
    """A path into the object, or a wrong name, is a mistake and not a column of nulls; later files may lack it."""
    (tmp_path / "1.jsonl").write_text('{"id": 1, "customer": {"id": 7}}\n{"id": 2, "coupon": null}\n')
    with pytest.raises(SourceError, match=r"1\.jsonl: no row has customer\.id"):
        rows(tmp_path, "*.jsonl", "id", "customer.id")
    source, pull = Files(folder=tmp_path), Pull("*.jsonl", columns=("id", "coupon"))
    first = source.read(pull)
    assert first.table().num_rows == 2
    (tmp_path / "2.jsonl").write_text('{"id": 3}\n')
    later = source.read(replace(pull, after=first.state)).table()
    assert later.column("coupon").to_pylist() == [None]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """Decimals stay decimals, nanoseconds become microseconds, dictionaries become text."""
    table = pa.table(
        {
            "total": pa.array([Decimal("1.10")], pa.decimal128(9, 2)),
            "at": pa.array([1_700_000_000_000_000_000], pa.timestamp("ns")),
            "state": pa.array(["paid"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "o.parquet")
    source = Files(folder=tmp_path)
    schema = source.read(Pull("*.parquet", columns=("total", "at", "state"))).schema
    assert schema.types[:3] == [pa.decimal128(9, 2), pa.timestamp("us"), pa.string()]
    assert source.columns(Pull("*.parquet")) == ("total", "at", "state")
    assert rows(tmp_path, "*.parquet", "state") == [("paid", "o.parquet:1", None)]


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    """A new file is an increment; a changed one comes whole; one that is gone takes nothing with it."""
    source = Files(folder=tmp_path)

    def increment(after: Any) -> tuple[list[str], Any]:
        reading = source.read(Pull("*.csv", columns=("id",), after=after))
        return reading.table().column("id").to_pylist(), reading.state

    (tmp_path / "1.csv").write_text("id\n1\n")
    first, state = increment(None)
    (tmp_path / "2.csv").write_text("id\n2\n")
    second, state = increment(state)
    (tmp_path / "1.csv").write_text("id\n1\n3\n")
    os.utime(tmp_path / "1.csv", ns=(1, 1))
    third, state = increment(state)
    (tmp_path / "2.csv").unlink()
    assert (first, second, third, increment(state)[0]) == (["1"], ["2"], ["1", "3"], [])


def test_a_file_without_a_mapped_column_is_refused(tmp_path: Path) -> None:
    """A column that went missing must not turn into nulls."""
    (tmp_path / "1.csv").write_text("id,sum\n1,2\n")
    with pytest.raises(SourceError, match=r"1\.csv: no column total; it has: id, sum"):
        rows(tmp_path, "*.csv", "id", "total")


@pytest.mark.parametrize(
    ("name", "what"), [("x.parquet", "not a Parquet file"), ("x.xlsx", "'xlsx' is no format")]
)
def test_an_unreadable_file_is_named(tmp_path: Path, name: str, what: str) -> None:
    """What is no file of ours is refused with its name."""
    (tmp_path / name).write_text("nonsense")
    with pytest.raises(SourceError, match=what):
        rows(tmp_path, "x.*", "id")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A folder that is not there is not an empty one."""
    with pytest.raises(SourceError, match="no such folder"):
        rows(tmp_path / "nowhere", "*.csv", "id")


def test_files_of_one_name_in_several_folders_are_several_files(tmp_path: Path) -> None:
    """A folder a day with the same file in it: each is read once, and told from the others."""
    source = Files(folder=tmp_path)
    for day in ("01", "02"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "o.csv").write_text(f"id\n{day}\n")
        os.utime(tmp_path / day / "o.csv", ns=(int(day), int(day)))
    first = source.read(Pull("*/o.csv", columns=("id",)))
    assert first.table().column("_origin").to_pylist() == ["01/o.csv:2", "02/o.csv:2"]
    assert source.read(Pull("*/o.csv", columns=("id",), after=first.state)).table().num_rows == 0


def test_a_file_that_begins_with_blank_lines_has_its_rows(tmp_path: Path) -> None:
    """The header is the first line there is anything in: nothing of such a file is passed over."""
    (tmp_path / "o.csv").write_text("\n\nid;total\n1;2,50\n")
    assert rows(tmp_path, "*.csv", "id", "total") == [("1", "2,50", "o.csv:4", None)]
    assert Files(folder=tmp_path).columns(Pull("*.csv")) == ("id", "total")


@pytest.mark.parametrize("end", ["", '7,"x",1\n'])
def test_a_quote_never_closed_is_as_many_faults_as_it_took_lines(tmp_path: Path, end: str) -> None:
    """Rows that a stray quote swallowed are counted as refused, each, and never as one."""
    (tmp_path / "o.csv").write_text(f'id,name,n\n1,a,1\n2,"b,2\n3,c,3\n4,d,4\n{end}')
    found = rows(tmp_path, "*.csv", "id")
    lines = range(3, 6 + bool(end))
    assert [row[1] for row in found if row[2]] == [f"o.csv:{number}" for number in lines]
    assert len(found) == 1 + len(lines)


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """Nobody can say which of two columns of one name is meant; one that is not asked for may be there twice."""
    (tmp_path / "o.csv").write_text("id,total,total,x,x\n1,2,3,4,5\n")
    assert rows(tmp_path, "*.csv", "id")[0][0] == "1"
    with pytest.raises(SourceError, match=r"o\.csv: more than one column total"):
        rows(tmp_path, "*.csv", "id", "total")
