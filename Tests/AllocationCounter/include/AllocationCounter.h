// Counts heap allocations, by defining the allocation functions of the C library in the test program.
#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H
#include <stdbool.h>
#include <stdint.h>

/// Whether allocations are counted: not under a sanitizer, which brings its own allocator.
bool allocation_counter_works(void);
/// Allocations that the calling thread has made so far.
uint64_t allocation_count(void);
#endif
