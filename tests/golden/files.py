"""Makes small files as pyarrow and NumPy write them, and what Python says of their values.

    python -B tests/golden/files.py --out tests/golden/files

* `codecs-1.parquet`, `codecs-2.parquet`: `TEXTS` in a column named for each compression, in data pages of version 1 and 2, all
  with checksums;
* `texts.parquet`: `TEXTS` in a column of every type that texts have;
* `ids.parquet`: a column of ids of every type, and `text`; `ids.json`: for each column the id of every row, null where there is
  none, as Python's `str`, `isoformat` or `hex` writes the value that pyarrow reads back;
* `refused.parquet`: a column of every type that holds no texts, and `string`;
* `inexact.parquet`: ids that were rounded, or may have been, and `text`;
* `checked.parquet`: `text`, `id` and `embedding`, uncompressed pages with checksums, one of a dictionary among them;
* `rows-*.npy`: one matrix in every order of bytes and values; `rows-f8-fine.npy` holds values that f32 does not, and
  `rows-f4-fine.npy` what NumPy rounds them to.

The same versions write the same bytes.
"""

import argparse
import datetime
import decimal
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from json_files import write_json

TEXTS = ["the cat", "", "Book, green?", "naïve 中文 😀", "a walk without the cat"]
CODECS = ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]
ROWS = len(TEXTS)
UTC = datetime.timezone.utc


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes small Parquet and .npy files.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    out = parser.parse_args().out
    for version in ["1.0", "2.0"]:
        table = pa.table({codec: TEXTS for codec in CODECS})
        pq.write_table(
            table,
            out / f"codecs-{version[0]}.parquet",
            compression={codec: codec for codec in CODECS},
            data_page_version=version,
            write_page_checksum=True,
        )
    pq.write_table(pa.table(texts()), out / "texts.parquet")
    write_ids(out)
    pq.write_table(pa.table(refused()), out / "refused.parquet")
    inexact = {
        "double": pa.array([1.0, 2.0**53]),
        "float": pa.array([1.0, 2.0**24], pa.float32()),
        "half": pa.array(np.array([1, 2048], np.float16)),
        "nan": pa.array([1.0, float("nan")]),
        "binary": pa.array([b"a", b"\xff"]),
    }
    pq.write_table(pa.table({"text": TEXTS[:2], **inexact}), out / "inexact.parquet")
    write_checked(out / "checked.parquet")
    write_rows(out)


def texts() -> dict[str, pa.Array]:
    """`TEXTS` as arrays of every type of texts."""
    encoded = [text.encode() for text in TEXTS]
    strings = {kind: pa.array(TEXTS, kind) for kind in [pa.string(), pa.large_string(), pa.string_view()]}
    binary = {kind: pa.array(encoded, kind) for kind in [pa.binary(), pa.large_binary(), pa.binary_view()]}
    columns = {str(kind): array for kind, array in (strings | binary).items()}
    columns["dictionary"] = pa.array(TEXTS).dictionary_encode()
    columns["large_dictionary"] = pa.array(TEXTS, pa.large_string()).dictionary_encode()
    columns["binary_dictionary"] = pa.array(encoded).dictionary_encode()
    return columns


def write_ids(out: Path) -> None:
    """The third of five rows has no id but in the columns that cannot be null."""
    instant = datetime.datetime(2026, 11, 30, 23, 59, 58, 123456)
    whole = instant.replace(microsecond=0)
    columns = {
        **{f"int{bits}": signed(bits) for bits in [8, 16, 32, 64]},
        **{f"uint{bits}": unsigned(bits) for bits in [8, 16, 32, 64]},
        "half": pa.array(np.array([0, 1, 0, 2.5, -2047], np.float16), mask=third()),
        "float": pa.array([0.0, 1.0, None, 2.5, -(2.0**24) + 1], pa.float32()),
        "double": pa.array([0.0, 1.0, None, 0.1, 2.0**53 - 1]),
        "decimal": pa.array([decimal.Decimal(text) if text else None for text in ["1.50", "-0.25", "", "0.00", "123456789.99"]]),
        "wide_decimal": pa.array([decimal.Decimal("1" + 36 * "0" + "1"), None, None, None, -1], pa.decimal256(40, 0)),
        "bool": pa.array([True, False, None, True, False]),
        "date32": pa.array([whole.date(), None, None, datetime.date(1969, 7, 20), datetime.date(2000, 2, 29)]),
        "time": pa.array([instant.time(), None, None, datetime.time(1, 2, 3, 4), datetime.time(23, 59, 59, 1)]),
        "seconds": pa.array([whole, None, None, whole.replace(year=1900), whole.replace(year=2100)], pa.timestamp("ms")),
        "micros": pa.array([instant, None, None, instant.replace(year=1900), instant], pa.timestamp("us")),
        "utc": pa.array([instant.replace(tzinfo=UTC)] * ROWS, pa.timestamp("us", "UTC")),
        "berlin": pa.array([instant.replace(tzinfo=UTC)] * ROWS, pa.timestamp("us", "Europe/Berlin")),
        "offset": pa.array([instant.replace(tzinfo=UTC)] * ROWS, pa.timestamp("us", "+05:30")),
        "string": pa.array(["a", "", None, "é", "0012"]),
        "large_string": pa.array(["a", "", None, "é", "0012"], pa.large_string()),
        "dictionary": pa.array(["a", "a", None, "b", "a"]).dictionary_encode(),
        "numbers_dictionary": pa.array([2**60, 1, None, 1, 2**60]).dictionary_encode(),
        "binary": pa.array([b"a", b"", None, "é".encode(), b"0012"]),
        "fixed": pa.array([b"\x00\xff", b"ab", None, b"\x01\x02", b"zz"], pa.binary(2)),
        "uuid": pa.array([uuid.UUID(int=2**100 + row).bytes for row in range(ROWS)], pa.uuid()),
        "null": pa.nulls(ROWS),
    }
    pq.write_table(pa.table({"text": TEXTS, **columns}), out / "ids.parquet")
    table = pq.read_table(out / "ids.parquet")
    expected = {name: [written(value.as_py(), name) for value in table.column(name)] for name in columns}
    write_json(out / "ids.json", expected)


