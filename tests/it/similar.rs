//! `chunkflow similar` against naive loops in f64, over every format that vectors come in.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::{
    ArrayRef, AsArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array, ListArray,
    RecordBatch, StringArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float32Type, Int64Type};
use chunkflow::compute::Isa;
use chunkflow::embeddings::{Backend, EmbedOptions, LoadedModel};
use chunkflow::similarity::{Device, UnitRows, pairwise};
use half::f16;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::formats::{npy_rows, read_parquet};
use crate::process::{Place, Ran, check_fails, check_none, problem, tiny};
use crate::support::random_model::SplitMix64;
use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH};

fn model() -> &'static LoadedModel {
    static MODEL: OnceLock<LoadedModel> = OnceLock::new();
    MODEL.get_or_init(|| support::load(Path::new(&tiny()), Backend::Native, ONE_BATCH))
}

/// Rows of vectors.
struct Table {
    dim: usize,
    values: Vec<f32>,
}

impl Table {
    /// Random rows of different lengths, the third of zeros and the last the same as the first.
    fn random(rows: usize, dim: usize, seed: u64) -> Self {
        let mut values = SplitMix64::new(seed).values(rows * dim, 1.0);
        for (row, value) in values.iter_mut().enumerate() {
            *value *= ((row / dim) % 7 + 1) as f32;
        }
        if rows > 3 {
            values[2 * dim..3 * dim].fill(0.0);
            values.copy_within(..dim, (rows - 1) * dim);
        }
        Self { dim, values }
    }

    fn rows(&self) -> Vec<Vec<f64>> {
        let widen = |row: &[f32]| row.iter().map(|&x| f64::from(x)).collect();
        self.values.chunks_exact(self.dim).map(widen).collect()
    }

    fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    fn npy(&self) -> Vec<u8> {
        let bytes: Vec<u8> = self.values.iter().flat_map(|x| x.to_le_bytes()).collect();
        npy("<f4", self.len(), self.dim, &bytes)
    }

    /// Parquet with ids `r0`, `r1`, .. and texts.
    fn parquet(&self) -> Vec<u8> {
        let item = Arc::new(Field::new("element", DataType::Float32, false));
        let values = Arc::new(Float32Array::from(self.values.clone()));
        let lists = FixedSizeListArray::new(item, self.dim as i32, values, None);
        let names = |letter: &str| -> ArrayRef {
            let names = (0..self.len()).map(|row| Some(format!("{letter}{row}")));
            Arc::new(names.collect::<StringArray>())
        };
        table(vec![("id", names("r")), ("text", names("text ")), ("embedding", Arc::new(lists))])
    }
}

fn table(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// A file as `numpy.save` writes it.
fn npy(descr: &str, rows: usize, columns: usize, data: &[u8]) -> Vec<u8> {
    let dict =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    file.extend(format!("{dict:<117}\n").bytes());
    file.extend(data);
    file
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let norm = (dot(a, a) * dot(b, b)).sqrt();
    if norm > 0.0 { dot(a, b) / norm } else { 0.0 }
}

/// A match of the output.
#[derive(Debug)]
struct Found {
    query: String,
    index: usize,
    score: f64,
    line: Value,
}

/// The matches on standard output, whose ranks count from 1 within each query.
fn found(ran: &Ran) -> Vec<Found> {
    let mut last = (String::new(), 0);
    let lines = ran.text().lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let query = line["query"].as_str().unwrap().to_owned();
        last = if last.0 == query { (query.clone(), last.1 + 1) } else { (query.clone(), 1) };
        assert_eq!(line["rank"], last.1);
        let index = line["index"].as_u64().unwrap() as usize;
        Found { query, index, score: line["score"].as_f64().unwrap(), line }
    });
    lines.collect()
}

