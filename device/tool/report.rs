//! What the steps of a mode found, as JSON and as tables for docs/cuda.md. Read is what `run.sh` leaves
//! in the mode's folder: `steps.tsv`, `machine.log` and, each if its step ran, `*.json`, `ops.log` and
//! `ncu_*.csv`. Written are `MODE.json` and `MODE.md` beside that folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Result;

/// Columns of `steps.tsv`.
const STEP: [&str; 5] = ["step", "result", "seconds", "limit", "remark"];
/// Columns of a layer's row, and where they stand in its answer.
const LAYER: [(&str, &str); 12] = [
    ("model", "/model"),
    ("layer", "/layer"),
    ("dtype", "/dtype"),
    ("right", "/right"),
    ("proposed", "/answer/proposals"),
    ("chosen", "/answer/chosen"),
    ("algorithm", "/answer/algorithm"),
    ("refused at rows", "/answer/refused"),
    ("failed", "/answer/failed"),
    ("bits differ", "/answer/bits_differ"),
    ("and where refused", "/answer/bits_differ_where_refused"),
    ("fast refused", "/answer/fast_refused"),
];
const MODEL: [&str; 9] =
    ["model", "texts", "dtype", "by", "texts/s", "tokens/s", "TFLOP/s", "p50 ms", "p99 ms"];
const OPERATION: [&str; 5] = ["operation", "shape", "dtype", "bytes", "products"];
/// Columns of a kernel's row, the counters that they are read from, and their units in base units.
const COUNTERS: [(&str, &str, f64); 7] = [
    ("us", "gpu__time_duration.sum", 1e3),
    ("SM %", "sm__throughput.avg.pct_of_peak_sustained_elapsed", 1.0),
    ("memory %", "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed", 1.0),
    ("DRAM MB", "dram__bytes.sum", 1e6),
    ("tensor %", "sm__inst_executed_pipe_tensor.avg.pct_of_peak_sustained_active", 1.0),
    ("warps %", "sm__warps_active.avg.pct_of_peak_sustained_active", 1.0),
    ("registers", "launch__registers_per_thread", 1.0),
];

/// Writes the results of `mode`, which stand in `folder/mode`, into `folder`.
pub(super) fn write(mode: &str, folder: &Path) -> Result<()> {
    let from = folder.join(mode);
    let read = |name: &str| fs::read_to_string(from.join(name)).unwrap_or_default();
    let (machine, steps) = (read("machine.log"), steps(&read("steps.tsv")));
    let results = results(&from)?;
    let (operations, kernels) = (operations(&read("ops.log")), kernels(&from)?);
    let mut page = format!("## {mode}\n\n```\n{}\n```\n", machine.trim());
    table(&mut page, "Steps", &STEP, &steps)?;
    let (products, times) = (layers(&results["products"]), times(&results["times"]));
    table(&mut page, "Layers of cuBLASLt", &LAYER.map(|(name, _)| name), &products)?;
    let title = "Microseconds of a product, exact / fast, by rows";
    table(
        &mut page,
        title,
        &["model", "layer", "dtype", "1", "16", "128", "1024", "16384"],
        &times,
    )?;
    table(&mut page, "Whole models", &MODEL, &models(&results))?;
    let title = "Operations, with shares of what was reached at best";
    table(&mut page, title, &OPERATION, &operations)?;
    let counters = COUNTERS.map(|(name, ..)| name);
    let columns = [&["model", "kernel", "launches"][..], &counters].concat();
    table(&mut page, "Kernels, means of their launches", &columns, &kernels)?;
    let machine: Vec<&str> = machine.lines().collect();
    let all = json!({
        "mode": mode,
        "machine": machine,
        "steps": steps,
        "results": results,
        "operations": operations,
        "kernels": kernels,
    });
    fs::write(folder.join(format!("{mode}.json")), format!("{all:#}\n"))?;
    Ok(fs::write(folder.join(format!("{mode}.md")), page)?)
}

/// Appends objects as a table under `title`, or nothing where there are none.
fn table(page: &mut String, title: &str, columns: &[&str], rows: &[Value]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let (names, rule) = (columns.join(" | "), "---|".repeat(columns.len()));
    writeln!(page, "\n{title}:\n\n| {names} |\n|{rule}")?;
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|name| cell(&row[name])).collect();
        writeln!(page, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('|', "/"),
        Value::Number(number) => match number.as_f64() {
            Some(x) if number.is_f64() && x.abs() >= 100.0 => format!("{x:.0}"),
            Some(x) if number.is_f64() => format!("{x:.2}"),
            _ => number.to_string(),
        },
        Value::Null => "-".to_owned(),
        Value::Bool(is_right) => if *is_right { "yes" } else { "NO" }.to_owned(),
        // Row counts: how many, and the first.
        Value::Array(rows) if rows.is_empty() => "none".to_owned(),
        Value::Array(rows) => {
            let first: Vec<String> = rows.iter().take(4).map(Value::to_string).collect();
            format!("{}: {}..", rows.len(), first.join(", "))
        }
        Value::Object(_) => value.to_string(),
    }
}

