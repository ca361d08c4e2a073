//! What can go wrong between a model's name and its vectors.

use std::path::PathBuf;

use super::hub::HubError;
use crate::compute;

/// Errors of this module; every variant names the value and what would be accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither a known name nor a folder.
    #[error(
        "unknown model `{name}`: neither a folder, nor a name that `chunkflow models list` shows, \
         nor owner/name on the hub{}",
        nearest.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
    )]
    UnknownModel {
        /// As given.
        name: String,
        /// A known name that is spelt much the same.
        nearest: Option<String>,
    },
    /// A model whose files are not on this machine.
    #[error(
        "model `{name}` is not on this machine, there is no {} \
         (run `chunkflow models pull {name}`, or give the model's folder)",
        looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and no ")
    )]
    MissingModel {
        /// As given.
        name: String,
        /// The files that were looked for.
        looked: Vec<PathBuf>,
    },
    /// A name or the hub.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something other than it should.
    #[error("{path}: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the value.
        problem: String,
    },
    /// A model that this version cannot run.
    #[error("{path}: {field} is {value}, supported: {supported}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be accepted.
        supported: String,
    },
    /// A file's contents are not those that were published.
    #[error("{path} is corrupted: sha256 is {actual}, expected {expected}")]
    Digest {
        /// The file.
        path: PathBuf,
        /// As recorded.
        expected: String,
        /// As found.
        actual: String,
    },
    /// Only pickled weights were found.
    #[error("{path}: pickled weights can run code and are refused, convert them to safetensors")]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// A weight is NaN or infinite.
    #[error("{path}: tensor `{tensor}` holds {value} at element {index}")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Flat index.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The tokenizer refused its file or a text.
    #[error("tokenizer failed: {0}")]
    Tokenizer(String),
    /// A text with a token that the model has no vector for.
    #[error("the text holds `{token}`, token {id}, but the model has vectors for {limit} tokens")]
    TokenBeyondTable {
        /// The token.
        token: String,
        /// Its id.
        id: u32,
        /// Rows of the word table.
        limit: usize,
    },
    /// A prompt that the model does not define.
    #[error("unknown prompt `{name}`, this model has: {known}")]
    UnknownPrompt {
        /// As given.
        name: String,
        /// The model's prompts.
        known: String,
    },
    /// A prompt that leaves no room for text.
    #[error("prompt has {tokens} tokens, the model takes {limit} with the text")]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// The model's limit, special tokens included.
        limit: usize,
    },
    /// More dimensions than the model has, or none.
    #[error("dimensions is {asked}, this model allows 1 to {limit}")]
    Dimensions {
        /// As given.
        asked: usize,
        /// The model's own number.
        limit: usize,
    },
    /// An output that the model does not have.
    #[error("this model is {kind}: it gives {given}, not {asked}")]
    WrongKind {
        /// What the model is.
        kind: &'static str,
        /// What it gives.
        given: &'static str,
        /// What was asked of it.
        asked: &'static str,
    },
    /// A classifier whose scores have no one order.
    #[error("this model gives {labels} scores a pair, a ranking needs 1")]
    Labels {
        /// Scores of a pair.
        labels: usize,
    },
    /// A vector came out NaN or infinite.
    #[error("the model produced a value that is not finite")]
    OutputNotFinite,
    /// Work that is more than may ever wait.
    #[error("{tokens} tokens are too many at once, limit {limit}")]
    TooMuch {
        /// Tokens of the work.
        tokens: usize,
        /// The configured limit.
        limit: usize,
    },
    /// The queue is full.
    #[error("queue is full: {queued} tokens waiting, limit {limit}")]
    Overloaded {
        /// Tokens in the queue.
        queued: usize,
        /// The configured limit.
        limit: usize,
        /// When the queue should be empty, by the rate measured so far.
        retry_after_s: u64,
    },
    /// The scheduler has stopped.
    #[error("the scheduler has stopped")]
    Stopped,
    /// The job's caller is gone.
    #[error("cancelled")]
    Cancelled,
    /// The job has not ended by its deadline.
    #[error("the deadline has passed")]
    Expired,
    /// A forward pass panicked; only its batch is lost.
    #[error("the forward pass panicked: {0}")]
    Panicked(String),
    /// A device operation failed.
    #[error(transparent)]
    Compute(#[from] compute::Error),
}
