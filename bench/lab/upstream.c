// A model server that costs almost nothing: one thread, epoll, answers chosen by the model's name.
//
//   bench-answer-<ms>ms        one JSON answer of about 1.2 KB after <ms>
//   bench-stream-<n>x<ms>ms    <n> chunks of about 250 bytes, one per <ms> (0: as fast as the socket
//                              takes them, one write each), then finish, usage and [DONE]
//
// A streamed request for less than 16 max_tokens gets that many chunks at once, whatever the model: a
// door that tries each model when it starts must not wait for the slow ones.
//
// usage: upstream PORT [MODEL...]    PORT 0 picks a free one; the first line printed is {"port": N}.
// GET /v1/models lists the MODELs; other paths are 404.  Timers tick once per millisecond, so chunks
// that fall due together leave together, as they do from an engine's batch step.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stamp.h"

#define WHEEL_MS 65536  // one slot per millisecond; longer waits are refused
#define EVENTS 512

typedef struct { char *at; size_t used, room; } buffer;
typedef struct ring { struct ring *next, *prev; } ring;
typedef enum { RESTING, ANSWERING, STREAMING } state;
typedef struct {
  ring timer;  // first, so that a timer is its connection
  int fd, blocked, broken;
  state state;
  int chunks, sent, every_ms;
  long due_ms;
  buffer in, out;
} connection;

static ring wheel[WHEEL_MS];
static long wheel_ms;  // the last tick that was served
static int poller, timers;
static char answer[4096], catalogue[4096];
static int answer_bytes, catalogue_bytes;

static void need(buffer *b, size_t more) {
  if (b->room - b->used >= more) return;
  b->room = (b->used + more) * 2;
  b->at = realloc(b->at, b->room);
  if (!b->at) abort();
}

static void append(buffer *b, const char *text, size_t bytes) {
  need(b, bytes);
  memcpy(b->at + b->used, text, bytes);
  b->used += bytes;
}

static void drop_front(buffer *b, size_t bytes) {
  b->used -= bytes;
  memmove(b->at, b->at + bytes, b->used);
}

static void timer_stop(connection *c) {
  if (!c->timer.next) return;
  c->timer.prev->next = c->timer.next;
  c->timer.next->prev = c->timer.prev;
  c->timer.next = c->timer.prev = NULL;
  timers--;
}

static void timer_start(connection *c, long due_ms) {
  if (due_ms <= wheel_ms) due_ms = wheel_ms + 1;
  ring *slot = &wheel[due_ms % WHEEL_MS];
  c->due_ms = due_ms;
  c->timer.next = slot->next;
  c->timer.prev = slot;
  slot->next->prev = &c->timer;
  slot->next = &c->timer;
  timers++;
}

static void watch(connection *c, int op, int blocked) {
  struct epoll_event e = {EPOLLIN | (blocked ? EPOLLOUT : 0), {.ptr = c}};
  epoll_ctl(poller, op, c->fd, &e);
  c->blocked = blocked;
}

static void flush(connection *c) {
  size_t done = 0;
  while (done < c->out.used) {
    ssize_t n = send(c->fd, c->out.at + done, c->out.used - done, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) c->broken = 1;
    if (n < 0) break;
    done += n;
  }
  drop_front(&c->out, done);
  int blocked = c->out.used > 0 && !c->broken;
  if (blocked != c->blocked) watch(c, EPOLL_CTL_MOD, blocked);
}

#define EVENT_HEAD                                                                            \
  "data: {\"id\":\"chatcmpl-7hQ2vXc9LmZr4TbN\",\"object\":\"chat.completion.chunk\","         \
  "\"created\":1795000000,\"model\":\"bench\",\"system_fingerprint\":\"fp_1f2e3d4c5b\","      \
  "\"choices\":"

static void append_event(connection *c, const char *event, int bytes) {
  char size[16];
  append(&c->out, size, snprintf(size, sizeof size, "%x\r\n", bytes));
  append(&c->out, event, bytes);
  append(&c->out, "\r\n", 2);
}

static void append_chunk(connection *c) {
  char event[512];
  int bytes = snprintf(event, sizeof event,
                       EVENT_HEAD "[{\"index\":0,\"delta\":{%s\"content\":\"%c%0*ld\"},"
                                  "\"logprobs\":null,\"finish_reason\":null}]}\n\n",
                       c->sent ? "" : "\"role\":\"assistant\",", STAMP_MARK, STAMP_DIGITS, now_us());
  append_event(c, event, bytes);
  c->sent++;
}

