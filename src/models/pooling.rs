//! How tokens become a vector, by the names that a model's files use.

use crate::compute::Pooling;

/// The names that are understood, in words.
pub(crate) const POOLINGS: &str =
    "one of mean, cls, lasttoken, max, mean_sqrt_len_tokens, weightedmean";

/// What sentence-transformers calls a pooling.
pub(crate) fn name_pooling(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Mean => "mean",
        Pooling::Cls => "cls",
        Pooling::LastToken => "lasttoken",
        Pooling::Max => "max",
        Pooling::MeanSqrtLength => "mean_sqrt_len_tokens",
        Pooling::WeightedMean => "weightedmean",
    }
}

/// The pooling that sentence-transformers calls `mode`.
pub(crate) fn parse_pooling(mode: &str) -> Option<Pooling> {
    match mode {
        "mean" | "mean_tokens" => Some(Pooling::Mean),
        "cls" | "cls_token" => Some(Pooling::Cls),
        "lasttoken" => Some(Pooling::LastToken),
        "max" | "max_tokens" => Some(Pooling::Max),
        "mean_sqrt_len_tokens" => Some(Pooling::MeanSqrtLength),
        "weightedmean" | "weightedmean_tokens" => Some(Pooling::WeightedMean),
        _ => None,
    }
}