/// Fails unless `found` are the `k` best of `corpus` for each of `queries`: each score is right,
/// they descend, equal ones ascend by index, and none that was left out is better than the last.
#[track_caller]
fn check_best(found: &[Found], queries: &[Vec<f64>], corpus: &[Vec<f64>], k: usize, close: f64) {
    let k = k.min(corpus.len());
    assert_eq!(found.len(), k * queries.len());
    for (number, (query, found)) in queries.iter().zip(found.chunks(k)).enumerate() {
        for hit in found {
            assert_eq!(hit.query, number.to_string());
            let expected = cosine(query, &corpus[hit.index]);
            assert!((hit.score - expected).abs() < close, "{hit:?} is {expected}");
        }
        for two in found.windows(2) {
            let order = two[1].score.total_cmp(&two[0].score);
            assert!(order.then(two[0].index.cmp(&two[1].index)).is_lt(), "{two:?}");
        }
        let hits: BTreeSet<usize> = found.iter().map(|hit| hit.index).collect();
        assert_eq!(hits.len(), k);
        let others = (0..corpus.len()).filter(|row| !hits.contains(row));
        let best = others.map(|row| cosine(query, &corpus[row])).fold(-2.0, f64::max);
        assert!(found.last().is_none_or(|last| best < last.score + close));
    }
}

// Search.

#[test]
fn texts_are_found_by_the_models_vectors_and_its_prompt_for_queries() {
    let corpus = ["The cat sat on the mat.", "Fire and water", "a red book", "the city sleeps"];
    let lines = corpus.iter().enumerate();
    let lines: String =
        lines.map(|(at, text)| format!("{}\n", json!({"id": 10 * at, "text": text}))).collect();
    let place = Place::with("in.jsonl", lines);
    place.tiny(&["embed", "in.jsonl", "-o", "vectors.parquet"]).output();
    let vectors = |texts: &[&str]| -> Vec<Vec<f64>> {
        let embeddings = model().embed(texts, &EmbedOptions::default()).unwrap();
        embeddings.rows().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
    };
    let rows = vectors(&corpus);
    let ask = ["similar", "vectors.parquet", "--query", "the cat", "--query", "a bird", "-k", "3"];
    for (options, prefix) in [
        (&[][..], "search for: "),
        (&["--prompt", ""], ""),
        (&["--prompt", "find: "], "find: "),
        (&["--prompt-name", "query"], "search for: "),
    ] {
        let found = found(&place.tiny(&[&ask, options].concat()));
        let texts = [format!("{prefix}the cat"), format!("{prefix}a bird")];
        let queries = vectors(&[&texts[0], &texts[1]]);
        check_best(&found, &queries, &rows, 3, 1e-6);
        for hit in &found {
            assert_eq!(hit.line["id"], (10 * hit.index).to_string());
            assert_eq!(hit.line.as_object().unwrap().len(), 5);
        }
    }
    // A file of texts with names of their own for them and for ids.
    place.write("named.jsonl", "{\"body\": \"the cat\", \"key\": 5}\n");
    let columns = ["--text", "body", "--id", "key"];
    let ask = ["similar", "vectors.parquet", "--queries", "named.jsonl", "-k", "1"];
    assert_eq!(found(&place.tiny(&[&ask[..], &columns].concat()))[0].query, "5");
    // A file of texts, named by their ids.
    place.write(
        "queries.jsonl",
        "{\"text\": \"the cat\", \"id\": \"q7\"}\n{\"text\": \"a bird\"}\n",
    );
    let named = ["similar", "vectors.parquet", "--queries", "queries.jsonl", "-k", "1"];
    let queries_seen: Vec<String> =
        found(&place.tiny(&named)).into_iter().map(|hit| hit.query).collect();
    assert_eq!(queries_seen, ["q7", "1"]);
}

#[test]
fn scores_are_cosines_whatever_the_lengths_of_rows() {
    let (corpus, queries) = (Table::random(57, 13, 1), Table::random(5, 13, 2));
    let place = Place::with("corpus.npy", corpus.npy());
    place.write("corpus.parquet", corpus.parquet());
    place.write("queries.npy", queries.npy());
    for k in [1, 4, 57, 100] {
        let k_text = k.to_string();
        let options = ["--queries", "queries.npy", "-k", &k_text];
        let from_npy = place.run(&[&["similar", "corpus.npy"], &options[..]].concat());
        check_best(&found(&from_npy), &queries.rows(), &corpus.rows(), k, 1e-6);
        let from_table = place.run(&[&["similar", "corpus.parquet"], &options[..]].concat());
        for (a, b) in found(&from_npy).iter().zip(found(&from_table)) {
            assert_eq!((a.index, a.score.to_bits()), (b.index, b.score.to_bits()));
            assert_eq!(b.line["id"], format!("r{}", b.index));
        }
    }
}

