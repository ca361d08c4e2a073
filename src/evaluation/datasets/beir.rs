//! BEIR's layout: `corpus.jsonl`, `queries*.jsonl`, and judgements as tab-separated values.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::corpus::{CorpusDocument, check_new, list_files};
use super::lines::lines;
use crate::evaluation::error::Error;
use crate::files::read_text;

/// Documents and judged queries.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedCorpus {
    /// The text of each is its title, a space, and its text.
    pub documents: Vec<CorpusDocument>,
    /// Those that have a relevant document.
    pub queries: Vec<JudgedQuery>,
}

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedQuery {
    /// As in the data set.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// Index of each document that is judged, with its finite gain, above 0 where it is relevant.
    pub judged: Vec<(usize, f64)>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    title: String,
    text: String,
}

/// Reads the folder `path`. Judgements are `qrels/test.tsv`, or else its only `qrels*.tsv`.
///
/// # Errors
/// When a file is missing or not as described, or no query has a relevant document.
pub fn read_beir(path: &Path) -> Result<JudgedCorpus, Error> {
    let documents: Vec<CorpusDocument> = read_records(&path.join("corpus.jsonl"))?
        .into_iter()
        .map(|Record { id, title, text }| {
            let text = if title.is_empty() { text } else { format!("{title} {text}") };
            CorpusDocument { id, text }
        })
        .collect();
    let queries = read_records(&one_of(path, "queries", ".jsonl")?)?;
    let test = path.join("qrels/test.tsv");
    let qrels = if test.is_file() { test } else { one_of(path, "qrels", ".tsv")? };
    let mut queries: Vec<JudgedQuery> = queries
        .into_iter()
        .map(|Record { id, text, .. }| JudgedQuery { id, text, judged: Vec::new() })
        .collect();
    read_judgements(&qrels, &documents, &mut queries)?;
    queries.retain(|query| query.judged.iter().any(|&(_, gain)| gain > 0.0));
    if queries.is_empty() {
        let problem = "no query has a relevant document".to_owned();
        return Err(Error::Data { place: qrels.display().to_string(), problem });
    }
    Ok(JudgedCorpus { documents, queries })
}

fn read_records(path: &Path) -> Result<Vec<Record>, Error> {
    let text = read_text(path)?;
    let mut seen = HashSet::new();
    let records = lines(path, &text).map(|line| {
        let record: Record = line.json()?;
        check_new(&mut seen, &record.id, &line.place)?;
        Ok(record)
    });
    records.collect()
}

/// The only file of `folder` whose name starts and ends so.
fn one_of(folder: &Path, start: &str, end: &str) -> Result<PathBuf, Error> {
    let mut found = list_files(folder, |name| name.starts_with(start) && name.ends_with(end))?;
    match (found.pop(), found.is_empty()) {
        (Some(file), true) => Ok(file),
        (file, _) => {
            let count = found.len() + usize::from(file.is_some());
            let problem = format!("{count} files {start}*{end}, one is needed");
            Err(Error::Data { place: folder.display().to_string(), problem })
        }
    }
}

/// Lines of query, document and gain; the first may be a header.
fn read_judgements(
    path: &Path,
    documents: &[CorpusDocument],
    queries: &mut [JudgedQuery],
) -> Result<(), Error> {
    let places = |ids: &mut dyn Iterator<Item = &String>| -> HashMap<String, usize> {
        ids.cloned().zip(0..).collect()
    };
    let document_places = places(&mut documents.iter().map(|document| &document.id));
    let query_places = places(&mut queries.iter().map(|query| &query.id));
    let text = read_text(path)?;
    for (index, line) in lines(path, &text).enumerate() {
        let fields: Vec<&str> = line.text.split('\t').map(str::trim).collect();
        let &[query, document, gain] = fields.as_slice() else {
            let problem = format!("{} fields, expected query, document and gain", fields.len());
            return Err(line.problem(problem));
        };
        let Ok(gain) = gain.parse::<f64>() else {
            if index == 0 {
                continue;
            }
            return Err(line.problem(format!("the gain `{gain}` is no number")));
        };
        if !gain.is_finite() {
            return Err(line.problem(format!("the gain {gain} is not finite")));
        }
        let Some(&at) = query_places.get(query) else {
            return Err(line.problem(format!("no query has the id `{query}`")));
        };
        let Some(&document) = document_places.get(document) else {
            return Err(line.problem(format!("no document has the id `{document}`")));
        };
        if queries[at].judged.iter().any(|&(other, _)| other == document) {
            return Err(line.problem("judged twice"));
        }
        queries[at].judged.push((document, gain));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{JudgedCorpus, read_beir};

    const CORPUS: &str = concat!(
        r#"{"_id": "d1", "title": "One", "text": "first"}"#,
        "\n",
        r#"{"_id": "d2", "title": "", "text": "second", "metadata": {}}"#,
        "\n",
    );
    const QUERIES: &str =
        "{\"_id\": \"q1\", \"text\": \"who?\"}\n{\"_id\": \"q2\", \"text\": \"what?\"}\n";

    fn read(files: &[(&str, &str)]) -> Result<JudgedCorpus, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        read_beir(folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn titles_go_before_texts_and_only_judged_queries_stay() {
        let qrels = "query-id\tcorpus-id\tscore\nq2\td2\t2\nq2\td1\t0\nq1\td1\t0\n";
        let found = read(&[
            ("corpus.jsonl", CORPUS),
            ("queries.jsonl", QUERIES),
            ("qrels/test.tsv", qrels),
        ])
        .unwrap();
        let texts: Vec<&str> = found.documents.iter().map(|d| d.text.as_str()).collect();
        assert_eq!(texts, ["One first", "second"]);
        assert_eq!(found.queries.len(), 1);
        assert_eq!(found.queries[0].id, "q2");
        assert_eq!(found.queries[0].judged, [(1, 2.0), (0, 0.0)]);
    }

    #[test]
    fn problems_name_file_and_line() {
        let with = |qrels: &str| {
            read(&[
                ("corpus.jsonl", CORPUS),
                ("queries.test.jsonl", QUERIES),
                ("qrels.test.tsv", qrels),
            ])
        };
        assert!(with("q1\td1\t1\n").is_ok());
        for (qrels, part) in [
            ("q1\td1\t1\nq1\td9\t1\n", "qrels.test.tsv:2: no document has the id `d9`"),
            ("q9\td1\t1\n", "qrels.test.tsv:1: no query has the id `q9`"),
            ("q1\td1\t1\nq1\td2\tmuch\n", "qrels.test.tsv:2: the gain `much`"),
            ("q1\td1\tinf\n", "qrels.test.tsv:1: the gain inf is not finite"),
            ("q1\td1\t1\nq1\td2\tNaN\n", "qrels.test.tsv:2: the gain NaN"),
            ("q1\td1\t1\n\nq1\td1\t1\n", "qrels.test.tsv:3: judged twice"),
            ("q1 d1 1\n", "qrels.test.tsv:1: 1 fields"),
            ("q1\td1\t0\n", "no query has a relevant document"),
        ] {
            let error = with(qrels).unwrap_err();
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
        let error = read(&[("corpus.jsonl", CORPUS)]).unwrap_err();
        assert!(error.contains("0 files queries*.jsonl"), "{error}");
        let error = read(&[("corpus.jsonl", "{\"_id\": \"d1\"}\n")]).unwrap_err();
        assert!(error.contains("corpus.jsonl:1") && error.contains("text"), "{error}");
    }
}
