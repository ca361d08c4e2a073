//! What goes in and comes out: every input format gives the same texts, every output format the
//! same bits as the library.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float32Type, Int64Type};
use chunkflow::chunking::ChunkOptions;
use chunkflow::embeddings::{Backend, EmbedOptions, LoadedModel, Truncate};
use chunkflow::pipeline;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::documents::keep;
use crate::process::{Place, Ran, check_fails, tiny};
use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH};

/// Dimensions of the tiny model's vectors, and its longest text in tokens.
const DIMENSIONS: usize = 24;
const MAX_TOKENS: usize = 48;

const FORMATS: [&str; 4] = ["jsonl", "npy", "text", "parquet"];

fn model() -> &'static LoadedModel {
    static MODEL: OnceLock<LoadedModel> = OnceLock::new();
    MODEL.get_or_init(|| support::load(Path::new(&tiny()), Backend::Native, ONE_BATCH))
}

/// Rows of the library.
fn expected<T: AsRef<str>>(texts: &[T], options: &EmbedOptions) -> Vec<Vec<u32>> {
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    model().embed(&texts, options).unwrap().rows().map(support::bits).collect()
}

fn plain<T: AsRef<str>>(texts: &[T]) -> Vec<Vec<u32>> {
    expected(texts, &EmbedOptions::default())
}

/// Texts of many lengths: none, one word, what no vocabulary holds, more than the model takes.
fn texts(count: usize) -> Vec<String> {
    let words =
        ["the", "cat", "Book", "green?", "naïve", "中文", "😀", "walking", "3.14", "without"];
    let text = |index: usize| {
        let length = index * index % 57;
        let words = (0..length).map(|word| words[(index + word * word) % words.len()]);
        words.collect::<Vec<_>>().join(" ")
    };
    (0..count).map(text).collect()
}

fn lines(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text}\n")).collect()
}

fn json_lines(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{}\n", json!({"text": text}))).collect()
}

