//! Matrix products by cuBLASLt, the bias added in f32 before a result is rounded: which algorithm
//! runs on which rows.
//!
//! cuBLASLt promises that an algorithm runs only for layouts that it was checked for. A layer's is
//! therefore checked once for each number of rows, and where that refuses it, or its run does,
//! another runs in its place: no batch fails for the choice.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cudarc::cublaslt::result::CublasError;
use cudarc::cublaslt::sys::cublasLtMatmulAlgo_t;

use super::super::dtype::Numerics;
use super::super::error::Error;
use super::cublaslt::{CublasLt, failed, is_refusal, with_memory};
use super::dtype::bytes_of;
use super::lane::Lane;
use super::memory::Memory;
use super::product::{Description, Layer, Product};

/// Rows that the algorithm of exact numerics is chosen for, whatever rows it then runs on: those of
/// a full batch.
const USUAL_ROWS: usize = 8192;
/// Rows that such an algorithm should run on, too.
const USUAL_RANGE: [usize; 2] = [4096, 16384];

/// Calls, as errors name them.
const CHOOSE: &str = "choose a product's algorithm";
const RUN: &str = "run a matrix product";

/// The products of one lane, with the algorithms that were chosen for them.
pub(super) struct Products {
    library: CublasLt,
    layers: Mutex<HashMap<Layer, Choices>>,
}

/// What was found out about a layer.
#[derive(Default)]
struct Choices {
    /// The layer's algorithm, by the rows that it was chosen for; `None` where there was none.
    chosen: HashMap<usize, Option<cublasLtMatmulAlgo_t>>,
    /// What runs on each number of rows.
    by_rows: HashMap<usize, cublasLtMatmulAlgo_t>,
    /// Whether it was said that not all rows run the layer's.
    is_told: bool,
}

impl Products {
    pub(super) fn new(lane: &Lane, numerics: Numerics) -> Result<Self, Error> {
        Ok(Self { library: CublasLt::new(lane, numerics)?, layers: Mutex::default() })
    }

    /// Runs a product in the lane's order.
    pub(super) fn run(&self, lane: &Lane, product: &Product<'_>) -> Result<Memory, Error> {
        let output =
            lane.pool.take(product.rows * product.outputs * bytes_of(product.output_dtype))?;
        if product.rows == 0 || product.outputs == 0 {
            return Ok(output);
        }
        lane.bind()?;
        let description = Description::new(product, product.rows);
        let description = description.map_err(|error| failed("describe a product", error))?;
        let algorithm = with_memory(lane, CHOOSE, || self.algorithm(product, &description))?;
        let algorithm = algorithm.ok_or_else(|| no_algorithm(product))?;
        let multiply = |algorithm: &cublasLtMatmulAlgo_t| {
            // SAFETY: the description is the product's, whose values are there as callers of `run`
            // promise, and the output was taken for its rows.
            unsafe { self.library.multiply(lane, product, &description, algorithm, &output) }
        };
        if let Some(refusal) = attempt(lane, multiply, &algorithm)? {
            let proposed = with_memory(lane, CHOOSE, || self.library.propose(&description))?;
            let mut others = proposed.into_iter().filter(|other| *other != algorithm);
            let another = others.find_map(|other| match attempt(lane, multiply, &other) {
                Ok(Some(_)) => None,
                done => Some(done.map(|_| other)),
            });
            let another = another.ok_or_else(|| failed(RUN, refusal))??;
            let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
            layers.entry(product.layer()).or_default().replace(product, another);
        }
        Ok(output)
    }

    /// What runs a product: its layer's algorithm where that does, else the best for its rows.
    fn algorithm(
        &self,
        product: &Product<'_>,
        description: &Description,
    ) -> Result<Option<cublasLtMatmulAlgo_t>, CublasError> {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let choices = layers.entry(product.layer()).or_default();
        if let Some(algorithm) = choices.by_rows.get(&product.rows) {
            return Ok(Some(*algorithm));
        }
        let chosen = self.chosen(choices, product)?;
        if let Some(algorithm) = chosen.filter(|chosen| self.library.runs(description, chosen)) {
            choices.by_rows.insert(product.rows, algorithm);
            return Ok(Some(algorithm));
        }
        let best = self.library.propose(description)?.into_iter().next();
        if let Some(algorithm) = best {
            choices.replace(product, algorithm);
        }
        Ok(best)
    }

    /// The layer's algorithm: one for all rows where numerics are exact, so that a row's sums run
    /// in one order whatever else is in the batch, else one for each power of two.
    fn chosen(
        &self,
        choices: &mut Choices,
        product: &Product<'_>,
    ) -> Result<Option<cublasLtMatmulAlgo_t>, CublasError> {
        let is_exact = self.library.numerics == Numerics::Exact;
        let rows = if is_exact { USUAL_ROWS } else { product.rows.next_power_of_two() };
        if let Some(chosen) = choices.chosen.get(&rows) {
            return Ok(*chosen);
        }
        let proposed = self.library.propose(&Description::new(product, rows)?)?;
        let mut chosen = proposed.first().copied();
        if is_exact {
            let [least, most] = USUAL_RANGE.map(|rows| Description::new(product, rows));
            let (least, most) = (least?, most?);
            let runs = |algorithm: &&cublasLtMatmulAlgo_t| {
                self.library.runs(&least, algorithm) && self.library.runs(&most, algorithm)
            };
            chosen = proposed.iter().find(runs).copied().or(chosen);
        }
        choices.chosen.insert(rows, chosen);
        Ok(chosen)
    }
}

impl Choices {
    /// Rows run another algorithm than their layer's, which is said once.
    fn replace(&mut self, product: &Product<'_>, algorithm: cublasLtMatmulAlgo_t) {
        self.by_rows.insert(product.rows, algorithm);
        let Product { rows, inputs, outputs, dtype, .. } = product;
        if std::mem::replace(&mut self.is_told, true) {
            tracing::debug!(rows, inputs, outputs, %dtype, "these rows run another kernel");
        } else {
            tracing::warn!(
                rows, inputs, outputs, %dtype,
                "cuBLASLt does not run this layer's kernel on so many rows: they run another, and \
                 may have other last bits than in a batch of another size"
            );
        }
    }
}

/// Runs an algorithm; what the library answered where it does not run it.
fn attempt(
    lane: &Lane,
    multiply: impl Fn(&cublasLtMatmulAlgo_t) -> Result<(), CublasError>,
    algorithm: &cublasLtMatmulAlgo_t,
) -> Result<Option<CublasError>, Error> {
    let refusal = with_memory(lane, RUN, || match multiply(algorithm) {
        Err(error) if is_refusal(error) => Ok(Some(error)),
        done => done.map(|()| None),
    })?;
    if refusal.is_some() {
        // A device that is lost says so itself.
        lane.synchronise()?;
    }
    Ok(refusal)
}

fn no_algorithm(product: &Product<'_>) -> Error {
    let Product { rows, inputs, outputs, dtype, .. } = product;
    let problem = format!("cuBLASLt has none for {rows} rows, {inputs} by {outputs} in {dtype}");
    Error::Device { call: CHOOSE, problem }
}
