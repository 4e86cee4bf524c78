// _GNU_SOURCE stays in this file: in a header that Swift imports it would make fd_set differ from Glibc's module.
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

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

// The bit and the two fields of struct statx are older than the headers of some distributions that we build on.
#define DIOALIGN 0x2000u
union statx_words {
  struct statx s;
  uint32_t words[64];
};

static int file_info(int fd, const char *path, struct cl_file_info *info) {
  union statx_words x = {0};
  int flags = fd < 0 ? AT_STATX_SYNC_AS_STAT : AT_EMPTY_PATH;
  if (statx(fd < 0 ? AT_FDCWD : fd, path, flags, STATX_BASIC_STATS | DIOALIGN, &x.s) < 0) return -errno;
  *info = (struct cl_file_info){0};
  info->byte_count = x.s.stx_size;
  info->device = makedev(x.s.stx_dev_major, x.s.stx_dev_minor);
  info->inode = x.s.stx_ino;
  info->is_regular = S_ISREG(x.s.stx_mode);
  info->is_block_device = S_ISBLK(x.s.stx_mode);
  info->is_directory = S_ISDIR(x.s.stx_mode);
  info->has_direct_alignment = (x.s.stx_mask & DIOALIGN) != 0;
  info->direct_memory_alignment = x.words[38];
  info->direct_offset_alignment = x.words[39];
  return 0;
}
int cl_path_info(const char *path, struct cl_file_info *info) { return file_info(-1, path, info); }
int cl_file_info(int fd, struct cl_file_info *info) {
  int result = file_info(fd, "", info);
  if (result == 0 && info->is_block_device) {
    int size = 0;
    if (ioctl(fd, BLKGETSIZE64, &info->byte_count) < 0 || ioctl(fd, BLKSSZGET, &size) < 0) return -errno;
    info->has_direct_alignment = true;
    info->direct_memory_alignment = info->direct_offset_alignment = (uint32_t)size;
  }
  return result;
}

int cl_open(const char *path, bool is_writable, bool is_direct, bool is_exclusive) {
  int flags = O_CLOEXEC | O_NOCTTY | (is_writable ? O_RDWR : O_RDONLY);
  int fd = open(path, flags | (is_direct ? O_DIRECT : 0) | (is_exclusive ? O_EXCL : 0));
  return fd < 0 ? -errno : fd;
}
int cl_create(const char *path) {
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  return fd < 0 ? -errno : fd;
}

int cl_claim(int fd, int *holder) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return 0;
  int error = errno;
  *holder = -1;
  if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) *holder = lock.l_pid;
  return error == EACCES ? -EAGAIN : -error;
}

int cl_claim_holder(int fd) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return 0;
  return lock.l_pid > 0 ? lock.l_pid : -1;
}

void cl_close(int fd) {
  struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
  fcntl(fd, F_OFD_SETLK, &lock);
  close(fd);
}

static int allocate(int fd, int mode, uint64_t offset, uint64_t byte_count) {
  int result;
  do result = fallocate(fd, mode, (off_t)offset, (off_t)byte_count);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}
int cl_preallocate(int fd, uint64_t byte_count) { return allocate(fd, 0, 0, byte_count); }
int cl_punch_hole(int fd, uint64_t offset, uint64_t byte_count) {
  return allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, byte_count);
}
int cl_zero_range(int fd, uint64_t offset, uint64_t byte_count) {
  return allocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, byte_count);
}

int cl_pipe(int fds[2], bool is_nonblocking) {
  if (pipe2(fds, O_CLOEXEC) < 0) return -errno;
  if (is_nonblocking) fcntl(fds[0], F_SETFL, O_NONBLOCK);
  return 0;
}

void cl_ignore_file_size_signal(void) {
  struct sigaction action;
  if (sigaction(SIGXFSZ, NULL, &action) == 0 && action.sa_handler == SIG_DFL) signal(SIGXFSZ, SIG_IGN);
}
