// The driver's calls about devices, contexts and errors.
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "api.h"
#include "counters.h"
#include "streams.h"

using namespace host;

namespace {

struct ErrorText {
    int error;
    const char* name;
    const char* text;
};
constexpr ErrorText ERRORS[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
};

const ErrorText* text_of(int error) {
    for (const ErrorText& known : ERRORS) {
        if (known.error == error) return &known;
    }
    return nullptr;
}

// CUdevice_attribute, as the driver numbers it.
int attribute_of(const Device& device, int attribute) {
    const Properties& known = properties();
    switch (attribute) {
        case 1: return MAX_BLOCK_THREADS;
        case 2: case 3: return 1024;             // block x, y
        case 4: return 64;                       // block z
        case 5: return 0x7fffffff;               // grid x
        case 6: case 7: return 65535;            // grid y, z
        case 8: return PLAIN_SHARED_BYTES;
        case 9: return 65536;                    // constant memory
        case 10: return 32;                      // warp
        case 11: return 0x7fffffff;              // pitch
        case 12: case 82: return REGISTERS_OF_MULTIPROCESSOR;  // and of a block
        case 13: return 1410000;                 // clock in kHz
        case 14: return 512;                     // alignment of textures
        case 15: case 31: case 41: return 1;     // overlap, concurrent kernels, unified addressing
        case 16: return MULTIPROCESSORS;
        case 19: return 1;                       // maps host memory
        case 33: return device.ordinal + 1;      // PCI bus
        case 36: return 1215000;                 // memory clock in kHz
        case 37: return 5120;                    // memory bus in bits
        case 38: return 4 << 20;                 // L2
        case 39: return known.threads_of_multiprocessor;
        case 40: return 2;                       // copy engines
        case 75: return known.major;
        case 76: return known.minor;
        case 78: return 1;                       // stream priorities
        case 81: return known.shared_bytes_of_multiprocessor;
        case 97: return known.max_shared_bytes;
        case 106: return 32;                     // blocks of a multiprocessor
        case 111: return RESERVED_SHARED_BYTES;
        default: return 0;                       // among them 115, memory pools
    }
}

int with_device(int ordinal, Device** device) {
    *device = device_of(ordinal);
    return *device ? SUCCESS : INVALID_DEVICE;
}

}  // namespace

HOST_API cuInit(unsigned flags) {
    const AnyTurn turn;
    if (flags != 0) return INVALID_VALUE;
    return devices().empty() ? NO_DEVICE : SUCCESS;
}

HOST_API cuDriverGetVersion(int* version) {
    *version = driver_version();
    return SUCCESS;
}

HOST_API cuGetErrorName(int error, const char** name) {
    const ErrorText* known = text_of(error);
    *name = known ? known->name : nullptr;
    return known ? SUCCESS : INVALID_VALUE;
}

HOST_API cuGetErrorString(int error, const char** text) {
    const ErrorText* known = text_of(error);
    *text = known ? known->text : nullptr;
    return known ? SUCCESS : INVALID_VALUE;
}

HOST_API cuDeviceGetCount(int* count) {
    const AnyTurn turn;
    *count = int(devices().size());
    return SUCCESS;
}

HOST_API cuDeviceGet(int* handle, int ordinal) {
    const AnyTurn turn;
    *handle = ordinal;
    return device_of(ordinal) ? SUCCESS : INVALID_DEVICE;
}

HOST_API cuDeviceGetName(char* name, int bytes, int ordinal) {
    const AnyTurn turn;
    if (!device_of(ordinal)) return INVALID_DEVICE;
    if (bytes <= 0) return INVALID_VALUE;
    snprintf(name, size_t(bytes), "Emulated on the host");
    return SUCCESS;
}

HOST_API cuDeviceGetUuid_v2(unsigned char* uuid, int ordinal) {
    const AnyTurn turn;
    if (!device_of(ordinal)) return INVALID_DEVICE;
    memcpy(uuid, "chunkflow-host-\0", 16);
    uuid[15] = static_cast<unsigned char>(ordinal);
    return SUCCESS;
}

HOST_API cuDeviceGetPCIBusId(char* text, int bytes, int ordinal) {
    const AnyTurn turn;
    if (!device_of(ordinal)) return INVALID_DEVICE;
    if (bytes <= 0) return INVALID_VALUE;
    snprintf(text, size_t(bytes), "0000:%02X:00.0", unsigned(ordinal) + 1);
    return SUCCESS;
}

HOST_API cuDeviceTotalMem_v2(size_t* bytes, int ordinal) {
    const AnyTurn turn;
    Device* device;
    if (const int error = with_device(ordinal, &device)) return error;
    *bytes = device->memory_bytes;
    return SUCCESS;
}

HOST_API cuDeviceGetAttribute(int* value, int attribute, int ordinal) {
    const AnyTurn turn;
    Device* device;
    if (const int error = with_device(ordinal, &device)) return error;
    *value = attribute_of(*device, attribute);
    return SUCCESS;
}

HOST_API cuDeviceComputeCapability(int* major, int* minor, int ordinal) {
    const AnyTurn turn;
    *major = properties().major;
    *minor = properties().minor;
    return device_of(ordinal) ? SUCCESS : INVALID_DEVICE;
}

HOST_API cuDevicePrimaryCtxRetain(Device** context, int ordinal) {
    const AnyTurn turn;
    return with_device(ordinal, context);
}

HOST_API cuDevicePrimaryCtxRelease_v2(int ordinal) {
    const AnyTurn turn;
    return device_of(ordinal) ? SUCCESS : INVALID_DEVICE;
}

HOST_API cuCtxSetCurrent(Device* context) {
    const AnyTurn turn;
    current_device() = context;
    return SUCCESS;
}

HOST_API cuCtxGetCurrent(Device** context) {
    *context = current_device();
    return SUCCESS;
}

HOST_API cuCtxGetDevice(int* ordinal) {
    const Device* device = current_device();
    if (!device) return INVALID_CONTEXT;
    *ordinal = device->ordinal;
    return SUCCESS;
}

HOST_API cuCtxSynchronize() {
    const Turn turn;
    if (turn.error) return turn.error;
    counters.synchronisations++;
    return finish_device(*turn.device);
}

HOST_API cuDevicePrimaryCtxSetFlags_v2(int ordinal, unsigned flags) {
    const AnyTurn turn;
    Device* device;
    if (const int error = with_device(ordinal, &device)) return error;
    device->flags = flags;
    return SUCCESS;
}

HOST_API cuCtxSetFlags(unsigned flags) {
    const Turn turn;
    if (turn.error) return turn.error;
    turn.device->flags = flags;
    return SUCCESS;
}

HOST_API cuCtxGetFlags(unsigned* flags) {
    const Turn turn;
    if (turn.error) return turn.error;
    *flags = turn.device->flags;
    return SUCCESS;
}

HOST_API cuCtxGetLimit(size_t* value, int) {
    const Turn turn;
    *value = 1024;
    return turn.error;
}

HOST_API cuCtxSetLimit(int, size_t) {
    const Turn turn;
    return turn.error;
}

HOST_API cuCtxGetCacheConfig(int* config) {
    *config = 0;
    return SUCCESS;
}

HOST_API cuCtxSetCacheConfig(int) { return SUCCESS; }

HOST_API cuCtxGetStreamPriorityRange(int* least, int* greatest) {
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return SUCCESS;
}