/// A Parquet file with `texts` as the given string type, and a column of ids.
fn parquet(texts: &[String], kind: &DataType) -> Vec<u8> {
    let column: ArrayRef = Arc::new(texts.iter().map(Some).collect::<StringArray>());
    let ids: ArrayRef = Arc::new((0..texts.len() as i64).map(|id| id * 10).collect::<Int64Array>());
    let column = cast(&column, kind).unwrap();
    let batch = RecordBatch::try_from_iter([("text", column), ("id", ids)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn numbers(text: &str, separator: char) -> Vec<u32> {
    text.split(separator).map(|number| number.parse::<f32>().unwrap().to_bits()).collect()
}

/// The embedding of a JSON line. Numbers are read by std, which rounds once; `serde_json` reads
/// f64 first.
fn json_embedding(line: &str) -> Vec<u32> {
    let array = line.split("\"embedding\":[").nth(1).unwrap();
    numbers(array.split(']').next().unwrap(), ',')
}

/// The rows of an `.npy` file, which must be aligned as its specification asks.
pub(crate) fn npy_rows(bytes: &[u8]) -> Vec<Vec<u32>> {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!((10 + header) % 64, 0);
    let (dict, data) = bytes[10..].split_at(header);
    let dict = std::str::from_utf8(dict).unwrap();
    assert!(dict.ends_with('\n'));
    let shape = dict.split(['(', ')']).nth(1).unwrap();
    let expected = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    assert_eq!(dict.trim_end(), expected);
    let shape: Vec<usize> = shape.split(", ").map(|size| size.parse().unwrap()).collect();
    assert_eq!(data.len(), 4 * shape[0] * shape[1]);
    let values: Vec<u32> = data.as_chunks::<4>().0.iter().map(|x| u32::from_le_bytes(*x)).collect();
    values.chunks_exact(shape[1]).map(<[u32]>::to_vec).collect()
}

pub(crate) fn read_parquet(path: &Path) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(builder.schema());
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn parquet_rows(batch: &RecordBatch) -> Vec<Vec<u32>> {
    let vectors = batch.column_by_name("embedding").unwrap().as_fixed_size_list();
    let rows = (0..vectors.len()).map(|row| {
        let row = vectors.value(row);
        support::bits(row.as_primitive::<Float32Type>().values())
    });
    rows.collect()
}

/// The rows of an output file, by the format in its name.
fn rows(place: &Place, name: &str, format: &str) -> Vec<Vec<u32>> {
    let text = || String::from_utf8(place.read(name)).unwrap();
    match format {
        "jsonl" => text().lines().map(json_embedding).collect(),
        "text" => text().lines().map(|line| numbers(line, ' ')).collect(),
        "npy" => npy_rows(&place.read(name)),
        "parquet" => parquet_rows(&read_parquet(&place.path(name))),
        other => panic!("{other}"),
    }
}

/// Embeds `files` with `options` to a file of `format` and reads it back.
fn embed(place: &Place, files: &[&str], options: &[&str], format: &str) -> Vec<Vec<u32>> {
    let output = ["--format", format, "-o", "out", "--force"];
    let ran = place.tiny(&[&["embed"], files, options, &output].concat());
    assert_eq!(ran.output(), b"");
    rows(place, "out", format)
}

/// The rows on standard output.
fn stdout_rows(ran: &Ran) -> Vec<Vec<u32>> {
    ran.text().lines().map(json_embedding).collect()
}

// Outputs.

#[test]
fn every_format_holds_the_bits_of_the_library() {
    let texts = texts(60);
    let place = Place::with("in.txt", lines(&texts));
    let expected = plain(&texts);
    for format in FORMATS {
        assert_eq!(embed(&place, &["in.txt"], &[], format), expected, "{format}");
    }
}

#[test]
fn the_suffix_decides_the_format_and_the_flag_goes_before_it() {
    let place = Place::with("in.txt", "the cat\n");
    let expected = plain(&["the cat"]);
    let outputs: [(&str, &[&str], &str); 8] = [
        ("a.jsonl", &[], "jsonl"),
        ("a.ndjson", &[], "jsonl"),
        ("a.parquet", &[], "parquet"),
        ("a.npy", &[], "npy"),
        ("a.NPY", &[], "npy"),
        ("a.txt", &[], "text"),
        ("a.vectors", &[], "jsonl"),
        ("b.npy", &["--format", "text"], "text"),
    ];
    for (output, options, format) in outputs {
        place.tiny(&[&["embed", "in.txt", "-o", output], options].concat()).output();
        assert_eq!(rows(&place, output, format), expected, "{output}");
    }
}

#[test]
fn npy_and_parquet_go_to_standard_output_as_to_a_file() {
    let texts = texts(40);
    let place = Place::with("in.txt", lines(&texts));
    for format in FORMATS {
        place.tiny(&["embed", "in.txt", "--format", format, "-o", format]).output();
        let ran = place.tiny(&["embed", "in.txt", "--format", format]);
        assert!(ran.output() == place.read(format), "{format}");
    }
}

#[test]
fn json_lines_hold_index_id_tokens_and_whether_a_text_was_cut() {
    let long = "the cat ".repeat(30);
    let input = [json!({"id": "x", "text": "the cat"}), json!({"id": 5, "text": long})];
    let place = Place::with("in.jsonl", input.map(|line| format!("{line}\n")).concat());
    place.write("more.txt", "bird\n");
    let ran = place.tiny(&["embed", "in.jsonl", "more.txt"]);
    let rows: Vec<Value> =
        ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        json!({"index": 0, "id": "x", "tokens": 4, "truncated": false}),
        json!({"index": 1, "id": "5", "tokens": MAX_TOKENS, "truncated": true}),
        json!({"index": 2, "tokens": 3, "truncated": false}),
    ];
    for (mut row, expected) in rows.into_iter().zip(expected) {
        let embedding = row.as_object_mut().unwrap().remove("embedding").unwrap();
        assert_eq!(embedding.as_array().unwrap().len(), DIMENSIONS);
        assert_eq!(row, expected);
    }
}

#[test]
fn parquet_carries_ids_and_counts_beside_a_fixed_size_list() {
    let long = "the cat ".repeat(30);
    let input = [json!({"key": "x", "text": "the cat"}), json!({"text": long})];
    let place = Place::with("in.jsonl", input.map(|line| format!("{line}\n")).concat());
    place.tiny(&["embed", "in.jsonl", "--id", "key", "-o", "out.parquet"]).output();
    let batch = read_parquet(&place.path("out.parquet"));
    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["index", "id", "tokens", "truncated", "embedding"]);
    let DataType::FixedSizeList(element, length) = schema.field(4).data_type() else {
        panic!("{:?}", schema.field(4));
    };
    assert_eq!((element.data_type(), *length), (&DataType::Float32, DIMENSIONS as i32));
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values()[..], [0, 1]);
    let ids: Vec<_> = batch.column(1).as_string::<i32>().iter().collect();
    assert_eq!(ids, [Some("x"), None]);
    assert_eq!(batch.column(2).as_primitive::<Int64Type>().values()[..], [4, MAX_TOKENS as i64]);
    let truncated: Vec<_> = batch.column(3).as_boolean().iter().collect();
    assert_eq!(truncated, [Some(false), Some(true)]);
}

