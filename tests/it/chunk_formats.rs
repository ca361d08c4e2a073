//! Chunks in every format: the same records, whatever file they go to.

use std::fs::File;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Int64Type};
use chunkflow::chunking::Chunk;
use chunkflow::files::{Destination, RecordFormat};
use chunkflow::records::Chunks;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};

use crate::formats::read_parquet;
use crate::process::{Place, check_fails};
use crate::support;
use crate::support::random_model::SplitMix64;

const SIZE: [&str; 4] = ["--max-tokens", "24", "--target-tokens", "12"];

/// Two documents: JSON lines whose second has no id.
fn corpus() -> Place {
    let first = "The cat sat on the mat. Naïve 😀 birds sleep.\n\nFire and water! ".repeat(4);
    let second = "Who would write a book? One bird did.";
    let lines = [json!({"id": "a \"b\"\nc", "text": first}), json!({"text": second})];
    Place::with("in.jsonl", lines.map(|line| format!("{line}\n")).concat())
}

fn json_records(place: &Place, options: &[&str]) -> Vec<Value> {
    let ran = place.tiny(&[&["chunk", "in.jsonl"], &SIZE[..], options].concat());
    ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A value of a column as JSON lines hold it.
fn value(column: &ArrayRef, row: usize) -> Value {
    match column.data_type() {
        _ if column.is_null(row) => Value::Null,
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => json!(column.as_primitive::<Float32Type>().value(row)),
        DataType::FixedSizeList(..) => {
            let vector = column.as_fixed_size_list().value(row);
            json!(vector.as_primitive::<Float32Type>().values()[..])
        }
        other => panic!("{other}"),
    }
}

/// A JSON number as the f32 that was written.
fn as_f32(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

#[test]
fn parquet_holds_the_records_of_json_lines() {
    let place = corpus();
    for vectors in [&[][..], &["--vectors", "--dimensions", "7"]] {
        let records = json_records(&place, vectors);
        assert!(records.len() > 5);
        let output = ["-o", "out.parquet", "--force"];
        let args = [&["chunk", "in.jsonl"], &SIZE[..], vectors, &output].concat();
        assert_eq!(place.tiny(&args).text(), "");
        let batch = read_parquet(&place.path("out.parquet"));
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let fields = "document chunk start end start_char end_char tokens strength text";
        let fields: Vec<&str> = fields.split(' ').collect();
        let embedding: &[&str] = if vectors.is_empty() { &[] } else { &["embedding"] };
        assert_eq!(names, [&fields[..], embedding].concat());
        assert_eq!(batch.num_rows(), records.len());
        for (row, record) in records.iter().enumerate() {
            for field in &fields {
                let (column, record) = (batch.column_by_name(field).unwrap(), &record[field]);
                let value = value(column, row);
                if *field == "strength" && !record.is_null() {
                    assert_eq!(as_f32(&value).to_bits(), as_f32(record).to_bits());
                } else {
                    assert_eq!(value, *record, "{field} of {row}");
                }
            }
            if let Some(column) = batch.column_by_name("embedding") {
                let vector = column.as_fixed_size_list().value(row);
                let vector = vector.as_primitive::<Float32Type>().values();
                let expected: Vec<f32> =
                    record["vector"].as_array().unwrap().iter().map(as_f32).collect();
                assert_eq!(expected.len(), 7);
                assert_eq!(support::bits(vector), support::bits(&expected));
            }
        }
    }
}

#[test]
fn text_holds_the_documents_and_a_line_on_each_chunk() {
    let place = corpus();
    let records = json_records(&place, &[]);
    let ran = place.tiny(&[&["chunk", "in.jsonl", "--format", "text"], &SIZE[..]].concat());
    let mut expected = String::new();
    for (row, record) in records.iter().enumerate() {
        let text = record["text"].as_str().unwrap();
        expected.push_str(text);
        if !text.ends_with('\n') {
            expected.push('\n');
        }
        let next = records.get(row + 1).filter(|next| next["document"] == record["document"]);
        let after = next.map_or_else(
            || "end".to_owned(),
            |next| format!("cut, strength {:.3}", next["strength"].as_f64().unwrap()),
        );
        let (chunk, document) = (&record["chunk"], &record["document"]);
        let (start, end, tokens) = (&record["start"], &record["end"], &record["tokens"]);
        let bytes = format!("bytes {start}..{end}, {tokens} tokens");
        let line = format!("---- chunk {chunk} of {document}, {bytes} ---- {after}\n");
        expected.push_str(&line);
    }
    assert_eq!(ran.text(), expected);
}

#[test]
fn the_suffix_decides_the_format_and_the_flag_goes_before_it() {
    let place = corpus();
    let outputs: [(&str, &[&str], &[u8]); 5] = [
        ("a.ndjson", &[], b"{\"document\""),
        ("a.Parquet", &[], b"PAR1"),
        ("a.txt", &[], b"The cat"),
        ("a.chunks", &[], b"{\"document\""),
        ("b.parquet", &["--format", "text"], b"The cat"),
    ];
    for (output, options, head) in outputs {
        place.tiny(&[&["chunk", "in.jsonl", "-o", output], options].concat()).output();
        assert!(place.read(output).starts_with(head), "{output}");
    }
}

#[test]
fn vectors_do_not_go_into_text() {
    let place = corpus();
    let ran = place.tiny(&["chunk", "in.jsonl", "--vectors", "-o", "out.txt"]);
    check_fails(&ran, 2, &["--vectors goes with --format jsonl and parquet"]);
    assert_eq!(place.names(), ["in.jsonl"]);
    let destination = Destination::file(&place.path("out.txt"), false).unwrap();
    let opened = Chunks::writer(RecordFormat::Text, destination, Some(7));
    assert_eq!(opened.err().unwrap().to_string(), "format text holds no vectors");
    assert_eq!(place.names(), ["in.jsonl"]);
}

#[test]
fn row_groups_are_bounded_in_bytes() {
    const DIMENSIONS: usize = 256;
    const CHUNKS: usize = 20_000;
    let place = Place::new();
    let path = place.path("out.parquet");
    let destination = Destination::file(&path, false).unwrap();
    let mut writer = Chunks::writer(RecordFormat::Parquet, destination, Some(DIMENSIONS)).unwrap();
    let mut random = SplitMix64::new(11);
    // Texts and vectors that do not compress, in documents of one chunk up to thousands.
    let text: String = (0..CHUNKS * 100).map(|_| random.choose(&['a', 'b', 'é', '中'])).collect();
    let starts: Vec<usize> =
        text.char_indices().map(|(byte, _)| byte).step_by(100).chain([text.len()]).collect();
    let chunks: Vec<Chunk> = starts
        .windows(2)
        .enumerate()
        .map(|(index, ends)| Chunk {
            bytes: ends[0]..ends[1],
            chars: index * 100..(index + 1) * 100,
            tokens: 100,
            strength: None,
            vector: random.values(DIMENSIONS, 1.0),
        })
        .collect();
    for chunks in [&chunks[..1], &chunks[1..3], &chunks[3..40], &chunks[40..]] {
        let document = Some("document");
        writer.write(&Chunks { document, text: &text, mark: "", chunks, vectors: true }).unwrap();
    }
    writer.finish().unwrap();
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let groups = reader.metadata().row_groups();
    assert!(groups.len() > 2);
    for group in groups {
        let bytes = group.columns().iter().map(ColumnChunkMetaData::compressed_size).sum::<i64>();
        assert!(bytes < 10 << 20, "{bytes} bytes");
    }
    let rows = read_parquet(&path);
    let texts: String =
        rows.column_by_name("text").unwrap().as_string::<i32>().iter().flatten().collect();
    assert!(texts == text);
    let numbers = rows.column_by_name("chunk").unwrap().as_primitive::<Int64Type>();
    assert_eq!(numbers.value(CHUNKS - 1), (CHUNKS - 41) as i64);
}

#[test]
fn a_drawing_has_a_cut_between_any_two_chunks() {
    let place = corpus();
    let first = String::from_utf8(place.read("in.jsonl")).unwrap();
    place.write("in.jsonl", first.lines().next().unwrap());
    let chunks = json_records(&place, &["--explain", "out.svg"]).len();
    assert!(chunks > 3);
    let svg = String::from_utf8(place.read("out.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("a &quot;b&quot;\u{fffd}c"));
    assert_eq!(svg.lines().filter(|line| line.contains("stroke=\"#C8371A\"")).count(), chunks - 1);
    assert!(svg.contains(&format!(" in {chunks} chunks of ")));
    let again = ["chunk", "in.jsonl", "--explain", "out.svg"];
    check_fails(&place.tiny(&again), 73, &["out.svg exists"]);
    place.tiny(&[&again[..], &["--force"]].concat()).output();
    assert_ne!(place.read("out.svg"), svg.as_bytes());
}

#[test]
fn a_drawing_is_of_one_document() {
    let place = corpus();
    let ran = place.tiny(&["chunk", "in.jsonl", "in.jsonl", "--explain", "out.svg", "-o", "out"]);
    check_fails(&ran, 2, &["--explain draws one document, the input has 4"]);
    let ran = place.tiny(&["chunk", "--explain", "out.svg", "--field", "text"]);
    check_fails(&ran, 2, &["--explain draws one document, the input has 0"]);
    let same = ["--explain", "out.svg", "-o", "./out.svg", "--force"];
    let ran = place.tiny(&[&["chunk", "in.jsonl"], &same[..]].concat());
    check_fails(&ran, 2, &["--explain and --output are one file, ./out.svg"]);
    assert_eq!(place.names(), ["in.jsonl"]);
}

#[test]
fn a_method_without_similarities_is_drawn_without_them() {
    let place = Place::with("in.txt", "The cat sat on the mat. A bird sleeps. Fire and water!");
    let options = ["--method", "sentence", "--encoding", "isolated", "--max-tokens", "16"];
    let explain = ["chunk", "in.txt", "--explain", "out.svg"];
    let ran = place.tiny(&[&explain[..], &options].concat());
    assert!(ran.text().lines().count() > 1);
    assert!(String::from_utf8(place.read("out.svg")).unwrap().contains("no similarities"));
}
