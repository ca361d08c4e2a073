#include "device.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "counters.h"
#include "scheduler.h"

namespace host {

namespace {

constexpr size_t DEFAULT_MEMORY = size_t(4) << 30;

// The first is what a device has unless the environment says otherwise.
constexpr Properties KNOWN[] = {
    {8, 0, 166912, 167936, 2048},
    {7, 5, 65536, 65536, 1024},
    {8, 6, 101376, 102400, 1536},
    {8, 9, 101376, 102400, 1536},
    {9, 0, 232448, 233472, 2048},
    {12, 0, 101376, 102400, 1536},
};

[[noreturn]] void refuse(const char* variable, const char* value) {
    fprintf(stderr, "chunkflow host device: %s is `%s`\n", variable, value);
    abort();
}

uint64_t number_from(const char* variable, uint64_t otherwise) {
    const char* value = getenv(variable);
    if (!value || !*value) return otherwise;
    char* end = nullptr;
    const uint64_t number = strtoull(value, &end, 10);
    if (*end) refuse(variable, value);
    return number;
}

std::vector<std::unique_ptr<Device>>* make_devices() {
    const char* order = getenv("CHUNKFLOW_HOST_ORDER");
    if (order && *order && !set_order(order)) refuse("CHUNKFLOW_HOST_ORDER", order);
    auto* made = new std::vector<std::unique_ptr<Device>>;
    const uint64_t count = number_from("CHUNKFLOW_HOST_DEVICES", 1);
    const size_t bytes = number_from("CHUNKFLOW_HOST_MEMORY", DEFAULT_MEMORY);
    for (uint64_t i = 0; i < count; i++) {
        made->push_back(std::make_unique<Device>());
        made->back()->ordinal = int(i);
        made->back()->memory_bytes = bytes;
    }
    return made;
}

const Properties& read_properties() {
    const char* capability = getenv("CHUNKFLOW_HOST_CAPABILITY");
    if (!capability || !*capability) return KNOWN[0];
    for (const Properties& known : KNOWN) {
        if (std::to_string(10 * known.major + known.minor) == capability) return known;
    }
    refuse("CHUNKFLOW_HOST_CAPABILITY", capability);
}

}  // namespace

const Properties& properties() {
    static const Properties& read = read_properties();
    return read;
}

int driver_version() {
    static const int version = int(number_from("CHUNKFLOW_HOST_DRIVER", 13000));
    return version;
}

// Never destroyed: other threads may still run when the process ends.
std::vector<std::unique_ptr<Device>>& devices() {
    static auto* const all = make_devices();
    return *all;
}

Device* device_of(int ordinal) {
    auto& all = devices();
    return ordinal >= 0 && size_t(ordinal) < all.size() ? all[size_t(ordinal)].get() : nullptr;
}

void DriverMutex::lock() {
    std::unique_lock<std::mutex> guard(mutex_);
    if (depth_ == 0 || owner_ != std::this_thread::get_id()) {
        const uint64_t ticket = next_ticket_++;
        turn_.wait(guard, [&] { return ticket == served_ && depth_ == 0; });
        owner_ = std::this_thread::get_id();
    }
    depth_++;
}

void DriverMutex::unlock() {
    std::lock_guard<std::mutex> guard(mutex_);
    if (--depth_ == 0) {
        served_++;
        turn_.notify_all();
    }
}

DriverMutex& driver_mutex() {
    static auto* const mutex = new DriverMutex;
    return *mutex;
}

Device*& current_device() {
    static thread_local Device* current = nullptr;
    return current;
}

Counters counters;

}  // namespace host