#[test]
fn an_empty_input_gives_no_rows_in_every_format() {
    let place = Place::with("in.txt", "");
    place.write("in.jsonl", "\n");
    place.write("in.parquet", parquet(&[], &DataType::Utf8));
    for format in FORMATS {
        for input in ["in.txt", "in.jsonl", "in.parquet"] {
            let rows = embed(&place, &[input], &[], format);
            assert_eq!(rows, Vec::<Vec<u32>>::new(), "{input} {format}");
        }
        if format == "npy" {
            let shape = format!("'shape': (0, {DIMENSIONS})");
            assert!(String::from_utf8_lossy(&place.read("out")).contains(&shape));
        }
    }
    assert_eq!(place.tiny(&["embed"]).text(), "");
    assert_eq!(place.tiny(&["chunk", "in.txt"]).text(), "");
}

// Inputs.

#[test]
fn every_input_format_gives_the_same_rows() {
    let texts = texts(30);
    let place = Place::with("in.txt", lines(&texts));
    place.write("in.jsonl", json_lines(&texts));
    place.write("in.ndjson", json_lines(&texts));
    place.write("in.parquet", parquet(&texts, &DataType::Utf8));
    let expected = plain(&texts);
    for input in ["in.txt", "in.jsonl", "in.ndjson", "in.parquet"] {
        assert_eq!(embed(&place, &[input], &[], "npy"), expected, "{input}");
    }
}

#[test]
fn bytes_in_parquet_that_are_no_text_are_refused_as_such() {
    let rows: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"a"), Some(b"\xff")]));
    let batch = RecordBatch::try_from_iter([("text", rows)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let place = Place::with("in.parquet", writer.into_inner().unwrap());
    let ran = place.tiny(&["embed", "in.parquet"]);
    check_fails(&ran, 65, &["in.parquet, row 1: column `text` is not UTF-8"]);
}

#[test]
fn parquet_texts_may_be_of_any_string_type() {
    let texts = texts(30);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    for kind in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary] {
        let place = Place::with("in.parquet", parquet(&texts, &kind));
        let ran = place.tiny(&["embed", "in.parquet"]);
        assert_eq!(stdout_rows(&ran), plain(&texts), "{kind}");
        let last: Value = serde_json::from_str(ran.text().lines().last().unwrap()).unwrap();
        assert_eq!(last["id"], "290", "{kind}");
    }
}

