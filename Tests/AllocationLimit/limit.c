#include "AllocationLimit.h"

#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__GLIBC__) && !__has_feature(address_sanitizer)

// The C library's own functions under their other names: a search by dlsym would itself allocate.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

// By thread: what runs beside, libFuzzer's watch over memory for example, does not count.
static __thread int64_t live;
static __thread int64_t limit;

void allocation_limit_set(uint64_t bytes) {
  live = 0;
  limit = (int64_t)bytes;
}

// Before the memory is taken: a request for all there is must not be tried.
static void check(size_t size) {
  if (limit == 0 || (size < (size_t)limit && live + (int64_t)size <= limit)) return;
  int64_t had = live;
  limit = 0;
  fprintf(stderr, "allocation limit: %zu bytes more, with %lld on the heap\n", size, (long long)had);
  abort();
}

static void *counted(void *memory) {
  if (memory) live += (int64_t)malloc_usable_size(memory);
  return memory;
}

void *malloc(size_t size) {
  check(size);
  return counted(__libc_malloc(size));
}
void *calloc(size_t number, size_t size) {
  size_t total;
  if (!__builtin_mul_overflow(number, size, &total)) check(total);
  return counted(__libc_calloc(number, size));
}
void *realloc(void *memory, size_t size) {
  check(size);
  if (memory) live -= (int64_t)malloc_usable_size(memory);
  return counted(__libc_realloc(memory, size));
}
void free(void *memory) {
  if (memory) live -= (int64_t)malloc_usable_size(memory);
  __libc_free(memory);
}
void *memalign(size_t alignment, size_t size) {
  check(size);
  return counted(__libc_memalign(alignment, size));
}
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void **memory, size_t alignment, size_t size) {
  *memory = memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}

#else
void allocation_limit_set(uint64_t bytes) { (void)bytes; }
#endif