static void append_end(connection *c) {
  char event[512];
  static const char finish[] =
      EVENT_HEAD "[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n";
  append_event(c, finish, sizeof finish - 1);
  int bytes = snprintf(event, sizeof event,
                       EVENT_HEAD "[],\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":%d,"
                                  "\"total_tokens\":%d,\"prompt_tokens_details\":"
                                  "{\"cached_tokens\":0}}}\n\n",
                       c->chunks, c->chunks + 120);
  append_event(c, event, bytes);
  append_event(c, "data: [DONE]\n\n", 14);
  append(&c->out, "0\r\n\r\n", 5);
  c->state = RESTING;
}

// One chunk, one write.  A blocked socket is waited for, so an endless stream stays bounded.
static void stream_step(connection *c) {
  if (c->sent < c->chunks) append_chunk(c);
  else append_end(c);
  flush(c);
}

static void stream_fast(connection *c) {
  while (c->state == STREAMING && !c->blocked && !c->broken) stream_step(c);
}

static void begin_stream(connection *c) {
  static const char head[] =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
      "Cache-Control: no-cache\r\nx-request-id: req_5a4b3c2d1e0f\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  append(&c->out, head, sizeof head - 1);
  c->state = STREAMING;
  c->sent = 0;
  if (c->every_ms) {
    flush(c);  // the headers go at once: an idle stream is open although it says nothing
    timer_start(c, now_us() / 1000 + c->every_ms);
  } else {
    stream_fast(c);
  }
}

static void begin_answer(connection *c, int wait_ms) {
  if (wait_ms) {
    c->state = ANSWERING;
    timer_start(c, now_us() / 1000 + wait_ms);
  } else {
    append(&c->out, answer, answer_bytes);
    flush(c);
  }
}

static void fire(connection *c) {
  if (c->state == ANSWERING) {
    c->state = RESTING;
    append(&c->out, answer, answer_bytes);
    flush(c);
  } else if (c->state == STREAMING) {
    long next_ms = c->due_ms + c->every_ms;
    stream_step(c);
    if (c->state == STREAMING && !c->broken) timer_start(c, next_ms);
  }
}

static void not_found(connection *c) {
  static const char reply[] =
      "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 49\r\n\r\n"
      "{\"error\":{\"message\":\"no such page\",\"code\":\"404\"}}";
  append(&c->out, reply, sizeof reply - 1);
  flush(c);
}

// The number behind "NAME":, or -1.
static int number(const char *name, const char *body, size_t bytes) {
  const char *at = memmem(body, bytes, name, strlen(name));
  int value = -1;
  char text[24] = "";
  if (!at) return -1;
  at += strlen(name);
  size_t left = body + bytes - at;
  memcpy(text, at, left < sizeof text - 1 ? left : sizeof text - 1);
  sscanf(text, " : %d", &value);
  return value;
}

static int is_trial(const char *body, size_t bytes) {
  if (bytes > 2048 || !memmem(body, bytes, "\"stream\"", 8)) return 0;
  int tokens = number("\"max_tokens\"", body, bytes);
  return tokens > 0 && tokens < 16 ? tokens : 0;
}

static void serve(connection *c, const char *head, size_t head_bytes, const char *body, size_t bytes) {
  if (!memmem(head, head_bytes < 200 ? head_bytes : 200, "/chat/completions", 17)) {
    if (!memmem(head, head_bytes < 100 ? head_bytes : 100, "/models", 7)) return not_found(c);
    append(&c->out, catalogue, catalogue_bytes);
    return flush(c);
  }
  char name[64] = "";
  const char *model = bytes ? memmem(body, bytes, "\"bench-", 7) : NULL;
  if (model) {
    size_t left = body + bytes - model - 1;
    memcpy(name, model + 1, left < sizeof name - 1 ? left : sizeof name - 1);
  }
  int wait_ms = 0;
  if ((c->chunks = is_trial(body, bytes))) return c->every_ms = 0, begin_stream(c);
  if (sscanf(name, "bench-stream-%dx%dms", &c->chunks, &c->every_ms) == 2) return begin_stream(c);
  sscanf(name, "bench-answer-%dms", &wait_ms);
  begin_answer(c, wait_ms);
}

static size_t body_length(const char *head, const char *end) {
  for (const char *line = head; line < end;) {
    if (!strncasecmp(line, "content-length:", 15)) return strtoul(line + 15, NULL, 10);
    const char *next = memchr(line, '\n', end - line);
    if (!next) break;
    line = next + 1;
  }
  return 0;
}

