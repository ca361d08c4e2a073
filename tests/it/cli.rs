//! The command line as a user meets it: exit codes, messages, and what is left on disk.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::process::{Place, Ran, binary, check_fails, check_none, problem, tiny, wait_for};
use crate::support;

const OK: i32 = 0;
const USAGE: i32 = 2;
const DATA: i32 = 65;
const NO_INPUT: i32 = 66;
const CANNOT_CREATE: i32 = 73;
const IO: i32 = 74;
const CONFIG: i32 = 78;

/// `count` short texts of different lengths, a line each.
fn lines(count: usize) -> String {
    (0..count).map(|index| format!("one {}bird\n", "two ".repeat(index % 7))).collect()
}

/// The bytes of a Parquet file with a column of numbers and one of texts.
fn parquet(rows: usize) -> Vec<u8> {
    let numbers: ArrayRef = Arc::new((0..rows as i64).collect::<Int64Array>());
    let texts = (0..rows).map(|row| Some(format!("text {row} of the good book")));
    let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("number", numbers), ("body", texts)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

// Bad input.

#[test]
fn invalid_utf8_names_file_line_and_byte() {
    let place = Place::with("bad.txt", b"fine\nabc\xffdef\n");
    let ran = place.tiny(&["embed", "bad.txt"]);
    check_fails(&ran, DATA, &["bad.txt:2", "invalid UTF-8", "byte 3"]);
    let ran = place.tiny(&["chunk", "bad.txt"]);
    check_fails(&ran, DATA, &["bad.txt", "invalid UTF-8", "byte 8"]);
    let ran = place.feed_tiny(&["embed"], b"\xc3\x28");
    check_fails(&ran, DATA, &["standard input:1", "invalid UTF-8", "byte 0"]);
}

#[test]
fn a_json_syntax_error_names_file_and_line_once() {
    let place = Place::with("docs.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \n");
    let ran = place.tiny(&["embed", "docs.jsonl"]);
    check_fails(&ran, DATA, &["docs.jsonl:3", "not a JSON object"]);
    assert_eq!(ran.stderr.matches("EOF").count(), 1, "{}", ran.stderr);
    // The parser sees one line only: its own line number would contradict the file's.
    assert!(!ran.stderr.contains("line 1 "), "{}", ran.stderr);
}

#[test]
fn a_json_line_that_is_no_object_is_refused() {
    let place = Place::with("docs.jsonl", "[1, 2]\n");
    check_fails(&place.tiny(&["embed", "docs.jsonl"]), DATA, &["docs.jsonl:1", "JSON object"]);
}

#[test]
fn a_missing_field_lists_the_fields_there() {
    let place =
        Place::with("docs.jsonl", "{\"text\": \"a\"}\n{\"title\": \"b\", \"body\": \"c\"}\n");
    let ran = place.tiny(&["embed", "docs.jsonl"]);
    check_fails(&ran, DATA, &["docs.jsonl:2", "`text` is missing", "body, title"]);
}

#[test]
fn a_field_that_is_no_string_names_its_kind() {
    for (value, kind) in
        [("7", "number"), ("null", "null"), ("[\"a\"]", "array"), ("true", "boolean")]
    {
        let place = Place::with("docs.jsonl", format!("{{\"text\": {value}}}\n"));
        check_fails(&place.tiny(&["chunk", "docs.jsonl"]), DATA, &["docs.jsonl:1", "text", kind]);
    }
}

#[test]
fn a_missing_parquet_column_lists_the_columns() {
    let place = Place::with("docs.parquet", parquet(3));
    let ran = place.tiny(&["embed", "docs.parquet", "--column", "content"]);
    check_fails(&ran, DATA, &["docs.parquet", "`content` is missing", "number, body"]);
}

#[test]
fn a_damaged_parquet_file_is_named() {
    let whole = parquet(4_000);
    let mut garbled = whole.clone();
    let middle = whole.len() / 2;
    garbled[4..middle].iter_mut().for_each(|byte| *byte = !*byte);
    for damaged in [&whole[..middle], &whole[..whole.len() - 1], &whole[..0], &garbled] {
        let place = Place::with("docs.parquet", damaged);
        let ran = place.tiny(&["embed", "docs.parquet", "--column", "body", "-o", "out.npy"]);
        check_fails(&ran, DATA, &["docs.parquet"]);
        assert_eq!(place.names(), ["docs.parquet"]);
    }
}

#[test]
fn an_absent_file_is_reported_before_anything_is_read() {
    let place = Place::with("here.txt", "a\n");
    let ran = place.tiny(&["embed", "here.txt", "absent.txt", "-o", "out.npy"]);
    check_fails(&ran, NO_INPUT, &["absent.txt", "No such file"]);
    assert_eq!(place.names(), ["here.txt"]);
    assert!(ran.stdout.is_empty());
}

#[test]
fn a_folder_as_input_is_an_error_that_names_it() {
    let place = Place::with("folder/file.txt", "a\n");
    for command in ["embed", "chunk"] {
        let ran = place.tiny(&[command, "folder"]);
        check_fails(&ran, IO, &["folder", "directory"]);
    }
}

#[test]
fn an_input_error_half_way_leaves_no_output() {
    let good = "{\"text\": \"the cat sat on the mat\"}\n".repeat(3_000);
    let place = Place::with("docs.jsonl", format!("{good}{{\"text\": 1}}\n"));
    for output in ["out.npy", "out.jsonl", "out.txt", "out.parquet"] {
        let ran = place.tiny(&["embed", "docs.jsonl", "-o", output]);
        check_fails(&ran, DATA, &["docs.jsonl:3001"]);
        assert_eq!(place.names(), ["docs.jsonl"]);
    }
    let ran = place.tiny(&["chunk", "docs.jsonl", "-o", "out.jsonl"]);
    check_fails(&ran, DATA, &["docs.jsonl:3001"]);
    assert_eq!(place.names(), ["docs.jsonl"]);
}

// Models.

#[test]
fn an_unknown_model_is_told_where_the_known_ones_are() {
    let ran = Place::new().run(&["embed", "--model", "no-such-model"]);
    check_fails(&ran, NO_INPUT, &["no-such-model", "chunkflow models list"]);
}

#[test]
fn a_known_model_that_is_not_here_names_its_place_and_the_way_to_get_it() {
    let ran = Place::new().run(&["embed", "--model", "minilm", "--models-dir", "store"]);
    let folder = "store/sentence-transformers/all-MiniLM-L6-v2";
    check_fails(&ran, NO_INPUT, &["minilm", folder, "chunkflow models pull minilm"]);
}

#[test]
fn one_flipped_byte_in_the_weights_is_found_and_both_digests_shown() {
    let place = Place::new();
    let folder = place.path("store/sentence-transformers/all-MiniLM-L6-v2");
    support::copy_folder(&support::real_folder(), &folder);
    let weights = folder.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let expected = hex(&Sha256::digest(&bytes));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let actual = hex(&Sha256::digest(&bytes));
    fs::write(&weights, bytes).unwrap();
    let ran = place.run(&["embed", "--models-dir", "store"]);
    check_fails(&ran, DATA, &["model.safetensors", &expected, &actual]);
    assert!(ran.stdout.is_empty());
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn dimensions_and_prompts_that_the_model_lacks_are_refused_with_its_own() {
    let place = Place::with("in.txt", "a\n");
    for dimensions in ["0", "25"] {
        let ran = place.tiny(&["embed", "in.txt", "--dimensions", dimensions, "-o", "out.npy"]);
        check_fails(&ran, DATA, &["dimensions", dimensions, "24"]);
    }
    let ran = place.tiny(&["embed", "in.txt", "--prompt-name", "none", "-o", "out.npy"]);
    check_fails(&ran, DATA, &["`none`", "passage, query"]);
    assert_eq!(place.names(), ["in.txt"]);
}

// Outputs.

#[test]
fn an_existing_output_is_kept_without_force_and_replaced_with_it() {
    let place = Place::with("in.txt", "a\n");
    for (command, output) in
        [("embed", "out.npy"), ("embed", "out.parquet"), ("chunk", "out.jsonl")]
    {
        place.write(output, "precious");
        let ran = place.tiny(&[command, "in.txt", "-o", output]);
        check_fails(&ran, CANNOT_CREATE, &[output, "--force"]);
        assert_eq!(place.read(output), b"precious");
        let ran = place.tiny(&[command, "in.txt", "-o", output, "--force"]);
        assert_eq!(ran.output(), b"");
        assert_ne!(place.read(output), b"precious");
    }
    assert_eq!(place.names(), ["in.txt", "out.jsonl", "out.npy", "out.parquet"]);
}

#[test]
fn a_failed_run_with_force_keeps_what_was_there() {
    let place = Place::with("in.jsonl", "{\"text\": \"a\"}\n{}\n");
    place.write("out.npy", "precious");
    let ran = place.tiny(&["embed", "in.jsonl", "-o", "out.npy", "--force"]);
    check_fails(&ran, DATA, &["in.jsonl:2"]);
    assert_eq!(place.read("out.npy"), b"precious");
    assert_eq!(place.names(), ["in.jsonl", "out.npy"]);
}

#[test]
fn an_output_that_appears_meanwhile_is_kept() {
    let place = Place::new();
    let args = ["embed", "--model", &tiny(), "-o", "out.npy"];
    let mut command = place.program(binary(), &args);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for("the temporary file", || (!place.names().is_empty()).then_some(()));
    place.write("out.npy", "precious");
    child.stdin.take().unwrap().write_all(b"a\n").unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap());
    check_fails(&ran, CANNOT_CREATE, &["out.npy", "--force"]);
    assert_eq!(place.names(), ["out.npy"]);
    assert_eq!(place.read("out.npy"), b"precious");
}

#[test]
fn an_output_that_cannot_be_created_is_named() {
    let place = Place::with("in.txt", "a\n");
    place.write("folder/file", "");
    let outputs = [
        ("absent/out.npy", "No such file"),
        ("folder", "not a regular file"),
        ("in.txt/out.npy", "directory"),
        ("/dev/full", "not a regular file"),
    ];
    for (output, why) in outputs {
        let ran = place.tiny(&["embed", "in.txt", "-o", output, "--force"]);
        check_fails(&ran, CANNOT_CREATE, &[output, why]);
    }
    assert_eq!(place.names(), ["folder", "in.txt"]);
}

#[test]
fn an_output_is_readable_by_others_like_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with("in.txt", "a\n");
    place.tiny(&["embed", "in.txt", "-o", "out.npy"]).output();
    let mode = fs::metadata(place.path("out.npy")).unwrap().permissions().mode();
    assert_eq!(mode & 0o444, 0o444, "{mode:o}");
}

