//! [`Exec`] on candle tensors, as simply as can be: runs wherever candle runs.
//!
//! It is the oracle that the fast forms are tested against and the engine of `--engine candle`.
//! Nothing here is tuned.

use candle_core::{D, DType, Device, Tensor};

use super::exec::{
    Attention, DenseWeights, Epilogue, Error, Exec, Finish, MIN_NORM, Mask, NormWeights, Pooling,
    Span, TableWeights, Tokens, check_len,
};

/// The candle form, on any device that candle knows.
pub struct CandleExec {
    device: Device,
}

impl CandleExec {
    /// Runs on `device`.
    #[must_use]
    pub fn new(device: Device) -> Self {
        Self { device }
    }

    fn tensor(&self, data: &[f32], cols: usize) -> Result<Tensor, Error> {
        check_len("values beyond whole rows", data.len() % cols.max(1), 0)?;
        Ok(Tensor::from_slice(data, (data.len() / cols.max(1), cols), &self.device)?)
    }

    fn lookup(&self, table: &Tensor, what: &'static str, indices: &[u32]) -> Result<Tensor, Error> {
        let limit = table.dim(0)?;
        if let Some(&index) = indices.iter().find(|&&index| index as usize >= limit) {
            return Err(Error::Index { what, index: index as usize, limit });
        }
        let indices = Tensor::from_slice(indices, indices.len(), &self.device)?;
        Ok(table.index_select(&indices, 0)?)
    }

    /// Additive mask `[len, len]`: 0 where the query sees the key, minus infinity elsewhere.
    fn mask(&self, mask: Mask, len: usize) -> Result<Option<Tensor>, Error> {
        if mask == Mask::Full {
            return Ok(None);
        }
        let mut values = vec![f32::NEG_INFINITY; len * len];
        for (query, row) in values.chunks_exact_mut(len).enumerate() {
            row[mask.keys(query, len)].fill(0.0);
        }
        Ok(Some(Tensor::from_vec(values, (len, len), &self.device)?))
    }

    /// Attention within one sequence: `qkv: [len, qkv_dim]` to `[len, heads * head_dim]`.
    fn attend(&self, qkv: &Tensor, attention: &Attention) -> Result<Tensor, Error> {
        let Attention { heads, kv_heads, head_dim, scale, mask } = *attention;
        let len = qkv.dim(0)?;
        let part = |first: usize, count: usize| -> Result<Tensor, candle_core::Error> {
            let columns = qkv.narrow(1, first * head_dim, count * head_dim)?;
            columns.reshape((len, count, head_dim))?.transpose(0, 1)?.contiguous()
        };
        let shared: Vec<u32> = (0..heads).map(|h| (h * kv_heads / heads) as u32).collect();
        let shared = Tensor::from_vec(shared, heads, &self.device)?;
        let queries = part(0, heads)?;
        let keys = part(heads, kv_heads)?.index_select(&shared, 0)?;
        let values = part(heads + kv_heads, kv_heads)?.index_select(&shared, 0)?;
        let mut scores = (queries.matmul(&keys.t()?)? * f64::from(scale))?;
        if let Some(mask) = self.mask(mask, len)? {
            scores = scores.broadcast_add(&mask)?;
        }
        let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        let output = weights.matmul(&values)?.transpose(0, 1)?;
        Ok(output.reshape((len, heads * head_dim))?)
    }
}

/// A dense layer: `weight: [in, out]`, `bias: [out]`.
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

