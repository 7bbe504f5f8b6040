// A load generator that costs almost nothing: one thread, epoll, plain HTTP/1.1 to 127.0.0.1.
//
// Phases: connections open over half of the warm-up; the window starts when the warm-up is over and
// every stream has delivered its first chunk, or with --await-heads every response has begun
// (at most --warm-limit-ms).  At the window's start and end
// one JSON line is printed, so that the caller can read the server's CPU clock at both; then the
// generator keeps its connections until its standard input closes.  All times are microseconds.
// With --responses N it stops after N responses instead, counted from the start.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <signal.h>
#include <unistd.h>

#include "stamp.h"

#define HEAD_MAX 16384
#define READ_MAX 262144
#define EVENTS 1024

// ---- a histogram: exact below 2048, then 1024 steps per doubling (0.1 %)
#define STEPS 1024
#define CELLS (2 * STEPS + 40 * STEPS)
typedef struct { unsigned cell[CELLS]; long count, highest; } histogram;

static void record(histogram *h, long value) {
  if (value < 0) value = 0;
  if (value > h->highest) h->highest = value;
  int shift = value < 2 * STEPS ? 0 : 53 - __builtin_clzl(value);
  long cell = shift * STEPS + (value >> shift);
  h->cell[cell < CELLS ? cell : CELLS - 1]++;
  h->count++;
}

static long quantile(const histogram *h, double share) {
  long rank = (long)(share * h->count + 0.999999), seen = 0;
  for (long i = 0; i < CELLS; i++) {
    seen += h->cell[i];
    if (seen < rank || !seen) continue;
    long shift = i < 2 * STEPS ? 0 : i / STEPS - 1;
    return (i - shift * STEPS) << shift;
  }
  return -1;
}

// ---- what is asked for, and what came of it
static struct {
  int port, connections, stream, expect_chunks, await_heads;
  long warm_ms, warm_limit_ms, window_ms, rate, responses;
  const char *path, *key, *body;
  char headers[4096];
} want = {.connections = 1, .window_ms = 1000, .warm_limit_ms = 20000, .path = "/v1/chat/completions",
          .key = "none"};

static struct {
  long responses, chunks, bytes;              // inside the window
  long all_responses, all_chunks;             // from the start
  long failed, refused, incomplete, redialled;  // from the start
  int first_heard;                            // connections that have shown what is awaited
  char refusal[400];
} got;

static histogram latency, delay, first_chunk;

typedef enum { CLOSED, CONNECTING, READY, BUSY } state;
typedef enum { HEAD, LENGTH, SIZE, DATA, DATA_END, TRAILER, TO_CLOSE, COMPLETE } part;
typedef struct {
  int fd, reused, heard;
  state state;
  part part;
  size_t sent;
  long asked_us, left, chunks, size, stamp;
  int line_bytes, digits, status, chunked;
  size_t head_bytes;
  char head[HEAD_MAX];
} connection;

static connection *all;
static char *request, input[READ_MAX];
static size_t request_bytes;
static int poller, measuring;
static long started_us, window_us, due_us, began;

// ---- reading a response, byte by byte where it matters
static void heard(connection *c) {
  if (!c->heard) got.first_heard++;
  c->heard = 1;
}

static void stamp_seen(connection *c, long now) {
  got.all_chunks++;
  heard(c);
  if (measuring) {
    got.chunks++;
    record(&delay, now - c->stamp);
    if (!c->chunks) record(&first_chunk, now - c->asked_us);
  }
  c->chunks++;
}

static void scan(connection *c, const char *p, size_t n, long now) {
  for (const char *end = p + n; p < end; p++) {
    if (!c->digits) {
      p = memchr(p, STAMP_MARK, end - p);
      if (!p) return;
      c->digits = 1;
      c->stamp = 0;
    } else if (*p >= '0' && *p <= '9') {
      c->stamp = c->stamp * 10 + (*p - '0');
      if (++c->digits <= STAMP_DIGITS) continue;
      stamp_seen(c, now);
      c->digits = 0;
    } else {
      c->digits = 0;
    }
  }
}

