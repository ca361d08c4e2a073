//! Documents whose segments are known: Choi's `.ref` files, and JSON lines.
//!
//! Invariant: the units of a document partition its text, and its segments its units.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::corpus::check_new;
use super::lines::{Line, lines, place};
use crate::evaluation::error::Error;
use crate::files::{self, read_text};

/// A document with its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldDocument {
    /// Unique in the data set.
    pub id: String,
    /// Its units with a space after each.
    pub text: String,
    /// Bytes of each unit, its space included.
    pub units: Vec<Range<usize>>,
    /// Lengths of its segments in units.
    pub segments: Vec<usize>,
}

impl GoldDocument {
    /// Joins `units`, which is nothing to learn from: between any two stands the same.
    fn new(id: String, units: &[&str], segments: Vec<usize>) -> Self {
        let mut text = String::new();
        let ranges = units.iter().enumerate().map(|(index, unit)| {
            let start = text.len();
            text.push_str(unit);
            if index + 1 < units.len() {
                text.push(' ');
            }
            start..text.len()
        });
        let units = ranges.collect();
        Self { id, text, units, segments }
    }

    /// The texts of its units.
    #[must_use]
    pub fn unit_texts(&self) -> Vec<&str> {
        self.units.iter().map(|unit| &self.text[unit.clone()]).collect()
    }
}

/// Reads a file, or all `.ref` and `.jsonl` files below a folder in the order of their paths.
///
/// A `.ref` file is a document: a sentence a line, segments between lines of three and more `=`
/// alone (Choi 2000), or of eight and a title (Koshorek et al. 2018). A line of JSON is one too. Its
/// units are `units`, or `turns` (QMSum), or the lines of `text`; its segments are their lengths
/// `segments`, or the units `boundaries` at which one starts. A document with
/// `spans_non_overlapping` false is left out, as a warning says: its topics overlap.
///
/// # Errors
/// When a file cannot be read, is not as described, or there is no document.
pub fn read_gold(path: &Path) -> Result<Vec<GoldDocument>, Error> {
    let mut files = Vec::new();
    collect(path, &mut files)?;
    let (mut documents, mut seen) = (Vec::new(), HashSet::new());
    let mut left_out = 0;
    for file in files {
        let text = read_text(&file)?;
        if is(&file, "ref") {
            let id = file.strip_prefix(path).ok().filter(|name| !name.as_os_str().is_empty());
            let id = id.or(file.file_name().map(Path::new)).unwrap_or(&file).with_extension("");
            let id = id.display().to_string();
            check_new(&mut seen, &id, &file.display().to_string())?;
            documents.push(read_reference(&file, id, &text)?);
            continue;
        }
        for line in lines(&file, &text) {
            let Some(document) = read_line(&line)? else {
                left_out += 1;
                continue;
            };
            check_new(&mut seen, &document.id, &line.place)?;
            documents.push(document);
        }
    }
    if left_out > 0 {
        let (read, path) = (documents.len(), path.display());
        tracing::warn!(left_out, read, %path, "documents whose topics overlap were left out");
    }
    if documents.is_empty() {
        let problem = "no document with segments, in .ref or .jsonl files".to_owned();
        return Err(Error::Data { place: path.display().to_string(), problem });
    }
    Ok(documents)
}

