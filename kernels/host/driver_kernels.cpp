// The driver's calls about modules, functions and launches.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "api.h"
#include "counters.h"
#include "memory.h"
#include "scheduler.h"
#include "streams.h"

using namespace host;

namespace {

struct Function {
    const Kernel* kernel;
    int max_dynamic_bytes = PLAIN_SHARED_BYTES;
};

struct Module {
    std::map<std::string, std::unique_ptr<Function>> functions;
};

// By name and architecture.
std::map<std::pair<std::string, int>, Kernel>& kernels() {
    static auto* const all = new std::map<std::pair<std::string, int>, Kernel>;
    return *all;
}

// The code that a device takes: that of the newest architecture that is not newer than it is.
const Kernel* kernel_of(const std::string& name) {
    const Properties& known = properties();
    const auto after = kernels().upper_bound({name, 100 * known.major + 10 * known.minor});
    if (after == kernels().begin()) return nullptr;
    const Kernel& kernel = std::prev(after)->second;
    return kernel.name == name ? &kernel : nullptr;
}

// The images are those of a real device: that the kernels of the same sources are here is what the
// build sees to. Only what could not be an image is refused.
bool is_image(const void* image) {
    uint32_t magic;
    memcpy(&magic, image, sizeof magic);
    constexpr uint32_t FAT_BINARY = 0xba55ed50, ELF = 0x464c457f;
    if (magic == FAT_BINARY || magic == ELF) return true;
    const char* text = static_cast<const char*>(image);
    const bool is_text = text[0] == '/' || text[0] == '.' || text[0] == '\n' || text[0] == ' ';
    return is_text && strstr(text, ".version");
}

// CUfunction_attribute.
enum FunctionAttribute { MAX_THREADS = 0, REGISTERS = 4, PTX_VERSION = 5, BINARY_VERSION = 6, MAX_DYNAMIC_SHARED = 8, CARVEOUT = 9 };

// Parameters are copied when a launch is queued, as a driver does it.
class Queued {
public:
    Queued(const Function& function, dim3 grid, dim3 block, unsigned shared_bytes, void* const* parameters) {
        const auto& sizes = function.kernel->parameter_bytes;
        size_t bytes = 0;
        for (size_t size : sizes) bytes += padded(size);
        storage_.resize(bytes / sizeof(Word));
        launch_ = {function.kernel, grid, block, shared_bytes, {}};
        auto* next = reinterpret_cast<unsigned char*>(storage_.data());
        for (size_t i = 0; i < sizes.size(); i++) {
            memcpy(next, parameters[i], sizes[i]);
            launch_.parameters.push_back(next);
            next += padded(sizes[i]);
        }
    }
    Queued(const Queued&) = delete;
    int run() const {
        if (!run_grid(launch_)) return LAUNCH_FAILED;
        check_guards();
        return SUCCESS;
    }

private:
    struct alignas(16) Word { unsigned char bytes[16]; };
    static size_t padded(size_t bytes) { return (bytes + sizeof(Word) - 1) / sizeof(Word) * sizeof(Word); }
    std::vector<Word> storage_;
    Launch launch_;
};

// Registers of a thread. The compiler's are not known here: as many as launch bounds leave room for.
int registers_of(const Kernel& kernel) {
    constexpr int MOST = 255, UNIT = 8;
    const auto planted = registers_of_kernels().find(kernel.name);
    if (planted != registers_of_kernels().end()) return planted->second;
    const int room = REGISTERS_OF_MULTIPROCESSOR / int(kernel.max_threads * kernel.resident_blocks);
    return std::min(MOST, room / UNIT * UNIT);
}

// Registers that a block takes: those of a warp by units of 256.
int registers_of_block(const Kernel& kernel, unsigned threads) {
    constexpr int UNIT = 256, LANES = 32;
    const int warps = (int(threads) + LANES - 1) / LANES;
    return warps * ((registers_of(kernel) * LANES + UNIT - 1) / UNIT * UNIT);
}

int check_launch(const Function& function, dim3 grid, dim3 block, unsigned shared_bytes) {
    constexpr unsigned MAX_GRID_X = 0x7fffffff, MAX_GRID_YZ = 65535, MAX_BLOCK_Z = 64, MAX_SIDE = MAX_BLOCK_THREADS;
    if (!grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z) return INVALID_VALUE;
    if (grid.x > MAX_GRID_X || grid.y > MAX_GRID_YZ || grid.z > MAX_GRID_YZ) return INVALID_VALUE;
    if (block.x > MAX_SIDE || block.y > MAX_SIDE || block.z > MAX_BLOCK_Z) return INVALID_VALUE;
    const unsigned threads = block.x * block.y * block.z;
    if (threads > unsigned(MAX_BLOCK_THREADS)) return INVALID_VALUE;
    if (threads > function.kernel->max_threads) return LAUNCH_OUT_OF_RESOURCES;
    if (registers_of_block(*function.kernel, threads) > REGISTERS_OF_MULTIPROCESSOR) return LAUNCH_OUT_OF_RESOURCES;
    if (shared_bytes > unsigned(function.max_dynamic_bytes)) return INVALID_VALUE;
    return SUCCESS;
}

int blocks_of_multiprocessor(const Function& function, int threads, size_t dynamic_bytes) {
    if (threads <= 0 || unsigned(threads) > function.kernel->max_threads) return 0;
    if (dynamic_bytes > size_t(function.max_dynamic_bytes)) return 0;
    const Properties& known = properties();
    const int rounded = (threads + 31) / 32 * 32;
    const int by_shared = known.shared_bytes_of_multiprocessor / (int(dynamic_bytes) + RESERVED_SHARED_BYTES);
    const int by_registers = REGISTERS_OF_MULTIPROCESSOR / registers_of_block(*function.kernel, unsigned(threads));
    return std::min({32, known.threads_of_multiprocessor / rounded, by_shared, by_registers});
}

}  // namespace

