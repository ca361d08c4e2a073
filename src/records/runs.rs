//! Runs: what was measured of items, a value for each item and metric.

use std::path::Path;

use crate::chunking::statistics::Summary;
use crate::files::{
    Destination, Error, Field, Format, Kind, Records, Value, open_writer, read_table,
};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The document, question or chunk.
    pub item: String,
    /// Its name; `@k` where it depends on a number.
    pub metric: String,
    /// A fraction, a cosine or a count.
    pub value: f64,
}

/// What one way to cut gave on one data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The way.
    pub name: String,
    /// The data set.
    pub dataset: String,
    /// Items in order, and their metrics in one.
    pub measurements: Vec<Measurement>,
}

impl Run {
    /// A run without measurements.
    #[must_use]
    pub fn new(name: impl Into<String>, dataset: impl Into<String>) -> Self {
        Self { name: name.into(), dataset: dataset.into(), measurements: Vec::new() }
    }

    /// Adds what was measured of `item`.
    pub fn add<'a>(&mut self, item: &str, values: impl IntoIterator<Item = (&'a str, f64)>) {
        self.measurements.extend(values.into_iter().map(|(metric, value)| Measurement {
            item: item.to_owned(),
            metric: metric.to_owned(),
            value,
        }));
    }

    /// Its metrics, in the order in which they were first measured.
    #[must_use]
    pub fn metrics(&self) -> Vec<&str> {
        let mut metrics: Vec<&str> = Vec::new();
        for measurement in &self.measurements {
            if !metrics.contains(&measurement.metric.as_str()) {
                metrics.push(&measurement.metric);
            }
        }
        metrics
    }

    /// The values of `metric` in the order of their items.
    #[must_use]
    pub fn values(&self, metric: &str) -> Vec<f64> {
        let of = self.measurements.iter().filter(|measurement| measurement.metric == metric);
        of.map(|measurement| measurement.value).collect()
    }

    /// Mean and standard deviation of `metric` over its items.
    #[must_use]
    pub fn summary(&self, metric: &str) -> Summary {
        Summary::of(&self.values(metric))
    }
}

/// The measurements of a run, each with the run's name and data set.
struct Measurements<'a>(&'a Run);

impl Measurements<'_> {
    const FIELDS: [Field; 5] = [
        Field::new("run", Kind::Text).repeating(),
        Field::new("dataset", Kind::Text).repeating(),
        Field::new("item", Kind::Text).repeating(),
        Field::new("metric", Kind::Text).repeating(),
        Field::new("value", Kind::Double).repeating(),
    ];
}

impl Records for Measurements<'_> {
    fn fields(&self) -> Vec<Field> {
        Self::FIELDS.to_vec()
    }

    fn len(&self) -> usize {
        self.0.measurements.len()
    }

    fn values<'a>(&'a self, index: usize, values: &mut Vec<Value<'a>>) {
        let Run { name, dataset, measurements } = self.0;
        let Measurement { item, metric, value } = &measurements[index];
        values.extend([name, dataset, item, metric].map(|text| Value::Text(text)));
        values.push(Value::Double(*value));
    }
}

/// Writes all measurements of `runs` to Parquet, in their order: columns run, dataset, item, metric
/// and value.
///
/// # Errors
/// When they cannot be written.
pub fn write_runs(destination: Destination, runs: &[Run]) -> Result<(), Error> {
    let mut writer = open_writer(Format::Parquet, destination, &Measurements::FIELDS)?;
    for run in runs {
        writer.write(&Measurements(run))?;
    }
    writer.finish()
}

/// Reads what [`write_runs`] wrote; other columns are ignored.
///
/// # Errors
/// When the file cannot be read or lacks a column.
pub fn read_runs(path: &Path) -> Result<Vec<Run>, Error> {
    let mut runs: Vec<Run> = Vec::new();
    read_table(path, &Measurements::FIELDS, &mut |values| {
        let &[
            Value::Text(name),
            Value::Text(dataset),
            Value::Text(item),
            Value::Text(metric),
            Value::Double(value),
        ] = values
        else {
            unreachable!("a table has values of the kinds that were asked for");
        };
        let known = runs.iter().rposition(|run| run.name == name && run.dataset == dataset);
        let at = known.unwrap_or_else(|| {
            runs.push(Run::new(name, dataset));
            runs.len() - 1
        });
        runs[at].add(item, [(metric, value)]);
    })?;
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::Run;

    #[test]
    fn metrics_keep_their_order() {
        let mut run = Run::new("a", "set");
        run.add("x", [("pk", 0.5), ("chunk_tokens", 3.0)]);
        run.add("y", [("pk", 0.25), ("chunk_tokens", 3.0)]);
        assert_eq!(run.metrics(), ["pk", "chunk_tokens"]);
        assert_eq!(run.summary("pk").count, 2);
        assert_eq!(run.summary("none").count, 0);
    }

    // Another build refuses Parquet.
    #[cfg(feature = "parquet")]
    #[test]
    fn runs_come_back_as_they_were() {
        use super::{read_runs, write_runs};
        use crate::files::Destination;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.parquet");
        let (mut first, mut second) = (Run::new("a", "set"), Run::new("b", "set"));
        first.add("x", [("pk", 0.1 + 0.2), ("segments", 3.0)]);
        first.add("y", [("pk", f64::MIN_POSITIVE)]);
        second.add("x", [("pk", 1.0)]);
        let runs = [first, second];
        write_runs(Destination::file(&path, false).unwrap(), &runs).unwrap();
        assert_eq!(read_runs(&path).unwrap(), runs);
        std::fs::write(&path, "no table").unwrap();
        let error = read_runs(&path).unwrap_err();
        assert!(error.to_string().contains("runs.parquet"), "{error}");
    }
}
