//! The crate's error and its kinds, which are mapped once to an HTTP status and once to an exit
//! code.

use std::io;

use crate::{chunking, compute, config, embeddings, evaluation, files, models, similarity};

/// What sort of failure an [`Error`] is; who can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The caller's data is wrong.
    Input,
    /// Something the caller named does not exist.
    NotFound,
    /// The output cannot be created.
    CannotCreate,
    /// A setting is wrong.
    Config,
    /// Too much work is waiting; try again.
    Overloaded,
    /// The service is stopping, or a hub gives no usable answer.
    Unavailable,
    /// A hub wants a token, or another one.
    Permission,
    /// The model's files are wrong or unsupported.
    Model,
    /// The device failed.
    Device,
    /// Reading or writing failed.
    Io,
    /// A fault of this program.
    Internal,
}

/// Any error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device operation.
    #[error(transparent)]
    Compute(#[from] compute::Error),
    /// Rows of vectors.
    #[error(transparent)]
    Similarity(#[from] similarity::Error),
    /// A model's files, or where they come from.
    #[error(transparent)]
    Models(#[from] models::Error),
    /// A model or its queue.
    #[error(transparent)]
    Embeddings(#[from] embeddings::Error),
    /// A chunk specification.
    #[error(transparent)]
    Chunking(#[from] chunking::Error),
    /// An input or an output.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// A data set.
    #[error(transparent)]
    Evaluation(#[from] evaluation::Error),
    /// A setting.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// What sort of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Compute(error) => compute_kind(error),
            Self::Similarity(error) => similarity_kind(error),
            Self::Models(error) => models_kind(error),
            Self::Embeddings(error) => embeddings_kind(error),
            Self::Chunking(_) => ErrorKind::Input,
            Self::Files(error) => files_kind(error),
            Self::Evaluation(error) => evaluation_kind(error),
            Self::Config(_) => ErrorKind::Config,
            Self::Io(_) => ErrorKind::Io,
        }
    }
}

fn compute_kind(error: &compute::Error) -> ErrorKind {
    use compute::Error as E;
    match error {
        E::NoDevice(_) | E::Dtype { .. } => ErrorKind::Config,
        E::Candle(_) | E::Memory(_) | E::Device { .. } | E::DeviceLost { .. } => ErrorKind::Device,
        // Less work may fit, later or in smaller pieces.
        E::DeviceMemory { .. } => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

/// Of rows that a caller gave: shapes that do not go together are theirs.
fn rows_kind(error: &compute::Error) -> ErrorKind {
    use compute::Error as E;
    match error {
        E::Length { .. } | E::Index { .. } | E::Columns { .. } | E::Formats { .. } => {
            ErrorKind::Input
        }
        error => compute_kind(error),
    }
}

fn similarity_kind(error: &similarity::Error) -> ErrorKind {
    use similarity::Error as E;
    match error {
        E::Compute(error) => rows_kind(error),
        E::TooManyRows { .. } => ErrorKind::Input,
    }
}

fn files_kind(error: &files::Error) -> ErrorKind {
    use files::Error as E;
    match error {
        E::Open { .. } => ErrorKind::NotFound,
        E::Utf8 { .. }
        | E::TooLong { .. }
        | E::Json { .. }
        | E::Malformed { .. }
        | E::Parquet { .. }
        | E::NoParquet { .. }
        | E::NoPlace { .. } => ErrorKind::Input,
        E::Compute(error) => rows_kind(error),
        E::Exists { .. } | E::Create { .. } => ErrorKind::CannotCreate,
        E::Read { .. } | E::Write { .. } | E::NotBuilt(_) => ErrorKind::Io,
        E::Shape { .. } => ErrorKind::Internal,
    }
}

fn evaluation_kind(error: &evaluation::Error) -> ErrorKind {
    use evaluation::Error as E;
    match error {
        E::Files(error) => files_kind(error),
        E::Data { .. } | E::Datasets { .. } | E::NoModel => ErrorKind::Input,
        E::Plot(_) => ErrorKind::Internal,
        E::Embeddings(error) => embeddings_kind(error),
        E::Similarity(error) => similarity_kind(error),
        E::Compute(error) => compute_kind(error),
    }
}

fn models_kind(error: &models::Error) -> ErrorKind {
    use models::Error as E;
    match error {
        E::UnknownModel { .. } | E::MissingModel { .. } => ErrorKind::NotFound,
        E::Hub(error) => hub_kind(error),
        E::Registry { .. } => ErrorKind::Config,
        E::Read { .. }
        | E::Malformed { .. }
        | E::Unsupported { .. }
        | E::UnknownKey { .. }
        | E::Digest { .. }
        | E::Pickle { .. } => ErrorKind::Model,
    }
}

fn hub_kind(error: &models::HubError) -> ErrorKind {
    use models::HubError as E;
    match error {
        E::Name { .. } => ErrorKind::Input,
        E::Denied { .. } => ErrorKind::Permission,
        E::NotFound { .. } => ErrorKind::NotFound,
        E::Throttled { .. } => ErrorKind::Overloaded,
        E::Offline { .. } | E::Unavailable { .. } | E::Redirect { .. } | E::NotBuilt => {
            ErrorKind::Unavailable
        }
        E::Incomplete { .. } => ErrorKind::Model,
        E::Write { .. } => ErrorKind::CannotCreate,
        E::Setting { .. } => ErrorKind::Config,
    }
}

fn embeddings_kind(error: &embeddings::Error) -> ErrorKind {
    use embeddings::Error as E;
    match error {
        E::Models(error) => models_kind(error),
        E::NotFinite { .. } => ErrorKind::Model,
        E::Tokenizer(_)
        | E::UnknownPrompt { .. }
        | E::PromptTooLong { .. }
        | E::TokenBeyondTable { .. }
        | E::Dimensions { .. }
        | E::WrongKind { .. }
        | E::JoinedPooling
        | E::Labels { .. }
        | E::TooMuch { .. } => ErrorKind::Input,
        E::Overloaded { .. } => ErrorKind::Overloaded,
        E::Stopped | E::Cancelled | E::Expired => ErrorKind::Unavailable,
        E::OutputNotFinite | E::Panicked(_) => ErrorKind::Internal,
        E::Compute(error) => compute_kind(error),
    }
}
