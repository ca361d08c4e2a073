//! The launch of a kernel on a lane.

/// Launches a kernel: `launch!(lane, name, grid, threads, shared bytes; arguments)`. Arguments are
/// places: pointers into device memory, numbers, and structs laid out as in the kernel's source.
///
/// # Safety
/// The arguments must be the kernel's, in number, order and layout, and every block as large as
/// the contract in the kernel's header says. In one expression, what they point to outlives the
/// launch.
macro_rules! launch {
    ($lane:expr, $name:expr, $grid:expr, $threads:expr, $shared:expr; $($argument:expr),+ $(,)?) => {{
        use cudarc::driver::PushKernelArg as _;
        let lane: &super::lane::Lane = $lane;
        let name: &str = $name;
        let kernel = lane.device.kernel(name, $shared)?;
        let config = cudarc::driver::LaunchConfig {
            grid_dim: $grid,
            block_dim: ($threads, 1, 1),
            shared_mem_bytes: $shared,
        };
        lane.stream
            .launch_builder(&kernel.function)
            $(.arg($argument))+
            .launch(config)
            .map(|_| ())
            .map_err(|error| super::device::launch_error(name, error))
    }};
}
pub(super) use launch;
