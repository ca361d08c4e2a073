//! What can go wrong between a model's files and its vectors.

use std::path::PathBuf;

use crate::{compute, models};

/// Errors of this module; every variant names the value and what would be accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model's files.
    #[error(transparent)]
    Models(#[from] models::Error),
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
    /// Mean states, where the model has no one pooling that they could stand for.
    #[error(
        "this model joins several poolings: a chunk's vector cannot be made of its document's \
         states, chunk.encoding must be isolated"
    )]
    JoinedPooling,
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
