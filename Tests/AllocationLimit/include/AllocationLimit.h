// Bounds the heap, by defining the allocation functions of the C library in the program that links this.
#ifndef ALLOCATION_LIMIT_H
#define ALLOCATION_LIMIT_H
#include <stdint.h>

/// From now on the calling thread may have `bytes` more on the heap than it has now; whoever takes more ends the
/// process with SIGABRT, after saying how much was asked for. 0 ends the limit.
void allocation_limit_set(uint64_t bytes);
#endif