fn steps(lines: &str) -> Vec<Value> {
    let row = |line: &str| {
        let cells = STEP.iter().zip(line.split('\t'));
        let named = cells.map(|(name, text)| {
            ((*name).to_owned(), text.parse::<f64>().map_or_else(|_| json!(text), |x| json!(x)))
        });
        Value::Object(named.collect())
    };
    lines.lines().map(row).collect()
}

/// Every JSON file that a step left, by its name without the ending.
fn results(folder: &Path) -> Result<Value> {
    let mut found = Map::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|suffix| suffix == "json") {
            // A step that was stopped leaves a file that is none.
            if let Ok(value) = serde_json::from_slice(&fs::read(&path)?) {
                found.insert(name.to_owned(), value);
            }
        }
    }
    Ok(Value::Object(found))
}

fn layers(products: &Value) -> Vec<Value> {
    let row = |layer: &Value| {
        let cell = |(name, place): (&str, &str)| {
            (name.to_owned(), layer.pointer(place).cloned().unwrap_or_default())
        };
        Value::Object(LAYER.map(cell).into_iter().collect())
    };
    products["layers"].as_array().into_iter().flatten().map(row).collect()
}

fn times(products: &Value) -> Vec<Value> {
    let row = |layer: &Value| {
        let mut row = Map::new();
        for key in ["model", "layer", "dtype"] {
            row.insert(key.to_owned(), layer[key].clone());
        }
        for line in layer["answer"].as_array().into_iter().flatten() {
            let times = format!("{} / {}", cell(&line["exact_us"]), cell(&line["fast_us"]));
            row.insert(line["rows"].to_string(), json!(times));
        }
        Value::Object(row)
    };
    products["layers"].as_array().into_iter().flatten().map(row).collect()
}

/// `run_MODEL_DTYPE_NUMERICS_TEXTS` of the program and `torch_MODEL_TEXTS` of torch.
fn models(results: &Value) -> Vec<Value> {
    let rows = results.as_object().into_iter().flatten().filter_map(|(name, run)| {
        let parts: Vec<&str> = name.split('_').collect();
        let (model, dtype, by, texts) = match parts[..] {
            ["run", model, dtype, numerics, texts] => (model, dtype, json!(numerics), texts),
            ["torch", model, texts] => (model, "f16", run["by"].clone(), texts),
            _ => return None,
        };
        Some(json!({
            "model": model,
            "texts": texts,
            "dtype": dtype,
            "by": by,
            "texts/s": run["texts_per_second"],
            "tokens/s": run["tokens_per_second"],
            "TFLOP/s": run["gflops"].as_f64().map(|gflops| gflops / 1e3),
            "p50 ms": run["p50_ms"],
            "p99 ms": run["p99_ms"],
        }))
    });
    rows.collect()
}

/// Lines `OPERATION SHAPE DTYPE: N GB/s (N%), N TFLOP/s (N%)` of the bench.
fn operations(log: &str) -> Vec<Value> {
    let row = |line: &str| {
        let (what, rates) = line.split_once(": ")?;
        let [operation, shape, dtype] = what.split(' ').collect::<Vec<_>>()[..] else {
            return None;
        };
        let (bytes, flops) = rates.split_once(", ")?;
        flops.contains("TFLOP/s (").then(|| {
            json!({"operation": operation, "shape": shape, "dtype": dtype, "bytes": bytes, "products": flops})
        })
    };
    log.lines().filter_map(row).collect()
}

/// Means of the counters of every kernel of every `ncu_MODEL.csv`.
fn kernels(folder: &Path) -> Result<Vec<Value>> {
    let mut sums: BTreeMap<(String, String), (f64, [f64; COUNTERS.len()])> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(model) = name.strip_prefix("ncu_") else { continue };
        // Before the table stand lines of the profiler and of the program.
        let text = fs::read_to_string(&path)?;
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('"')).collect();
        let lines = lines.join("\n");
        let mut reader = csv::Reader::from_reader(lines.as_bytes());
        let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        let column = |name: &str| columns.iter().position(|column| column == name);
        let Some(kernel) = column("Kernel Name") else { continue };
        // The first record holds units.
        for record in reader.records().skip(1) {
            let record = record?;
            let key = (model.to_owned(), record[kernel].split('(').next().unwrap_or("").to_owned());
            let (count, values) = sums.entry(key).or_default();
            *count += 1.0;
            for (sum, (_, counter, unit)) in values.iter_mut().zip(COUNTERS) {
                let text = column(counter).and_then(|at| record.get(at)).unwrap_or_default();
                *sum += text.replace(',', "").parse::<f64>().unwrap_or(f64::NAN) / unit;
            }
        }
    }
    let row =
        |((model, kernel), (count, values)): ((String, String), (f64, [f64; COUNTERS.len()]))| {
            let mut row = Map::new();
            row.insert("model".to_owned(), json!(model));
            row.insert("kernel".to_owned(), json!(kernel));
            row.insert("launches".to_owned(), json!(count as u64));
            for ((name, ..), sum) in COUNTERS.iter().zip(values) {
                row.insert((*name).to_owned(), json!(sum / count));
            }
            Value::Object(row)
        };
    Ok(sums.into_iter().map(row).collect())
}