#[test]
fn a_full_disk_behind_standard_output_is_an_error_of_every_command() {
    let place = Place::with("in.txt", lines(50));
    let commands: [&[&str]; 9] = [
        &["embed", "in.txt"],
        &["embed", "in.txt", "--format", "npy"],
        &["embed", "in.txt", "--format", "text"],
        &["embed", "in.txt", "--format", "parquet"],
        &["chunk", "in.txt"],
        &["doctor"],
        &["bench", "--input", "in.txt", "--repeat", "1"],
        &["config", "show"],
        &["completions", "bash"],
    ];
    let mut problems = Vec::new();
    for args in commands {
        let model = ["--model", &tiny()];
        let model: &[&str] =
            if ["config", "completions"].contains(&args[0]) { &[] } else { &model };
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = place.program(binary(), &[args, model].concat());
        let ran = Ran::of(command.stdout(full).output().unwrap());
        let problem = problem(&ran, IO, &["No space left"]);
        problems.extend(problem.map(|problem| format!("{args:?}: {problem}")));
    }
    check_none(&problems);
}

/// Runs `embed` under a limit of a few kilobytes a file, which writing must hit.
fn run_with_small_files(place: &Place, prepare: &str, output: &str) -> Ran {
    let script = format!("{prepare}; ulimit -f 8; exec \"$@\"");
    let program = binary();
    let model = tiny();
    let embed = [program.to_str().unwrap(), "embed", "in.txt", "--model", &model, "-o", output];
    let args = [&["-c", &script, "sh"], &embed[..]].concat();
    Ran::of(place.program("sh", &args).output().unwrap())
}

