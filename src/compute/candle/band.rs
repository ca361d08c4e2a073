//! The banded Gram matrix, a diagonal at a time.

use candle_core::Tensor;

use super::super::band::Band;
use super::super::error::Error;
use super::exec::CandleExec;

impl Band for CandleExec {
    fn gram(&self, rows: &Tensor, width: usize) -> Result<Vec<f32>, Error> {
        let n = rows.dim(0)?;
        let mut band = vec![0.0; n * width];
        for offset in 0..width.min(n) {
            let (a, b) = (rows.narrow(0, 0, n - offset)?, rows.narrow(0, offset, n - offset)?);
            let products: Vec<f32> = (a * b)?.sum(1)?.to_vec1()?;
            for (i, product) in products.into_iter().enumerate() {
                band[i * width + offset] = product;
            }
        }
        Ok(band)
    }
}
