//! Parquet by Arrow.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::Error;
use crate::evaluation::Error as EvaluationError;
use crate::evaluation::run::{Measurement, Run};
use crate::results::{Destination, io_error};

const TEXTS: [&str; 4] = ["run", "dataset", "item", "metric"];
const VALUE: &str = "value";

/// Writes all measurements of `runs`, in their order.
///
/// # Errors
/// When they cannot be written.
pub fn write_runs(destination: Destination, runs: &[Run]) -> Result<(), Error> {
    let fields = TEXTS.map(|name| Field::new(name, DataType::Utf8, false));
    let value = Field::new(VALUE, DataType::Float64, false);
    let schema = Arc::new(Schema::new([fields.to_vec(), vec![value]].concat()));
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let written = ArrowWriter::try_new(destination, Arc::clone(&schema), Some(properties));
    let written = written.and_then(|mut writer| {
        for run in runs {
            let rows = &run.measurements;
            let column = |text: &dyn Fn(&Measurement) -> String| -> ArrayRef {
                Arc::new(rows.iter().map(|row| Some(text(row))).collect::<StringArray>())
            };
            let values = rows.iter().map(|row| row.value).collect::<Float64Array>();
            let columns = vec![
                column(&|_| run.name.clone()),
                column(&|_| run.dataset.clone()),
                column(&|row| row.item.clone()),
                column(&|row| row.metric.clone()),
                Arc::new(values),
            ];
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
        }
        writer.into_inner()
    });
    Ok(written.map_err(io_error)?.commit()?)
}

/// Reads what [`write_runs`] wrote; other columns are ignored.
///
/// # Errors
/// When the file cannot be read or lacks a column.
pub fn read_runs(path: &Path) -> Result<Vec<Run>, Error> {
    let open = |source| EvaluationError::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(open)?;
    let fail =
        |problem: String| EvaluationError::Data { place: path.display().to_string(), problem };
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| fail(error.to_string()))?;
    let mut runs: Vec<Run> = Vec::new();
    for batch in builder.build().map_err(|error| fail(error.to_string()))? {
        let batch = batch.map_err(|error| fail(error.to_string()))?;
        let column = |name: &str, wanted: &DataType| {
            let column = batch.column_by_name(name);
            let column =
                column.filter(|column| column.data_type() == wanted && column.null_count() == 0);
            column.ok_or_else(|| fail(format!("no column `{name}` of {wanted} without nulls")))
        };
        let [run, dataset, item, metric] = TEXTS;
        let texts =
            |name| Ok::<_, EvaluationError>(column(name, &DataType::Utf8)?.as_string::<i32>());
        let (names, datasets) = (texts(run)?, texts(dataset)?);
        let (items, metrics) = (texts(item)?, texts(metric)?);
        let values = column(VALUE, &DataType::Float64)?.as_primitive::<Float64Type>();
        for row in 0..batch.num_rows() {
            let (name, dataset) = (names.value(row), datasets.value(row));
            let known = runs.iter().rposition(|run| run.name == name && run.dataset == dataset);
            let at = known.unwrap_or_else(|| {
                runs.push(Run::new(name, dataset));
                runs.len() - 1
            });
            runs[at].add(items.value(row), [(metrics.value(row), values.value(row))]);
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::{read_runs, write_runs};
    use crate::evaluation::run::Run;
    use crate::results::Destination;

    #[test]
    fn runs_come_back_as_they_were() {
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
