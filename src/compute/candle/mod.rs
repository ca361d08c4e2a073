//! [`Exec`] on candle tensors, as simply as can be: runs wherever candle runs.
//!
//! It is the oracle that the fast forms are tested against and the engine of `--engine candle`.
//! Nothing here is tuned.

mod attention;
mod exec;

use candle_core::{D, DType, Tensor};

use self::attention::Bias;
pub use self::exec::CandleExec;
use super::error::{Error, check_len};
use super::exec::{Batching, Exec, MIN_NORM};
use super::operands::{
    Activation, Attention, BiasWeights, DenseWeights, Epilogue, Finish, NormKind, NormWeights,
    Pooling, Precision, RotaryWeights, Span, TableWeights, Tokens,
};

fn activate(activation: Activation, x: &Tensor) -> Result<Tensor, candle_core::Error> {
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::Silu => x.silu(),
        Activation::Tanh => x.tanh(),
    }
}

/// A dense layer: `weight: [in, out]`, `bias: [out]`.
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

/// A norm over `[H]`.
pub struct Norm {
    kind: NormKind,
    weight: Tensor,
    bias: Option<Tensor>,
    eps: f64,
}

impl Norm {
    fn apply(&self, x: &Tensor) -> Result<Tensor, Error> {
        let centred = match self.kind {
            NormKind::Layer => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?,
            NormKind::Rms => x.clone(),
        };
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let scaled = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        let scaled = scaled.broadcast_mul(&self.weight)?;
        Ok(match &self.bias {
            Some(bias) => scaled.broadcast_add(bias)?,
            None => scaled,
        })
    }
}

/// Cosines and sines, `[positions, head_dim / 2]` each.
pub struct Rotary {
    cos: Tensor,
    sin: Tensor,
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
    type Bias = Bias;
    type Rotary = Rotary;
    type Tables = Tables;

    fn describe(&self) -> String {
        format!("candle, f32, {:?}", self.device.location())
    }

    fn batching(&self) -> Batching {
        Batching::of_cpu()
    }

