//! `inputs` of a request: texts, or token ids of the model's own, which become the texts they
//! stand for.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::failure::{Failure, Kind};
use super::super::input::Unread;
use super::super::service::{Asked, Served};
use crate::embeddings::Truncate;

/// What `inputs` is called in errors.
const FIELD: &str = "inputs";

/// How a text is tokenised.
#[derive(Deserialize, Default)]
pub(super) struct Options {
    /// Whether a text that is too long is cut, which is so unless it says no.
    pub(super) truncate: Option<bool>,
    pub(super) truncation_direction: Option<Direction>,
    pub(super) prompt_name: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
pub(super) enum Direction {
    #[serde(alias = "left")]
    Left,
    #[serde(alias = "right")]
    Right,
}

/// An input of a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Ids(Vec<u32>),
}

impl Options {
    pub(super) fn asked(&self) -> Asked<'_> {
        let truncate = self.truncation_direction.map(|direction| match direction {
            Direction::Left => Truncate::Left,
            Direction::Right => Truncate::Right,
        });
        Asked { prompt: self.prompt_name.as_deref(), truncate, ..Asked::default() }
    }
}

/// Refuses texts that would be cut, where they must not be.
pub(super) fn check_cuts(
    truncate: Option<bool>,
    served: &Served,
    truncated: &[Option<usize>],
) -> Result<(), Failure> {
    if truncate != Some(false) {
        return Ok(());
    }
    truncated.iter().flatten().next().map_or(Ok(()), |length| {
        // The model takes texts up to its limit.
        let limit = served.model().tokenizer().max_tokens() + 1;
        let message = format!("`{FIELD}` must have less than {limit} tokens. Given: {length}");
        Err(Failure::invalid(FIELD, message))
    })
}

/// The texts of `inputs`: one or several, each a string or token ids.
pub(super) fn texts<'a>(
    inputs: Unread<'a>,
    served: &Served,
    max_texts: usize,
) -> Result<Vec<Cow<'a, str>>, Failure> {
    let json = inputs.get();
    let first = json.trim_start_matches(|c: char| c == '[' || c.is_ascii_whitespace());
    let is_single = !json.trim_start().starts_with('[');
    if is_single || !first.starts_with(|c: char| c.is_ascii_digit() || c == ']') {
        // Ids behind a text are rare: the list is read again for them.
        return match inputs.texts(FIELD, max_texts) {
            Err(failure) if failure.kind == Kind::Invalid && !is_single => {
                mixed(inputs, served, max_texts).unwrap_or(Err(failure))
            }
            read => read,
        };
    }
    if let Ok(ids) = serde_json::from_str::<Vec<u32>>(json) {
        return Ok(vec![decoded(&ids, served)?]);
    }
    mixed(inputs, served, max_texts).unwrap_or_else(|| inputs.texts(FIELD, max_texts))
}

/// A list of texts and lists of ids; `None` where it is something else.
fn mixed<'a>(
    inputs: Unread<'a>,
    served: &Served,
    max_texts: usize,
) -> Option<Result<Vec<Cow<'a, str>>, Failure>> {
    let json = inputs.get();
    let lists = json.bytes().filter(|&byte| byte == b'[').count().saturating_sub(1);
    if lists > max_texts {
        let message = format!("`{FIELD}` holds {lists} inputs, at most {max_texts} are allowed");
        return Some(Err(Failure::new(Kind::TooLarge, message)));
    }
    let list: Vec<Input> = serde_json::from_str(json).ok()?;
    if list.len() > max_texts {
        let given = list.len();
        let message = format!("`{FIELD}` holds {given} inputs, at most {max_texts} are allowed");
        return Some(Err(Failure::new(Kind::TooLarge, message)));
    }
    let texts = list.into_iter().map(|input| match input {
        Input::Text(text) if text.is_empty() => Err(empty()),
        Input::Text(text) => Ok(Cow::Owned(text)),
        Input::Ids(ids) => decoded(&ids, served),
    });
    Some(texts.collect())
}

fn decoded(ids: &[u32], served: &Served) -> Result<Cow<'static, str>, Failure> {
    let text = served.model().tokenizer().decode(ids, true)?;
    if text.is_empty() { Err(empty()) } else { Ok(text.into()) }
}

pub(super) fn empty() -> Failure {
    Failure {
        field: Some(FIELD.into()),
        ..Failure::new(Kind::Empty, format!("`{FIELD}` cannot be empty"))
    }
}
