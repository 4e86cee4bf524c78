// Files of this machine by directory and name, for copies of whole trees.
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

int cl_node_info(int directory, const char *name, struct cl_node *node) {
  struct statx x;
  int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);
  if (statx(directory, name, flags, STATX_BASIC_STATS, &x) < 0) return -errno;
  *node = (struct cl_node){
      .device = makedev(x.stx_dev_major, x.stx_dev_minor),
      .inode = x.stx_ino,
      .byte_count = x.stx_size,
      .sector_count = x.stx_blocks,
      .mode = x.stx_mode,
      .user = x.stx_uid,
      .group = x.stx_gid,
      .link_count = x.stx_nlink,
      .device_major = x.stx_rdev_major,
      .device_minor = x.stx_rdev_minor,
      .access_seconds = x.stx_atime.tv_sec,
      .access_nanoseconds = x.stx_atime.tv_nsec,
      .modification_seconds = x.stx_mtime.tv_sec,
      .modification_nanoseconds = x.stx_mtime.tv_nsec,
  };
  return 0;
}

int cl_node_open(int directory, const char *name, bool is_directory) {
  int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  int fd = openat(directory, name, flags | (is_directory ? O_DIRECTORY : 0));
  return fd < 0 ? -errno : fd;
}

int cl_node_create(int directory, const char *name, uint32_t permissions) {
  int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, permissions);
  return fd < 0 ? -errno : fd;
}

int cl_node_make(int directory, const char *name, uint32_t mode, uint32_t major, uint32_t minor) {
  return mknodat(directory, name, mode, makedev(major, minor)) < 0 ? -errno : 0;
}

int cl_node_set_owner(int directory, const char *name, uint32_t user, uint32_t group) {
  return fchownat(directory, name, user, group, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int cl_node_set_times(int directory, const char *name, const struct cl_node *node) {
  struct timespec times[2] = {
      {.tv_sec = node->access_seconds, .tv_nsec = node->access_nanoseconds},
      {.tv_sec = node->modification_seconds, .tv_nsec = node->modification_nanoseconds},
  };
  return utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int64_t seek(int fd, uint64_t offset, int whence) {
  off_t found = lseek(fd, (off_t)offset, whence);
  return found < 0 ? -errno : found;
}
int64_t cl_seek_data(int fd, uint64_t offset) { return seek(fd, offset, SEEK_DATA); }
int64_t cl_seek_hole(int fd, uint64_t offset) { return seek(fd, offset, SEEK_HOLE); }

// There are no calls on attributes that take a directory and a name; the kernel's own links to open files serve. Such a
// link itself has to be followed; a name behind it must not be.
static int attribute_path(int directory, const char *name, char path[NAME_MAX + 64]) {
  int count = snprintf(path, NAME_MAX + 64, *name ? "/proc/self/fd/%d/%s" : "/proc/self/fd/%d", directory, name);
  return count < NAME_MAX + 64 ? 0 : -ENAMETOOLONG;
}
ssize_t cl_attribute_names(int directory, const char *name, char *buffer, size_t capacity) {
  char path[NAME_MAX + 64];
  int result = attribute_path(directory, name, path);
  if (result < 0) return result;
  ssize_t count = *name ? llistxattr(path, buffer, capacity) : listxattr(path, buffer, capacity);
  return count < 0 ? -errno : count;
}
ssize_t cl_attribute_value(int directory, const char *name, const char *attribute, void *buffer, size_t capacity) {
  char path[NAME_MAX + 64];
  int result = attribute_path(directory, name, path);
  if (result < 0) return result;
  ssize_t count =
      *name ? lgetxattr(path, attribute, buffer, capacity) : getxattr(path, attribute, buffer, capacity);
  return count < 0 ? -errno : count;
}
int cl_attribute_set(int directory, const char *name, const char *attribute, const void *value, size_t byte_count) {
  char path[NAME_MAX + 64];
  int result = attribute_path(directory, name, path);
  if (result < 0) return result;
  if (*name) return lsetxattr(path, attribute, value, byte_count, 0) < 0 ? -errno : 0;
  return setxattr(path, attribute, value, byte_count, 0) < 0 ? -errno : 0;
}
int cl_attribute_remove(int directory, const char *name, const char *attribute) {
  char path[NAME_MAX + 64];
  int result = attribute_path(directory, name, path);
  if (result < 0) return result;
  return (*name ? lremovexattr(path, attribute) : removexattr(path, attribute)) < 0 ? -errno : 0;
}

void cl_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}
