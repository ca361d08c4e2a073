//! Parquet as others write it: every type of texts and ids, every compression, damaged pages.
//!
//! The files and the ids that pyarrow reads from them are made by `tests/golden/files.py`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeListArray, Int32Array, Int64Array, LargeStringArray,
    RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type};
use chunkflow::files::{Columns, Error};
use chunkflow::files::{Document, Plain, TextNames, VectorFile, read_documents};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::process::{Place, check_fails};
use crate::support;

const TEXTS: [&str; 5] = ["the cat", "", "Book, green?", "naïve 中文 😀", "a walk without the cat"];

fn file(name: &str) -> PathBuf {
    support::golden("files").join(name)
}

fn read(path: PathBuf, column: &str, id: &str) -> Result<Vec<Document>, Error> {
    let names = TextNames { field: None, column: column.to_owned(), id: id.to_owned() };
    read_documents(vec![path], names, Plain::Whole)?.collect()
}

fn texts(name: &str, column: &str) -> Vec<String> {
    let documents = read(file(name), column, "id").unwrap();
    documents.into_iter().map(|document| document.text).collect()
}

fn columns(name: &str) -> Vec<String> {
    let reader = SerializedFileReader::new(File::open(file(name)).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    let fields = schema.root_schema().get_fields().iter();
    fields.map(|field| field.name().to_owned()).collect()
}

#[test]
fn every_compression_is_built_in() {
    for name in ["codecs-1.parquet", "codecs-2.parquet"] {
        let codecs = columns(name);
        assert_eq!(codecs, ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]);
        for codec in codecs {
            assert_eq!(texts(name, &codec), TEXTS, "{name} {codec}");
        }
    }
}

#[test]
fn texts_are_strings_or_binary_of_any_type() {
    let columns = columns("texts.parquet");
    assert_eq!(columns.len(), 9);
    for column in columns {
        assert_eq!(texts("texts.parquet", &column), TEXTS, "{column}");
    }
}

#[test]
fn columns_of_other_types_are_refused_with_their_row_and_type() {
    let kinds = [
        ("int", "is Int64, expected a string"),
        ("unsigned", "is UInt8, expected a string"),
        ("double", "is Float64, expected a string"),
        ("decimal", "is Decimal128(2, 1), expected a string"),
        ("bool", "is Boolean, expected a string"),
        ("date", "is Date32, expected a string"),
        ("time", "is Time64(µs), expected a string"),
        ("timestamp", "is Timestamp(µs), expected a string"),
        ("duration", "is Duration(µs), expected a string"),
        ("fixed", "is FixedSizeBinary(2), expected a string"),
        ("uuid", "is FixedSizeBinary(16), expected a string"),
        ("list", "is List(Utf8, field: 'element'), expected a string"),
        ("large_list", "is LargeList(Utf8, field: 'element'), expected a string"),
        ("fixed_list", "is FixedSizeList(1 x Utf8, field: 'element'), expected a string"),
        ("numbers", "is List(Float64, field: 'element'), expected a string"),
        ("dates", "is List(Date32, field: 'element'), expected a string"),
        ("nested", "expected a string"),
        ("struct", "is Struct(\"text\": Utf8), expected a string"),
        ("map", "expected a string"),
        ("number_dictionary", "is Dictionary(Int32, Int64), expected a string"),
        ("null", "has nulls alone, expected strings"),
    ];
    let place = Place::with("in.parquet", fs::read(file("refused.parquet")).unwrap());
    let mut names = vec!["string"];
    names.extend(kinds.map(|(column, _)| column));
    assert_eq!(columns("refused.parquet"), names);
    for (column, problem) in kinds {
        let error = read(place.path("in.parquet"), column, "id").unwrap_err().to_string();
        let expected = format!("in.parquet, row 0: column `{column}` ");
        assert!(error.contains(&expected) && error.ends_with(problem), "{error}");
    }
    let ran = place.tiny(&["embed", "in.parquet", "--column", "list"]);
    check_fails(&ran, 65, &["in.parquet, row 0: column `list` is List(Utf8, field: 'element')"]);
    let search = ["similar", "in.parquet", "--matrix", "--column"];
    for (column, problem) in [
        ("list", "is List(Utf8, field: 'element'), expected a list of numbers"),
        ("fixed_list", "is FixedSizeList(1 x Utf8, field: 'element'), expected a list of numbers"),
        ("dates", "is List(Date32, field: 'element'), expected a list of numbers"),
        ("nested", "expected a list of numbers"),
        ("null", "has nulls alone, expected lists of numbers"),
    ] {
        let ran = place.run(&[&search[..], &[column]].concat());
        check_fails(&ran, 65, &[&format!("in.parquet: column `{column}` "), problem]);
    }
    let texts = ["--column", "numbers", "--query", "a", "--return-documents", "--text"];
    for column in ["int", "list", "null"] {
        let ran = place.tiny(&[&["similar", "in.parquet"], &texts[..], &[column]].concat());
        check_fails(&ran, 65, &[&format!("in.parquet, row 0: column `{column}` ")]);
    }
}

