// Signals as something to read, so that no handler runs in the middle of anything.
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static void interruptions(sigset_t *set) {
  sigemptyset(set);
  for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) sigaddset(set, signals[i]);
}

static void end_at_once(int signal) {
  (void)signal;
  _exit(130);
}

void cl_end_at_interruption(void) {
  for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) {
    struct sigaction action;
    if (sigaction(signals[i], NULL, &action) == 0 && action.sa_handler == SIG_DFL) signal(signals[i], end_at_once);
  }
  sigset_t set;
  interruptions(&set);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int cl_interruption_fd(int with_status) {
  sigset_t set;
  interruptions(&set);
  if (with_status) sigaddset(&set, SIGUSR1);
  int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (error) return -error;
  int fd = signalfd(-1, &set, SFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int cl_read_interruption(int fd) {
  struct signalfd_siginfo info;
  ssize_t count;
  do count = read(fd, &info, sizeof info);
  while (count < 0 && errno == EINTR);
  return count == sizeof info ? (int)info.ssi_signo : -EIO;
}

int cl_wait_either_readable(int first, int second) {
  struct pollfd p[2] = {{first, POLLIN, 0}, {second, POLLIN, 0}};
  int result;
  do result = poll(p, 2, -1);
  while (result < 0 && errno == EINTR);
  if (result < 0) return -errno;
  return p[0].revents ? 0 : 1;
}

void cl_ignore_pipe_signal(void) {
  struct sigaction action;
  if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}