#[test]
fn a_file_that_cannot_grow_is_an_error_and_leaves_nothing() {
    let place = Place::with("in.txt", lines(2_000));
    for output in ["out.npy", "out.jsonl", "out.txt", "out.parquet"] {
        // Without the trap the system ends a process that goes beyond the limit.
        let ran = run_with_small_files(&place, "trap '' XFSZ", output);
        check_fails(&ran, IO, &[output, "File too large"]);
        assert_eq!(place.names(), ["in.txt"]);
    }
}

#[test]
fn a_run_that_a_signal_ends_leaves_nothing_under_the_final_name() {
    let place = Place::with("in.txt", lines(2_000));
    let ran = run_with_small_files(&place, ":", "out.npy");
    assert_eq!(ran.code, None, "{}", ran.stderr);
    assert!(!place.path("out.npy").exists());
}

// Streams.

/// Reads one line of `args`' output, then closes it.
fn check_closed_output(place: &Place, args: &[&str]) {
    let mut command = place.program(binary(), &[args, &["--model", &tiny()]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = Vec::new();
    BufReader::new(child.stdout.take().unwrap()).read_until(b'\n', &mut line).unwrap();
    assert!(!line.is_empty());
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(OK), ""), "{args:?}");
}

#[test]
fn a_reader_that_closes_early_gets_what_it_wants_and_no_complaint() {
    // Far more than a pipe holds.
    let place = Place::with("in.txt", lines(5_000));
    place.write("in.jsonl", "{\"text\": \"the cat sat on the mat\"}\n".repeat(5_000));
    for format in ["jsonl", "text", "npy", "parquet"] {
        check_closed_output(&place, &["embed", "in.txt", "--format", format]);
    }
    check_closed_output(&place, &["chunk", "in.jsonl", "--vectors"]);
}

