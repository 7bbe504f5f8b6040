// What upstream.c writes into every streamed chunk and load.c reads back: '@' and 16 digits, the
// sender's monotonic clock in microseconds.  Both ends run on one machine, so the difference is the
// exact time the chunk spent on its way.
#ifndef STAMP_H
#define STAMP_H
#include <time.h>
#define STAMP_MARK '@'
#define STAMP_DIGITS 16

static inline long now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}
#endif
