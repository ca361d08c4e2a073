//! `chunkflow evaluate` as a user meets it, on data sets small enough to know the answers.

use chunkflow::chunking::{ChunkSpec, Encoding, Preset, Segments};
use chunkflow::embeddings::{Backend, EmbedOptions};
use chunkflow::evaluation::datasets::read_gold;
use chunkflow::evaluation::metrics::segmentation::pk;
use chunkflow::evaluation::{Baseline, Segmenter, evaluate_segmentation};
use chunkflow::files::Destination;
use chunkflow::pipeline::Document;
use chunkflow::records::{Run, read_runs, write_runs};
use serde_json::{Value, json};

use crate::process::{Place, Ran, check_fails};
use crate::support;

const USAGE: i32 = 2;
const DATA: i32 = 65;
const NO_INPUT: i32 = 66;
const CANNOT_CREATE: i32 = 73;

/// Two documents of nine and four units.
const GOLD: &str = concat!(
    r#"{"id": "a", "units": ["The cat sat.", "A cat ran.", "Cats and dogs.", "The sun is hot.", "#,
    r#""Stars are suns.", "Light of stars.", "Bread is baked.", "Flour and water.", "Salt too."], "#,
    r#""segments": [3, 3, 3]}"#,
    "\n",
    r#"{"id": "b", "text": "One bird.\nTwo birds.\nA house.\nTwo houses.", "boundaries": [2]}"#,
    "\n",
);

fn place() -> Place {
    Place::with("gold.jsonl", GOLD)
}

/// The metrics of each run, in the order of the output.
fn runs(ran: &Ran) -> Vec<(String, Value)> {
    let found: Vec<Value> = serde_json::from_str(ran.text()).unwrap();
    found
        .into_iter()
        .map(|mut run| {
            let metrics = run["metrics"].take();
            (run["run"].as_str().unwrap().to_owned(), metrics)
        })
        .collect()
}

fn mean(metrics: &Value, metric: &str) -> f64 {
    metrics[metric]["mean"].as_f64().unwrap_or_else(|| panic!("no {metric} in {metrics}"))
}

fn is(value: f64, expected: f64) -> bool {
    (value - expected).abs() < 1e-12
}

// Segmentation.

#[test]
fn a_baseline_without_vectors_needs_no_model() {
    let ran = place().run(&[
        "evaluate",
        "segmentation",
        "--gold",
        "gold.jsonl",
        "--baseline",
        "none",
        "--json",
    ]);
    let (name, metrics) = &runs(&ran)[0];
    assert_eq!(name, "none");
    // Windows of two gaps: of the seven in `a` four hold a boundary, of the two in `b` both.
    assert!(is(mean(metrics, "pk"), f64::midpoint(4.0 / 7.0, 1.0)), "{metrics}");
    assert!(is(mean(metrics, "f1@2"), 0.0) && is(mean(metrics, "segments"), 1.0));
    assert_eq!(metrics["pk"]["count"], 2);
    assert!(is(metrics["pk"]["sd"].as_f64().unwrap(), 1.5 / 7.0));
}

#[test]
fn predictions_are_scored() {
    let place = place();
    place.write(
        "mine.jsonl",
        "{\"id\": \"b\", \"segments\": [2, 2]}\n{\"id\": \"a\", \"segments\": [3, 3, 3]}\n",
    );
    let ran = place.run(&[
        "evaluate",
        "segmentation",
        "--gold",
        "gold.jsonl",
        "--predictions",
        "mine.jsonl",
        "--json",
    ]);
    let (name, metrics) = &runs(&ran)[0];
    assert_eq!(name, "mine");
    assert!(is(mean(metrics, "pk"), 0.0) && is(mean(metrics, "boundary_similarity"), 1.0));
    place.write(
        "mine.jsonl",
        "{\"id\": \"b\", \"segments\": [2, 2]}\n{\"id\": \"a\", \"segments\": [3, 3]}\n",
    );
    let ran = place.run(&[
        "evaluate",
        "segmentation",
        "--gold",
        "gold.jsonl",
        "--predictions",
        "mine.jsonl",
    ]);
    check_fails(&ran, DATA, &["mine.jsonl:2", "6 units", "9"]);
}