#[test]
fn standard_input_is_read_by_default_and_by_a_dash() {
    let (place, text) = (Place::new(), lines(20));
    place.write("in.txt", &text);
    let expected = place.tiny(&["embed", "in.txt"]);
    assert_eq!(expected.text().lines().count(), 20);
    for args in [&["embed"][..], &["embed", "-"]] {
        assert_eq!(place.feed_tiny(args, text.as_bytes()).text(), expected.text());
    }
    let chunks = |ran: &Ran| {
        let chunks = ran.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        chunks.map(|chunk| chunk["text"].clone()).collect::<Vec<_>>()
    };
    let expected = place.tiny(&["chunk", "in.txt"]);
    let ran = place.feed_tiny(&["chunk", "-"], text.as_bytes());
    assert_eq!(chunks(&ran), chunks(&expected));
}

#[test]
fn json_lines_come_through_standard_input_with_a_field() {
    let ran = Place::new().feed_tiny(
        &["embed", "--field", "body"],
        b"{\"body\": \"a\", \"id\": 7}\n\n{\"body\": \"b\"}",
    );
    let rows: Vec<Value> =
        ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["id"], &rows[1]["id"]), (&Value::from("7"), &Value::Null));
    // As floats two such ids are one.
    let ran = Place::new().feed_tiny(
        &["embed", "--field", "body"],
        b"{\"body\": \"a\", \"id\": 12345678901234567890123}",
    );
    check_fails(&ran, DATA, &["standard input:1", "no exact id, expected a string"]);
}

#[test]
fn a_cut_text_is_warned_of_and_quiet_is_silent() {
    let place = Place::with("in.txt", "the cat ".repeat(100));
    let ran = place.tiny(&["embed", "in.txt"]);
    assert!(ran.stderr.contains("cut"), "{}", ran.stderr);
    let quiet = place.tiny(&["embed", "in.txt", "--quiet"]);
    assert_eq!((quiet.output(), quiet.stderr.as_str()), (ran.output(), ""));
    check_fails(&place.tiny(&["embed", "absent.txt", "--quiet"]), NO_INPUT, &["absent.txt"]);
}

#[test]
fn logs_go_to_standard_error_alone() {
    let place = Place::with("in.txt", lines(3));
    let plain = place.tiny(&["embed", "in.txt"]);
    assert_eq!(plain.stderr, "");
    let verbose = place.tiny(&["embed", "in.txt", "-vv"]);
    assert!(verbose.stderr.contains("model loaded"), "{}", verbose.stderr);
    assert_eq!(verbose.output(), plain.output());
}

// The command itself.

