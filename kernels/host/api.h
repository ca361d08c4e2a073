// What the entry points have in common.
#pragma once
#include <mutex>

#include "device.h"

#define HOST_API extern "C" __attribute__((visibility("default"))) int
// What tests ask and set, found by dlsym in libcuda.so.1.
#define HOST_CONTROL extern "C" __attribute__((visibility("default")))

namespace host {

// One call at a time, of the calling thread's context: `error` is what the call must return at
// once where it is not SUCCESS.
struct Turn {
    Turn() : lock(driver_mutex()), device(current_device()), error(device ? device->error : int(INVALID_CONTEXT)) {}
    std::lock_guard<DriverMutex> lock;
    Device* device;
    int error;
};

// For calls that need no context.
struct AnyTurn {
    AnyTurn() : lock(driver_mutex()) {}
    std::lock_guard<DriverMutex> lock;
};

}  // namespace host