/// A layer norm over `[H]`.
pub struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl Norm {
    fn apply(&self, x: &Tensor) -> Result<Tensor, Error> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let scaled = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        Ok(scaled.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

/// Embedding tables, `[entries, H]` each.
pub struct Tables {
    word: Tensor,
    position: Option<Tensor>,
    token_type: Option<Tensor>,
}

impl Exec for CandleExec {
    type Buffer = Tensor;
    type Linear = Linear;
    type Norm = Norm;
    type Tables = Tables;

    fn describe(&self) -> String {
        format!("candle, f32, {:?}", self.device.location())
    }

    fn load_linear(&self, parts: &[DenseWeights<'_>]) -> Result<Linear, Error> {
        let mut weights = Vec::with_capacity(parts.len());
        let mut biases = Vec::with_capacity(parts.len());
        for part in parts {
            let weight = self.tensor(part.weight, part.in_features)?;
            let out = weight.dim(0)?;
            biases.push(match part.bias {
                Some(bias) => {
                    check_len("dense bias", bias.len(), out)?;
                    Tensor::from_slice(bias, out, &self.device)?
                }
                None => Tensor::zeros(out, DType::F32, &self.device)?,
            });
            weights.push(weight);
        }
        let has_bias = parts.iter().any(|part| part.bias.is_some());
        Ok(Linear {
            weight: Tensor::cat(&weights, 0)?.t()?.contiguous()?,
            bias: if has_bias { Some(Tensor::cat(&biases, 0)?) } else { None },
        })
    }

    fn load_norm(&self, weights: NormWeights<'_>) -> Result<Norm, Error> {
        check_len("norm bias", weights.bias.len(), weights.weight.len())?;
        Ok(Norm {
            weight: Tensor::from_slice(weights.weight, weights.weight.len(), &self.device)?,
            bias: Tensor::from_slice(weights.bias, weights.bias.len(), &self.device)?,
            eps: f64::from(weights.eps),
        })
    }

    fn load_tables(&self, weights: TableWeights<'_>) -> Result<Tables, Error> {
        let optional = |table: Option<&[f32]>| {
            table.map(|table| self.tensor(table, weights.hidden)).transpose()
        };
        Ok(Tables {
            word: self.tensor(weights.word, weights.hidden)?,
            position: optional(weights.position)?,
            token_type: optional(weights.token_type)?,
        })
    }

    fn embed_norm(
        &self,
        tables: &Tables,
        norm: &Norm,
        tokens: Tokens<'_>,
    ) -> Result<Tensor, Error> {
        let mut sum = self.lookup(&tables.word, "token id", tokens.ids)?;
        if let Some(table) = &tables.token_type {
            sum = (sum + self.lookup(table, "token type", tokens.type_ids)?)?;
        }
        if let Some(table) = &tables.position {
            sum = (sum + self.lookup(table, "position", tokens.positions)?)?;
        }
        norm.apply(&sum)
    }

    fn linear(&self, input: &Tensor, linear: &Linear, epilogue: Epilogue) -> Result<Tensor, Error> {
        let mut output = input.matmul(&linear.weight)?;
        if let Some(bias) = &linear.bias {
            output = output.broadcast_add(bias)?;
        }
        Ok(match epilogue {
            Epilogue::None => output,
            Epilogue::Gelu => output.gelu_erf()?,
            Epilogue::Tanh => output.tanh()?,
        })
    }

    fn attention(
        &self,
        qkv: &Tensor,
        cu_seqlens: &[u32],
        attention: &Attention,
    ) -> Result<Tensor, Error> {
        check_len("attention input", qkv.dim(1)?, attention.qkv_dim())?;
        let sequences = cu_seqlens.windows(2).map(|ends| {
            let (start, end) = (ends[0] as usize, ends[1] as usize);
            self.attend(&qkv.narrow(0, start, end - start)?, attention)
        });
        Ok(Tensor::cat(&sequences.collect::<Result<Vec<_>, _>>()?, 0)?)
    }

    fn residual_norm(&self, x: Tensor, residual: &Tensor, norm: &Norm) -> Result<Tensor, Error> {
        norm.apply(&(x + residual)?)
    }

    fn pool(
        &self,
        hidden: &Tensor,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
    ) -> Result<Tensor, Error> {
        let rows = spans.iter().map(|span| {
            let tokens = span.rows(cu_seqlens)?;
            let row = match pooling {
                Pooling::Mean => hidden.narrow(0, tokens.start, tokens.len())?.mean_keepdim(0)?,
                Pooling::Cls => hidden.narrow(0, tokens.start, 1)?,
                Pooling::LastToken => hidden.narrow(0, tokens.end - 1, 1)?,
            };
            Ok(row)
        });
        Ok(Tensor::cat(&rows.collect::<Result<Vec<_>, Error>>()?, 0)?)
    }

    fn finish(&self, rows: Tensor, finish: Finish) -> Result<Vec<f32>, Error> {
        let cols = rows.dim(1)?;
        if finish.dims == 0 || finish.dims > cols {
            return Err(Error::Index { what: "dimensions", index: finish.dims, limit: cols + 1 });
        }
        let mut rows = rows.narrow(1, 0, finish.dims)?;
        if finish.normalize {
            let norms = rows.sqr()?.sum_keepdim(1)?.sqrt()?;
            rows = rows.broadcast_div(&norms.maximum(MIN_NORM)?)?;
        }
        Ok(rows.contiguous()?.flatten_all()?.to_vec1()?)
    }

    fn upload(&self, data: &[f32], cols: usize) -> Result<Tensor, Error> {
        self.tensor(data, cols)
    }

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
