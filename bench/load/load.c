// The load: many WebSocket connections, or streams where a target is `/sse…`, from one process, in C so that it outruns every server it measures.
// What it takes and prints is written in ../README.md; load.mjs is the same thing in JavaScript, slower.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 18, EVENTS = 512, RULES = 8, SAMPLES = 1 << 22, OUT_BYTES = 1 << 20 };
enum state { IDLE, CONNECTING, HANDSHAKE, SETUP, READY, STALLED, GONE };

struct connection {
  int fd;
  enum state state;
  int setup_frames;
  char *carry; // an unfinished frame, or an unfinished head of the handshake's answer
  size_t carry_bytes;
  uint64_t last_seq;
};

struct rule {
  char *prefix;
  size_t bytes;
  char *reply;
};

static struct options {
  int port, concurrency, ready_frames, sources, stall, rules;
  char *targets, *header, *match, *publish;
  struct rule rule[RULES];
} options = {.concurrency = 100, .sources = 1, .header = "", .match = ""};

static struct connection *connections;
static char **targets;
static int count, next_index, opening, ready, failed, closed, announced;
static int epoll_fd;
static uint64_t open_began_us;

static uint64_t deliveries, delivered_bytes, reads, disorders, sample_count;
static uint64_t seq, due, began_us, interval_ns;
static uint32_t *samples;
static char *out; // frames of the publisher that the socket did not take yet
static size_t out_begin, out_end;
static char *buffer;
static size_t buffer_bytes;

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void say(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  putchar('\n');
  fflush(stdout);
}

static void watch(int fd, uint32_t events, uint32_t index, int how) {
  struct epoll_event event = {.events = events, .data.u32 = index};
  if (epoll_ctl(epoll_fd, how, fd, &event) < 0) die("epoll_ctl");
}

// ---- frames to the server

static size_t client_frame(char *to, int opcode, const char *text, size_t bytes) {
  static const unsigned char mask[4] = {0x5a, 0x13, 0xc7, 0x88};
  size_t at = 0;
  to[at++] = (char)(0x80 | opcode);
  if (bytes < 126) {
    to[at++] = (char)(0x80 | bytes);
  } else if (bytes < 65536) {
    to[at++] = (char)(0x80 | 126);
    to[at++] = (char)(bytes >> 8);
    to[at++] = (char)bytes;
  } else {
    to[at++] = (char)(0x80 | 127);
    for (int shift = 56; shift >= 0; shift -= 8) to[at++] = (char)((uint64_t)bytes >> shift);
  }
  memcpy(to + at, mask, 4);
  at += 4;
  for (size_t i = 0; i < bytes; i++) to[at + i] = (char)(text[i] ^ mask[i & 3]);
  return at + bytes;
}

static void flush_publisher(void) {
  while (out_begin < out_end) {
    ssize_t n = send(connections[0].fd, out + out_begin, out_end - out_begin, MSG_NOSIGNAL);
    if (n < 0) break; // level-triggered retries come with the next tick
    out_begin += (size_t)n;
  }
  if (out_begin == out_end) out_begin = out_end = 0;
}

