"""Files of data that cannot be used, with what must be said of each."""

import gzip
import io
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq


class Case(NamedTuple):
    """A file, what the recipe says of it, and words of the refusal."""

    file: str
    content: bytes
    words: str
    data: Mapping[str, Any] = MappingProxyType({})
    task: Mapping[str, Any] = MappingProxyType({})


GOOD = b"text,label\none,a\ntwo,b\nthree,a\nfour,b\n"


def lines(*rows: Any) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def table(**columns: Any) -> pa.Table:
    return pa.table(columns)


def parquet(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    return sink.getvalue()


def arrow(rows: pa.Table, *, stream: bool = False) -> bytes:
    sink = io.BytesIO()
    opened = pa.ipc.new_stream if stream else pa.ipc.new_file
    with opened(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


ROWS = table(text=["one", "two", "three"] * 50, label=["a", "b", "a"] * 50)
WHOLE = parquet(ROWS)
FLIPPED = WHOLE[:60] + bytes(b ^ 0xFF for b in WHOLE[60:120]) + WHOLE[120:]

CSV = [
    Case("a.csv", b"", "is empty"),
    Case("a.csv", b"text,label\n", "no row"),
    Case("a.csv", b"\n\n\n", "a.csv"),
    Case("a.csv", b"txt,label\none,a\n", "text"),
    Case("a.csv", b"text,text,label\none,two,a\n", "text"),
    Case("a.csv", b"text;label\none;a\ntwo;b\n", "with ; between", {"delimiter": ","}),
    Case("a.csv", b"text,label\none,a,more\n", "row 1"),
    Case("a.csv", b'text,label\n"one,a\ntwo,b\n', "a.csv"),
    Case("a.csv", b"text,label\n\xff\xfe\xfa,a\n", "UTF-8"),
    Case("a.csv", b"text,label\none\x00,a\n", ""),
    Case("a.csv", "text,label\none,a\n".encode("utf-16"), "encoding"),
    Case("a.csv", b"text,label\n,\n,\n", "no row"),
    Case("a.csv", b"text,label\none,a\ntwo,a\n", "label"),
    Case("a.csv", GOOD, "nothere.csv", {"test": "nothere.csv"}),
    Case("a.csv", GOOD, "xyz*.csv", {"train": "xyz*.csv"}),
    Case("a.csv", GOOD, "'b'", {}, {"labels": ["a", "c"]}),
    Case("a.csv", GOOD, "speaker", {"split": {"by": "group", "column": "speaker"}, "test": 0.5}),
    Case("a.csv", GOOD, "", {"split": {"by": "time", "column": "text"}, "test": 0.5}),
    Case("a.csv", b"text,label\none,a\none,b\n", "conflict", {"cleaning": {"conflicts": "fail"}}),
    Case("a.csv", b"text,label\none,a\n,b\n", "row 2", {"cleaning": {"missing": "fail"}}),
    Case("a.csv", GOOD, "too short text", {"cleaning": {"min_characters": 99}}),
    Case("a.csv", GOOD, "parquet", {"format": "parquet"}),
    Case("a.csv", GOOD, "not JSON", {"format": "jsonl"}),
    Case("a.tsv", GOOD, "with , between", {"delimiter": "\t"}),
    Case("a.xlsx", GOOD, "format"),
    Case("a", GOOD, "format"),
    Case("a.csv.gz", b"not gzip", "a.csv.gz"),
    Case("a.csv.gz", gzip.compress(GOOD * 99)[:40], "a.csv.gz"),
    Case("a.csv", b"text,label\n" + b"x" * 200 + b",a\n", "label"),
]

JSON = [
    Case("a.jsonl", b"", "is empty"),
    Case("a.jsonl", b"{", "line 1"),
    Case("a.jsonl", b'{"text": "one", "label": "a"}\n{"text": \n', "line 2"),
    Case("a.jsonl", b"[1, 2]\n", "line 1"),
    Case("a.jsonl", b"5\n6\n", "line 1"),
    Case("a.jsonl", lines({"text": "one"}), "label"),
    Case("a.jsonl", lines({"text": {"a": 1}, "label": "a"}), "text"),
    Case("a.jsonl", lines({"text": "one", "label": ["a", "b"]}), "label"),
    Case("a.jsonl", lines({"text": "one", "label": 1.5}), "label"),
    Case("a.jsonl", b'{"text": "\\ud800", "label": "a"}\n', "surrogate"),
    Case("a.jsonl", b'{"text": "one", "text": "two", "label": "a"}\n', ""),
    Case("a.jsonl", b'{"text": NaN, "label": "a"}\n', ""),
    Case("a.jsonl", b"\xef\xbb\xbf\xff{}\n", "UTF-8"),
    Case("a.jsonl", b"[" * 100_000 + b"\n", "nested too deeply"),
    Case("a.json", b"", "is empty"),
    Case("a.json", b"[", "a.json"),
    Case("a.json", b"[]", "no row"),
    Case("a.json", b"{}", "no rows left"),
    Case("a.json", b'"text"', "no JSON object"),
    Case("a.json", b'[{"text": "one", "label": "a"},', "a.json"),
    Case("a.json", b'[{"text": "one", "label": "a"}] more', "a.json"),
    Case("a.json", b'{"rows": []}', "field", {"train": {"path": "a.json", "field": "nope"}}),
    Case("a.json", b"[" * 100_000, "nested too deeply"),
]

BINARY = [
    Case("a.parquet", b"", "is empty"),
    Case("a.parquet", b"PAR1", "parquet"),
    Case("a.parquet", b"text,label\none,a\n", "parquet"),
    Case("a.parquet", WHOLE[: len(WHOLE) // 2], "parquet"),
    Case("a.parquet", WHOLE[len(WHOLE) // 2 :], "parquet"),
    Case("a.parquet", FLIPPED, "parquet"),
    Case("a.parquet", parquet(table(text=["one"])), "label"),
    Case("a.parquet", parquet(table(text=[b"\xff\xfe"], label=["a"])), "text"),
    Case("a.parquet", parquet(table(text=[{"a": 1}], label=["a"])), "text"),
    Case("a.parquet", parquet(table(text=["one"], label=[[1, 2]])), "label"),
    Case("a.parquet", parquet(ROWS.slice(0, 0)), "no row"),
    Case("a.parquet", parquet(table(text=pa.nulls(3), label=pa.nulls(3))), ""),
    Case("a.arrow", b"", "is empty"),
    Case("a.arrow", b"ARROW1", "Arrow"),
    Case("a.arrow", arrow(ROWS)[:-40], "Arrow"),
    Case("a.arrow", arrow(ROWS, stream=True)[:-8], "cut short"),
    Case("a.arrow", b"\xff" * 64, "Arrow"),
    Case("a.arrow", arrow(table(txt=["one"], label=["a"])), "text"),
    Case("a.db", b"not a database", "database",
         {"train": {"path": "sqlite:///a.db", "query": "SELECT text, label FROM rows"}}),
    Case("a.db", b"", "rows",
         {"train": {"path": "sqlite:///a.db", "query": "SELECT text, label FROM rows"}}),
    Case("a.db", b"", "does not exist",
         {"train": {"path": "sqlite:///b.db", "query": "SELECT text, label FROM rows"}}),
    Case("a.txt", b"one\ntwo\n", "is not one file",
         {"train": {"path": "a.txt", "pair": "b.txt", "format": "text"}}),
    Case("b.txt", b"a\n", "label", {"train": {"path": "b.txt", "pair": "b.txt"}}),
]  # fmt: skip

DATA = [*CSV, *JSON, *BINARY]
