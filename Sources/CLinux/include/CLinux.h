// libaio and the few GNU-only calls that Swift's Glibc module hides. No logic lives here.
#ifndef CLINUX_H
#define CLINUX_H
#include <libaio.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/// A non-blocking, close-on-exec eventfd with the count 0, or a negative errno.
int cl_eventfd(void);
/// The monotonic clock, in nanoseconds.
uint64_t cl_monotonic_ns(void);
/// The calendar clock, in nanoseconds since 1970.
uint64_t cl_calendar_ns(void);
/// Waits until `fd` is readable, at most `timeout_ns` nanoseconds (negative: for ever). As ppoll.
int cl_wait_readable(int fd, int64_t timeout_ns);

/// The reactor whose turn runs on this thread, or null.
const void *cl_current_reactor(void);
void cl_set_current_reactor(const void *reactor);
#endif