#[test]
fn usage_errors_are_2_and_suggest_what_was_meant() {
    let place = Place::new();
    let cases: [(&[&str], &str); 8] = [
        (&[], "Usage"),
        (&["embd"], "'embed'"),
        (&["embed", "--formt", "npy"], "'--format'"),
        (&["embed", "--format", "csv"], "jsonl"),
        (&["embed", "--dimensions", "many"], "--dimensions"),
        (&["embed", "--prompt", "a", "--prompt-name", "b"], "--prompt-name"),
        (&["embed", "-q", "-v"], "--verbose"),
        (&["bench", "--repeat", "0"], "--repeat"),
    ];
    for (args, part) in cases {
        let ran = place.run(args);
        assert_eq!(ran.code, Some(USAGE), "{args:?} {}", ran.stderr);
        assert!(ran.stderr.contains(part), "{args:?} {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_wrong_setting_is_78() {
    let ran = Place::new().run(&["embed", "--threads", "5000"]);
    check_fails(&ran, CONFIG, &["compute.threads", "--threads"]);
}

#[test]
fn help_goes_to_standard_output_and_shows_examples() {
    let place = Place::new();
    for args in [&["--help"][..], &["embed", "--help"], &["chunk", "-h"], &["serve", "--help"]] {
        let ran = place.run(args);
        let examples = ran.text().split("Examples:\n").nth(1).unwrap_or_default();
        assert!(examples.contains("chunkflow"), "{args:?}");
        assert_eq!(ran.stderr, "");
    }
    assert!(place.run(&["--version"]).text().contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_name_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = place.run(&["completions", shell]);
        for command in ["embed", "chunk", "serve", "bench", "config", "doctor", "completions"] {
            assert!(ran.text().contains(command), "{shell} {command}");
        }
        assert!(ran.text().contains("max-tokens"), "{shell}");
    }
}

#[test]
fn bash_can_load_its_completions() {
    let place = Place::new();
    place.write("chunkflow.bash", place.run(&["completions", "bash"]).output());
    let script = "source ./chunkflow.bash && complete -p chunkflow";
    let ran = Ran::of(place.program("bash", &["--norc", "-c", script]).output().unwrap());
    assert!(ran.text().contains("_chunkflow"), "{}", ran.text());
}

#[test]
fn doctor_prints_the_model_and_verifies_it() {
    let place = Place::new();
    let ran = place.tiny(&["doctor"]);
    for part in [env!("CARGO_PKG_VERSION"), "tiny", "24 dimensions", "48 tokens", "device"] {
        assert!(ran.text().contains(part), "{part:?} is not in: {}", ran.text());
    }
    assert!(!ran.text().contains("verify"));
    let ran = place.tiny(&["doctor", "--verify"]);
    assert!(ran.text().contains("verify     ok"), "{}", ran.text());
}

#[test]
fn bench_reports_positive_numbers_of_its_input() {
    let place = Place::with("in.txt", lines(30));
    let ran = place.tiny(&["bench", "--json", "--repeat", "1", "--input", "in.txt"]);
    let report: Value = serde_json::from_str(ran.text()).unwrap();
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key}: {report}"));
    let positive =
        ["texts_per_second", "tokens_per_second", "gflops", "p50_ms", "p99_ms", "load_ms"];
    for key in positive {
        assert!(number(key).is_finite() && number(key) > 0.0, "{key}: {report}");
    }
    assert!(number("p50_ms") <= number("p99_ms"), "{report}");
    assert!((1.0..8_192.0).contains(&number("peak_rss_mib")), "{report}");
    assert_eq!((&report["model"], &report["texts"]), (&Value::from("tiny"), &Value::from(30)));
    // One token a word and two special ones; text `i` has `i % 7 + 2` words.
    let tokens: usize = (0..30).map(|index| index % 7 + 4).sum();
    assert_eq!(report["tokens"], Value::from(tokens));
    let ratio = number("tokens_per_second") / number("texts_per_second");
    assert!((ratio - tokens as f64 / 30.0).abs() < 1e-6, "{report}");
}

#[test]
fn bench_measures_its_own_sample_where_no_input_is_given() {
    let ran = Place::new().tiny(&["bench", "--repeat", "1"]);
    assert!(ran.text().contains("256 texts"), "{}", ran.text());
    assert!(ran.text().contains("p99"), "{}", ran.text());
}