static void head_line(connection *c, const char *line) {
  if (!strncasecmp(line, "content-length:", 15)) c->left = atol(line + 15);
  if (!strncasecmp(line, "transfer-encoding: chunked", 26)) c->chunked = 1;
}

static void head_complete(connection *c) {
  c->head[c->head_bytes] = 0;
  c->status = c->head_bytes > 12 ? atoi(c->head + 9) : 0;
  c->left = -1;
  c->chunked = 0;
  for (char *line = c->head; (line = strstr(line, "\r\n")); ) head_line(c, line += 2);
  c->part = c->chunked ? SIZE : c->left > 0 ? LENGTH : c->left == 0 ? COMPLETE : TO_CLOSE;
  c->size = c->line_bytes = 0;
  if (want.await_heads) heard(c);
}

static size_t take_head(connection *c, const char *p, size_t n) {
  for (size_t i = 0; i < n; i++) {
    c->head[c->head_bytes++] = p[i];
    if (c->head_bytes == HEAD_MAX - 1) return got.failed++, c->part = COMPLETE, n;
    if (p[i] != '\n' || c->head_bytes < 4) continue;
    if (memcmp(c->head + c->head_bytes - 4, "\r\n\r\n", 4)) continue;
    head_complete(c);
    return i + 1;
  }
  return n;
}

static size_t take_body(connection *c, const char *p, size_t n, long now) {
  size_t k = c->part == TO_CLOSE || (long)n < c->left ? n : (size_t)c->left;
  if (want.stream) scan(c, p, k, now);
  if (c->status != 200 && strlen(got.refusal) + k < sizeof got.refusal) strncat(got.refusal, p, k);
  if (measuring) got.bytes += k;
  c->left -= k;
  if (c->part != TO_CLOSE && !c->left) c->part = c->part == LENGTH ? COMPLETE : DATA_END;
  return k;
}

static int hex(char b) {
  if (b >= '0' && b <= '9') return b - '0';
  b |= 32;
  return b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
}

// The lines between chunks: a size, the end of a chunk, or the trailer after the last one.
static void take_line_byte(connection *c, char b) {
  if (b != '\n') {
    if (c->part == SIZE && hex(b) >= 0 && c->line_bytes >= 0) c->size = c->size * 16 + hex(b);
    if (b == ';') c->line_bytes = -1000000;  // an extension: its letters are no size
    if (b != '\r') c->line_bytes++;
    return;
  }
  if (c->part == DATA_END) c->part = SIZE;
  else if (c->part == SIZE && c->size) c->left = c->size, c->part = DATA;
  else if (c->part == SIZE) c->part = TRAILER;
  else if (!c->line_bytes) c->part = COMPLETE;
  c->size = c->line_bytes = 0;
}

static size_t take(connection *c, const char *p, size_t n, long now) {
  if (c->part == HEAD) return take_head(c, p, n);
  if (c->part == LENGTH || c->part == DATA || c->part == TO_CLOSE) return take_body(c, p, n, now);
  take_line_byte(c, *p);
  return 1;
}

// ---- asking
static void watch(connection *c, int op, unsigned events) {
  struct epoll_event e = {events, {.ptr = c}};
  epoll_ctl(poller, op, c->fd, &e);
}

