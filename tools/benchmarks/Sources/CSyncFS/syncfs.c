#define _GNU_SOURCE
#include "CSyncFS.h"
#include <unistd.h>

int cb_syncfs(int fd) { return syncfs(fd); }
