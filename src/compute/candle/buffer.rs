//! Activations: candle tensors.

use candle_core::Tensor;

use super::super::buffer::Buffers;
use super::super::error::Error;
use super::exec::CandleExec;

impl Buffers for CandleExec {
    type Buffer = Tensor;

    fn upload(&self, data: &[f32], cols: usize) -> Result<Tensor, Error> {
        self.tensor(data, cols)
    }
}
