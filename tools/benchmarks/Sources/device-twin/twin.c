// The polled loop in C: what the same system calls cost without a request queue above them. The same choices as in
// device-bench: random 4 KiB blocks, at most `batch` control blocks an io_submit, completions from the shared ring,
// io_getevents only when the queue is full and the ring empty.
//
//     device-twin PATH read|write DEPTH BATCH SECONDS
//
// prints IOPS and CPU microseconds an operation.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096 };

struct ring {
  unsigned id, nr, head, tail, magic, compat, incompat, header;
  struct io_event events[];
};

static uint64_t state = 1;
static uint64_t draw(uint64_t bound) {
  state += 0x9E3779B97F4A7C15u;
  uint64_t bits = state;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  bits ^= bits >> 31;
  return (uint64_t)(((unsigned __int128)bits * bound) >> 64);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
static double cpu_microseconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}
static void check(long result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "device-twin: %s: %s\n", what, strerror((int)-result));
  exit(1);
}

static io_context_t context;
static struct iocb **idle;
static int idle_count;
static uint64_t done;

static void complete(const struct io_event *event) {
  check((long)event->res, "transfer");
  if (event->res != BLOCK) check(-EIO, "short transfer");
  idle[idle_count++] = event->obj;
  done++;
}

static void submit(struct iocb **pending, int *count) {
  int first = 0;
  while (first < *count) {
    int taken = io_submit(context, *count - first, pending + first);
    if (taken == -EAGAIN || taken == -EINTR) continue;
    check(taken, "io_submit");
    first += taken;
  }
  *count = 0;
}

static void reap(void) {
  struct ring *ring = (struct ring *)context;
  unsigned head = ring->head;
  unsigned tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
  while (head != tail) {
    struct io_event event = ring->events[head];
    head = head + 1 == ring->nr ? 0 : head + 1;
    __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
    complete(&event);
  }
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  int is_write = strcmp(argv[2], "write") == 0, depth = atoi(argv[3]), batch = atoi(argv[4]);
  double length = atof(argv[5]);
  int fd = open(argv[1], O_RDWR | O_DIRECT);
  check(fd < 0 ? -errno : 0, argv[1]);
  struct stat s;
  fstat(fd, &s);
  uint64_t blocks = (uint64_t)s.st_size / BLOCK;
  check(io_setup(depth, &context), "io_setup");
  if (((struct ring *)context)->magic != 0xA10A10A1u) check(-ENOSYS, "completion ring");

  struct iocb *all = calloc((size_t)depth, sizeof *all), **pending = calloc((size_t)depth, sizeof *pending);
  struct io_event *events = calloc((size_t)depth, sizeof *events);
  char *memory = aligned_alloc(BLOCK, (size_t)depth * BLOCK);
  memset(memory, 0x5A, (size_t)depth * BLOCK);
  idle = calloc((size_t)depth, sizeof *idle);
  for (int i = 0; i < depth; i++) {
    io_prep_pread(&all[i], fd, memory + (size_t)i * BLOCK, BLOCK, 0);
    if (is_write) all[i].aio_lio_opcode = IO_CMD_PWRITE;
    idle[idle_count++] = &all[i];
  }

  double start = seconds(), cpu = cpu_microseconds();
  for (uint64_t round = 0; round % 64 != 0 || seconds() - start < length; round++) {
    int count = 0;
    // At most `depth` a round: where transfers complete within io_submit there is always an idle one.
    for (int issued = 0; issued < depth && idle_count > 0; issued++) {
      struct iocb *block = idle[--idle_count];
      block->u.c.offset = (long long)(draw(blocks) * BLOCK);
      pending[count++] = block;
      if (count == batch) {
        submit(pending, &count);
        reap();
      }
    }
    if (count > 0) {
      submit(pending, &count);
      reap();
    }
    if (idle_count == 0) {
      int got = io_getevents(context, 1, depth, events, NULL);
      check(got == -EINTR ? 0 : got, "io_getevents");
      for (int i = 0; i < got; i++) complete(&events[i]);
    }
  }
  cpu = cpu_microseconds() - cpu;
  double elapsed = seconds() - start;
  printf("%.0f %.4f\n", (double)done / elapsed, cpu / (double)done);
  return 0;
}