#[test]
fn the_command_gives_what_the_library_gives() {
    let place = place();
    let known = place.tiny(&[
        "evaluate",
        "segmentation",
        "--gold",
        "gold.jsonl",
        "--known-segments",
        "--json",
    ]);
    let (name, metrics) = &runs(&known)[0];
    assert_eq!(name, "preset=topics known-segments");
    assert!(is(mean(metrics, "segments"), 2.5), "{metrics}");

    let model = support::load(&support::golden("tiny"), Backend::Native, support::ONE_BATCH);
    let gold = read_gold(&place.path("gold.jsonl")).unwrap();
    let options = EmbedOptions::default();
    let spec = Preset::Topics.spec();
    let mut expected = Vec::new();
    for document in &gold {
        let read = Document::with_units(
            &model,
            &document.text,
            &document.units,
            Encoding::Isolated,
            &options,
        )
        .unwrap();
        let segments = Segments::Count(document.segments.len());
        let cuts = read.cut(&model, &ChunkSpec { segments, ..spec }).unwrap();
        let mut start = 0;
        let found: Vec<usize> =
            cuts.ends.iter().map(|&end| end - std::mem::replace(&mut start, end)).collect();
        expected.push(pk(&document.segments, &found));
    }
    assert!(is(mean(metrics, "pk"), expected.iter().sum::<f64>() / 2.0), "{metrics} {expected:?}");
}

#[test]
fn vectors_without_a_model_are_refused() {
    let place = place();
    let gold = read_gold(&place.path("gold.jsonl")).unwrap();
    let evaluate = |segmenter: Segmenter| {
        let segmenters = [("x".to_owned(), segmenter)];
        evaluate_segmentation(
            None,
            "set",
            &gold,
            &segmenters,
            &EmbedOptions::default(),
            &mut |_, _| {},
        )
    };
    assert!(evaluate(Segmenter::Baseline(Baseline::Texttiling)).is_ok());
    let error = evaluate(Segmenter::Spec(Preset::Topics.spec())).unwrap_err();
    assert!(error.to_string().contains("no model"), "{error}");
}

#[test]
fn bad_data_name_file_and_line_and_files_are_not_replaced() {
    let place = place();
    let evaluate = ["evaluate", "segmentation", "--baseline", "none", "--gold"];
    check_fails(&place.run(&[&evaluate[..], &["absent"]].concat()), NO_INPUT, &["absent"]);
    place.write("bad.jsonl", format!("{GOLD}{{\"id\": \"c\", \"units\": [\"x\"]}}\n"));
    let ran = place.run(&[&evaluate[..], &["bad.jsonl"]].concat());
    check_fails(&ran, DATA, &["bad.jsonl:3", "`segments`"]);
    place.write("r.parquet", "mine");
    for flag in ["--results", "--report"] {
        let ran = place.run(&[&evaluate[..], &["gold.jsonl", flag, "r.parquet"]].concat());
        check_fails(&ran, CANNOT_CREATE, &["r.parquet", "--force"]);
    }
    assert_eq!(place.read("r.parquet"), b"mine");
    let ran = place.run(&[&evaluate[..], &["gold.jsonl", "--known-segments"]].concat());
    check_fails(&ran, USAGE, &["--known-segments"]);
}

#[test]
fn documents_that_are_left_out_are_counted() {
    let overlapping = [
        r#"{"id": "x", "turns": ["A: x"], "boundaries": [], "#,
        r#""spans_non_overlapping": false}"#,
    ];
    let place =
        Place::with("gold.jsonl", format!("{0}{1}{0}\n", overlapping.concat() + "\n", GOLD));
    let ran =
        place.run(&["evaluate", "segmentation", "--gold", "gold.jsonl", "--baseline", "none"]);
    ran.output();
    let warned: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("left out")).collect();
    assert_eq!(warned.len(), 1, "{}", ran.stderr);
    let warned: Value = serde_json::from_str(warned[0]).unwrap();
    assert_eq!((&warned["left_out"], &warned["read"]), (&json!(2), &json!(2)), "{warned}");
}