    fn load_linear(&self, parts: &[DenseWeights<'_>], _: Precision) -> Result<Linear, Error> {
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
        let NormWeights { kind, weight, bias, eps } = weights;
        if let Some(bias) = bias {
            check_len("norm bias", bias.len(), weight.len())?;
        }
        let vector = |values: &[f32]| Tensor::from_slice(values, values.len(), &self.device);
        Ok(Norm {
            kind,
            weight: vector(weight)?,
            bias: bias.map(vector).transpose()?,
            eps: f64::from(eps),
        })
    }

    fn load_bias(&self, weights: BiasWeights<'_>) -> Result<Bias, Error> {
        weights.check()?;
        Ok(match weights {
            BiasWeights::Slopes(slopes) => Bias::Slopes(slopes.to_vec()),
            BiasWeights::Table { values, radius } => Bias::Table(values.to_vec(), radius),
        })
    }

    fn load_rotary(&self, weights: RotaryWeights<'_>) -> Result<Rotary, Error> {
        let (cos, sin) = weights.tables();
        let columns = weights.frequencies.len();
        Ok(Rotary { cos: self.tensor(&cos, columns)?, sin: self.tensor(&sin, columns)? })
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
        norm: Option<&Norm>,
        tokens: Tokens<'_>,
    ) -> Result<Tensor, Error> {
        let mut sum = self.lookup(&tables.word, "token id", tokens.ids)?;
        if let Some(table) = &tables.token_type {
            sum = (sum + self.lookup(table, "token type", tokens.type_ids)?)?;
        }
        if let Some(table) = &tables.position {
            sum = (sum + self.lookup(table, "position", tokens.positions)?)?;
        }
        norm.map_or(Ok(sum.clone()), |norm| norm.apply(&sum))
    }

    fn linear(&self, input: &Tensor, linear: &Linear, epilogue: Epilogue) -> Result<Tensor, Error> {
        let mut output = input.matmul(&linear.weight)?;
        if let Some(bias) = &linear.bias {
            output = output.broadcast_add(bias)?;
        }
        let columns = epilogue.columns(output.dim(1)?)?;
        Ok(match epilogue {
            Epilogue::None => output,
            Epilogue::Activate(activation) => activate(activation, &output)?,
            Epilogue::Gate(activation) => {
                let gate = activate(activation, &output.narrow(1, 0, columns)?.contiguous()?)?;
                (gate * output.narrow(1, columns, columns)?)?
            }
        })
    }

    fn rotary(
        &self,
        qkv: Tensor,
        positions: &[u32],
        attention: &Attention,
        norms: Option<&[Norm; 2]>,
        rotary: &Rotary,
    ) -> Result<Tensor, Error> {
        check_len("rotary input", qkv.dim(1)?, attention.qkv_dim())?;
        check_len("positions", positions.len(), qkv.dim(0)?)?;
        check_len("rotary pairs", rotary.cos.dim(1)?, attention.head_dim / 2)?;
        let cos = self.lookup(&rotary.cos, "position", positions)?.unsqueeze(1)?;
        let sin = self.lookup(&rotary.sin, "position", positions)?.unsqueeze(1)?;
        let Attention { heads, kv_heads, head_dim, .. } = *attention;
        let rotate = |first: usize, count: usize, norm: Option<&Norm>| {
            let columns = qkv.narrow(1, first * head_dim, count * head_dim)?.contiguous()?;
            let mut x = columns.reshape((positions.len(), count, head_dim))?;
            if let Some(norm) = norm {
                x = norm.apply(&x)?;
            }
            let half = head_dim / 2;
            let (a, b) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
            let turned = Tensor::cat(
                &[
                    (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?,
                    (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?,
                ],
                2,
            )?;
            Ok::<_, Error>(turned.reshape((positions.len(), count * head_dim))?)
        };
        let queries = rotate(0, heads, norms.map(|norms| &norms[0]))?;
        let keys = rotate(heads, kv_heads, norms.map(|norms| &norms[1]))?;
        let values = qkv.narrow(1, (heads + kv_heads) * head_dim, kv_heads * head_dim)?;
        Ok(Tensor::cat(&[queries, keys, values.contiguous()?], 1)?)
    }

    fn attention(
        &self,
        qkv: &Tensor,
        cu_seqlens: &[u32],
        attention: &Attention,
        bias: Option<&Bias>,
    ) -> Result<Tensor, Error> {
        check_len("attention input", qkv.dim(1)?, attention.qkv_dim())?;
        if let Some(bias) = bias {
            check_len("attention bias", bias.heads(), attention.heads)?;
        }
        let sequences = cu_seqlens.windows(2).map(|ends| {
            let (start, end) = (ends[0] as usize, ends[1] as usize);
            self.attend(&qkv.narrow(0, start, end - start)?, attention, bias)
        });
        Ok(Tensor::cat(&sequences.collect::<Result<Vec<_>, _>>()?, 0)?)
    }

    fn norm(&self, x: &Tensor, norm: &Norm) -> Result<Tensor, Error> {
        norm.apply(x)
    }

    fn add_norm(
        &self,
        x: Tensor,
        inner: Option<&Norm>,
        residual: &mut Tensor,
        norm: &Norm,
    ) -> Result<Tensor, Error> {
        let x = inner.map_or(Ok(x.clone()), |inner| inner.apply(&x))?;
        *residual = (&*residual + x)?;
        norm.apply(residual)
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

    fn linear_max(
        &self,
        input: &Tensor,
        linear: &Linear,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Tensor, Error> {
        let rows = spans.iter().map(|span| {
            let tokens = span.rows(cu_seqlens)?;
            let states = input.narrow(0, tokens.start, tokens.len())?;
            Ok(self.linear(&states, linear, Epilogue::None)?.max_keepdim(0)?)
        });
        Ok(Tensor::cat(&rows.collect::<Result<Vec<_>, Error>>()?, 0)?)
    }

    fn finish(&self, rows: Tensor, finish: Finish) -> Result<Vec<f32>, Error> {
        finish.check(rows.dim(1)?)?;
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
