// The devices of the machine, as the environment describes them, and the errors of their contexts.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace host {

// CUresult values that the emulation gives.
enum Error : int {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_OUT_OF_RESOURCES = 701,
    LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801,
};

struct Stream;

struct Device {
    int ordinal;
    size_t memory_bytes;
    size_t used_bytes = 0;
    // What failed on it: every call of the context gives this until the device is restored.
    int error = SUCCESS;
    // CUctx_flags of its context.
    unsigned flags = 0;
    std::vector<std::shared_ptr<Stream>> streams;
};

// What all devices have in common.
struct Properties {
    int major;
    int minor;
    int max_shared_bytes;
    int shared_bytes_of_multiprocessor;
    int threads_of_multiprocessor;
};
constexpr int MULTIPROCESSORS = 4;
constexpr int MAX_BLOCK_THREADS = 1024;
// Of a multiprocessor, and as many for one block.
constexpr int REGISTERS_OF_MULTIPROCESSOR = 65536;
constexpr int PLAIN_SHARED_BYTES = 49152;
constexpr int RESERVED_SHARED_BYTES = 1024;

const Properties& properties();
// The newest CUDA that the driver is for, as it numbers it.
int driver_version();
std::vector<std::unique_ptr<Device>>& devices();
// Null where there is no such device.
Device* device_of(int ordinal);

// One for everything: host threads take turns, and what a call sets off runs within its turn.
// Held by one thread at a time, any number of times, in the order in which they ask: a thread that
// launches cannot starve behind one that runs.
class DriverMutex {
public:
    void lock();
    void unlock();

private:
    std::mutex mutex_;
    std::condition_variable turn_;
    uint64_t next_ticket_ = 0, served_ = 0;
    std::thread::id owner_;
    unsigned depth_ = 0;
};

DriverMutex& driver_mutex();

// The calling thread's context, which is its device's only one; null where it has none.
Device*& current_device();

}  // namespace host
