//! BEIR's layout: `corpus.jsonl`, `queries*.jsonl`, and judgements as tab-separated values or in
//! TREC's columns, read as BEIR reads them.
//!
//! Invariant: what BEIR's figures count is counted. A judged document that the corpus lacks is one
//! that is not found, a judged query without a relevant document scores 0, of two lines with one id
//! the later holds; each is told in a warning, with its number.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use super::corpus::{CorpusDocument, list_files};
use super::lines::{Line, lines};
use crate::evaluation::error::Error;
use crate::files::read_text;

/// The split that is read where none is named, as BEIR's.
const TEST: &str = "test";
/// How names of files with queries end.
const QUERIES: &str = ".jsonl";
/// How names of files with judgements end: BEIR's and TREC's.
const JUDGEMENTS: [&str; 2] = [".tsv", ".txt"];

/// Documents and judged queries.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedCorpus {
    /// The text of each is its title, a space, and its text, without white space around them.
    pub documents: Vec<CorpusDocument>,
    /// Those that are judged.
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
    /// Gains of judged documents that the corpus lacks.
    pub absent: Vec<f64>,
}

impl JudgedQuery {
    /// The gains of all judged documents, in no order.
    pub(crate) fn gains(&self) -> impl Iterator<Item = f64> {
        self.judged.iter().map(|&(_, gain)| gain).chain(self.absent.iter().copied())
    }
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "_id", deserialize_with = "id")]
    id: String,
    #[serde(default)]
    title: Option<String>,
    text: String,
}

/// A line of judgements.
struct Judgement {
    query: String,
    document: String,
    gain: f64,
    place: String,
}

/// What data sets of users' have beyond what they should, by how often.
#[derive(Debug, Default, PartialEq)]
struct Oddities {
    repeated_documents: usize,
    repeated_queries: usize,
    repeated_judgements: usize,
    absent_documents: usize,
    absent_queries: usize,
    unanswered_queries: usize,
}

impl Oddities {
    fn warn(&self, folder: &Path) {
        let told = [
            (self.repeated_documents, "documents have an id that stands again: the last holds"),
            (self.repeated_queries, "queries have an id that stands again: the last holds"),
            (self.repeated_judgements, "judgements are given again: the last holds"),
            (self.absent_documents, "judged documents are not in the corpus: they count as missed"),
            (
                self.absent_queries,
                "judgements are of queries that are not there: they are left out",
            ),
            (self.unanswered_queries, "judged queries have no relevant document: they score 0"),
        ];
        for (count, what) in told.into_iter().filter(|&(count, _)| count > 0) {
            tracing::warn!(corpus = %folder.display(), "{count} {what}");
        }
    }
}

/// Reads the folder `path`. The judgements of `split` are `qrels/SPLIT.tsv` or `qrels.SPLIT.tsv`;
/// where none is named, those of `test`, or else the only ones. The queries are `queries.jsonl`,
/// `queries.SPLIT.jsonl`, or else the only `queries*.jsonl`. What the data set has beyond what it
/// should is told in warnings.
///
/// # Errors
/// When a file is missing or not as described, no judged query or document is there, or no query
/// has a relevant document.
pub fn read_beir(path: &Path, split: Option<&str>) -> Result<JudgedCorpus, Error> {
    let (corpus, oddities) = read(path, split)?;
    oddities.warn(path);
    Ok(corpus)
}

fn read(path: &Path, split: Option<&str>) -> Result<(JudgedCorpus, Oddities), Error> {
    let mut oddities = Oddities::default();
    let (records, repeated) = read_records(&path.join("corpus.jsonl"))?;
    oddities.repeated_documents = repeated;
    let documents = records.into_iter().map(|Record { id, title, text }| {
        let whole = format!("{} {text}", title.unwrap_or_default());
        CorpusDocument { id, text: whole.trim().to_owned() }
    });
    let documents: Vec<CorpusDocument> = documents.collect();
    let (records, repeated) = read_records(&queries_of(path, split)?)?;
    oddities.repeated_queries = repeated;
    let qrels = judgements_of(path, split)?;
    let queries = records.into_iter().map(|Record { id, text, .. }| JudgedQuery {
        id,
        text,
        judged: Vec::new(),
        absent: Vec::new(),
    });
    let mut queries: Vec<JudgedQuery> = queries.collect();
    join(read_judgements(&qrels)?, &documents, &mut queries, &mut oddities)?;
    queries.retain(|query| query.gains().next().is_some());
    let is_unanswered = |query: &&JudgedQuery| query.gains().all(|gain| gain <= 0.0);
    oddities.unanswered_queries = queries.iter().filter(is_unanswered).count();
    if oddities.unanswered_queries == queries.len() {
        let problem = "no query has a relevant document".to_owned();
        return Err(Error::Data { place: qrels.display().to_string(), problem });
    }
    Ok((JudgedCorpus { documents, queries }, oddities))
}

