// Device memory: host memory between guard zones.
#pragma once
#include <cstddef>
#include <cstdint>

namespace host {

struct Device;

constexpr size_t GUARD_BYTES = 256;
constexpr unsigned char GUARD = 0xa5;

// How far into a guard zone somebody has written, counted from its start; 0 where it is whole.
size_t bytes_touched(const unsigned char* guard, size_t bytes);

// Null where the device has less than that left.
void* allocate(Device& device, size_t bytes);
// False for what is no allocation. Checks its guards.
bool release(void* pointer);
// Ends the process where a guard zone of any allocation has been written to.
void check_guards();
// Whether one allocation holds all `bytes` from `pointer` on.
bool is_device_memory(const void* pointer, size_t bytes);

// Page-locked memory; what it holds is not known, and is 0xff here.
void* allocate_pinned(size_t bytes);
bool release_pinned(void* pointer);

struct MemoryUse {
    uint64_t live_allocations;
    uint64_t live_bytes;
    uint64_t peak_bytes;
    uint64_t live_pinned;
};
MemoryUse memory_use();

}  // namespace host