#[test]
fn a_corpus_of_several_blocks_is_searched_whole_for_few_and_for_many_queries() {
    let (corpus, queries) = (Table::random(20_000, 64, 3), Table::random(12, 64, 4));
    let place = Place::with("corpus.npy", corpus.npy());
    place.write("corpus.parquet", corpus.parquet());
    let few = Table { dim: 64, values: queries.values[..3 * 64].to_vec() };
    place.write("many.npy", queries.npy());
    place.write("few.npy", few.npy());
    for (file, queries) in [("many.npy", &queries), ("few.npy", &few)] {
        for corpus_file in ["corpus.npy", "corpus.parquet"] {
            let ran = place.run(&["similar", corpus_file, "--queries", file, "-k", "9"]);
            check_best(&found(&ran), &queries.rows(), &corpus.rows(), 9, 1e-6);
        }
    }
}

#[test]
fn small_formats_are_searched_as_they_are_stored() {
    let (corpus, queries) = (Table::random(40, 24, 5), Table::random(6, 24, 6));
    let place = Place::with("queries.npy", queries.npy());
    // Bits cannot stand for a row of zeros.
    let mut signed = Table { dim: 24, values: queries.values.clone() };
    signed.values[2 * 24..3 * 24].fill(-0.5);
    place.write("signed.npy", signed.npy());
    let largest = corpus.values.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let halves: Vec<f16> = corpus.values.iter().map(|&x| f16::from_f32(x)).collect();
    let bytes: Vec<i8> = corpus.values.iter().map(|x| (x / largest * 127.0) as i8).collect();
    let bits: Vec<u8> = corpus
        .values
        .chunks(8)
        .map(|eight| eight.iter().fold(0, |byte, &x| byte << 1 | u8::from(x > 0.0)))
        .collect();
    let half_bytes: Vec<u8> = halves.iter().flat_map(|x| x.to_le_bytes()).collect();
    place.write("f16.npy", npy("<f2", 40, 24, &half_bytes));
    place.write("int8.npy", npy("|i1", 40, 24, bytemuck::cast_slice(&bytes)));
    place.write("bits.npy", npy("|u1", 40, 3, &bits));
    let rows = |values: Vec<f64>| values.chunks(24).map(<[f64]>::to_vec).collect::<Vec<_>>();
    let signs = |x: f32| if x > 0.0 { 1.0 } else { -1.0 };
    // Queries are quantised as the corpus is: to the nearest of 127 steps of their largest value.
    let quantised = queries.values.chunks(24).flat_map(|row| {
        let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let step = |x: &f32| f64::from(x * (127.0 / largest.max(1e-30))).round_ties_even();
        row.iter().map(step).collect::<Vec<f64>>()
    });
    let cases = [
        (
            "f16.npy",
            queries.values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>(),
            halves.iter().map(|x| x.to_f64()).collect::<Vec<f64>>(),
        ),
        ("int8.npy", quantised.collect(), bytes.iter().map(|&x| f64::from(x)).collect()),
        (
            "bits.npy",
            signed.values.iter().map(|&x| signs(x)).collect(),
            corpus.values.iter().map(|&x| signs(x)).collect(),
        ),
    ];
    for (file, queries, corpus) in cases {
        let asked = if file == "bits.npy" { "signed.npy" } else { "queries.npy" };
        let ran = place.run(&["similar", file, "--queries", asked, "-k", "7"]);
        // A step that a query is rounded to may differ where it lies between two of them.
        let close = if file == "int8.npy" { 1e-3 } else { 1e-6 };
        check_best(&found(&ran), &rows(queries), &rows(corpus.clone()), 7, close);
        // The corpus is a file of queries too, exactly.
        let ran = place.run(&["similar", file, "--queries", file, "-k", "40"]);
        check_best(&found(&ran), &rows(corpus.clone()), &rows(corpus), 40, 1e-6);
    }
}

