//! The layout of Chroma's `chunking_evaluation`: whole documents in `corpora`, and questions with
//! the excerpts that answer them in `questions_df.csv`.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;

use super::corpus::{CorpusDocument, check_new, list_files};
use super::lines::place;
use crate::evaluation::error::Error;
use crate::evaluation::metrics::retrieval::Excerpt;
use crate::files::{read_csv, read_marked_text};

/// Documents, and questions on them.
#[derive(Debug, Clone, PartialEq)]
pub struct ExcerptCorpus {
    /// Those of `corpora`, by name.
    pub documents: Vec<CorpusDocument>,
    /// In the order of the file.
    pub questions: Vec<ExcerptQuestion>,
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub struct ExcerptQuestion {
    /// Its number, from 0.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// What answers it; one at least, none empty.
    pub gold: Vec<Excerpt>,
}

/// A row of the table.
#[derive(Deserialize)]
struct Row {
    question: String,
    references: String,
    corpus_id: String,
}

#[derive(Deserialize)]
struct Reference {
    content: String,
    start_index: usize,
    end_index: usize,
}

/// Reads the folder `path`. References are in code points, and each holds its text, which must be
/// there.
///
/// # Errors
/// When a file is missing or not as described, or two files of `corpora` differ in their suffix alone.
pub fn read_chroma(path: &Path) -> Result<ExcerptCorpus, Error> {
    let (documents, marks): (Vec<_>, Vec<_>) =
        read_documents(&path.join("corpora"))?.into_iter().unzip();
    let table = path.join("questions_df.csv");
    let fail = |line: usize, problem: String| Error::Data { place: place(&table, line), problem };
    let places: HashMap<&str, usize> =
        documents.iter().map(|document| document.id.as_str()).zip(0..).collect();
    let mut questions = Vec::new();
    for record in read_csv::<Row>(&table)? {
        let (line, row) = record?;
        let document = places.get(row.corpus_id.as_str()).copied().ok_or_else(|| {
            fail(line, format!("no file of corpora is called `{}`", row.corpus_id))
        })?;
        let gold = excerpts(&row.references, document, &documents[document].text, marks[document])
            .map_err(|problem| fail(line, problem))?;
        questions.push(ExcerptQuestion {
            id: questions.len().to_string(),
            text: row.question,
            gold,
        });
    }
    if questions.is_empty() {
        return Err(fail(1, "no question".to_owned()));
    }
    Ok(ExcerptCorpus { documents, questions })
}

/// The texts of `folder`, which questions call by their names without suffix, and by how much
/// references into each file count from before its text.
fn read_documents(folder: &Path) -> Result<Vec<(CorpusDocument, usize)>, Error> {
    let is_text = |name: &str| {
        Path::new(name).extension().is_some_and(|suffix| suffix == "md" || suffix == "txt")
    };
    let mut seen = HashSet::new();
    let documents = list_files(folder, is_text)?.into_iter().map(|file| {
        let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        check_new(&mut seen, &id, &file.display().to_string())?;
        let (mark, text) = read_marked_text(&file)?;
        Ok((CorpusDocument { id, text }, mark.chars().count()))
    });
    documents.collect()
}

/// The references of a question, checked against the document's `text`, before which they count so
/// many code points.
fn excerpts(
    references: &str,
    document: usize,
    text: &str,
    before: usize,
) -> Result<Vec<Excerpt>, String> {
    let references: Vec<Reference> = serde_json::from_str(references)
        .map_err(|error| format!("references are not a JSON list as expected: {error}"))?;
    if references.is_empty() {
        return Err("no reference".to_owned());
    }
    let excerpt = |reference: Reference| {
        let Reference { content, start_index, end_index } = reference;
        let start = start_index.checked_sub(before);
        let end = end_index.checked_sub(before);
        match start.zip(end) {
            Some((start, end))
                if start < end
                    && text.chars().skip(start).take(end - start).eq(content.chars()) =>
            {
                Ok(Excerpt { document, chars: start..end })
            }
            _ => {
                let range = format!("{start_index} to {end_index}");
                Err(format!("code points {range} are not the reference's content"))
            }
        }
    };
    references.into_iter().map(excerpt).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{ExcerptCorpus, read_chroma};

    fn read(csv: &str) -> Result<ExcerptCorpus, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("corpora")).unwrap();
        fs::write(folder.path().join("corpora/b.txt"), "plain").unwrap();
        fs::write(folder.path().join("corpora/a.md"), "Über \"uns\", alle.\nUnd mehr.").unwrap();
        fs::write(folder.path().join("questions_df.csv"), csv).unwrap();
        read_chroma(folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn quotes_commas_and_newlines_are_read() {
        let csv = concat!(
            "question,references,corpus_id\n",
            "\"Who,\nor what?\",\"[{\"\"content\"\": \"\"\\\"\"uns\\\"\", alle\"\", \"\"start_index\"\": 5, \"\"end_index\"\": 16}]\",a\n",
            "Why?,\"[{\"\"content\"\": \"\"la\"\", \"\"start_index\"\": 1, \"\"end_index\"\": 3}]\",b\n",
        );
        let found = read(csv).unwrap();
        let ids: Vec<&str> = found.documents.iter().map(|document| document.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(found.questions[0].text, "Who,\nor what?");
        assert_eq!(found.questions[0].gold[0].chars, 5..16);
        assert_eq!((found.questions[1].gold[0].document, found.questions[1].id.as_str()), (1, "1"));
    }

    #[test]
    fn references_count_the_mark_before_a_text() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("corpora")).unwrap();
        fs::write(folder.path().join("corpora/a.txt"), "\u{feff}plain").unwrap();
        let ask = |start: usize| {
            let csv = format!(
                "question,references,corpus_id\nWhy?,\"[{{\"\"content\"\": \"\"la\"\", \
                 \"\"start_index\"\": {start}, \"\"end_index\"\": {}}}]\",a\n",
                start + 2
            );
            fs::write(folder.path().join("questions_df.csv"), csv).unwrap();
            read_chroma(folder.path()).map_err(|error| error.to_string())
        };
        let found = ask(2).unwrap();
        assert_eq!(
            (found.documents[0].text.as_str(), &found.questions[0].gold[0].chars),
            ("plain", &(1..3))
        );
        for start in [0, 1] {
            let error = ask(start).unwrap_err();
            assert!(error.contains(&format!("code points {start} to")), "{error}");
        }
    }