#[test]
fn choices_that_would_have_no_effect_are_refused() {
    let place = place();
    place.write("specs.yaml", "- {method: cvs}\n- {method: sentence}\n");
    let segmentation = &["evaluate", "segmentation", "--gold", "gold.jsonl"][..];
    let retrieval = &["evaluate", "retrieval", "--corpus", "absent"][..];
    let sweep = &["evaluate", "sweep", "--gold", "gold.jsonl", "--known-segments"][..];
    for (command, flags, parts) in [
        (retrieval, &["--whole", "--preset", "fixed"][..], &["--whole", "--preset"][..]),
        (retrieval, &["--max-tokens", "40", "--whole"], &["--whole", "--max-tokens"]),
        (segmentation, &["--baseline", "none", "--window", "3"], &["--baseline", "--window"]),
        (
            segmentation,
            &["--predictions", "gold.jsonl", "--preset", "fixed"],
            &["--predictions", "--preset"],
        ),
        (
            segmentation,
            &["--known-segments", "--method", "sentence"],
            &["--known-segments", "kcpd, cvs, cluster and window", "not sentence"],
        ),
        (segmentation, &["--known-segments", "--preset", "fixed"], &["not fixed"]),
        (sweep, &["--preset", "recursive"], &["not recursive"]),
        (sweep, &["specs.yaml"], &["not sentence"]),
    ] {
        check_fails(&place.tiny(&[command, flags].concat()), USAGE, parts);
    }
}

// Sweeps and comparisons.

#[test]
fn a_sweep_ranks_runs_that_equal_those_run_alone() {
    let place = place();
    place.write(
        "specs.yaml",
        "- {preset: topics, segments: [2, 3]}\n- {name: late, method: cvs, encoding: late}\n\
         - {name: default}\n",
    );
    let sweep =
        ["evaluate", "sweep", "specs.yaml", "--gold", "gold.jsonl", "--baseline", "none,langchain"];
    let ran = place
        .tiny(&[&sweep[..], &["--json", "--results", "s.parquet", "--report", "s.html"]].concat());
    let found = runs(&ran);
    let mut names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let order: Vec<f64> = found.iter().map(|(_, metrics)| mean(metrics, "pk")).collect();
    assert!(order.is_sorted(), "{order:?}");
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "default",
            "langchain:percentile",
            "late",
            "none",
            "preset=topics segments=2",
            "preset=topics segments=3",
        ]
    );
    for (name, flags) in [
        ("preset=topics segments=3", &["--segments", "3"][..]),
        ("langchain:percentile", &["--baseline", "langchain"]),
        ("late", &["--method", "cvs", "--encoding", "late"]),
        ("default", &[]),
    ] {
        let alone = place.tiny(
            &[&["evaluate", "segmentation", "--gold", "gold.jsonl", "--json"], flags].concat(),
        );
        let of_sweep = &found.iter().find(|(other, _)| other == name).unwrap().1;
        assert_eq!(&runs(&alone)[0].1, of_sweep, "{name}");
    }

    let page = String::from_utf8(place.read("s.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<svg"));
    place
        .tiny(&[&sweep[..], &["--json", "--results", "t.parquet", "--report", "t.html"]].concat())
        .output();
    assert_eq!(place.read("t.html"), place.read("s.html"));

    let compare = ["evaluate", "compare", "s.parquet", "t.parquet"];
    check_fails(&place.run(&compare), USAGE, &["--before-run", "`none`", "`late`"]);
    let same = [&compare[..], &["--before-run", "none", "--after-run", "none", "--json"]].concat();
    let same: Vec<Value> = serde_json::from_str(place.run(&same).text()).unwrap();
    assert_eq!(same.len(), 5);
    for row in &same {
        assert_eq!(row["difference"], json!({"count": 2, "mean": 0.0, "low": 0.0, "high": 0.0}));
    }
    let other =
        [&compare[..], &["--before-run", "none", "--after-run", "preset=topics segments=2"]]
            .concat();
    let other = place.run(&other);
    let line = other.text().lines().find(|line| line.starts_with("segments")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, ["segments", "1.0", "2.0", "1.0", "1.0", "to", "1.0", "*", "2"]);
}