static void answer(struct connection *c, int opcode, const char *text, size_t bytes) {
  char frame[4200];
  if (bytes > 4096) return;
  size_t n = client_frame(frame, opcode, text, bytes);
  if (c == &connections[0]) {
    // An answer may not land inside a half-written publish.
    if (OUT_BYTES - out_end < n) return;
    memcpy(out + out_end, frame, n);
    out_end += n;
    flush_publisher();
  } else if (send(c->fd, frame, n, MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
    failed++;
  }
}

// `%T` becomes the time, 16 digits of microseconds; `%N` the sequence number, 10 digits: a message's length is constant.
static size_t fill_template(char *to, uint64_t t) {
  size_t at = 0;
  for (const char *p = options.publish; *p; p++) {
    if (p[0] == '%' && p[1] == 'T') {
      at += (size_t)sprintf(to + at, "%016llu", (unsigned long long)t);
      p++;
    } else if (p[0] == '%' && p[1] == 'N') {
      at += (size_t)sprintf(to + at, "%010llu", (unsigned long long)seq);
      p++;
    } else {
      to[at++] = *p;
    }
  }
  return at;
}

static void publish_what_is_due(void) {
  static char text[1 << 17];
  if (interval_ns == 0) return;
  uint64_t t = now_us();
  uint64_t should = (t - began_us) * 1000 / interval_ns;
  if (should <= due && out_begin == out_end) return;
  due = should;
  while (seq < due && OUT_BYTES - out_end > sizeof text) {
    seq++;
    // Stamped with when it was due, so that a publisher that cannot keep up counts as latency.
    size_t bytes = fill_template(text, began_us + seq * interval_ns / 1000);
    out_end += client_frame(out + out_end, 1, text, bytes);
  }
  flush_publisher();
}

// ---- frames from the server

static uint64_t digits(const char *from, const char *end) {
  uint64_t n = 0;
  while (from < end && *from >= '0' && *from <= '9') n = n * 10 + (uint64_t)(*from++ - '0');
  return n;
}

static void sample(struct connection *c, const char *text, size_t bytes, uint64_t now) {
  const char *t = memmem(text, bytes, "\"t\":\"", 5);
  const char *n = memmem(text, bytes, "\"n\":\"", 5);
  if (!t || !n) return;
  uint64_t this_seq = digits(n + 5, text + bytes);
  if (this_seq != c->last_seq + 1 && c->last_seq != 0) disorders++;
  c->last_seq = this_seq;
  uint64_t sent = digits(t + 5, text + bytes);
  if (sample_count < SAMPLES) samples[sample_count++] = now > sent ? (uint32_t)(now - sent) : 0;
}

static void lose(struct connection *c, int is_failure) {
  if (c->state < READY) opening--;
  if (c->state == READY || c->state == STALLED) ready--, closed++;
  if (is_failure) failed++;
  close(c->fd);
  free(c->carry);
  c->carry = NULL;
  c->carry_bytes = 0;
  c->state = GONE;
}

static void become_ready(struct connection *c) {
  int index = (int)(c - connections);
  opening--;
  ready++;
  c->state = READY;
  if (index >= count - options.stall) {
    c->state = STALLED;
    watch(c->fd, 0, (uint32_t)index, EPOLL_CTL_MOD); // only EPOLLHUP and EPOLLERR are told from now on
  }
}

static void on_frame(struct connection *c, int opcode, const char *text, size_t bytes, uint64_t now) {
  static size_t match_bytes;
  static int every;
  if (every == 0) every = count > 64 ? count / 64 : 1, match_bytes = strlen(options.match);
  if (opcode == 9) return answer(c, 10, text, bytes);
  if (opcode != 1 && opcode != 2) return;
  if (c->state == READY && bytes >= match_bytes && memcmp(text, options.match, match_bytes) == 0) {
    deliveries++;
    delivered_bytes += bytes;
    if ((c - connections) % every == 0) sample(c, text, bytes, now);
    return;
  }
  for (int i = 0; i < options.rules; i++) {
    struct rule *rule = &options.rule[i];
    if (bytes >= rule->bytes && memcmp(text, rule->prefix, rule->bytes) == 0) {
      answer(c, 1, rule->reply, strlen(rule->reply));
    }
  }
  if (c->state == SETUP && ++c->setup_frames >= options.ready_frames) become_ready(c);
}

// Takes the whole frames at the front; returns how many bytes they were.
static size_t take_frames(struct connection *c, const char *data, size_t bytes, uint64_t now) {
  size_t at = 0;
  while (bytes - at >= 2 && c->state != GONE) {
    const unsigned char *head = (const unsigned char *)data + at;
    size_t head_bytes = 2;
    uint64_t length = head[1] & 127;
    if (length == 126) {
      head_bytes = 4;
      if (bytes - at < 4) break;
      length = (uint64_t)head[2] << 8 | head[3];
    } else if (length == 127) {
      head_bytes = 10;
      if (bytes - at < 10) break;
      length = 0;
      for (int i = 2; i < 10; i++) length = length << 8 | head[i];
    }
    if (bytes - at < head_bytes + length) break;
    if ((head[0] & 15) == 8) {
      lose(c, c->state < READY);
      return bytes;
    }
    on_frame(c, head[0] & 15, data + at + head_bytes, length, now);
    at += head_bytes + length;
  }
  return at;
}

// A stream's events, each with one line of data, in the place of frames.
static size_t take_events(struct connection *c, const char *data, size_t bytes, uint64_t now) {
  size_t at = 0;
  while (c->state != GONE) {
    const char *end = memmem(data + at, bytes - at, "\n\n", 2);
    if (!end) break;
    const char *text = memmem(data + at, (size_t)(end - data) - at, "data: ", 6);
    if (text) on_frame(c, 1, text + 6, (size_t)(end - text - 6), now);
    at = (size_t)(end + 2 - data);
  }
  return at;
}

static int is_stream(struct connection *c) {
  return strncmp(targets[c - connections], "/sse", 4) == 0;
}

// ---- opening

static void send_handshake(struct connection *c) {
  char request[8192];
  int n;
  if (is_stream(c)) {
    n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", targets[c - connections],
                 options.port);
  } else {
    n = snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s%s\r\n",
                 targets[c - connections], options.port, options.header, *options.header ? "\r\n" : "");
  }
  if (n >= (int)sizeof request || send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n) return lose(c, 1);
  c->state = HANDSHAKE;
  watch(c->fd, EPOLLIN, (uint32_t)(c - connections), EPOLL_CTL_MOD);
}