#[test]
fn a_threshold_finds_all_that_reach_it() {
    let (corpus, queries) = (Table::random(70, 9, 7), Table::random(11, 9, 8));
    let place = Place::with("corpus.parquet", corpus.parquet());
    place.write("queries.parquet", queries.parquet());
    let ran = place.run(&[
        "similar",
        "corpus.parquet",
        "--queries",
        "queries.parquet",
        "--threshold",
        "0.25",
    ]);
    let found = found(&ran);
    let mut expected = BTreeSet::new();
    for (number, query) in queries.rows().iter().enumerate() {
        for (index, row) in corpus.rows().iter().enumerate() {
            let score = cosine(query, row);
            assert!((score - 0.25).abs() > 1e-5, "no case for a test");
            if score >= 0.25 {
                expected.insert((format!("r{number}"), index));
            }
        }
    }
    assert!(expected.len() > 50);
    let hits: BTreeSet<_> = found.iter().map(|hit| (hit.query.clone(), hit.index)).collect();
    assert_eq!((found.len(), hits), (expected.len(), expected));
    for two in found.windows(2).filter(|two| two[0].query == two[1].query) {
        assert!(two[0].score >= two[1].score);
    }
}

#[test]
fn a_threshold_of_minus_one_finds_all_that_have_a_score() {
    let mut corpus = Table::random(57, 13, 17);
    let queries = Table { dim: 13, values: corpus.values.iter().map(|x| -x).collect() };
    corpus.values[13] = f32::NAN;
    let place = Place::with("corpus.npy", corpus.npy());
    place.write("queries.npy", queries.npy());
    let ran =
        place.run(&["similar", "corpus.npy", "--queries", "queries.npy", "--threshold", "-1"]);
    let found = found(&ran);
    assert_eq!(found.len(), 57 * 56);
    assert!(found.iter().any(|hit| hit.score < -1.0), "no case for a test");
    assert!(found.iter().all(|hit| hit.index != 1));
    let clusters = place.run(&["similar", "corpus.npy", "--duplicates=-1"]);
    let cluster: Value = serde_json::from_str(clusters.text()).unwrap();
    assert_eq!(cluster["size"], 56);
}

#[test]
fn scores_have_the_bits_of_the_instructions_that_are_set() {
    let rows = Table::random(30, 24, 18);
    let place = Place::with("rows.npy", rows.npy());
    let unit = UnitRows::from_f32(rows.values.clone(), 24).unwrap();
    for isa in Isa::available() {
        let mut expected = vec![0.0; 30 * 30];
        let unit = unit.rows().unwrap();
        pairwise(&Device::cpu(isa), unit, unit, &mut expected).unwrap();
        let variables = [("CHUNKFLOW__COMPUTE__ISA", isa.to_string())];
        let ran = place.run_with(&["similar", "rows.npy", "--matrix"], &variables);
        let found = npy_rows(ran.output()).concat();
        assert!(found.iter().zip(&expected).all(|(x, y)| *x == y.to_bits()), "{isa}");
    }
}

#[test]
fn ids_are_lines_whatever_the_name_of_their_file() {
    let place = Place::with("rows.npy", Table::random(3, 4, 19).npy());
    place.write("ids.jsonl", "\u{feff}first\r\n\n{\"id\": 3}");
    let ask = ["similar", "rows.npy", "--queries", "rows.npy", "-k", "3", "--ids", "ids.jsonl"];
    for hit in found(&place.run(&ask)) {
        assert_eq!(hit.line["id"], ["first", "", "{\"id\": 3}"][hit.index]);
    }
}

#[test]
fn parquet_and_text_hold_the_matches_of_json_lines() {
    let (corpus, queries) = (Table::random(30, 6, 9), Table::random(4, 6, 10));
    let place = Place::with("corpus.parquet", corpus.parquet());
    place.write("queries.npy", queries.npy());
    let ask = ["similar", "corpus.parquet", "--queries", "queries.npy", "-k", "3"];
    for texts in [&[][..], &["--return-documents"]] {
        let matches = found(&place.run(&[&ask, texts].concat()));
        for hit in &matches {
            let text = (!texts.is_empty()).then(|| json!(format!("text {}", hit.index)));
            assert_eq!(hit.line.get("text"), text.as_ref());
        }
        let files = [&ask, texts, &["--force", "-o"]].concat();
        place.run(&[&files[..], &["out.parquet"]].concat()).output();
        place.run(&[&files[..], &["out.txt"]].concat()).output();
        let batch = read_parquet(&place.path("out.parquet"));
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let columns = ["query", "rank", "index", "id", "score", "text"];
        assert_eq!(names, columns[..5 + texts.len()]);
        let written = String::from_utf8(place.read("out.txt")).unwrap();
        assert_eq!((batch.num_rows(), written.lines().count()), (12, 12));
        for (row, (hit, text)) in matches.iter().zip(written.lines()).enumerate() {
            let string = |name: &str| {
                json!(batch.column_by_name(name).unwrap().as_string::<i32>().value(row))
            };
            let number = |name: &str| {
                json!(batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(row))
            };
            assert_eq!(string("query"), hit.line["query"]);
            assert_eq!(
                (number("rank"), number("index")),
                (hit.line["rank"].clone(), hit.line["index"].clone())
            );
            assert_eq!(string("id"), hit.line["id"]);
            let score = batch.column(4).as_primitive::<Float32Type>().value(row);
            assert_eq!(score.to_bits(), (hit.score as f32).to_bits());
            let (query, rank) = (&hit.query, row % 3 + 1);
            let mut line =
                format!("{query}\t{rank}\t{:.4}\t{}\tr{}", hit.score, hit.index, hit.index);
            if !texts.is_empty() {
                assert_eq!(string("text"), hit.line["text"]);
                line.extend(["\ttext ".to_owned(), hit.index.to_string()]);
            }
            assert_eq!(text, line);
        }
    }
}