#[test]
fn order_is_kept_over_files_and_blocks() {
    let texts = texts(3_000);
    let place = Place::with("a.txt", lines(&texts[..1_500]));
    place.write("b.jsonl", json_lines(&texts[1_500..1_501]));
    place.write("c.parquet", parquet(&texts[1_501..], &DataType::Utf8));
    let expected = plain(&texts);
    let files = ["a.txt", "b.jsonl", "c.parquet"];
    for format in ["npy", "parquet"] {
        assert!(embed(&place, &files, &[], format) == expected, "{format}");
    }
    let ran = place.tiny(&[&["embed"], &files[..]].concat());
    let rows: Vec<Value> =
        ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.iter().enumerate().all(|(index, row)| row["index"] == index));
    assert_eq!(rows.len(), texts.len());
}

#[test]
fn lines_end_in_either_way_and_the_last_one_needs_no_end() {
    let ran = Place::new().feed_tiny(&["embed"], b"one\r\ntwo\n\r\nthree\rfour");
    assert_eq!(stdout_rows(&ran), plain(&["one", "two", "", "three\rfour"]));
}

// Options.

#[test]
fn dimensions_are_sliced_before_the_vector_is_normalised() {
    let texts = texts(20);
    let place = Place::with("in.txt", lines(&texts));
    let whole = embed(&place, &["in.txt"], &[], "npy");
    for dimensions in [1, 7, DIMENSIONS] {
        let options = EmbedOptions { dimensions: Some(dimensions), ..EmbedOptions::default() };
        let asked = dimensions.to_string();
        let rows = embed(&place, &["in.txt"], &["--dimensions", &asked], "parquet");
        assert_eq!(rows, expected(&texts, &options));
        for (row, whole) in rows.iter().zip(&whole) {
            let whole = whole[..dimensions].iter().map(|bits| f64::from(f32::from_bits(*bits)));
            let whole: Vec<f64> = whole.collect();
            let norm = whole.iter().map(|x| x * x).sum::<f64>().sqrt();
            let whole: Vec<f64> = whole.iter().map(|x| x / norm).collect();
            let row: Vec<f32> = row.iter().map(|bits| f32::from_bits(*bits)).collect();
            assert!(support::max_difference(&row, &whole) < 2e-6, "{dimensions}");
        }
    }
}

#[test]
fn a_prompt_stands_before_every_text() {
    let texts = texts(20);
    let place = Place::with("in.txt", lines(&texts));
    let prompted: Vec<String> = texts.iter().map(|text| format!("search for: {text}")).collect();
    let expected = plain(&prompted);
    assert_ne!(expected, plain(&texts));
    for options in [["--prompt", "search for: "], ["--prompt-name", "query"]] {
        assert_eq!(embed(&place, &["in.txt"], &options, "npy"), expected, "{options:?}");
    }
    assert_eq!(embed(&place, &["in.txt"], &["--prompt", ""], "npy"), plain(&texts));
}

#[test]
fn truncate_chooses_the_end_that_goes() {
    let words = ["the", "cat", "sat", "on", "red", "mat"];
    let text = |range: std::ops::Range<usize>| {
        range.map(|index| words[index * index % 6]).collect::<Vec<_>>().join(" ")
    };
    let (total, room) = (95, MAX_TOKENS - 2);
    let place = Place::with("in.txt", text(0..total));
    let right = embed(&place, &["in.txt"], &["--truncate", "right"], "npy");
    let left = embed(&place, &["in.txt"], &["--truncate", "left"], "npy");
    assert_eq!(right, plain(&[text(0..room)]));
    assert_eq!(left, plain(&[text(total - room..total)]));
    assert_ne!(left, right);
    assert_eq!(embed(&place, &["in.txt"], &[], "npy"), right);
    let options = EmbedOptions { truncate: Truncate::Left, ..EmbedOptions::default() };
    assert_eq!(left, expected(&[text(0..total)], &options));
}

// Chunks.

const BOOK: &str = "The cat sat on the mat. It was a good day, naïve 😀 or not.\r\n\r\n\
    Fire and water do not go with each other! Who would write a book on the moon? \
    One bird did. The second was a dog.\n\n\nThe price is 3.14; the city sleeps.  ";

