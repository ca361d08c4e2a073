//! Judged retrieval is read as BEIR reads it and scored as pytrec_eval scores it
//! (`tests/golden/trec_cases.py`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use chunkflow::evaluation::datasets::{JudgedCorpus, read_beir};
use chunkflow::evaluation::{judged_scores, rank_documents};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::process::{Place, Ran, check_fails};
use crate::support;

const DATA: i32 = 65;

/// Documents and the queries on them.
#[derive(Deserialize)]
struct Cases {
    documents: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    query: String,
    judged: BTreeMap<String, i64>,
    /// Of the documents, in 1/64.
    scores: Vec<Option<i16>>,
    ndcg: f64,
    recall: f64,
    mrr: f64,
}

/// A number where the id is one, as many data sets write it.
fn id(name: &str) -> Value {
    name.parse::<u64>().map_or_else(|_| json!(name), |number| json!(number))
}

/// The cases in BEIR's layout, with every oddity that it reads over.
fn write(cases: &Cases, folder: &Path) -> JudgedCorpus {
    let mut corpus = String::from("{\"_id\": \"0\", \"text\": \"replaced below\"}\n");
    for name in &cases.documents {
        writeln!(corpus, "{}", json!({"_id": id(name), "title": null, "text": name})).unwrap();
    }
    let (mut queries, mut qrels) = (String::new(), String::from("query-id\tcorpus-id\tscore\n"));
    for case in &cases.cases {
        writeln!(queries, "{}", json!({"_id": id(&case.query), "text": case.query})).unwrap();
        for (document, gain) in &case.judged {
            let query = &case.query;
            writeln!(qrels, "{query}\t{document}\t3\n{query}\t{document}\t{gain}").unwrap();
        }
    }
    qrels += "nobody\t0\t1\n";
    fs::create_dir_all(folder.join("qrels")).unwrap();
    fs::write(folder.join("corpus.jsonl"), corpus).unwrap();
    fs::write(folder.join("queries.jsonl"), queries).unwrap();
    fs::write(folder.join("qrels/dev.tsv"), qrels).unwrap();
    read_beir(folder, Some("dev")).unwrap()
}

#[test]
fn figures_are_those_of_pytrec_eval() {
    let cases: Cases = support::json(&support::golden("trec.json"));
    let folder = tempfile::tempdir().unwrap();
    let corpus = write(&cases, folder.path());
    assert_eq!(corpus.documents.len(), cases.documents.len());
    assert_eq!((corpus.queries.len(), cases.cases.len()), (200, 200));
    // The first document that was read stands where its id first stood.
    let place = |name: &str| cases.documents.iter().position(|document| document == name);
    for (case, query) in cases.cases.iter().zip(&corpus.queries) {
        assert_eq!(query.id, case.query);
        let score = |name: &str| {
            let score = place(name).and_then(|place| case.scores[place]);
            score.map_or(f32::NEG_INFINITY, |score| f32::from(score) / 64.0)
        };
        let mut nearest: Vec<f32> =
            corpus.documents.iter().map(|document| score(&document.id)).collect();
        let ranked = rank_documents(&corpus.documents, query, &mut nearest);
        let found = judged_scores(query, &ranked);
        for (what, (found, expected)) in ["ndcg", "recall", "mrr"]
            .into_iter()
            .zip(found.into_iter().zip([case.ndcg, case.recall, case.mrr]))
        {
            assert!((found - expected).abs() < 1e-6, "{} {what}: {found} {expected}", case.query);
        }
    }
}

/// Three documents, and two queries that each are one of them, the first by its id too.
fn place() -> Place {
    let place = Place::with(
        "set/corpus.jsonl",
        concat!(
            "{\"_id\": 1, \"title\": null, \"text\": \"A bird in the hand.\"}\n",
            "{\"_id\": 2, \"title\": \"\", \"text\": \"A bird in the house.\"}\n",
            "{\"_id\": \"3\", \"title\": \"Stars\", \"text\": \"are far away.\"}\n",
        ),
    );
    place.write(
        "set/queries.jsonl",
        "{\"_id\": 1, \"text\": \"A bird in the hand.\"}\n{\"_id\": \"r\", \"text\": \"Stars are far away.\"}\n",
    );
    place
}

fn means(ran: &Ran) -> [f64; 3] {
    let found: Value = serde_json::from_str(ran.text()).unwrap();
    ["ndcg@10", "recall@100", "mrr@10"]
        .map(|metric| found[0]["metrics"][metric]["mean"].as_f64().unwrap())
}

/// Whether all figures are `value`.
fn are(ran: &Ran, value: f64) -> bool {
    means(ran).iter().all(|mean| (mean - value).abs() < 1e-12)
}

#[test]
fn a_query_does_not_find_itself() {
    let place = place();
    place.write("set/qrels/test.tsv", "1\t2\t1\n");
    let ran = place.tiny(&["evaluate", "retrieval", "--corpus", "set", "--json"]);
    assert!(are(&ran, 1.0));
    assert_eq!(ran.stderr, "");
    // Judged to be its own answer, it is one that is never found.
    place.write("set/qrels/test.tsv", "1\t1\t1\n");
    let ran = place.tiny(&["evaluate", "retrieval", "--corpus", "set", "--json"]);
    assert!(are(&ran, 0.0));
}

#[test]
fn what_a_data_set_lacks_or_has_twice_is_counted_in_a_warning() {
    let place = place();
    place.write("set/qrels/test.tsv", "r\t3\t1\nr\t8\t1\nr\t9\t1\nx\t3\t1\nr\t3\t1\n1\t2\t0\n");
    let ran = place.tiny(&["evaluate", "retrieval", "--corpus", "set", "--json"]);
    // One of three relevant documents is found, first, and one query of two.
    let [ndcg, recall, mrr] = means(&ran);
    let ideal = 1.0 + 1.0 / 3.0_f64.log2() + 0.5;
    assert!((ndcg - 0.5 / ideal).abs() < 1e-6 && (recall - 0.5 / 3.0).abs() < 1e-6);
    assert!((mrr - 0.5).abs() < 1e-6);
    for part in [
        "2 judged documents are not in the corpus",
        "1 judgements are of queries that are not there",
        "1 judgements are given again",
        "1 judged queries have no relevant document",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("stands again"), "{}", ran.stderr);
}

#[test]
fn a_split_is_chosen_by_name() {
    let place = place();
    place.write("set/qrels/test.tsv", "r\t3\t1\n");
    place.write("set/qrels/dev.tsv", "r\t2\t1\n");
    let evaluate = ["evaluate", "retrieval", "--corpus", "set", "--json"];
    assert!(are(&place.tiny(&evaluate), 1.0));
    let dev = place.tiny(&[&evaluate[..], &["--split", "dev"]].concat());
    assert!(means(&dev)[2] < 1.0);
    let none = place.tiny(&[&evaluate[..], &["--split", "train"]].concat());
    check_fails(&none, DATA, &["`train`", "there are dev, test"]);
    place.write("specs.yaml", "- {preset: fixed}\n");
    let sweep =
        ["evaluate", "sweep", "specs.yaml", "--corpus", "set", "--json", "--split", "train"];
    check_fails(&place.tiny(&sweep), DATA, &["`train`", "there are dev, test"]);
}

#[test]
fn excerpts_have_no_splits() {
    let place = Place::with("set/corpora/a.txt", "A bird in the hand.");
    place.write("set/questions_df.csv", "question,references,corpus_id\n");
    let ran = place.tiny(&["evaluate", "retrieval", "--corpus", "set", "--split", "test"]);
    check_fails(&ran, DATA, &["has no split `test`"]);
}