#[test]
fn chunks_are_found_with_their_documents_and_texts() {
    let place = Place::with("in.txt", "The cat sat on the mat. Fire and water! ".repeat(8));
    let size = ["--max-tokens", "24", "--target-tokens", "12"];
    let chunk = ["chunk", "in.txt", "--vectors", "-o", "chunks.parquet"];
    place.tiny(&[&chunk[..], &size].concat()).output();
    let chunks = read_parquet(&place.path("chunks.parquet"));
    let texts = chunks.column_by_name("text").unwrap().as_string::<i32>();
    let ask = ["similar", "chunks.parquet", "--id", "document", "--query", "fire"];
    let found = found(&place.tiny(&[&ask[..], &["--return-documents"]].concat()));
    assert_eq!(found.len(), 10.min(chunks.num_rows()));
    for hit in &found {
        assert_eq!(hit.line["id"], "in.txt");
        assert_eq!(hit.line["text"], texts.value(hit.index));
    }
}

#[test]
fn vectors_are_read_from_lists_of_any_numbers() {
    let place = Place::with("queries.npy", npy("<f4", 1, 2, &[0, 0, 128, 63, 0, 0, 0, 0]));
    let list = |lengths: &[usize], values: Vec<f64>| -> ArrayRef {
        let field = Arc::new(Field::new("element", DataType::Float64, false));
        let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
        Arc::new(ListArray::new(field, offsets, Arc::new(Float64Array::from(values)), None))
    };
    let values = vec![0.0, 1.0, 3.0, 4.0];
    place.write("lists.parquet", table(vec![("v", list(&[2, 2], values.clone()))]));
    let ask = ["--queries", "queries.npy", "--column", "v"];
    let ran = place.run(&[&["similar", "lists.parquet"], &ask[..]].concat());
    let found = found(&ran);
    let found: Vec<(usize, f64)> = found.iter().map(|hit| (hit.index, hit.score)).collect();
    assert_eq!(found.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 0]);
    assert!((found[0].1 - 0.6).abs() < 1e-6 && found[1].1 == 0.0);
    place.write("uneven.parquet", table(vec![("v", list(&[2, 1, 1], values))]));
    let ran = place.run(&[&["similar", "uneven.parquet"], &ask[..]].concat());
    check_fails(&ran, 65, &["uneven.parquet, row 1: column `v` has 1 values, row 0 has 2"]);
}

// Matrices.

/// Fails unless a file holds the cosines of all rows of `a` with all rows of `b`.
#[track_caller]
fn check_matrix(file: &[u8], a: &Table, b: &Table) {
    let rows = npy_rows(file);
    assert_eq!(rows.len(), a.len());
    for (scores, row) in rows.iter().zip(a.rows()) {
        assert_eq!(scores.len(), b.len());
        for (score, other) in scores.iter().zip(b.rows()) {
            let score = f64::from(f32::from_bits(*score));
            assert!((score - cosine(&row, &other)).abs() < 1e-6);
        }
    }
}

