// libblkid's answer to one question. No logic of ours lives here.
#ifndef CBLKID_H
#define CBLKID_H
#include <stddef.h>

/// What a file or a block device looks like to libblkid: the name of a file system, of a member of something (RAID,
/// LVM, encryption) or of a partition table, each with what it is, as text of less than `size` bytes.
///
/// 1 when it looks like something, 0 when it does not, or a negative errno.
int cb_signature(const char *path, char *text, size_t size);
#endif
