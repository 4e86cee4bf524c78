// _GNU_SOURCE stays in this file: in a header that Swift imports it would make fd_set differ from Glibc's module.
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

int cl_eventfd(void) {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd < 0 ? -errno : fd;
}

static uint64_t clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
uint64_t cl_monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t cl_calendar_ns(void) { return clock_ns(CLOCK_REALTIME); }

int cl_wait_readable(int fd, int64_t timeout_ns) {
  struct pollfd p = {fd, POLLIN, 0};
  struct timespec t = {timeout_ns / 1000000000, timeout_ns % 1000000000};
  return ppoll(&p, 1, timeout_ns < 0 ? NULL : &t, NULL);
}

static __thread const void *current_reactor;
const void *cl_current_reactor(void) { return current_reactor; }
void cl_set_current_reactor(const void *reactor) { current_reactor = reactor; }