    #[test]
    fn files_that_differ_in_their_suffix_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("corpora")).unwrap();
        for name in ["a.md", "a.txt"] {
            fs::write(folder.path().join("corpora").join(name), "la").unwrap();
        }
        let csv = "question,references,corpus_id\nWhy?,\"[{\"\"content\"\": \"\"la\"\", \"\"start_index\"\": 0, \"\"end_index\"\": 2}]\",a\n";
        fs::write(folder.path().join("questions_df.csv"), csv).unwrap();
        let error = read_chroma(folder.path()).unwrap_err().to_string();
        assert!(error.contains("a.txt: id `a` stands twice"), "{error}");
    }

    #[test]
    fn problems_name_file_and_line() {
        let row = "\"Two\nlines?\",\"[{\"\"content\"\": \"\"la\"\", \"\"start_index\"\": 1, \"\"end_index\"\": 3}]\",b\n";
        for (rows, part) in [
            (
                format!("{row}{}", row.replace(",b", ",c")),
                "questions_df.csv:4: no file of corpora is called `c`",
            ),
            (row.replace("la", "lo"), "questions_df.csv:2: code points 1 to 3"),
            (row.replace(": 3", ": 1"), "questions_df.csv:2: code points 1 to 1"),
            (row.replace(": 3", ": 99"), "code points 1 to 99"),
            ("Why?,[],b\n".to_owned(), "no reference"),
            ("Why?,nothing,b\n".to_owned(), "questions_df.csv:2: references are not"),
            ("Why?,[]\n".to_owned(), "questions_df.csv:2"),
            (String::new(), "no question"),
        ] {
            let error = read(&format!("question,references,corpus_id\n{rows}")).unwrap_err();
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
        let error = read("query,references,corpus_id\nWhy?,[],b\n").unwrap_err();
        assert!(error.contains("questions_df.csv:2") && error.contains("question"), "{error}");
    }
}