#[test]
fn a_matrix_holds_the_cosines_of_all_pairs() {
    let (a, b) = (Table::random(23, 17, 11), Table::random(41, 17, 12));
    let place = Place::with("a.npy", a.npy());
    place.write("b.parquet", b.parquet());
    place.run(&["similar", "b.parquet", "--matrix", "-o", "bb.npy"]).output();
    check_matrix(&place.read("bb.npy"), &b, &b);
    let ran = place.run(&["similar", "b.parquet", "--queries", "a.npy", "--matrix"]);
    check_matrix(ran.output(), &a, &b);
    let options = ["--matrix", "--threads", "1", "-o", "ab.npy"];
    place.run(&[&["similar", "b.parquet", "--queries", "a.npy"], &options[..]].concat()).output();
    assert!(place.read("ab.npy") == ran.output());
}

// Duplicates.

/// Clusters by following links from row to row.
fn clusters(rows: &[Vec<f64>], least: f64) -> Vec<Vec<usize>> {
    let (mut seen, mut clusters) = (BTreeSet::new(), Vec::new());
    for first in 0..rows.len() {
        let (mut members, mut pending) = (BTreeSet::new(), vec![first]);
        while let Some(row) = pending.pop() {
            if seen.insert(row) {
                members.insert(row);
                let linked = |other: &usize| cosine(&rows[row], &rows[*other]) >= least;
                pending.extend((0..rows.len()).filter(linked));
            }
        }
        if members.len() > 1 {
            clusters.push(members.into_iter().collect());
        }
    }
    clusters
}

#[test]
fn duplicates_are_the_rows_that_links_connect() {
    let corpus = Table::random(60, 4, 13);
    let place = Place::with("corpus.parquet", corpus.parquet());
    place.write("corpus.npy", corpus.npy());
    for least in ["0.9", "0.97", "0.999"] {
        let expected = clusters(&corpus.rows(), least.parse().unwrap());
        assert!(!expected.is_empty());
        let expected: Vec<Value> = expected
            .iter()
            .enumerate()
            .map(|(cluster, rows)| {
                let members: Vec<Value> =
                    rows.iter().map(|row| json!({"index": row, "id": format!("r{row}")})).collect();
                json!({"cluster": cluster, "size": rows.len(), "members": members})
            })
            .collect();
        let ran = place.run(&["similar", "corpus.parquet", "--duplicates", least]);
        let lines: Vec<Value> =
            ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, expected);
        let one = ["--duplicates", least, "--threads", "1"];
        let again = place.run(&[&["similar", "corpus.parquet"], &one[..]].concat());
        assert!(again.output() == ran.output());
    }
    let ids: String = (0..60).map(|row| format!("line {row}\n")).collect();
    place.write("ids.txt", ids);
    let options = ["--duplicates", "0.999", "--ids", "ids.txt"];
    let ran = place.run(&[&["similar", "corpus.npy"], &options[..]].concat());
    let first: Value = serde_json::from_str(ran.text().lines().next().unwrap()).unwrap();
    assert_eq!(first["members"][0], json!({"index": 0, "id": "line 0"}));
}

// Errors.

