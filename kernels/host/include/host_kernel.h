// How a compiled kernel makes itself known to the emulated driver.
#pragma once
#include <tuple>
#include <utility>
#include <vector>

#include "host_device.h"

namespace host {

struct Kernel {
    const char* name;
    // `__CUDA_ARCH__`, as it was compiled.
    int architecture;
    void (*function)();
    // Calls `function` with the parameters that lie at these addresses.
    void (*call)(void (*function)(), void* const* parameters);
    std::vector<size_t> parameter_bytes;
    // Of __launch_bounds__, or a device's limit, and the blocks that are to run on a multiprocessor.
    unsigned max_threads;
    unsigned resident_blocks;
};

void add_kernel(const Kernel& kernel);

template <class... Parameters, size_t... I>
void call_with(void (*function)(Parameters...), void* const* parameters, std::index_sequence<I...>) {
    function(*static_cast<std::remove_cv_t<Parameters>*>(parameters[I])...);
}

template <class... Parameters>
bool register_kernel(const char* name, int architecture, void (*function)(Parameters...), unsigned max_threads,
                     unsigned resident_blocks = 1) {
    static_assert((std::is_trivially_copyable<Parameters>::value && ...), "parameters are copied as bytes");
    const auto call = [](void (*erased)(), void* const* parameters) {
        call_with(reinterpret_cast<void (*)(Parameters...)>(erased), parameters, std::index_sequence_for<Parameters...>());
    };
    add_kernel({name, architecture, reinterpret_cast<void (*)()>(function), call, {sizeof(Parameters)...}, max_threads, resident_blocks});
    return true;
}

}  // namespace host