std::map<std::string, uint64_t>& host::launches_of_kernels() {
    static auto* const all = new std::map<std::string, uint64_t>;
    return *all;
}

std::map<std::string, int>& host::registers_of_kernels() {
    static auto* const all = new std::map<std::string, int>;
    return *all;
}

void host::add_kernel(const Kernel& kernel) {
    if (kernels().emplace(std::pair(kernel.name, kernel.architecture), kernel).second) return;
    fprintf(stderr, "chunkflow host device: two kernels for %d are called %s\n", kernel.architecture, kernel.name);
    abort();
}

HOST_API cuModuleLoadData(Module** module, const void* image) {
    const Turn turn;
    if (turn.error) return turn.error;
    if (!is_image(image)) return INVALID_IMAGE;
    *module = new Module;
    return SUCCESS;
}

HOST_API cuModuleUnload(Module* module) {
    const Turn turn;
    if (turn.device) finish_device(*turn.device);
    delete module;
    return turn.device ? turn.device->error : turn.error;
}

HOST_API cuModuleGetFunction(Function** handle, Module* module, const char* name) {
    const Turn turn;
    if (turn.error) return turn.error;
    const Kernel* kernel = kernel_of(name);
    if (!kernel) {
        fprintf(stderr, "chunkflow host device: no kernel is called %s\n", name);
        return NOT_FOUND;
    }
    std::unique_ptr<Function>& function = module->functions[name];
    if (!function) {
        function = std::make_unique<Function>();
        function->kernel = kernel;
    }
    *handle = function.get();
    return SUCCESS;
}

HOST_API cuModuleGetGlobal_v2(uint64_t*, size_t*, Module*, const char*) { return NOT_FOUND; }

HOST_API cuFuncGetAttribute(int* value, int attribute, const Function* function) {
    const Turn turn;
    if (turn.error) return turn.error;
    switch (attribute) {
        case MAX_THREADS: *value = int(function->kernel->max_threads); break;
        case REGISTERS: *value = registers_of(*function->kernel); break;
        case PTX_VERSION: case BINARY_VERSION: *value = properties().major * 10 + properties().minor; break;
        case MAX_DYNAMIC_SHARED: *value = function->max_dynamic_bytes; break;
        case CARVEOUT: *value = -1; break;
        default: *value = 0;
    }
    return SUCCESS;
}

HOST_API cuFuncSetAttribute(Function* function, int attribute, int value) {
    const Turn turn;
    if (turn.error) return turn.error;
    if (attribute == CARVEOUT) return SUCCESS;
    if (attribute != MAX_DYNAMIC_SHARED || value < 0 || value > properties().max_shared_bytes) return INVALID_VALUE;
    function->max_dynamic_bytes = value;
    return SUCCESS;
}

HOST_API cuFuncSetCacheConfig(Function*, int) { return SUCCESS; }

HOST_API cuLaunchKernel(const Function* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared_bytes, void* stream, void** parameters, void** extra) {
    const Turn turn;
    if (turn.error) return turn.error;
    if (extra) return NOT_SUPPORTED;
    const dim3 grid(grid_x, grid_y, grid_z), block(block_x, block_y, block_z);
    if (const int error = check_launch(*function, grid, block, shared_bytes)) return error;
    const auto queued = std::make_shared<Queued>(*function, grid, block, shared_bytes, parameters);
    counters.launches++;
    launches_of_kernels()[function->kernel->name]++;
    return submit(*turn.device, stream, [queued] { return queued->run(); });
}

HOST_API cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const Function* function, int threads, size_t dynamic_bytes,
                                                              unsigned) {
    const Turn turn;
    if (turn.error) return turn.error;
    *blocks = blocks_of_multiprocessor(*function, threads, dynamic_bytes);
    return SUCCESS;
}

HOST_API cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const Function* function, int threads, size_t dynamic_bytes) {
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, dynamic_bytes, 0);
}

HOST_API cuOccupancyMaxPotentialBlockSize(int* grid, int* threads, const Function* function, size_t (*bytes_of)(int), size_t dynamic_bytes,
                                          int limit) {
    const Turn turn;
    if (turn.error) return turn.error;
    *threads = int(function->kernel->max_threads);
    if (limit > 0) *threads = std::min(*threads, limit);
    if (bytes_of) dynamic_bytes = bytes_of(*threads);
    *grid = MULTIPROCESSORS * blocks_of_multiprocessor(*function, *threads, dynamic_bytes);
    return SUCCESS;
}