#[test]
fn wrong_arguments_and_files_are_named() {
    let place = Place::with("four.npy", Table::random(5, 4, 14).npy());
    place.write("three.parquet", Table::random(5, 3, 15).parquet());
    place.write("int8.npy", npy("|i1", 2, 4, &[1; 8]));
    place.write("short.npy", &Table::random(5, 4, 14).npy()[..150]);
    place.write("ids.txt", "a\nb\n");
    place.write("null.parquet", {
        let lists = [None, Some(vec![Some(1.0), Some(2.0)])];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lists));
        table(vec![("embedding", lists)])
    });
    place.write("numbers.parquet", {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        table(vec![("embedding", ids)])
    });
    let query: &[&str] = &["--queries", "four.npy"];
    let cases: [(&[&str], i32, &[&str]); 19] = [
        (&["four.npy"], 2, &["--query", "--matrix", "--duplicates"]),
        (&["four.npy", "--queries", "four.npy", "-k", "0"], 2, &["0 is not at least 1"]),
        (&["four.npy", "--queries", "four.npy", "--threshold", "2"], 2, &["not from -1 to 1"]),
        (&["four.npy", "--queries", "four.npy", "--threshold", "NaN"], 2, &["not from -1 to 1"]),
        (&["four.npy", "--matrix", "-k", "3"], 2, &["cannot be used with"]),
        (&["four.npy", "--duplicates", "0.9", "--query", "a"], 2, &["cannot be used with"]),
        (&["nowhere.npy", "--matrix"], 66, &["cannot open nowhere.npy"]),
        (&["ids.txt", "--matrix"], 65, &["ids.txt: vectors are read from .npy and .parquet files"]),
        (&["short.npy", "--matrix"], 65, &["short.npy", "22 bytes of values"]),
        (
            &["three.parquet", "--column", "vector", "--matrix"],
            65,
            &["three.parquet: column `vector` is missing, this file has: id, text, embedding"],
        ),
        (&["numbers.parquet", "--matrix"], 65, &["column `embedding` is Int64, expected a list"]),
        (
            &["three.parquet", "--queries", "four.npy"],
            65,
            &["four.npy: vectors have 4 dimensions, those of three.parquet 3"],
        ),
        (
            &["three.parquet", "--query", "the cat"],
            65,
            &["tiny: vectors have 24 dimensions, those of three.parquet 3"],
        ),
        (
            &["four.npy", "--queries", "int8.npy"],
            65,
            &["int8.npy: vectors are int8, those of four.npy f32: the same or floats"],
        ),
        (&["four.npy", "--ids", "ids.txt", "--matrix"], 65, &["has 2 ids, four.npy has 5 rows"]),
        (&["null.parquet", "--matrix"], 65, &["null.parquet, row 0: column `embedding` is null"]),
        (
            &["four.npy", "--queries", "four.npy", "--ids", "ids.txt"],
            65,
            &["ids.txt: has 2 ids, four.npy has 5 rows"],
        ),
        (&["three.parquet", "--ids", "ids.txt", "--matrix"], 65, &["--ids goes with .npy"]),
        (&["four.npy", "--queries", "four.npy", "--return-documents"], 65, &["has no texts"]),
    ];
    let problems = cases.iter().filter_map(|(args, code, parts)| {
        let ran = place.tiny(&[&["similar"], *args, &["-o", "out"]].concat());
        problem(&ran, *code, parts).map(|problem| format!("{args:?}: {problem}"))
    });
    check_none(&problems.collect::<Vec<String>>());
    assert!(!place.names().contains(&"out".to_owned()));
    let texts = ["similar", "three.parquet", "--text", "body", "--return-documents"];
    let ran = place.run(&[&texts[..], query].concat());
    check_fails(&ran, 65, &["column `body` is missing, this file has: id, text, embedding"]);
}

#[test]
fn queries_that_say_nothing_are_refused() {
    let place = Place::with("bits.npy", npy("|u1", 3, 1, &[0b1010_0000; 3]));
    place.write("empty.txt", "");
    let f32s = |values: [f32; 16]| {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        npy("<f4", 2, 8, &bytes)
    };
    let mut values = [0.0; 16];
    values[0] = 1.0;
    place.write("zeros.npy", f32s(values));
    values = [1.0; 16];
    values[7] = f32::NAN;
    place.write("nan.npy", f32s(values));
    for (queries, problem) in [
        ("empty.txt", "empty.txt: has 0 texts, at least 1 is needed"),
        ("zeros.npy", "zeros.npy: query 1 is all zeros, which bits"),
        ("nan.npy", "nan.npy: query 0 has a value that is not finite, which bits"),
    ] {
        let ran = place.run(&["similar", "bits.npy", "--queries", queries, "-o", "out"]);
        check_fails(&ran, 65, &[problem]);
        assert!(!place.names().contains(&"out".to_owned()));
    }
}

#[test]
fn an_empty_corpus_or_no_queries_find_nothing() {
    let place = Place::with("none.npy", npy("<f4", 0, 4, &[]));
    place.write("four.npy", Table::random(5, 4, 16).npy());
    for (corpus, queries) in [("none.npy", "four.npy"), ("four.npy", "none.npy")] {
        assert_eq!(place.run(&["similar", corpus, "--queries", queries]).text(), "");
        let above = ["similar", corpus, "--queries", queries, "--threshold", "0"];
        assert_eq!(place.run(&above).text(), "");
    }
    assert_eq!(place.run(&["similar", "none.npy", "--duplicates", "0.5"]).text(), "");
    let ran = place.run(&["similar", "none.npy", "--matrix"]);
    assert!(String::from_utf8_lossy(ran.output()).contains("'shape': (0, 0)"));
}