#[test]
fn runs_on_different_data_sets_are_not_compared() {
    let place = place();
    place.write("other.jsonl", GOLD);
    for set in ["gold", "other"] {
        let (gold, results) = (format!("{set}.jsonl"), format!("{set}.parquet"));
        let evaluate = ["evaluate", "segmentation", "--baseline", "none", "--gold", &gold];
        place.run(&[&evaluate[..], &["--results", &results]].concat()).output();
    }
    let ran = place.run(&["evaluate", "compare", "gold.parquet", "other.parquet"]);
    check_fails(&ran, DATA, &["`gold`", "`other`"]);
    let both: Vec<Run> = ["gold.parquet", "other.parquet"]
        .into_iter()
        .flat_map(|name| read_runs(&place.path(name)).unwrap())
        .collect();
    write_runs(Destination::file(&place.path("both.parquet"), false).unwrap(), &both).unwrap();
    for flags in [&[][..], &["--before-run", "none"]] {
        let compare = ["evaluate", "compare", "both.parquet", "gold.parquet"];
        let ran = place.run(&[&compare[..], flags].concat());
        check_fails(&ran, USAGE, &["`none`", "several data sets", "`gold`, `other`"]);
    }
}

#[test]
fn a_sweep_is_refused_before_it_runs() {
    let place = place();
    let ran = place.tiny(&[
        "evaluate",
        "sweep",
        "--preset",
        "topics",
        "--gold",
        "gold.jsonl",
        "--sort",
        "iou",
    ]);
    check_fails(&ran, USAGE, &["--sort", "iou", "boundary_similarity"]);
    let ran = place.tiny(&["evaluate", "sweep", "--preset", "topics"]);
    check_fails(&ran, USAGE, &["--gold"]);
    let same = ["--report", "same", "--results", "same"];
    let gold = ["evaluate", "sweep", "--preset", "topics", "--gold", "gold.jsonl"];
    check_fails(&place.tiny(&[&gold[..], &same].concat()), USAGE, &["one file, same"]);
    place.write("specs.yaml", "- {penality: 3}\n");
    let ran = place.tiny(&["evaluate", "sweep", "specs.yaml", "--gold", "gold.jsonl"]);
    check_fails(&ran, DATA, &["specs.yaml", "entry 1", "penality"]);
}

#[test]
fn no_two_runs_of_a_sweep_have_one_name() {
    let place = place();
    place.write("specs.yaml", "- {name: none, window: 3}\n- {preset: fixed}\n");
    for (flags, name) in [
        (&["--preset", "fixed,fixed"][..], "`preset=fixed`"),
        (&["specs.yaml", "--preset", "fixed"], "`preset=fixed`"),
        (&["specs.yaml", "--baseline", "none"], "`none`"),
        (&["--baseline", "langchain,langchain:percentile"], "`langchain:percentile`"),
    ] {
        let ran = place.tiny(&[&["evaluate", "sweep", "--gold", "absent"], flags].concat());
        check_fails(&ran, USAGE, &[name]);
    }
}

// Retrieval.

/// Two documents that are one chunk each, and two questions on the first.
fn excerpts() -> Place {
    let place = Place::with("set/corpora/a.md", "The cat sat on the mat.");
    place.write("set/corpora/b.md", "Größe ist alles.");
    place.write(
        "set/questions_df.csv",
        concat!(
            "question,references,corpus_id\n",
            "\"Who, then?\",\"[{\"\"content\"\": \"\"cat\"\", \"\"start_index\"\": 4, \"\"end_index\"\": 7}]\",a\n",
            "What?,\"[{\"\"content\"\": \"\"Größe\"\", \"\"start_index\"\": 0, \"\"end_index\"\": 5}]\",b\n",
        ),
    );
    place
}