def third() -> np.ndarray:
    return np.arange(ROWS) == 2


def signed(bits: int) -> pa.Array:
    most = 2 ** (bits - 1) - 1
    return pa.array([0, 1, None, most, -most - 1], getattr(pa, f"int{bits}")())


def unsigned(bits: int) -> pa.Array:
    most = 2**bits - 1
    return pa.array([0, 1, None, most, most - 1], getattr(pa, f"uint{bits}")())


def written(value: object, column: str) -> str | None:
    """A value as text: instants in UTC, bytes of column `fixed` in hexadecimal digits."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case datetime.datetime() if value.tzinfo:
            return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
        case datetime.date() | datetime.time():
            return value.isoformat()
        case bytes():
            return value.hex() if column == "fixed" else value.decode()
        case _:
            return str(value)


def refused() -> dict[str, pa.Array]:
    """Two rows of every type that holds no texts."""
    words = [["the", "cat"], []]
    moment = datetime.datetime(2026, 11, 30)
    return {
        "string": pa.array(TEXTS[:2]),
        "int": pa.array([1, 2]),
        "unsigned": pa.array([1, 2], pa.uint8()),
        "double": pa.array([1.5, 2.5]),
        "decimal": pa.array([decimal.Decimal("1.5"), decimal.Decimal("2.5")]),
        "bool": pa.array([True, False]),
        "date": pa.array([moment.date()] * 2),
        "time": pa.array([moment.time()] * 2),
        "timestamp": pa.array([moment] * 2),
        "duration": pa.array([datetime.timedelta(seconds=1)] * 2),
        "fixed": pa.array([b"ab", b"cd"], pa.binary(2)),
        "uuid": pa.array([uuid.UUID(int=1).bytes] * 2, pa.uuid()),
        "list": pa.array(words),
        "large_list": pa.array(words, pa.large_list(pa.string())),
        "fixed_list": pa.array([["a"], ["b"]], pa.list_(pa.string(), 1)),
        "numbers": pa.array([[1.0], [2.0]]),
        "dates": pa.array([[moment.date()], []]),
        "nested": pa.array([[[1.0]], [[2.0]]]),
        "struct": pa.array([{"text": "a"}, {"text": "b"}]),
        "map": pa.array([[("a", "b")], []], pa.map_(pa.string(), pa.string())),
        "number_dictionary": pa.array([1, 2]).dictionary_encode(),
        "null": pa.nulls(2),
    }


def write_checked(path: Path) -> None:
    rows = 40
    values = np.random.default_rng(17).standard_normal((rows, 4)).astype(np.float32)
    table = pa.table(
        {
            "text": [TEXTS[row % ROWS] for row in range(rows)],
            "id": [f"row {row}" for row in range(rows)],
            "embedding": pa.FixedSizeListArray.from_arrays(values.ravel(), 4),
        }
    )
    pq.write_table(table, path, compression="none", use_dictionary=["text"], write_page_checksum=True)


def write_rows(out: Path) -> None:
    rng = np.random.default_rng(5)
    # Exact in f16, in int8 and, as bytes, in bits.
    whole = rng.integers(-100, 100, (7, 6)).astype(np.float64)
    for descr in ["<f8", ">f8", "<f4", ">f4", "<f2", ">f2", "|i1", "|u1"]:
        values = (whole + 100 if descr == "|u1" else whole).astype(descr)
        name = descr.replace("<", "").replace(">", "big-").replace("|", "")
        np.save(out / f"rows-{name}.npy", np.ascontiguousarray(values))
        np.save(out / f"rows-{name}-by-column.npy", np.asfortranarray(values))
    fine = rng.standard_normal((7, 6)) * 10.0 ** rng.integers(-3, 4, (7, 1))
    np.save(out / "rows-f8-fine.npy", fine)
    np.save(out / "rows-f8-fine-by-column.npy", np.asfortranarray(fine))
    np.save(out / "rows-f4-fine.npy", fine.astype(np.float32))


if __name__ == "__main__":
    main()