// Returns the bytes of the answer's head once it is whole, else 0.
static size_t take_answer(struct connection *c, const char *data, size_t bytes) {
  const char *end = memmem(data, bytes, "\r\n\r\n", 4);
  if (!end) return 0;
  if (memcmp(data, is_stream(c) ? "HTTP/1.1 200" : "HTTP/1.1 101", 12) != 0) {
    if (failed == 0) fprintf(stderr, "refused: %.*s\n", (int)(strchr(data, '\r') - data), data);
    lose(c, 1);
    return bytes;
  }
  c->state = SETUP;
  if (options.ready_frames == 0) become_ready(c);
  return (size_t)(end + 4 - data);
}

static void open_one(void) {
  int index = next_index++;
  struct connection *c = &connections[index];
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) die("socket");
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (options.sources > 1) {
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(index % options.sources));
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
  c->state = CONNECTING;
  opening++;
  watch(c->fd, EPOLLOUT, (uint32_t)index, EPOLL_CTL_ADD);
}

static void open_some(void) {
  while (next_index < count && opening < options.concurrency) open_one();
  if (announced || next_index < count || opening > 0) return;
  announced = 1;
  say("{\"event\":\"ready\",\"ready\":%d,\"failed\":%d,\"ms\":%llu}", ready, failed,
      (unsigned long long)(now_us() - open_began_us) / 1000);
}

// ---- reading

static void keep_rest(struct connection *c, const char *rest, size_t bytes) {
  free(c->carry);
  c->carry = bytes ? malloc(bytes) : NULL;
  if (bytes) memcpy(c->carry, rest, bytes);
  c->carry_bytes = bytes;
}

static void on_readable(struct connection *c) {
  if (c->carry_bytes + READ_BYTES > buffer_bytes) {
    buffer_bytes = c->carry_bytes + READ_BYTES;
    buffer = realloc(buffer, buffer_bytes + 1);
  }
  size_t had = c->carry_bytes;
  if (had) memcpy(buffer, c->carry, had);
  ssize_t n = recv(c->fd, buffer + had, READ_BYTES, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return lose(c, c->state < READY);
  reads++;
  size_t bytes = had + (size_t)n, at = 0;
  buffer[bytes] = 0;
  if (c->state == HANDSHAKE) at = take_answer(c, buffer, bytes);
  if (c->state >= SETUP && c->state <= READY) at += (is_stream(c) ? take_events : take_frames)(c, buffer + at, bytes - at, now_us());
  if (c->state != GONE && (had || at < bytes)) keep_rest(c, buffer + at, bytes - at);
}

static void on_event(struct epoll_event *event) {
  struct connection *c = &connections[event->data.u32];
  if (c->state == GONE) return;
  if (c->state == CONNECTING) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) lose(c, 1);
    else send_handshake(c);
  } else if (c->state == STALLED) {
    lose(c, 0);
  } else {
    on_readable(c);
  }
}

// ---- commands

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static double quantile_ms(double q) {
  if (sample_count == 0) return -1;
  uint64_t at = (uint64_t)(q * (double)(sample_count - 1));
  return samples[at] / 1000.0;
}

