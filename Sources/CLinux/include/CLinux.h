// libaio and the few GNU-only calls that Swift's Glibc module hides. No logic lives here.
#ifndef CLINUX_H
#define CLINUX_H
#include <libaio.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
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

/// What the kernel says about an open file or a path.
struct cl_file_info {
  uint64_t byte_count;
  uint64_t device, inode;
  bool is_regular, is_block_device, is_directory;
  /// Whether the next two are known: STATX_DIOALIGN, since Linux 6.1 and not on every file system.
  bool has_direct_alignment;
  /// What direct transfers align memory and offsets to, in bytes; 0 when the file allows none.
  uint32_t direct_memory_alignment, direct_offset_alignment;
};
/// Fills `info`; 0 or a negative errno. Size and alignment of a block device are those of its contents.
int cl_file_info(int fd, struct cl_file_info *info);
int cl_path_info(const char *path, struct cl_file_info *info);

/// Opens an existing file, close-on-exec. A descriptor or a negative errno.
int cl_open(const char *path, bool is_writable, bool is_direct, bool is_exclusive);
/// Makes a new file for reading and writing, close-on-exec. A descriptor or a negative errno.
int cl_create(const char *path);
/// Locks the whole file for this open file description. 0 or a negative errno: -EAGAIN when somebody else holds a lock;
/// then `holder` is that process, or -1 where the lock is of this kind too.
int cl_claim(int fd, int *holder);
/// Whether another opening holds that lock: its process, -1 when there is no telling which; 0 when nobody does.
int cl_claim_holder(int fd);
/// Closes a descriptor and ends its lock. A child between fork and exec has the descriptor too, and would keep the lock.
void cl_close(int fd);
/// Allocates the first bytes of a file and makes it that long. 0 or a negative errno.
int cl_preallocate(int fd, uint64_t byte_count);
/// fallocate with PUNCH_HOLE, or with ZERO_RANGE; the file keeps its size. 0 or a negative errno.
int cl_punch_hole(int fd, uint64_t offset, uint64_t byte_count);
int cl_zero_range(int fd, uint64_t offset, uint64_t byte_count);
/// A close-on-exec pipe: fds[0] is read, without blocking if so asked. 0 or a negative errno.
int cl_pipe(int fds[2], bool is_nonblocking);
/// Ignores SIGXFSZ, unless the process handles it: writing beyond RLIMIT_FSIZE is then an error like any other.
void cl_ignore_file_size_signal(void);

/// RWF_DSYNC: this write is complete only when it is durable.
enum { CL_RWF_DSYNC = 2 };
/// Until cl_interruption_fd is called, SIGINT, SIGTERM and SIGHUP end the process at once, with exit code 130, also where
/// whoever started it had them blocked; one that is ignored (nohup) stays so.
void cl_end_at_interruption(void);
/// Blocks SIGINT, SIGTERM and SIGHUP for this thread and those it will start, with_status says whether SIGUSR1, too, and
/// makes a descriptor that they can be read from; one that is ignored (nohup) never comes. To be called before other
/// threads exist. A negative errno when it fails.
int cl_interruption_fd(int with_status);
/// Waits for the next of those signals and returns its number, or a negative errno.
int cl_read_interruption(int fd);
/// Waits until one of two descriptors is readable: 0 for the first, 1 for the second, or a negative errno.
int cl_wait_either_readable(int first, int second);
/// Ignores SIGPIPE, unless the process handles it: writing to a pipe that nobody reads is then an error like any other.
void cl_ignore_pipe_signal(void);

/// One file of this machine, as statx tells it; a symbolic link is told of itself.
struct cl_node {
  uint64_t device, inode;
  uint64_t byte_count, sector_count;
  /// Type and permissions, as st_mode.
  uint32_t mode;
  uint32_t user, group, link_count;
  /// Of device files.
  uint32_t device_major, device_minor;
  int64_t access_seconds, modification_seconds;
  uint32_t access_nanoseconds, modification_nanoseconds;
};
/// The calls below take a directory's descriptor (negative: the working directory) and a name in it, follow no symbolic
/// link at that name, and return 0, a descriptor, a count or a negative errno.
enum { CL_WORKING_DIRECTORY = -100 };
/// Of `name`; of the descriptor itself when it is empty.
int cl_node_info(int directory, const char *name, struct cl_node *node);
/// Opens for reading, without waiting for the other end of a fifo. A directory only, if so asked.
int cl_node_open(int directory, const char *name, bool is_directory);
/// Makes a regular file that did not exist, for writing.
int cl_node_create(int directory, const char *name, uint32_t permissions);
/// Makes a fifo, a socket, a device file: `mode` is type and permissions.
int cl_node_make(int directory, const char *name, uint32_t mode, uint32_t major, uint32_t minor);
/// Of the link itself.
int cl_node_set_owner(int directory, const char *name, uint32_t user, uint32_t group);
int cl_node_set_times(int directory, const char *name, const struct cl_node *node);
/// The next byte with data, or the next hole, from `offset` on; -ENXIO when there is none.
int64_t cl_seek_data(int fd, uint64_t offset);
int64_t cl_seek_hole(int fd, uint64_t offset);
/// The names of extended attributes, each with a NUL behind it, and the value of one; -ERANGE when there is more than
/// `capacity` bytes. A capacity of 0 asks for the size. An empty file name means the descriptor's own file.
ssize_t cl_attribute_names(int directory, const char *name, char *buffer, size_t capacity);
ssize_t cl_attribute_value(int directory, const char *name, const char *attribute, void *buffer, size_t capacity);
int cl_attribute_remove(int directory, const char *name, const char *attribute);
int cl_attribute_set(int directory, const char *name, const char *attribute, const void *value, size_t byte_count);
/// Allows this process as many descriptors as its hard limit has.
void cl_raise_descriptor_limit(void);
#endif
