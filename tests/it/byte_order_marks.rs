//! A byte order mark before a file is no text, in every reader of plain text.

use chunkflow::evaluation::datasets::{read_beir, read_gold};
use serde_json::Value;

use crate::process::{Place, Ran};

const MARK: &str = "\u{feff}";
const TEXT: &str = "The cat sat on the mat. Naïve 😀 birds sleep.\n\nFire and water! Who would \
                    write a book? One bird did.\n";

fn records(ran: &Ran) -> Vec<Value> {
    ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn texts_are_the_same_with_a_mark_before_them() {
    let lines = "the cat\na bird\n";
    let objects = "{\"text\": \"the cat\", \"id\": 1}\n{\"text\": \"a bird\"}\n";
    for (name, text, options) in [
        ("in.txt", lines, &[][..]),
        ("in.md", lines, &[]),
        ("in.txt", "the cat", &[]),
        ("in.txt", "\nthe cat\n", &[]),
        ("in.txt", "\n", &[]),
        ("in.txt", "", &[]),
        ("in.jsonl", objects, &[]),
        ("in.jsonl", "", &[]),
        ("in.json", objects, &["--field", "text"]),
    ] {
        let plain = Place::with(name, text);
        let marked = Place::with(name, format!("{MARK}{text}"));
        let args = [&["embed", name], options].concat();
        let expected = plain.tiny(&args);
        assert_eq!(marked.tiny(&args).text(), expected.text(), "{text:?}");
        let piped = [&["embed"], options].concat();
        if name == "in.txt" || !options.is_empty() {
            let ran = marked.feed_tiny(&piped, format!("{MARK}{text}").as_bytes());
            assert_eq!(ran.text(), expected.text(), "{text:?}");
        }
    }
    // What is not at the start of a file is a character of its text.
    let place = Place::with("in.txt", format!("{MARK}{MARK}the cat\n{MARK}a bird\n"));
    let tokens = records(&place.tiny(&["embed", "in.txt"]));
    assert_eq!(tokens.len(), 2);
}

#[test]
fn every_file_of_several_has_a_mark_of_its_own() {
    let place = Place::with("a.txt", format!("{MARK}the cat\n"));
    place.write("b.txt", format!("{MARK}a bird\n"));
    let plain = Place::with("in.txt", "the cat\na bird\n");
    assert_eq!(
        place.tiny(&["embed", "a.txt", "b.txt"]).text(),
        plain.tiny(&["embed", "in.txt"]).text()
    );
}

#[test]
fn queries_and_ids_are_without_a_mark() {
    let place = Place::with("corpus.txt", "the cat\nfire and water\n");
    place.tiny(&["embed", "corpus.txt", "-o", "corpus.npy"]).output();
    place.write("plain.txt", "the cat\n");
    place.write("marked.txt", format!("{MARK}the cat\n"));
    place.write("ids.txt", format!("{MARK}first\nsecond\n"));
    let ask = |queries: &str| {
        place.tiny(&["similar", "corpus.npy", "--ids", "ids.txt", "--queries", queries])
    };
    let (plain, marked) = (ask("plain.txt"), ask("marked.txt"));
    assert_eq!(marked.text(), plain.text());
    for hit in records(&marked) {
        assert_eq!(hit["id"], ["first", "second"][hit["index"].as_u64().unwrap() as usize]);
    }
}

/// The ranges of chunks are those of the file, mark and all; their texts are the text's.
#[test]
fn chunks_of_a_marked_file_lie_where_they_say() {
    let size = ["--max-tokens", "24", "--target-tokens", "12"];
    let file = format!("{MARK}{TEXT}");
    let plain = Place::with("in.txt", TEXT);
    for name in ["in.txt", "in.md"] {
        let marked = Place::with(name, &file);
        let found = records(&marked.tiny(&[&["chunk", name], &size[..]].concat()));
        let expected = records(&plain.tiny(&[&["chunk", "in.txt"], &size[..]].concat()));
        assert!(found.len() > 2 && found.len() == expected.len());
        let chars: Vec<char> = file.chars().collect();
        let mut rejoined = String::new();
        let mut end = MARK.len();
        for (found, expected) in found.iter().zip(&expected) {
            let number = |name: &str| found[name].as_u64().unwrap() as usize;
            let text = found["text"].as_str().unwrap();
            assert_eq!(number("start"), end);
            end = number("end");
            assert_eq!(&file[number("start")..end], text);
            let range = number("start_char")..number("end_char");
            assert_eq!(chars[range].iter().collect::<String>(), text);
            rejoined.push_str(text);
            for name in ["text", "tokens", "strength", "chunk"] {
                assert_eq!(found[name], expected[name]);
            }
        }
        assert_eq!((rejoined.as_str(), end), (TEXT, file.len()));
        let ran = marked.tiny(&[&["chunk", name, "--format", "text"], &size[..]].concat());
        assert!(!ran.text().contains(MARK));
        let first = &found[0];
        assert!(ran.text().contains(&format!("bytes {}..{}", first["start"], first["end"])));
    }
    let piped = plain.feed_tiny(&[&["chunk"], &size[..]].concat(), file.as_bytes());
    assert_eq!(records(&piped)[0]["start"], 3);
    // JSON lines say their text alone, and ranges are the text's.
    let line = format!("{MARK}{}\n", serde_json::json!({"text": TEXT}));
    let place = Place::with("in.jsonl", line);
    let found = records(&place.tiny(&[&["chunk", "in.jsonl"], &size[..]].concat()));
    assert_eq!((found[0]["start"].as_u64(), found[0]["start_char"].as_u64()), (Some(0), Some(0)));
}

#[test]
fn settings_registries_and_data_sets_are_read_past_a_mark() {
    let place = Place::with("config.yaml", format!("{MARK}embed:\n  truncate: left\n"));
    let shown = place.run(&["config", "show", "--config", "config.yaml"]);
    assert!(shown.text().contains("left"), "{}", shown.text());
    let model = "[[model]]\nname = \"mine\"\nrepository = \"a/mine\"\n";
    for text in [model.to_owned(), format!("{MARK}{model}")] {
        place.write("models.toml", text);
        let variables = [("CHUNKFLOW__MODEL__REGISTRY", "models.toml".to_owned())];
        let ran = place.run_with(&["models", "list"], &variables);
        assert!(ran.text().contains("mine"), "{}", ran.text());
    }
    place.write("gold/a.ref", format!("{MARK}==========\nOne.\n==========\nTwo.\n"));
    let gold = read_gold(&place.path("gold")).unwrap();
    assert_eq!((gold[0].text.as_str(), &gold[0].segments[..]), ("One. Two.", &[1, 1][..]));
    place.write("beir/corpus.jsonl", format!("{MARK}{{\"_id\": \"d\", \"text\": \"one\"}}\n"));
    place.write("beir/queries.jsonl", format!("{MARK}{{\"_id\": \"q\", \"text\": \"who\"}}\n"));
    place.write("beir/qrels/test.tsv", format!("{MARK}q\td\t1\n"));
    let corpus = read_beir(&place.path("beir"), None).unwrap();
    assert_eq!(corpus.queries[0].judged, [(0, 1.0)]);
}