/// The gold files at or below `path`, in order.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let open = |source| files::Error::Open { path: path.to_owned(), source };
    if !path.metadata().map_err(open)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(open)? {
        entries.push(entry.map_err(open)?.path());
    }
    entries.sort();
    for entry in entries {
        if entry.is_dir() || is(&entry, "ref") || is(&entry, "jsonl") {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

fn is(path: &Path, suffix: &str) -> bool {
    path.extension().is_some_and(|found| found == suffix)
}

fn read_reference(path: &Path, id: String, text: &str) -> Result<GoldDocument, Error> {
    let (mut units, mut segments) = (Vec::new(), Vec::new());
    let mut length = 0;
    for line in lines(path, text) {
        if is_separator(line.text) {
            segments.push(std::mem::take(&mut length));
        } else {
            units.push(line.text.trim());
            length += 1;
        }
    }
    segments.push(length);
    segments.retain(|&length| length > 0);
    if units.is_empty() {
        let problem = "no sentence".to_owned();
        return Err(Error::Data { place: place(path, 1), problem });
    }
    Ok(GoldDocument::new(id, &units, segments))
}

fn is_separator(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("========") || (line.len() >= 3 && line.bytes().all(|byte| byte == b'='))
}

/// A document as a line of JSON; other fields have no meaning here.
#[derive(Deserialize)]
struct Record {
    id: String,
    units: Option<Vec<String>>,
    turns: Option<Vec<String>>,
    text: Option<String>,
    segments: Option<Vec<usize>>,
    boundaries: Option<Vec<usize>>,
    spans_non_overlapping: Option<bool>,
}

/// `None` where the document is to be left out.
fn read_line(line: &Line<'_>) -> Result<Option<GoldDocument>, Error> {
    let record: Record = line.json()?;
    if record.spans_non_overlapping == Some(false) {
        return Ok(None);
    }
    let units: Vec<&str> = match (&record.units, &record.turns, &record.text) {
        (Some(units), None, None) | (None, Some(units), None) => {
            units.iter().map(|unit| unit.trim()).collect()
        }
        (None, None, Some(text)) => {
            text.lines().map(str::trim).filter(|unit| !unit.is_empty()).collect()
        }
        _ => return Err(line.problem("one of `units`, `turns` and `text` is needed")),
    };
    if units.is_empty() {
        return Err(line.problem("no unit"));
    }
    if let Some(index) = units.iter().position(|unit| unit.is_empty()) {
        return Err(line.problem(format!("unit {index} is empty")));
    }
    let segments = match (record.segments, record.boundaries) {
        (Some(segments), None) => segments,
        (None, Some(boundaries)) => between(line, &boundaries, units.len())?,
        _ => return Err(line.problem("one of `segments` and `boundaries` is needed")),
    };
    check_segments(line, &segments, units.len())?;
    Ok(Some(GoldDocument::new(record.id, &units, segments)))
}

/// Lengths of the segments that start at 0 and at `boundaries`.
fn between(line: &Line<'_>, boundaries: &[usize], units: usize) -> Result<Vec<usize>, Error> {
    let (mut start, mut segments) = (0, Vec::new());
    for (index, &boundary) in boundaries.iter().enumerate() {
        // The first segment may be named too: it starts at 0.
        if boundary >= units || (boundary <= start && index > 0) {
            let problem = format!("boundary {boundary} is not between {start} and {units} units");
            return Err(line.problem(problem));
        }
        if boundary > 0 {
            segments.push(boundary - start);
            start = boundary;
        }
    }
    segments.push(units - start);
    Ok(segments)
}

fn check_segments(line: &Line<'_>, segments: &[usize], units: usize) -> Result<(), Error> {
    let sum = segments.iter().fold(0_usize, |sum, &length| sum.saturating_add(length));
    if sum != units {
        return Err(line.problem(format!("segments of {sum} units, the document has {units}")));
    }
    if segments.contains(&0) {
        return Err(line.problem("a segment of 0 units"));
    }
    Ok(())
}

/// Reads predicted segments for `documents` from JSON lines of `id` and `segments`, in their order.
///
/// # Errors
/// When the file cannot be read, a document is missing, unknown or there twice, or segments are not
/// the document's units.
pub fn read_predictions(path: &Path, documents: &[GoldDocument]) -> Result<Vec<Vec<usize>>, Error> {
    #[derive(Deserialize)]
    struct Prediction {
        id: String,
        segments: Vec<usize>,
    }
    let text = read_text(path)?;
    let mut found: Vec<Option<Vec<usize>>> = vec![None; documents.len()];
    for line in lines(path, &text) {
        let Prediction { id, segments } = line.json()?;
        let index = documents.iter().position(|document| document.id == id);
        let Some(index) = index else {
            return Err(line.problem(format!("no gold document has the id `{id}`")));
        };
        check_segments(&line, &segments, documents[index].units.len())?;
        if found[index].replace(segments).is_some() {
            return Err(line.problem(format!("id `{id}` stands twice")));
        }
    }
    let complete = documents.iter().zip(found).map(|(document, segments)| {
        segments.ok_or_else(|| {
            let problem = format!("no segments for `{}`", document.id);
            Error::Data { place: path.display().to_string(), problem }
        })
    });
    complete.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{GoldDocument, read_gold, read_predictions};

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn read(name: &str, text: &str) -> Result<Vec<GoldDocument>, String> {
        let folder = folder(&[(name, text)]);
        read_gold(&folder.path().join(name)).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_fails(text: &str, parts: &[&str]) {
        let error = read("gold.jsonl", text).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }

    #[test]
    fn reference_files_keep_their_segments() {
        let text = "==========\nOne .\nTwo .\n==========\n==========\n\nThree .\n==========\n";
        let found = &read("a.ref", text).unwrap()[0];
        assert_eq!(found.id, "a");
        assert_eq!(found.segments, [2, 1]);
        assert_eq!(found.text, "One . Two . Three .");
        assert_eq!(found.unit_texts(), ["One . ", "Two . ", "Three ."]);
        // Koshorek et al. give level and title of a section, and need no last line.
        let found =
            &read("b.ref", "========,1,preface.\nA.\n========,2,History.\nB.\nC.").unwrap()[0];
        assert_eq!(found.segments, [1, 2]);
        // Any line of `=` alone separates; what only begins with a few does not.
        let found = &read("c.ref", "===\nA.\n===== \nB.\n=== C.\n==\n").unwrap()[0];
        assert_eq!(found.segments, [1, 3]);
    }

    #[test]
    fn folders_are_read_in_order_and_below() {
        let folder = folder(&[
            ("3-5/1.ref", "A.\n"),
            ("3-5/0.ref", "B.\n"),
            ("README.md", "no data"),
            ("more.jsonl", "{\"id\": \"m\", \"units\": [\"C.\"], \"segments\": [1]}\n"),
        ]);
        let ids: Vec<String> =
            read_gold(folder.path()).unwrap().into_iter().map(|gold| gold.id).collect();
        assert_eq!(ids, ["3-5/0", "3-5/1", "m"]);
    }

    #[test]
    fn json_lines_come_in_three_layouts() {
        let text = concat!(
            r#"{"id": "a", "units": ["x", "y ", "z"], "segments": [1, 2]}"#,
            "\n",
            r#"{"id": "b", "text": "x\n\n y\nz\n", "boundaries": [2]}"#,
            "\n\n",
            r#"{"id": "c", "turns": ["A: x", "B: y"], "boundaries": [0, 1], "topics": [], "spans_non_overlapping": true}"#,
            "\n",
            r#"{"id": "d", "turns": ["A: x"], "boundaries": [], "spans_non_overlapping": false}"#,
            "\n",
        );
        let found = read("gold.jsonl", text).unwrap();
        let segments: Vec<(&str, &[usize])> =
            found.iter().map(|gold| (gold.id.as_str(), &gold.segments[..])).collect();
        assert_eq!(segments, [("a", &[1, 2][..]), ("b", &[2, 1]), ("c", &[1, 1])]);
        assert_eq!(found[1].text, "x y z");
        for gold in found {
            assert_eq!(gold.unit_texts().concat(), gold.text);
        }
    }

    #[test]
    fn problems_name_file_and_line() {
        let good = "{\"id\": \"a\", \"units\": [\"x\"], \"segments\": [1]}\n";
        check_fails(
            &format!("{good}\n{{\"id\": \"b\"}}\n"),
            &["gold.jsonl:3", "`units`, `turns` and `text`"],
        );
        check_fails(&format!("{good}{good}"), &["gold.jsonl:2", "`a` stands twice"]);
        check_fails("[1]", &["gold.jsonl:1", "column"]);
        check_fails("{\"id\": \"b\", \"units\": [\"x\"]}", &["`segments` and `boundaries`"]);
        check_fails(
            "{\"id\": \"b\", \"units\": [\"x\", \" \"], \"segments\": [2]}",
            &["unit 1 is empty"],
        );
        check_fails(
            "{\"id\": \"b\", \"units\": [\"x\"], \"segments\": [1, 1]}",
            &["2 units", "has 1"],
        );
        check_fails("{\"id\": \"b\", \"units\": [\"x\"], \"segments\": [1, 0]}", &["0 units"]);
        check_fails("{\"id\": \"b\", \"units\": [\"x\"], \"boundaries\": [1]}", &["boundary 1"]);
        check_fails(
            "{\"id\": \"b\", \"units\": [\"x\", \"y\", \"z\"], \"boundaries\": [2, 1]}",
            &["boundary 1"],
        );
        for boundaries in ["[2, 0]", "[0, 0]"] {
            let line = format!(
                "{{\"id\": \"b\", \"units\": [\"x\", \"y\", \"z\"], \"boundaries\": {boundaries}}}"
            );
            check_fails(&line, &["gold.jsonl:1", "boundary 0 is not between"]);
        }
        check_fails("\n", &["gold.jsonl", "no document"]);
    }

    #[test]
    fn predictions_are_joined_by_id() {
        let gold = concat!(
            r#"{"id": "a", "units": ["x", "y"], "segments": [2]}"#,
            "\n",
            r#"{"id": "b", "units": ["x"], "segments": [1]}"#,
            "\n",
        );
        let gold = read("gold.jsonl", gold).unwrap();
        let predict = |text: &str| {
            let folder = folder(&[("p.jsonl", text)]);
            read_predictions(&folder.path().join("p.jsonl"), &gold)
                .map_err(|error| error.to_string())
        };
        let (a, b) =
            ("{\"id\": \"a\", \"segments\": [1, 1]}\n", "{\"id\": \"b\", \"segments\": [1]}\n");
        assert_eq!(predict(&format!("{b}{a}")).unwrap(), [vec![1, 1], vec![1]]);
        for (text, part) in [
            (a.to_owned(), "no segments for `b`"),
            (format!("{a}{a}"), "p.jsonl:2: id `a` stands twice"),
            (format!("{a}{{\"id\": \"c\", \"segments\": [1]}}"), "p.jsonl:2: no gold document"),
            (b.replace('1', "2"), "p.jsonl:1: segments of 2 units"),
        ] {
            let error = predict(&text).unwrap_err();
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }
}