static void handle(connection *c) {
  while (c->state == RESTING && !c->broken && c->in.used) {
    const char *end = memmem(c->in.at, c->in.used, "\r\n\r\n", 4);
    if (!end) return;
    size_t head = end - c->in.at + 4, body = body_length(c->in.at, end + 2);
    if (c->in.used < head + body) return;
    serve(c, c->in.at, head, c->in.at + head, body);
    drop_front(&c->in, head + body);
  }
}

static void hang_up(connection *c) {
  timer_stop(c);
  close(c->fd);
  free(c->in.at);
  free(c->out.at);
  free(c);
}

// False when the other side is gone.
static int receive(connection *c) {
  for (;;) {
    need(&c->in, 16384);
    size_t room = c->in.room - c->in.used;
    ssize_t n = recv(c->fd, c->in.at + c->in.used, room, 0);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    c->in.used += n;
    if ((size_t)n < room) return 1;
  }
}

static void ready(connection *c, unsigned events) {
  if (events & EPOLLOUT) {
    flush(c);
    if (!c->every_ms) stream_fast(c);
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    if (!receive(c)) c->broken = 1;
    handle(c);
  }
  if (c->broken) hang_up(c);
}

static void welcome(int listener) {
  int fd, on = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection *c = calloc(1, sizeof *c);
    c->fd = fd;
    watch(c, EPOLL_CTL_ADD, 0);
  }
}

static void tick(long until_ms) {
  while (wheel_ms < until_ms) {
    ring *slot = &wheel[++wheel_ms % WHEEL_MS];
    while (slot->next != slot) {
      connection *c = (connection *)slot->next;
      timer_stop(c);
      fire(c);
      if (c->broken) hang_up(c);
    }
  }
}

static void write_texts(int models, char **names) {
  char body[2048];
  int n = snprintf(body, sizeof body,
                   "{\"id\":\"chatcmpl-7hQ2vXc9LmZr4TbN\",\"object\":\"chat.completion\",\"created\":"
                   "1795000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                   "\"assistant\",\"content\":\"");
  for (int i = 0; i < 48; i++) n += snprintf(body + n, sizeof body - n, "sentence no %02d. ", i);
  snprintf(body + n, sizeof body - n,
           "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":120,"
           "\"completion_tokens\":240,\"total_tokens\":360,\"prompt_tokens_details\":"
           "{\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}},"
           "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_1f2e3d4c5b\"}");
  answer_bytes = snprintf(answer, sizeof answer,
                          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: "
                          "req_5a4b3c2d1e0f\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
  n = snprintf(body, sizeof body, "{\"object\":\"list\",\"data\":[");
  for (int i = 0; i < models && n < (int)sizeof body - 128; i++)
    n += snprintf(body + n, sizeof body - n,
                  "%s{\"id\":\"%.60s\",\"object\":\"model\",\"created\":1795000000,\"owned_by\":"
                  "\"bench\"}", i ? "," : "", names[i]);
  snprintf(body + n, sizeof body - n, "]}");
  catalogue_bytes = snprintf(catalogue, sizeof catalogue,
                             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof a;
  if (bind(fd, (void *)&a, size) || listen(fd, 4096) || getsockname(fd, (void *)&a, &size)) {
    perror("upstream: cannot listen");
    exit(1);
  }
  printf("{\"port\": %d}\n", ntohs(a.sin_port));
  fflush(stdout);
  return fd;
}

int main(int count, char **words) {
  if (count < 2) return fprintf(stderr, "usage: upstream PORT [MODEL...]\n"), 2;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  write_texts(count - 2, words + 2);
  for (int i = 0; i < WHEEL_MS; i++) wheel[i].next = wheel[i].prev = &wheel[i];
  int listener = listen_on(atoi(words[1]));
  poller = epoll_create1(0);
  struct epoll_event e = {EPOLLIN, {.ptr = NULL}}, events[EVENTS];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
  wheel_ms = now_us() / 1000;
  for (;;) {
    int n = epoll_wait(poller, events, EVENTS, timers ? 1 : -1);
    if (!timers) wheel_ms = now_us() / 1000;  // a wheel that stood still must not catch up
    for (int i = 0; i < n; i++) {
      connection *c = events[i].data.ptr;
      if (c) ready(c, events[i].events);
      else welcome(listener);
    }
    tick(now_us() / 1000);
  }
}
