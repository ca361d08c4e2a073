// What has happened on all devices, for tests to look at.
#pragma once
#include <cstdint>

namespace host {

struct Counters {
    uint64_t launches = 0;
    uint64_t products = 0;
    uint64_t allocations = 0;
    uint64_t frees = 0;
    uint64_t pinned = 0;
    uint64_t synchronisations = 0;
    uint64_t uploads = 0;
    uint64_t downloads = 0;
    uint64_t memsets = 0;
    uint64_t blocks = 0;
    uint64_t barriers = 0;
    uint64_t warp_operations = 0;
    uint64_t concurrent_streams = 0;
    // Which algorithm the last product ran.
    uint64_t algorithm = 0;
    // Columns of the product that the algorithm of the last product was chosen for.
    uint64_t algorithm_columns = 0;
};

// Read and written within a turn alone.
extern Counters counters;

}  // namespace host