static void report(void) {
  uint64_t at = now_us();
  uint64_t kept = sample_count;
  qsort(samples, kept, sizeof *samples, by_value);
  say("{\"event\":\"report\",\"at_us\":%llu,\"deliveries\":%llu,\"bytes\":%llu,\"reads\":%llu,\"published\":%llu,"
      "\"due\":%llu,\"disorders\":%llu,\"samples\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,"
      "\"ready\":%d,\"closed\":%d,\"failed\":%d}",
      (unsigned long long)at, (unsigned long long)deliveries, (unsigned long long)delivered_bytes,
      (unsigned long long)reads, (unsigned long long)seq, (unsigned long long)due, (unsigned long long)disorders,
      (unsigned long long)kept, quantile_ms(0.5), quantile_ms(0.99), quantile_ms(1), ready, closed, failed);
}

static void on_command(char *line) {
  double rate;
  if (sscanf(line, "start %lf", &rate) == 1) {
    began_us = now_us();
    seq = due = 0;
    for (int i = 0; i < count; i++) connections[i].last_seq = 0;
    interval_ns = (uint64_t)(1e9 / rate);
  } else if (strncmp(line, "stop", 4) == 0) {
    interval_ns = 0;
  } else if (strncmp(line, "clear", 5) == 0) {
    sample_count = 0; // the latencies of what comes; counters go on
  } else if (strncmp(line, "report", 6) == 0) {
    report();
  } else if (strncmp(line, "quit", 4) == 0) {
    exit(0);
  }
}

static void on_stdin(void) {
  static char line[4096];
  static size_t bytes;
  ssize_t n = read(0, line + bytes, sizeof line - 1 - bytes);
  if (n <= 0) exit(0); // whoever started this is gone
  bytes += (size_t)n;
  line[bytes] = 0;
  char *begin = line, *end;
  while ((end = strchr(begin, '\n'))) {
    *end = 0;
    on_command(begin);
    begin = end + 1;
  }
  bytes = strlen(begin);
  memmove(line, begin, bytes + 1);
}

// ---- start

static void add_rule(char *text) {
  char *arrow = strstr(text, "=>");
  if (!arrow || options.rules == RULES) exit(2);
  struct rule *rule = &options.rule[options.rules++];
  *arrow = 0;
  *rule = (struct rule){.prefix = text, .bytes = strlen(text), .reply = arrow + 2};
}

static void read_options(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    char *name = argv[i], *value = argv[i + 1];
    if (!strcmp(name, "--port")) options.port = atoi(value);
    else if (!strcmp(name, "--targets")) options.targets = value;
    else if (!strcmp(name, "--concurrency")) options.concurrency = atoi(value);
    else if (!strcmp(name, "--ready-frames")) options.ready_frames = atoi(value);
    else if (!strcmp(name, "--sources")) options.sources = atoi(value);
    else if (!strcmp(name, "--stall")) options.stall = atoi(value);
    else if (!strcmp(name, "--header")) options.header = value;
    else if (!strcmp(name, "--match")) options.match = value;
    else if (!strcmp(name, "--publish")) options.publish = value;
    else if (!strcmp(name, "--reply")) add_rule(value);
    else fprintf(stderr, "unknown option %s\n", name), exit(2);
  }
  if (!options.port || !options.targets) fprintf(stderr, "--port and --targets are needed\n"), exit(2);
}

static void read_targets(void) {
  FILE *file = fopen(options.targets, "r");
  if (!file) die(options.targets);
  char *line = NULL;
  size_t room = 0;
  ssize_t n;
  while ((n = getline(&line, &room, file)) > 0) {
    if (line[n - 1] == '\n') line[n - 1] = 0;
    targets = realloc(targets, sizeof *targets * (size_t)(count + 1));
    targets[count++] = strdup(line);
  }
  free(line);
  fclose(file);
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  read_targets();
  connections = calloc((size_t)count, sizeof *connections);
  samples = malloc(sizeof *samples * SAMPLES);
  out = malloc(OUT_BYTES);
  epoll_fd = epoll_create1(0);
  watch(0, EPOLLIN, UINT32_MAX, EPOLL_CTL_ADD);
  open_began_us = now_us();
  struct epoll_event events[EVENTS];
  for (;;) {
    open_some();
    // A millisecond is the finest wait of epoll_wait, so the publisher's clock runs in steps of it.
    int n = epoll_wait(epoll_fd, events, EVENTS, interval_ns ? 1 : 1000);
    if (n < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < n; i++) {
      if (i % 32 == 0) publish_what_is_due();
      if (events[i].data.u32 == UINT32_MAX) on_stdin();
      else on_event(&events[i]);
    }
    publish_what_is_due();
  }
}
