//! How two runs differ, metric by metric over the items that both have.

use std::collections::HashMap;

use serde::Serialize;

use super::bootstrap::{Difference, paired_bootstrap};
use super::error::Error;
use crate::chunking::statistics::Summary;
use crate::records::{Measurement, Run};

/// The size of each chunk. Items of two runs are not the same chunks, so it is never paired.
pub const CHUNK_TOKENS: &str = "chunk_tokens";

/// Whether less of `metric` is better.
#[must_use]
pub fn is_error(metric: &str) -> bool {
    ["pk", "window_diff", "stability"].contains(&metric)
}

/// A value of `metric` as people read it: fractions in per cent.
#[must_use]
pub fn format_value(metric: &str, value: f64) -> String {
    match metric {
        CHUNK_TOKENS | "segments" => format!("{value:.1}"),
        "cohesion" | "separation" | "silhouette" => format!("{value:.3}"),
        _ => format!("{:.2}%", 100.0 * value),
    }
}

/// A metric in two runs, over the items that both have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The metric.
    pub metric: String,
    /// Its mean before.
    pub before: f64,
    /// Its mean after.
    pub after: f64,
    /// The mean of the differences with its interval.
    pub difference: Difference,
}

/// Compares all metrics that two runs share, by a paired bootstrap over items.
///
/// # Errors
/// When the runs are on different data sets: equal ids there are not equal items.
pub fn compare(before: &Run, after: &Run, seed: u64) -> Result<Vec<Comparison>, Error> {
    if before.dataset != after.dataset {
        let [before, after] = [before, after].map(|run| run.dataset.clone());
        return Err(Error::Datasets { before, after });
    }
    let mut later = HashMap::new();
    for Measurement { item, metric, value } in &after.measurements {
        later.insert((item.as_str(), metric.as_str()), *value);
    }
    let metrics = before.metrics().into_iter().filter(|&metric| metric != CHUNK_TOKENS);
    let compared = metrics.filter_map(|metric| {
        let of = before.measurements.iter().filter(|measurement| measurement.metric == metric);
        let pairs =
            of.filter_map(|old| Some((old.value, *later.get(&(old.item.as_str(), metric))?)));
        let (old, new): (Vec<f64>, Vec<f64>) = pairs.unzip();
        (!old.is_empty()).then(|| Comparison {
            metric: metric.to_owned(),
            before: Summary::of(&old).mean,
            after: Summary::of(&new).mean,
            difference: paired_bootstrap(&old, &new, seed),
        })
    });
    Ok(compared.collect())
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_TOKENS, Run, compare};

    fn run(name: &str, values: &[(&str, f64)]) -> Run {
        let mut run = Run::new(name, "set");
        for &(item, value) in values {
            run.add(item, [("pk", value), (CHUNK_TOKENS, 3.0)]);
        }
        run
    }

    #[test]
    fn only_shared_items_are_compared() {
        let before = run("a", &[("x", 0.5), ("y", 0.25), ("z", 1.0)]);
        let after = run("b", &[("y", 0.5), ("w", 9.0), ("x", 0.25)]);
        let found = compare(&before, &after, 0).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].metric.as_str(), found[0].difference.count), ("pk", 2));
        assert!((found[0].before - 0.375).abs() < 1e-12 && (found[0].after - 0.375).abs() < 1e-12);
        assert!(found[0].difference.mean.abs() < 1e-12);
        assert!(!found[0].difference.is_significant());
        assert!(compare(&before, &run("c", &[("q", 1.0)]), 0).unwrap().is_empty());
    }

    #[test]
    fn runs_on_different_data_sets_are_not_compared() {
        let before = run("a", &[("x", 0.5)]);
        let after = Run { dataset: "other".to_owned(), ..before.clone() };
        let error = compare(&before, &after, 0).unwrap_err().to_string();
        assert!(error.contains("`set`") && error.contains("`other`"), "{error}");
    }
}
