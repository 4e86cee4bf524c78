/// syncfs, which Swift's Glibc does not show: 0, or -1 and errno.
int cb_syncfs(int fd);
