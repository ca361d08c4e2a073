//! A matrix product as it is asked for, and as cuBLASLt is told of it.

use std::ptr;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{
    cublasComputeType_t, cublasLtEpilogue_t, cublasLtMatmulDesc_t,
    cublasLtMatmulDescAttributes_t as Attribute, cublasLtMatrixLayout_t, cudaDataType,
};

use super::super::dtype::Dtype;
use super::dtype::NO_INT8;
use super::memory::Memory;

/// `CUBLAS_OP_T`.
const TRANSPOSED: i32 = 1;

/// `output = input weight^T + bias`: `[rows, inputs]` to `[rows, outputs]`.
pub(super) struct Product<'a> {
    pub(super) input: &'a Memory,
    /// `[outputs, inputs]`.
    pub(super) weight: &'a Memory,
    /// `[outputs]` in the output's dtype.
    pub(super) bias: Option<&'a Memory>,
    pub(super) rows: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Of input and weight.
    pub(super) dtype: Dtype,
    pub(super) output_dtype: Dtype,
    /// Bytes before the first of the input's rows.
    pub(super) input_offset: usize,
}

/// What products of a layer have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Layer {
    inputs: usize,
    outputs: usize,
    dtype: Dtype,
    output_dtype: Dtype,
    bias: bool,
}

impl Product<'_> {
    pub(super) fn layer(&self) -> Layer {
        Layer {
            inputs: self.inputs,
            outputs: self.outputs,
            dtype: self.dtype,
            output_dtype: self.output_dtype,
            bias: self.bias.is_some(),
        }
    }
}

/// Descriptors of a product over `rows`. cuBLAS is column-major, so that it computes the
/// transposed output `[outputs, rows]` from the transposed weight and the input.
pub(super) struct Description {
    pub(super) operation: cublasLtMatmulDesc_t,
    pub(super) weight: cublasLtMatrixLayout_t,
    pub(super) input: cublasLtMatrixLayout_t,
    pub(super) output: cublasLtMatrixLayout_t,
}

impl Description {
    pub(super) fn new(product: &Product<'_>, rows: usize) -> Result<Self, CublasError> {
        let layout = |dtype, rows: usize, columns: usize| {
            result::create_matrix_layout(data_type(dtype), rows as u64, columns as u64, rows as i64)
        };
        let mut description = Self {
            operation: ptr::null_mut(),
            weight: ptr::null_mut(),
            input: ptr::null_mut(),
            output: ptr::null_mut(),
        };
        let compute = cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let operation = result::create_matmul_desc(compute, cudaDataType::CUDA_R_32F);
        description.operation = operation?;
        description.weight = layout(product.dtype, product.inputs, product.outputs)?;
        description.input = layout(product.dtype, product.inputs, rows)?;
        description.output = layout(product.output_dtype, product.outputs, rows)?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        if let Some(bias) = product.bias {
            let epilogue = cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS;
            description.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
            description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias.pointer())?;
        }
        Ok(description)
    }

    fn set<T>(&self, attribute: Attribute, value: &T) -> Result<(), CublasError> {
        // SAFETY: the descriptor lives, and the value is of the attribute's type.
        unsafe {
            let value: *const T = value;
            result::set_matmul_desc_attribute(
                self.operation,
                attribute,
                value.cast(),
                size_of::<T>(),
            )
        }
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        for layout in [self.weight, self.input, self.output] {
            if !layout.is_null() {
                // SAFETY: made in `new` and not used again; nothing is lost if it fails.
                let _ = unsafe { result::destroy_matrix_layout(layout) };
            }
        }
        if !self.operation.is_null() {
            // SAFETY: as above.
            let _ = unsafe { result::destroy_matmul_desc(self.operation) };
        }
    }
}

fn data_type(dtype: Dtype) -> cudaDataType {
    match dtype {
        Dtype::F16 => cudaDataType::CUDA_R_16F,
        Dtype::Bf16 => cudaDataType::CUDA_R_16BF,
        Dtype::F32 => cudaDataType::CUDA_R_32F,
        Dtype::Int8 => unreachable!("{NO_INT8}"),
    }
}
