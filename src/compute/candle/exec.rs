//! The candle form: what every operation of it needs to know.

use candle_core::{Device, Tensor};

use super::super::error::{Error, check_indices, whole_rows};
use super::super::exec::{Batching, Exec};

/// The candle form, on any device that candle knows.
pub struct CandleExec {
    pub(super) device: Device,
}

impl CandleExec {
    /// Runs on `device`.
    #[must_use]
    pub fn new(device: Device) -> Self {
        Self { device }
    }

    /// Rows of `cols` values from the host.
    pub(super) fn tensor(&self, data: &[f32], cols: usize) -> Result<Tensor, Error> {
        let rows = whole_rows("rows from the host", data.len(), cols)?;
        Ok(Tensor::from_slice(data, (rows, cols), &self.device)?)
    }

    /// Rows of a table.
    pub(super) fn lookup(
        &self,
        table: &Tensor,
        what: &'static str,
        indices: &[u32],
    ) -> Result<Tensor, Error> {
        let limit = table.dim(0)?;
        check_indices(what, indices, limit)?;
        let indices = Tensor::from_slice(indices, indices.len(), &self.device)?;
        Ok(table.index_select(&indices, 0)?)
    }
}

impl Exec for CandleExec {
    fn describe(&self) -> String {
        format!("candle, f32, {:?}", self.device.location())
    }

    fn batching(&self) -> Batching {
        Batching::of_cpu()
    }
}