/// Lines of `chunk`, each checked for its fields.
fn chunk_lines(ran: &Ran, fields: &[&str]) -> Vec<Value> {
    let lines = ran.text().lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let mut names: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let mut fields = fields.to_vec();
        fields.sort_unstable();
        assert_eq!(names, fields);
        line
    });
    lines.collect()
}

const FIELDS: [&str; 9] =
    ["document", "chunk", "start", "end", "start_char", "end_char", "tokens", "strength", "text"];

fn index(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

#[test]
fn chunks_are_the_documented_records_and_rejoin_to_the_file() {
    let book = BOOK.repeat(5);
    let place = Place::with("book.txt", &book);
    let ran = place.tiny(&["chunk", "book.txt", "--max-tokens", "40", "--target-tokens", "30"]);
    let lines = chunk_lines(&ran, &FIELDS);
    assert!(lines.len() > 5);
    let (mut joined, mut chars) = (String::new(), 0);
    for (number, line) in lines.iter().enumerate() {
        let text = line["text"].as_str().unwrap();
        assert_eq!((&line["document"], index(&line["chunk"])), (&json!("book.txt"), number));
        assert_eq!((index(&line["start"]), index(&line["start_char"])), (joined.len(), chars));
        joined.push_str(text);
        chars += text.chars().count();
        assert_eq!((index(&line["end"]), index(&line["end_char"])), (joined.len(), chars));
        assert_eq!(index(&line["tokens"]), model().model().tokenizer().count(text).unwrap());
        assert!(index(&line["tokens"]) <= 40);
        assert_eq!(line["strength"].is_null(), number == 0);
    }
    assert_eq!(joined, book);
}

#[test]
fn chunk_vectors_are_the_librarys() {
    let book = BOOK.repeat(3);
    let place = Place::with("book.txt", &book);
    let size = ["--max-tokens", "40", "--target-tokens", "20", "--size-weight", "0.5"];
    let options = [&size[..], &["--vectors", "--dimensions", "9"]].concat();
    let ran = place.tiny(&[&["chunk", "book.txt"][..], &options].concat());
    let lines = chunk_lines(&ran, &[&FIELDS[..], &["vector"]].concat());
    let spec = ChunkOptions {
        max_tokens: Some(40),
        target_tokens: Some(20),
        size_weight: Some(0.5),
        ..ChunkOptions::default()
    };
    let (spec, nine) = (spec.resolve().unwrap(), keep(9));
    let chunks = pipeline::chunk(model(), &book, &spec, &nine).unwrap().chunks;
    assert_eq!(lines.len(), chunks.len());
    for (line, chunk) in lines.iter().zip(&chunks) {
        assert_eq!(index(&line["start"])..index(&line["end"]), chunk.bytes);
        let strength = line["strength"].as_f64().map(|strength| (strength as f32).to_bits());
        assert_eq!(strength, chunk.strength.map(f32::to_bits));
        let vector = line["vector"].as_array().unwrap();
        let vector: Vec<f32> = vector.iter().map(|x| x.as_f64().unwrap() as f32).collect();
        assert_eq!(support::bits(&vector), support::bits(&chunk.vector));
    }
}

#[test]
fn documents_are_named_by_file_by_id_or_by_their_number() {
    let place = Place::with("a.txt", "the cat");
    place.write("b.jsonl", "{\"text\": \"a dog\", \"id\": \"x7\"}\n{\"text\": \"a bird\"}\n");
    place.write("folder/c.txt", "the end");
    let ran = place.tiny(&["chunk", "a.txt", "b.jsonl", "folder/c.txt"]);
    let names: Vec<Value> =
        chunk_lines(&ran, &FIELDS).iter().map(|line| line["document"].clone()).collect();
    assert_eq!(names, ["a.txt", "x7", "2", "folder/c.txt"]);
}