#[test]
fn excerpts_are_scored_in_code_points() {
    // Both chunks are retrieved: what they are like does not matter.
    let ran = excerpts().tiny(&[
        "evaluate",
        "retrieval",
        "--corpus",
        "set",
        "--max-tokens",
        "40",
        "--json",
    ]);
    let (_, metrics) = &runs(&ran)[0];
    // 23 and 16 code points, 3 and 5 of them gold.
    let expected = [
        ("recall@5", 1.0),
        ("precision@5", f64::midpoint(3.0 / 39.0, 5.0 / 39.0)),
        ("precision_omega", f64::midpoint(3.0 / 23.0, 5.0 / 16.0)),
        ("iou@5", f64::midpoint(3.0 / 39.0, 5.0 / 39.0)),
        ("hit@5", 1.0),
    ];
    for (metric, value) in expected {
        assert!(is(mean(metrics, metric), value), "{metric}: {metrics}");
    }
    assert_eq!(metrics["chunk_tokens"]["count"], 2);
    assert_eq!(metrics["recall@5"]["count"], 2);
}

#[test]
fn a_question_finds_its_own_document() {
    let place = Place::with(
        "set/corpus.jsonl",
        concat!(
            r#"{"_id": "1", "title": "", "text": "The cat sat on the mat. A cat ran. The cat sat on a cat."}"#,
            "\n",
            r#"{"_id": "2", "title": "", "text": "A bird in the hand."}"#,
            "\n",
            r#"{"_id": "3", "title": "Stars", "text": "are far away. The cat sat."}"#,
            "\n",
        ),
    );
    place.write("set/queries.jsonl", "{\"_id\": \"q\", \"text\": \"A bird in the hand.\"}\n{\"_id\": \"r\", \"text\": \"Stars are far away. The cat sat.\"}\n");
    place.write("set/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\t2\t1\nr\t3\t1\n");
    let evaluate = ["evaluate", "retrieval", "--corpus", "set", "--json"];
    let whole = place.tiny(&evaluate);
    let (name, metrics) = &runs(&whole)[0];
    assert_eq!(name, "whole");
    for metric in ["ndcg@10", "recall@100", "mrr@10"] {
        assert!(is(mean(metrics, metric), 1.0), "{metrics}");
    }
    assert_eq!(metrics["chunk_tokens"]["count"], 3);
    let cut = place.tiny(&[&evaluate[..], &["--preset", "fixed", "--max-tokens", "16"]].concat());
    let (name, metrics) = &runs(&cut)[0];
    assert_eq!(name, "max_tokens=16 preset=fixed");
    assert!(metrics["chunk_tokens"]["count"].as_u64().unwrap() > 3, "{metrics}");
    assert!(is(mean(metrics, "recall@100"), 1.0));
    // A document without text has no chunk to be found by.
    place.write(
        "set/corpus.jsonl",
        concat!(
            r#"{"_id": "1", "text": ""}"#,
            "\n",
            r#"{"_id": "2", "text": "A bird in the hand."}"#,
            "\n",
        ),
    );
    place.write("set/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\t1\t1\n");
    let empty = place.tiny(&[&evaluate[..], &["--preset", "fixed"]].concat());
    let metrics = &runs(&empty)[0].1;
    assert!(is(mean(metrics, "recall@100"), 0.0), "{metrics}");
    place.write("set/corpus.jsonl", r#"{"_id": "1", "text": ""}"#);
    let empty = place.tiny(&[&evaluate[..], &["--preset", "fixed"]].concat());
    let metrics = &runs(&empty)[0].1;
    assert_eq!(metrics["recall@100"]["count"], 1);
    assert!(is(mean(metrics, "ndcg@10"), 0.0), "{metrics}");
    place.write("set/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\t9\t1\n");
    check_fails(&place.tiny(&evaluate), DATA, &["test.tsv:2", "`9`"]);
}

#[test]
fn specifications_that_share_a_reading_give_what_each_gives_alone() {
    let place = excerpts();
    let text = "The cat sat on the mat. ".repeat(20)
        + &"Birds are in the house. Stars are far. ".repeat(15);
    place.write("set/corpora/c.txt", text);
    place.write("specs.json", r#"[{"preset": ["fixed", "retrieval"], "max_tokens": [24, 40], "piece_tokens": 20, "target_tokens": 20}]"#);
    let ran =
        place.tiny(&["evaluate", "sweep", "specs.json", "--corpus", "set", "--json", "-k", "2"]);
    let found = runs(&ran);
    assert_eq!(found.len(), 4);
    for (name, of_sweep) in &found {
        let flags: Vec<String> =
            name.split(' ').map(|choice| format!("--{}", choice.replace('_', "-"))).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let alone =
            [&["evaluate", "retrieval", "--corpus", "set", "--json", "-k", "2"], &flags[..]]
                .concat();
        assert_eq!(&runs(&place.tiny(&alone))[0].1, of_sweep, "{name}");
    }
}

#[test]
fn sizes_of_chunks_stand_beside_what_they_retrieve() {
    let place = excerpts();
    place.write("set/corpora/c.txt", "The cat sat on the mat. ".repeat(20));
    let sweep = ["evaluate", "sweep", "--preset", "fixed,recursive", "--corpus", "set"];
    let sweep = [&sweep[..], &["--results", "r.parquet"]].concat();
    let runs = runs(&place.tiny(&[&sweep[..], &["--json"]].concat()));
    let size = |name: &str| {
        let (_, metrics) = runs.iter().find(|(other, _)| other == name).unwrap();
        let tokens = &metrics["chunk_tokens"];
        let of = |part: &str| tokens[part].as_f64().unwrap();
        (tokens.clone(), format!("{:.1} ± {:.1}", of("mean"), of("sd")))
    };
    let (before, after) = ("preset=fixed", "preset=recursive");
    let ran = place.tiny(&[&sweep[..], &["--force"]].concat());
    for name in [before, after] {
        let line = ran.text().lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains(&size(name).1), "{line}");
    }
    let compare = ["evaluate", "compare", "r.parquet", "r.parquet", "--before-run", before];
    let compare = [&compare[..], &["--after-run", after]].concat();
    let line = format!("chunk_tokens, not paired: {} -> {}\n", size(before).1, size(after).1);
    let ran = place.run(&compare);
    assert!(ran.text().ends_with(&line), "{}", ran.text());
    let ran = place.run(&[&compare[..], &["--json"]].concat());
    let rows: Vec<Value> = serde_json::from_str(ran.text()).unwrap();
    let expected =
        json!({"metric": "chunk_tokens", "before": size(before).0, "after": size(after).0});
    assert_eq!(rows.last(), Some(&expected));
}

// Without a reference.

#[test]
fn chunks_are_judged_without_a_reference() {
    let place = Place::new();
    let text = "The cat sat on the mat. The cat ran. ".repeat(10)
        + &"Stars are far away. A star is hot. ".repeat(10);
    place.write("one.txt", text);
    place.write("short.txt", "A bird.");
    for method in ["cvs", "fixed", "sentence"] {
        let ran = place.tiny(&[
            "evaluate",
            "intrinsic",
            "one.txt",
            "short.txt",
            "--json",
            "--max-tokens",
            "32",
            "--method",
            method,
            "--encoding",
            "isolated",
        ]);
        let (_, metrics) = &runs(&ran)[0];
        for metric in ["cohesion", "separation", "silhouette"] {
            // The short text has no cut and no second unit.
            assert_eq!(metrics[metric]["count"], 1, "{method}: {metrics}");
        }
        assert!((0.0..=1.0).contains(&mean(metrics, "stability")), "{metrics}");
        // The only chunk of the short text is far below the target.
        let compliance = mean(metrics, "size_compliance");
        assert!(compliance > 0.25 && compliance <= 0.5, "{metrics}");
        assert_eq!(metrics["segments"]["count"], 2);
    }
    assert_eq!(place.names(), ["one.txt", "short.txt"]);
}

#[test]
fn an_id_that_stands_twice_is_refused() {
    let lines = ["a", "b", "a"].map(|id| format!("{{\"id\": \"{id}\", \"text\": \"A bird.\"}}\n"));
    let place = Place::with("in.jsonl", lines.concat());
    let ran = place.tiny(&["evaluate", "intrinsic", "in.jsonl"]);
    check_fails(&ran, DATA, &["document 3", "id `a` stands twice"]);
}
