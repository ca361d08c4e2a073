//! The emulated driver's control functions, looked up in the library that the program opened.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ops::RangeInclusive;
use std::sync::{PoisonError, RwLockWriteGuard};

use super::TURN;

/// Devices that `make test-cuda` asks for.
const DEVICES: usize = 2;

/// The emulated driver, for one test at a time: it counts for the whole process.
pub(super) struct Emulation {
    library: *mut c_void,
    _turn: RwLockWriteGuard<'static, ()>,
}

impl Drop for Emulation {
    /// Leaves the devices as they were, also after a test that failed.
    fn drop(&mut self) {
        if self.find(c"chunkflow_host_counter").is_some() {
            for device in 0..DEVICES {
                self.set_memory(device, u64::MAX);
                self.restore(device);
            }
            self.reset_products(3);
        }
    }
}

impl Emulation {
    /// `None` on a real device, which counts nothing.
    pub(super) fn take() -> Option<Self> {
        let turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: opening a library that the tests have open already.
        let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "no CUDA driver: run these by `make test-cuda`");
        let emulation = Self { library, _turn: turn };
        let found = emulation.find(c"chunkflow_host_counter").map(|_| emulation);
        assert!(found.is_some() || super::is_device_named(), "the driver is not the emulated one");
        found
    }

    fn find(&self, name: &CStr) -> Option<*mut c_void> {
        // SAFETY: the library is open.
        let found = unsafe { libc::dlsym(self.library, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    }

    /// How often something happened since the last reset: `launches`, `products`, `allocations`,
    /// `synchronisations` and others of `kernels/host/README.md`.
    pub(super) fn count(&self, name: &str) -> u64 {
        let function = self.find(c"chunkflow_host_counter").unwrap();
        // SAFETY: declared so in kernels/host/control.cpp.
        let function: extern "C" fn(*const c_char) -> u64 =
            unsafe { std::mem::transmute(function) };
        let name = CString::new(name).unwrap();
        function(name.as_ptr())
    }

    pub(super) fn reset(&self) {
        let function = self.find(c"chunkflow_host_reset_counters").unwrap();
        // SAFETY: as above.
        let function: extern "C" fn() = unsafe { std::mem::transmute(function) };
        function();
    }

    /// The most streams that held unfinished work at one moment.
    pub(super) fn most_streams(&self) -> u64 {
        let function = self.find(c"chunkflow_host_max_concurrent_streams").unwrap();
        // SAFETY: as above.
        let function: extern "C" fn() -> u64 = unsafe { std::mem::transmute(function) };
        function()
    }

    /// Limits a device's memory.
    pub(super) fn set_memory(&self, device: usize, bytes: u64) {
        let function = self.find(c"chunkflow_host_set_memory").unwrap();
        // SAFETY: as above.
        let function: extern "C" fn(c_int, u64) = unsafe { std::mem::transmute(function) };
        function(device as c_int, bytes);
    }

    /// Lets every later call on a device fail as after a kernel that failed.
    pub(super) fn lose(&self, device: usize) {
        self.lose_with(device, 719);
    }

    /// Lets every later call on a device fail with an error of the driver.
    pub(super) fn lose_with(&self, device: usize, error: c_int) {
        let function = self.find(c"chunkflow_host_lose").unwrap();
        // SAFETY: as above.
        let function: extern "C" fn(c_int, c_int) = unsafe { std::mem::transmute(function) };
        function(device as c_int, error);
    }

    pub(super) fn restore(&self, device: usize) {
        let function = self.find(c"chunkflow_host_restore").unwrap();
        // SAFETY: as above.
        let function: extern "C" fn(c_int) = unsafe { std::mem::transmute(function) };
        function(device as c_int);
    }

    /// Lets a call (`check` or `run`) of one algorithm give a status of cuBLAS over so many rows.
    pub(super) fn refuse_products(
        &self,
        (call, status): (&CStr, i32),
        rows: RangeInclusive<u64>,
        algorithm: u64,
    ) {
        let function = self.find(c"chunkflow_host_refuse_products").unwrap();
        // SAFETY: as above.
        let function: extern "C" fn(*const c_char, c_int, u64, u64, u64) -> c_int =
            unsafe { std::mem::transmute(function) };
        let refused = function(call.as_ptr(), status, *rows.start(), *rows.end(), algorithm);
        assert_eq!(refused, 0, "{call:?}");
    }

    /// Forgets what was refused and what is loaded; loads that find no memory give `load_status`.
    pub(super) fn reset_products(&self, load_status: i32) {
        let function = self.find(c"chunkflow_host_reset_products").unwrap();
        // SAFETY: as above.
        let function: extern "C" fn(c_int) = unsafe { std::mem::transmute(function) };
        function(load_status);
    }

    /// Registers that a thread of a kernel is said to take; 0 for its own.
    pub(super) fn set_registers(&self, kernel: &str, registers: c_int) {
        let function = self.find(c"chunkflow_host_set_registers").unwrap();
        // SAFETY: as above.
        let function: extern "C" fn(*const c_char, c_int) =
            unsafe { std::mem::transmute(function) };
        let kernel = CString::new(kernel).unwrap();
        function(kernel.as_ptr(), registers);
    }
}
