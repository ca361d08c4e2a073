//! Rows that were found for queries.

use std::io::{self, Write};

use crate::files::{Field, Kind, Records, Value};

/// A row that was found for a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The query's id, or else its number.
    pub query: String,
    /// Its place among the query's, from 1.
    pub rank: usize,
    /// Position in the corpus, from 0.
    pub index: u64,
    /// Its id where the corpus has one.
    pub id: Option<String>,
    /// Its cosine with the query.
    pub score: f32,
    /// Its text, if asked for.
    pub text: Option<String>,
}

/// Matches in their order.
#[derive(Debug, Clone, Copy)]
pub struct Matches<'a> {
    /// Of one query or several.
    pub matches: &'a [Match],
    /// Whether their texts were asked for.
    pub texts: bool,
}

impl Matches<'_> {
    /// The fields of each: query, rank, index, id, score and, if asked for, text.
    #[must_use]
    pub fn fields(texts: bool) -> Vec<Field> {
        let mut fields = vec![
            Field::new("query", Kind::Text),
            Field::new("rank", Kind::Integer),
            Field::new("index", Kind::Integer),
            Field::new("id", Kind::Text).optional(),
            Field::new("score", Kind::Float),
        ];
        fields.extend(texts.then_some(Field::new("text", Kind::Text).optional()));
        fields
    }
}

impl Records for Matches<'_> {
    fn fields(&self) -> Vec<Field> {
        Self::fields(self.texts)
    }

    fn len(&self) -> usize {
        self.matches.len()
    }

    fn values<'a>(&'a self, index: usize, values: &mut Vec<Value<'a>>) {
        let Match { query, rank, index, id, score, text } = &self.matches[index];
        values.extend([
            Value::Text(query),
            Value::Integer(*rank as u64),
            Value::Integer(*index),
            Value::text(id.as_deref()),
            Value::Float(*score),
        ]);
        values.extend(self.texts.then_some(Value::text(text.as_deref())));
    }

    /// A line a match: query, rank, score, index, id and text between tabs.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for found in self.matches {
            let Match { rank, score, index, .. } = found;
            let query = one_line(&found.query);
            let mut line = format!("{query}\t{rank}\t{score:.4}\t{index}\t");
            line += &one_line(found.id.as_deref().unwrap_or_default());
            if let Some(text) = &found.text {
                line.push('\t');
                line += &one_line(text);
            }
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    }
}

/// `text` with spaces for what would end its line or column.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