/// The records of a file, each where its id first stands, and how many ids stand again.
fn read_records(path: &Path) -> Result<(Vec<Record>, usize), Error> {
    let text = read_text(path)?;
    let (mut records, mut places) = (Vec::new(), HashMap::new());
    let mut repeated = 0;
    for line in lines(path, &text) {
        let record: Record = line.json()?;
        match places.entry(record.id.clone()) {
            Entry::Vacant(place) => {
                place.insert(records.len());
                records.push(record);
            }
            Entry::Occupied(place) => {
                records[*place.get()] = record;
                repeated += 1;
            }
        }
    }
    Ok((records, repeated))
}

/// An id: a string, or a whole number as it is written.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Id;

    impl Visitor<'_> for Id {
        type Value = String;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a string or a whole number")
        }

        fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<String, E> {
            Ok(value.to_owned())
        }

        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<String, E> {
            Ok(value.to_string())
        }

        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<String, E> {
            Ok(value.to_string())
        }
    }
    deserializer.deserialize_any(Id)
}

/// The file with the queries.
fn queries_of(folder: &Path, split: Option<&str>) -> Result<PathBuf, Error> {
    let own = format!("queries.{}.jsonl", split.unwrap_or(TEST));
    let named = ["queries.jsonl", &own].map(|name| folder.join(name));
    if let Some(file) = named.into_iter().find(|file| file.is_file()) {
        return Ok(file);
    }
    let is_one = |name: &str| name.starts_with("queries") && name.ends_with(QUERIES);
    let found = list_files(folder, is_one)?;
    match <[PathBuf; 1]>::try_from(found) {
        Ok([file]) => Ok(file),
        Err(found) => {
            let problem = format!("{} files queries*.jsonl, one is needed", found.len());
            Err(Error::Data { place: folder.display().to_string(), problem })
        }
    }
}

/// The file with the judgements of a split.
fn judgements_of(folder: &Path, split: Option<&str>) -> Result<PathBuf, Error> {
    let has_end = |name: &str| JUDGEMENTS.iter().any(|end| name.ends_with(end));
    let qrels = folder.join("qrels");
    let mut found = Vec::new();
    if qrels.is_dir() {
        found.extend(list_files(&qrels, has_end)?);
    }
    found.extend(list_files(folder, |name| name.starts_with("qrels") && has_end(name))?);
    let wanted = split.unwrap_or(TEST);
    if let Some(file) = found.iter().find(|file| split_of(file) == wanted) {
        return Ok(file.clone());
    }
    match (split, found.as_slice()) {
        (None, [file]) => Ok(file.clone()),
        (_, found) => {
            let splits: Vec<String> = found.iter().map(|file| split_of(file)).collect();
            let there = match splits.as_slice() {
                [] => "there are none, as qrels/test.tsv or qrels*.tsv".to_owned(),
                splits => format!("there are {}, to choose by --split", splits.join(", ")),
            };
            let problem = format!("no judgements of the split `{wanted}`: {there}");
            Err(Error::Data { place: folder.display().to_string(), problem })
        }
    }
}

/// The split that a file's name tells: `dev` of `dev.tsv` and of `qrels.dev.tsv`.
fn split_of(file: &Path) -> String {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let own = name.strip_prefix("qrels").map(|rest| rest.trim_start_matches(['.', '-', '_']));
    own.unwrap_or(&name).to_owned()
}

/// A line of judgements: query, document and gain; TREC has a column between the first two.
fn fields<'a>(line: &Line<'a>) -> Result<[Cow<'a, str>; 3], Error> {
    let columns = |text: &'a str| -> Vec<Cow<'a, str>> {
        text.split('\t').map(|field| unquoted(field.trim())).collect()
    };
    let mut found = columns(line.text);
    let is_plain = found.len() == 1;
    let words = || line.text.split_whitespace().map(Cow::Borrowed).collect::<Vec<_>>();
    if let Some(words) = is_plain.then(words).filter(|words| words.len() == 4) {
        found = words;
    }
    match <[Cow<'a, str>; 3]>::try_from(found) {
        Ok(fields) => Ok(fields),
        Err(found) => match <[Cow<'a, str>; 4]>::try_from(found) {
            Ok([query, _, document, gain]) => Ok([query, document, gain]),
            Err(found) => {
                let problem = "expected query, document and gain, or TREC's four columns";
                Err(line.problem(format!("{} fields, {problem}", found.len())))
            }
        },
    }
}

