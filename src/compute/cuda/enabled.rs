//! [`Exec`](super::Exec) on CUDA: kernels of our own and cuBLASLt's products over packed tokens.
//!
//! Activations are held in the working dtype, all sums are f32. A [`CudaExec`] is one lane of its
//! device: what it is given runs in order on one stream, and lanes of a device overlap.

mod attention;
mod band;
mod buffer;
mod cublaslt;
mod device;
mod devices;
mod dtype;
mod embed;
mod exec;
mod grid;
mod lane;
mod launch;
mod linear;
mod memory;
mod norm;
mod operand;
mod pieces;
mod pool;
mod product;
mod products;
mod rotary;
mod similarity;
mod slices;
mod turns;

pub use self::devices::CudaDevice;
pub use self::exec::CudaExec;
pub use self::slices::CudaSimilarity;
