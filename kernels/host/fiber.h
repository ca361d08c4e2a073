// Stacks of their own for the threads of a block, and the change from one to another.
#pragma once
#include <cstddef>
#include <vector>

namespace host {

// Goes on where `to` was left; returns when somebody comes back to what is saved in `*from`.
extern "C" __attribute__((visibility("hidden"))) void host_switch_stack(void** from, void* to);

class Stacks {
public:
    // The top of a stack that nobody uses.
    char* take();
    void give(char* top) { free_.push_back(top); }
    // All are free again, whatever was left on them.
    void reclaim() { free_ = all_; }

private:
    std::vector<char*> all_;
    std::vector<char*> free_;
};

// What host_switch_stack goes on with to call `entry`, which must not return, on a fresh stack.
void* first_frame(char* top, void (*entry)());

}  // namespace host