#[test]
fn ids_are_of_every_type_that_can_be_written() {
    let expected = fs::read(file("ids.json")).unwrap();
    let expected: BTreeMap<String, Vec<Option<String>>> =
        serde_json::from_slice(&expected).unwrap();
    assert_eq!(columns("ids.parquet").len(), expected.len() + 1);
    let mut wrong = Vec::new();
    for (column, ids) in expected {
        let documents = read(file("ids.parquet"), "text", &column).unwrap();
        let found: Vec<Option<String>> = documents.into_iter().map(|row| row.id).collect();
        if found != ids {
            wrong.push(format!("{column}: {found:?} is not {ids:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ids_that_may_be_others_are_refused() {
    for (column, problem) in [
        ("double", "holds 9007199254740992.0, no exact id"),
        ("float", "holds 16777216.0, no exact id"),
        ("half", "holds 2048.0, no exact id"),
        ("nan", "holds NaN, no exact id"),
        ("binary", "is not UTF-8"),
    ] {
        let error = read(file("inexact.parquet"), "text", column).unwrap_err().to_string();
        assert!(error.ends_with(&format!(", row 1: column `{column}` {problem}")), "{error}");
    }
}

/// The longest text of a row, in bytes.
const MAX_TEXT: usize = 16 << 20;

/// A place with a file of these rows in one row group, in which long texts compress well. Without
/// `types` a reader is not told of Arrow's; with a `dictionary` a text of many rows stands once.
fn written(
    rows: impl IntoIterator<Item = Vec<(&'static str, ArrayRef)>>,
    types: bool,
    dictionary: bool,
) -> Place {
    let place = Place::new();
    let mut rows =
        rows.into_iter().map(|columns| RecordBatch::try_from_iter(columns).unwrap()).peekable();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_enabled(dictionary)
        .set_dictionary_page_size_limit(4 * MAX_TEXT)
        .set_write_batch_size(1);
    let options = ArrowWriterOptions::new()
        .with_properties(properties.build())
        .with_skip_arrow_metadata(!types);
    let file = File::create(place.path("in.parquet")).unwrap();
    let schema = rows.peek().unwrap().schema();
    let mut writer = ArrowWriter::try_new_with_options(file, schema, options).unwrap();
    rows.for_each(|batch| writer.write(&batch).unwrap());
    assert_eq!(writer.close().unwrap().num_row_groups(), 1);
    place
}

/// Reads all texts of a file one after the other: their lengths, and their ids where there are.
fn lengths(place: &Place) -> Vec<usize> {
    let names = TextNames { field: None, column: "text".to_owned(), id: "id".to_owned() };
    let path = place.path("in.parquet");
    let documents = read_documents(vec![path], names, Plain::Whole).unwrap();
    let lengths = documents.enumerate().map(|(row, document)| {
        let Document { id, text, .. } = document.unwrap_or_else(|error| {
            panic!("row {row}: {error}: {:?}", std::error::Error::source(&error));
        });
        assert!(id.is_none_or(|id| id == row.to_string()), "row {row}");
        text.len()
    });
    lengths.collect()
}

#[test]
fn long_texts_of_one_row_group_are_read_whatever_they_are_together() {
    let rows = (0..1_000).step_by(50).map(|first| -> Vec<(_, ArrayRef)> {
        let rows = first..first + 50;
        let texts = rows.clone().map(|row| Some(format!("{row} {}", "a".repeat(2_250_000))));
        let texts: LargeStringArray = texts.collect();
        let ids: Int64Array = rows.collect();
        vec![("text", Arc::new(texts)), ("id", Arc::new(ids))]
    });
    let place = written(rows, true, false);
    let expected = (0..1_000).map(|row: i64| row.to_string().len() + 1 + 2_250_000);
    assert_eq!(lengths(&place), expected.collect::<Vec<_>>());
}

#[test]
fn long_texts_among_many_short_ones_are_read() {
    // In the file, a text that many rows have stands once.
    let keys: Vec<i32> = (0..4_000).map(|row| i32::from((2_100..2_230).contains(&row))).collect();
    let expected: Vec<usize> = keys.iter().map(|&key| [1, MAX_TEXT][key as usize]).collect();
    let values = [Some("a".to_owned()), Some("b".repeat(MAX_TEXT))];
    let values: ArrayRef = Arc::new(values.iter().collect::<StringArray>());
    let vectors: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
        keys.iter().map(|_| Some([Some(1.0)])),
        1,
    ));
    for (kind, types) in [(DataType::Utf8, false), (DataType::LargeUtf8, true)] {
        let values = cast(&values, &kind).unwrap();
        let texts = DictionaryArray::try_new(Int32Array::from(keys.clone()), values).unwrap();
        let columns = vec![("text", Arc::new(texts) as ArrayRef), ("embedding", vectors.clone())];
        let place = written([columns], types, true);
        assert_eq!(lengths(&place), expected, "{kind}");
        let columns = Columns { vectors: "embedding", id: "id", text: "text" };
        let file = VectorFile::open(&place.path("in.parquet"), columns, None).unwrap();
        let facts = file.facts(&[2_099, 2_101].into(), true).unwrap().into_values();
        let found: Vec<usize> = facts.map(|facts| facts.text.unwrap().len()).collect();
        assert_eq!(found, [1, MAX_TEXT], "{kind}");
    }
}

#[test]
fn a_text_that_is_too_long_is_refused_with_its_row() {
    let texts = [1, MAX_TEXT, 2, MAX_TEXT + 1].map(|length| "a".repeat(length));
    let plain: ArrayRef = Arc::new(texts.iter().map(Some).collect::<StringArray>());
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let kinds = [DataType::LargeUtf8, DataType::Utf8View, DataType::Binary, dictionary];
    for kind in kinds.iter().chain([&DataType::Utf8]) {
        let column = cast(&plain, kind).unwrap();
        let place = written([vec![("text", column.slice(0, 3))]], true, true);
        assert_eq!(lengths(&place), [1, MAX_TEXT, 2], "{kind}");
        let place = written([vec![("text", column)]], true, true);
        match read(place.path("in.parquet"), "text", "id") {
            Err(Error::TooLong { place, limit: MAX_TEXT }) => {
                assert!(place.ends_with("in.parquet, row 3"), "{kind}: {place}");
            }
            other => panic!("{kind}: {:?}", other.map(|documents| documents.len())),
        }
    }
}

/// What a reader of vectors makes of a file: its rows and its ids.
fn vectors(path: &Path) -> Result<(Vec<u32>, Vec<Option<String>>), Error> {
    let columns = Columns { vectors: "embedding", id: "id", text: "text" };
    let file = VectorFile::open(path, columns, None)?;
    let unit = file.unit_rows()?;
    let rows = unit.rows()?.len() as u64;
    let facts = file.facts(&(0..rows).collect(), true)?;
    let bits = unit.floats().unwrap().iter().map(|x| x.to_bits()).collect();
    let facts = facts.into_values().flat_map(|facts| [facts.id, facts.text]);
    Ok((bits, facts.collect()))
}

#[test]
fn a_flipped_bit_in_a_page_with_a_checksum_is_refused() {
    let whole = fs::read(file("checked.parquet")).unwrap();
    let place = Place::with("in.parquet", &whole);
    let path = place.path("in.parquet");
    let documents = || read(path.clone(), "text", "id");
    let (expected, expected_rows) = (documents().unwrap(), vectors(&path).unwrap());
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let end = reader.metadata().row_group(0).columns().iter().map(|column| {
        let (start, length) = column.byte_range();
        start + length
    });
    let end = end.max().unwrap() as usize;
    let (mut refused, mut changed) = (0, Vec::new());
    for bit in 4 * 8..end * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        place.write("in.parquet", &flipped);
        let same = [
            documents().map(|found| found == expected),
            vectors(&path).map(|found| found == expected_rows),
        ];
        for same in same {
            match same {
                Ok(same) if same => {}
                Ok(_) => changed.push((bit / 8, bit % 8)),
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().contains("in.parquet"), "{error}");
                }
            }
        }
    }
    assert_eq!(changed, [], "{refused} refused");
    assert!(refused > end * 8, "{refused} of {}", end * 8);
}

#[test]
fn a_program_that_meets_a_damaged_page_says_so() {
    let whole = fs::read(file("checked.parquet")).unwrap();
    let place = Place::with("in.parquet", &whole);
    let embed = ["embed", "in.parquet", "--format", "text"];
    let similar = ["similar", "in.parquet", "--matrix"];
    let expected = [place.tiny(&embed).stdout, place.run(&similar).stdout];
    let mut refused = 0;
    for flip in 0..60 {
        // The pages of all three columns, from behind the file's mark.
        let bit = 32 + flip * 177;
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        place.write("in.parquet", &flipped);
        for (ran, expected) in [place.tiny(&embed), place.run(&similar)].iter().zip(&expected) {
            if ran.code == Some(0) {
                assert!(ran.stdout == *expected, "bit {bit}");
            } else {
                check_fails(ran, 65, &["in.parquet"]);
                refused += 1;
            }
        }
    }
    assert!(refused >= 50, "{refused}");
}