static void dial(connection *c) {
  int on = 1;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(want.port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  c->state = CONNECTING;
  c->reused = 0;
  if (c->fd < 0 || (connect(c->fd, (void *)&a, sizeof a) && errno != EINPROGRESS)) {
    perror("load: cannot connect");
    exit(1);
  }
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void push(connection *c) {
  while (c->sent < request_bytes) {
    ssize_t n = send(c->fd, request + c->sent, request_bytes - c->sent, MSG_NOSIGNAL);
    if (n < 0) return watch(c, EPOLL_CTL_MOD, EPOLLIN | (errno == EAGAIN ? EPOLLOUT : 0));
    c->sent += n;
  }
}

static void ask(connection *c, long since_us) {
  c->state = BUSY;
  c->part = HEAD;
  c->asked_us = since_us;
  c->sent = c->head_bytes = 0;
  c->chunks = c->digits = 0;
  push(c);
}

static void ask_next(connection *c) {
  if (want.rate || (want.responses && began == want.responses)) return;
  began++;
  ask(c, now_us());
}

static void ask_due(long now) {
  static int turn;
  int tried = 0;
  while (due_us <= now && tried < want.connections) {
    connection *c = &all[turn++ % want.connections];
    tried++;
    if (c->state != READY) continue;
    ask(c, due_us);  // from when it was due: a wait for a free connection counts
    due_us += 1000000 / want.rate;
    tried = 0;
  }
}

static void answered(connection *c, long now) {
  int whole = !want.expect_chunks || c->chunks == want.expect_chunks;
  if (c->status != 200) got.refused++;
  else if (!whole) got.incomplete++;
  heard(c);
  got.all_responses++;
  if (measuring && c->status == 200 && whole) {
    got.responses++;
    record(&latency, now - c->asked_us);
  }
  c->state = READY;
  c->reused = 1;
}

static void lost(connection *c, long now) {
  close(c->fd);
  int half = c->state == BUSY && c->part == HEAD && !c->head_bytes && c->reused;
  if (c->state == BUSY && c->part == TO_CLOSE) answered(c, now);
  else if (c->state == BUSY && !half) got.failed++, got.all_responses++;
  if (half) got.redialled++, began--;  // an idle connection may be closed as the request leaves
  c->state = CLOSED;
  if (want.responses && began == want.responses) return;
  dial(c);
}

static void read_ready(connection *c) {
  for (;;) {
    ssize_t n = recv(c->fd, input, sizeof input, 0);
    if (n < 0 && errno == EAGAIN) return;
    long now = now_us();
    if (n <= 0) return lost(c, now);
    for (ssize_t at = 0; at < n && c->state == BUSY && c->part != COMPLETE;)
      at += take(c, input + at, n - at, now);
    if (c->state == BUSY && c->part == COMPLETE) {
      answered(c, now);
      ask_next(c);
    }
    if ((size_t)n < sizeof input) return;
  }
}

static void event(connection *c, unsigned events) {
  if (c->state == CLOSED) return;
  if (events & EPOLLOUT) {
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    if (c->state == CONNECTING) c->state = READY, ask_next(c);
    else if (c->state == BUSY) push(c);
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_ready(c);
}

// ---- the run
static void print_histogram(const char *name, const histogram *h) {
  printf(", \"%s\": {\"count\": %ld, \"p50_us\": %ld, \"p90_us\": %ld, \"p99_us\": %ld, \"max_us\": %ld}",
         name, h->count, quantile(h, .5), quantile(h, .9), quantile(h, .99), h->highest);
}

static void print_result(long now) {
  printf("{\"phase\": \"done\", \"window_us\": %ld, \"responses\": %ld, \"chunks\": %ld, \"bytes\": %ld, "
         "\"all_responses\": %ld, \"all_chunks\": %ld, \"failed\": %ld, \"refused\": %ld, "
         "\"incomplete\": %ld, \"redialled\": %ld, \"warm_us\": %ld, \"heard\": %d",
         now - window_us, got.responses, got.chunks, got.bytes, got.all_responses, got.all_chunks,
         got.failed, got.refused, got.incomplete, got.redialled, window_us - started_us,
         got.first_heard);
  print_histogram("latency", &latency);
  print_histogram("delay", &delay);
  print_histogram("first_chunk", &first_chunk);
  printf(", \"refusal\": \"");
  for (char *p = got.refusal; *p; p++) putchar(*p < ' ' || *p == '"' || *p == '\\' ? ' ' : *p);
  printf("\"}\n");
  fflush(stdout);
}

static void open_window(long now) {
  measuring = 1;
  window_us = now;
  printf("{\"phase\": \"window\"}\n");
  fflush(stdout);
}

static int warm(long now) {
  if (now - started_us < want.warm_ms * 1000) return 0;
  int waiting = (want.stream || want.await_heads) && got.first_heard < want.connections;
  return !waiting || now - started_us > want.warm_limit_ms * 1000;
}

static int finished(long now) {
  if (want.responses && got.all_responses >= want.responses) return 1;
  return measuring && now - window_us >= want.window_ms * 1000;
}

static void prepare(void) {
  FILE *f = fopen(want.body, "rb");
  if (!f) perror(want.body), exit(2);
  fseek(f, 0, SEEK_END);
  long bytes = ftell(f);
  rewind(f);
  request = malloc(bytes + 8192);
  request_bytes = snprintf(request, 8192,
                           "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n"
                           "Content-Type: application/json\r\nAccept: */*\r\n"
                           "User-Agent: OpenAI/Python 2.8.0\r\n%sContent-Length: %ld\r\n\r\n",
                           want.path, want.port, want.key, want.headers, bytes);
  request_bytes += fread(request + request_bytes, 1, bytes, f);
  fclose(f);
  all = calloc(want.connections, sizeof *all);
  poller = epoll_create1(0);
}

// A fixed rate needs wake-ups finer than epoll's millisecond.
static int metronome(void) {
  long period_ns = want.rate ? 1000000000L / want.rate : 1000000;
  struct itimerspec t = {{period_ns / 1000000000L, period_ns % 1000000000L}, {0, period_ns}};
  if (period_ns >= 1000000000L) t.it_value.tv_nsec = 999999999;
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  timerfd_settime(fd, 0, &t, NULL);
  struct epoll_event e = {EPOLLIN, {.ptr = NULL}};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  return fd;
}

static void run(void) {
  static struct epoll_event events[EVENTS];
  long ticks, ramp_us = want.warm_ms * 500;
  int beat = metronome(), opened = 0;
  started_us = due_us = now_us();
  if (want.responses) open_window(started_us);
  for (;;) {
    long now = now_us();
    if (finished(now)) return print_result(now);
    if (!measuring && warm(now)) open_window(now);
    while (opened < want.connections && now - started_us >= ramp_us * opened / want.connections)
      dial(&all[opened++]);
    int n = epoll_wait(poller, events, EVENTS, 100);
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr) event(events[i].data.ptr, events[i].events);
      else if (read(beat, &ticks, sizeof ticks) < 0) continue;
    }
    if (want.rate) ask_due(now_us());
  }
}

static void add_header(const char *line) {
  size_t used = strlen(want.headers);
  snprintf(want.headers + used, sizeof want.headers - used, "%s\r\n", line);
}

static const struct option options[] = {
    {"port", 1, 0, 'p'},          {"connections", 1, 0, 'c'}, {"warm-ms", 1, 0, 'w'},
    {"warm-limit-ms", 1, 0, 'l'}, {"window-ms", 1, 0, 'm'},   {"rate", 1, 0, 'r'},
    {"stream", 0, 0, 's'},        {"expect-chunks", 1, 0, 'e'}, {"responses", 1, 0, 'n'},
    {"path", 1, 0, 'u'},          {"key", 1, 0, 'k'},         {"body", 1, 0, 'b'},
    {"header", 1, 0, 'h'},        {"await-heads", 0, 0, 'a'}, {0, 0, 0, 0}};

static int set(int option, const char *value) {
  switch (option) {
    case 'p': want.port = atoi(value); return 1;
    case 'c': want.connections = atoi(value); return 1;
    case 'w': want.warm_ms = atol(value); return 1;
    case 'l': want.warm_limit_ms = atol(value); return 1;
    case 'm': want.window_ms = atol(value); return 1;
    case 'r': want.rate = atol(value); return 1;
    case 's': want.stream = 1; return 1;
    case 'a': want.await_heads = 1; return 1;
    case 'e': want.expect_chunks = atoi(value); return 1;
    case 'n': want.responses = atol(value); return 1;
    case 'u': want.path = value; return 1;
    case 'k': want.key = value; return 1;
    case 'b': want.body = value; return 1;
    case 'h': add_header(value); return 1;
    default: return 0;
  }
}

int main(int count, char **words) {
  for (int o; (o = getopt_long(count, words, "", options, NULL)) != -1;)
    if (!set(o, optarg)) return 2;
  if (!want.port || !want.body || want.connections < 1)
    return fprintf(stderr, "usage: load --port N --body FILE [--connections N] [--stream] ...\n"), 2;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  prepare();
  run();
  while (getchar() != EOF) continue;
}
