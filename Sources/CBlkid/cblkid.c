#include "CBlkid.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *value(blkid_probe probe, const char *name) {
  const char *text;
  return blkid_probe_lookup_value(probe, name, &text, NULL) == 0 ? text : NULL;
}

static int describe(blkid_probe probe, char *text, size_t size) {
  errno = 0;
  int result = blkid_do_safeprobe(probe);
  if (result == 1) return 0;
  if (result == -2) {
    snprintf(text, size, "traces of more than one file system");
    return 1;
  }
  if (result != 0) return errno ? -errno : -EIO;
  const char *type = value(probe, "TYPE"), *usage = value(probe, "USAGE"), *label = value(probe, "LABEL");
  const char *table = value(probe, "PTTYPE");
  if (type) {
    int is_file_system = usage && strcmp(usage, "filesystem") == 0;
    snprintf(text, size, "%s %s%s%s%s", type, is_file_system ? "file system" : "data", label ? " '" : "",
             label ? label : "", label ? "'" : "");
  } else if (table) {
    snprintf(text, size, "partition table (%s)", table);
  }
  return type || table;
}

int cb_signature(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return -errno;
  int result = -ENOMEM;
  blkid_probe probe = blkid_new_probe();
  if (probe) {
    blkid_probe_enable_superblocks(probe, 1);
    blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_LABEL);
    blkid_probe_enable_partitions(probe, 1);
    errno = 0;
    result = blkid_probe_set_device(probe, fd, 0, 0) == 0 ? describe(probe, text, size) : errno ? -errno : -EIO;
    blkid_free_probe(probe);
  }
  close(fd);
  return result;
}