/// A field without the quotes around it, as Python's csv reads it.
fn unquoted(field: &str) -> Cow<'_, str> {
    let inner = field.strip_prefix('"').and_then(|field| field.strip_suffix('"'));
    inner.map_or(Cow::Borrowed(field), |inner| Cow::Owned(inner.replace("\"\"", "\"")))
}

/// Reads lines of query, document and gain; the first may be a header.
fn read_judgements(path: &Path) -> Result<Vec<Judgement>, Error> {
    let text = read_text(path)?;
    let mut judgements = Vec::new();
    for (index, line) in lines(path, &text).enumerate() {
        let [query, document, gain] = fields(&line)?;
        match gain.parse::<f64>() {
            Ok(gain) if gain.is_finite() => {
                let (query, document) = (query.into_owned(), document.into_owned());
                judgements.push(Judgement { query, document, gain, place: line.place });
            }
            Ok(gain) => return Err(line.problem(format!("the gain {gain} is not finite"))),
            Err(_) if index == 0 => {}
            Err(_) => return Err(line.problem(format!("the gain `{gain}` is no number"))),
        }
    }
    Ok(judgements)
}

/// Gives each query its judgements, in their order.
///
/// # Errors
/// When not one is of a query and a document that are there: they are of another data set.
fn join(
    judgements: Vec<Judgement>,
    documents: &[CorpusDocument],
    queries: &mut [JudgedQuery],
    oddities: &mut Oddities,
) -> Result<(), Error> {
    let documents: HashMap<&str, usize> =
        documents.iter().map(|document| document.id.as_str()).zip(0..).collect();
    let places: HashMap<String, usize> =
        queries.iter().map(|query| query.id.clone()).zip(0..).collect();
    let mut last: HashMap<(usize, String), f64> = HashMap::new();
    let mut order = Vec::new();
    let mut unknown = None;
    for Judgement { query, document, gain, place } in judgements {
        let Some(&at) = places.get(&query) else {
            oddities.absent_queries += 1;
            unknown.get_or_insert((place, format!("no query has the id `{query}`")));
            continue;
        };
        if !documents.contains_key(document.as_str()) {
            unknown.get_or_insert((place, format!("no document has the id `{document}`")));
        }
        match last.insert((at, document.clone()), gain) {
            None => order.push((at, document)),
            Some(_) => oddities.repeated_judgements += 1,
        }
    }
    for key in order {
        let (gain, query) = (last[&key], &mut queries[key.0]);
        match documents.get(key.1.as_str()) {
            Some(&document) => query.judged.push((document, gain)),
            None => query.absent.push(gain),
        }
    }
    oddities.absent_documents = queries.iter().map(|query| query.absent.len()).sum();
    let has_none = queries.iter().all(|query| query.judged.is_empty());
    match unknown.filter(|_| has_none) {
        Some((place, problem)) => {
            Err(Error::Data { place, problem: format!("{problem}, and no judgement fits") })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{JudgedCorpus, Oddities};

    const CORPUS: &str = concat!(
        r#"{"_id": "d1", "title": "One", "text": "first"}"#,
        "\n",
        r#"{"_id": "d2", "title": "", "text": "second", "metadata": {}}"#,
        "\n",
    );
    const QUERIES: &str =
        "{\"_id\": \"q1\", \"text\": \"who?\"}\n{\"_id\": \"q2\", \"text\": \"what?\"}\n";

    fn read_split(
        files: &[(&str, &str)],
        split: Option<&str>,
    ) -> Result<(JudgedCorpus, Oddities), String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        super::read(folder.path(), split).map_err(|error| error.to_string())
    }

    fn read(files: &[(&str, &str)]) -> Result<JudgedCorpus, String> {
        read_split(files, None).map(|(corpus, _)| corpus)
    }

    #[test]
    fn titles_go_before_texts_and_only_judged_queries_stay() {
        let qrels = "query-id\tcorpus-id\tscore\nq2\td2\t2\nq2\td1\t0\nq3\td1\t1\n";
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
    fn records_are_read_as_beir_reads_them() {
        let qrels = "7\t1\t1\n";
        for (record, id, text) in [
            (r#"{"_id": 1, "title": null, "text": "one"}"#, "1", "one"),
            (r#"{"_id": 1, "text": "one"}"#, "1", "one"),
            (r#"{"_id": "1", "title": " A ", "text": "\tone\n"}"#, "1", "A  \tone"),
            (r#"{"_id": "1", "title": "A", "text": ""}"#, "1", "A"),
            (r#"{"_id": 18446744073709551615, "text": "one"}"#, "18446744073709551615", "one"),
            (r#"{"_id": -1, "text": "one"}"#, "-1", "one"),
        ] {
            let corpus = format!("{{\"_id\": 1, \"text\": \"first\"}}\n{record}\n");
            let queries = "{\"_id\": 7, \"text\": \"who?\"}\n";
            let files = [
                ("corpus.jsonl", corpus.as_str()),
                ("queries.jsonl", queries),
                ("qrels.tsv", qrels),
            ];
            let found = read(&files).unwrap();
            let last = found.documents.last().unwrap();
            assert_eq!((last.id.as_str(), last.text.as_str()), (id, text), "{record}");
            assert_eq!(found.queries[0].judged, [(0, 1.0)], "{record}");
        }
        for id in ["null", "1.5", "1.0", "true", "[1]", "18446744073709551616"] {
            let corpus = format!("{{\"_id\": {id}, \"text\": \"one\"}}\n");
            let error = read(&[("corpus.jsonl", &corpus)]).unwrap_err();
            let parts = ["corpus.jsonl:1", "expected a string or a whole number"];
            assert!(parts.iter().all(|part| error.contains(part)), "{id}: {error}");
        }
    }

    #[test]
    fn judgements_are_read_in_both_forms_and_the_last_holds() {
        // What of q1 and q2 is judged of d1, d2 and of what the corpus lacks.
        type Gains<'a> = (&'a [(usize, f64)], &'a [f64]);
        let nothing = Oddities::default;
        let cases: [(&str, [Gains<'_>; 2], Oddities); 11] = [
            ("q1\td1\t1\n", [(&[(0, 1.0)], &[]), (&[], &[])], nothing()),
            ("q1 0 d1 1\n", [(&[(0, 1.0)], &[]), (&[], &[])], nothing()),
            ("q1\t0\td1\t1\n", [(&[(0, 1.0)], &[]), (&[], &[])], nothing()),
            ("qid 0 doc rel\nq2  0  d2  3\n", [(&[], &[]), (&[(1, 3.0)], &[])], nothing()),
            ("\"q1\"\t\"d1\"\t\"1\"\n", [(&[(0, 1.0)], &[]), (&[], &[])], nothing()),
            (
                "q1\td1\t1.5\r\n\nq1\td2\t-1\r\n",
                [(&[(0, 1.5), (1, -1.0)], &[]), (&[], &[])],
                nothing(),
            ),
            (
                "q1\td1\t1\nq1\td2\t1\nq1\td1\t0\n",
                [(&[(0, 0.0), (1, 1.0)], &[]), (&[], &[])],
                Oddities { repeated_judgements: 1, ..nothing() },
            ),
            (
                "q1\td1\t1\nq1\td9\t2\nq1\td9\t3\n",
                [(&[(0, 1.0)], &[3.0]), (&[], &[])],
                Oddities { absent_documents: 1, repeated_judgements: 1, ..nothing() },
            ),
            (
                "q1\td1\t1\nq8\td1\t2\nq9\td1\t2\n",
                [(&[(0, 1.0)], &[]), (&[], &[])],
                Oddities { absent_queries: 2, ..nothing() },
            ),
            (
                "q1\td1\t1\nq2\td1\t0\n",
                [(&[(0, 1.0)], &[]), (&[(0, 0.0)], &[])],
                Oddities { unanswered_queries: 1, ..nothing() },
            ),
            (
                "q1\td1\t1\nq2\td9\t1\n",
                [(&[(0, 1.0)], &[]), (&[], &[1.0])],
                Oddities { absent_documents: 1, ..nothing() },
            ),
        ];
        for (qrels, expected, oddities) in cases {
            let files =
                [("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES), ("qrels/test.tsv", qrels)];
            let (found, counted) = read_split(&files, None).unwrap();
            for (id, (judged, absent)) in ["q1", "q2"].into_iter().zip(expected) {
                let query = found.queries.iter().find(|query| query.id == id);
                let own = query.map_or((&[][..], &[][..]), |query| (&query.judged, &query.absent));
                assert_eq!(own, (judged, absent), "{qrels:?}: {id}");
            }
            assert_eq!(counted, oddities, "{qrels:?}");
        }
    }

    #[test]
    fn ids_that_stand_again_replace_what_stood_there() {
        let corpus = format!("{CORPUS}{{\"_id\": \"d1\", \"text\": \"newer\"}}\n");
        let queries = format!("{QUERIES}{{\"_id\": \"q1\", \"text\": \"newer?\"}}\n").repeat(2);
        let files = [
            ("corpus.jsonl", corpus.as_str()),
            ("queries.jsonl", queries.as_str()),
            ("qrels.tsv", "q1\td2\t1\n"),
        ];
        let (found, oddities) = read_split(&files, None).unwrap();
        let texts: Vec<&str> = found.documents.iter().map(|d| d.text.as_str()).collect();
        assert_eq!(texts, ["newer", "second"]);
        assert_eq!(found.queries[0].text, "newer?");
        let expected =
            Oddities { repeated_documents: 1, repeated_queries: 4, ..Oddities::default() };
        assert_eq!(oddities, expected);
    }

    #[test]
    fn a_split_is_found_by_its_name() {
        let (test, dev) = ("q1\td1\t1\n", "q2\td2\t1\n");
        let of = |names: &[(&str, &str)], split: Option<&str>| {
            let files = [&[("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES)], names].concat();
            read_split(&files, split).map(|(corpus, _)| corpus.queries[0].id.clone())
        };
        let folder = [("qrels/test.tsv", test), ("qrels/dev.tsv", dev)];
        let trec = [("qrels/test.tsv", test), ("qrels/dev.txt", "q2 0 d2 1\n")];
        let beside = [("qrels.test.tsv", test), ("qrels-dev.tsv", dev)];
        for files in [folder, trec, beside] {
            assert_eq!(of(&files, None).unwrap(), "q1", "{files:?}");
            assert_eq!(of(&files, Some("test")).unwrap(), "q1", "{files:?}");
            assert_eq!(of(&files, Some("dev")).unwrap(), "q2", "{files:?}");
            let error = of(&files, Some("train")).unwrap_err();
            let parts = ["`train`", "dev", "test", "--split"];
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        assert_eq!(of(&[("qrels/dev.tsv", dev)], None).unwrap(), "q2");
        let error = of(&[("qrels/dev.tsv", dev), ("qrels/train.tsv", test)], None).unwrap_err();
        assert!(error.contains("dev, train"), "{error}");
        assert!(of(&[], Some("dev")).unwrap_err().contains("there are none"));
        assert!(of(&folder, Some("../dev")).unwrap_err().contains("`../dev`"));
    }

    #[test]
    fn queries_of_a_split_may_stand_alone() {
        let own = "{\"_id\": \"q1\", \"text\": \"mine?\"}\n";
        let qrels = [("qrels/test.tsv", "q1\td1\t1\n"), ("qrels/dev.tsv", "q1\td1\t1\n")];
        let of = |names: &[(&str, &str)], split| {
            let files = [&[("corpus.jsonl", CORPUS)], &qrels[..], names].concat();
            read_split(&files, split).map(|(corpus, _)| corpus.queries[0].text.clone())
        };
        let two = [("queries.test.jsonl", QUERIES), ("queries.dev.jsonl", own)];
        assert_eq!(of(&two, None).unwrap(), "who?");
        assert_eq!(of(&two, Some("dev")).unwrap(), "mine?");
        let all = [("queries.jsonl", QUERIES), ("queries-old.jsonl", own)];
        assert_eq!(of(&all, Some("dev")).unwrap(), "who?");
        let unclear = [("queries-a.jsonl", QUERIES), ("queries-b.jsonl", own)];
        assert!(of(&unclear, None).unwrap_err().contains("2 files queries*.jsonl"));
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
            ("q1\td8\t1\nq1\td9\t1\n", "qrels.test.tsv:1: no document has the id `d8`"),
            ("q9\td1\t1\n", "qrels.test.tsv:1: no query has the id `q9`"),
            ("q1\td1\t1\nq1\td2\tmuch\n", "qrels.test.tsv:2: the gain `much`"),
            ("q1\td1\tinf\n", "qrels.test.tsv:1: the gain inf is not finite"),
            ("q1\td1\t1\nq1\td2\tNaN\n", "qrels.test.tsv:2: the gain NaN"),
            ("q1 d1 1\n", "qrels.test.tsv:1: 1 fields"),
            ("q1\td1\n", "qrels.test.tsv:1: 2 fields"),
            ("q1  Q0\td1 1\n", "qrels.test.tsv:1: 2 fields"),
            ("q1 0 d1 1 run\n", "qrels.test.tsv:1: 1 fields"),
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
