// The floor: what the kernel alone costs. A WebSocket handshake, then each text frame that comes from anyone is framed
// once and written to everyone, in plain C. No rights, no log, no rooms but one, no limits, and a reader whose buffer is
// full is skipped. All that came in one read is joined into one write, which is the least a sender can do.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 65536, CHUNK = 1 << 17, EVENTS = 256 };

struct peer {
  int open, in_frames;
  char *carry;
  size_t carry_bytes;
};

static struct peer peers[MAX_FD];
static int members[MAX_FD], member_count;
static char buffer[CHUNK * 2], out[CHUNK * 2];

// ---- SHA-1 and base64, for Sec-WebSocket-Accept

static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

static void sha1_block(uint32_t h[5], const unsigned char *p) {
  uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
  for (int i = 0; i < 16; i++, p += 4) w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
  for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  for (int i = 0; i < 80; i++) {
    uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
    uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
    uint32_t next = rotate(a, 5) + f + e + k + w[i];
    e = d, d = c, c = rotate(b, 30), b = a, a = next;
  }
  h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

// `text` is shorter than 119 bytes: two blocks.
static void sha1(const char *text, size_t bytes, unsigned char digest[20]) {
  uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  unsigned char padded[128] = {0};
  size_t total = bytes + 9 <= 64 ? 64 : 128;
  memcpy(padded, text, bytes);
  padded[bytes] = 0x80;
  padded[total - 2] = (unsigned char)(bytes * 8 >> 8);
  padded[total - 1] = (unsigned char)(bytes * 8);
  for (size_t at = 0; at < total; at += 64) sha1_block(h, padded + at);
  for (int i = 0; i < 20; i++) digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const unsigned char *from, char *to) {
  static const char *set = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  unsigned char padded[21] = {0};
  memcpy(padded, from, 20);
  for (int i = 0; i < 21; i += 3) {
    uint32_t n = (uint32_t)padded[i] << 16 | (uint32_t)padded[i + 1] << 8 | padded[i + 2];
    for (int shift = 18; shift >= 0; shift -= 6) *to++ = set[n >> shift & 63];
  }
  to[-1] = '=';
  *to = 0;
}

// ---- connections

static void drop(int fd) {
  for (int i = 0; i < member_count; i++) {
    if (members[i] == fd) members[i] = members[--member_count];
  }
  free(peers[fd].carry);
  peers[fd] = (struct peer){0};
  close(fd);
}

static void keep_rest(struct peer *peer, const char *rest, size_t bytes) {
  free(peer->carry);
  peer->carry = bytes ? malloc(bytes) : NULL;
  if (bytes) memcpy(peer->carry, rest, bytes);
  peer->carry_bytes = bytes;
}

// Returns the bytes of the request once it is whole, else 0.
static size_t handshake(int fd, char *data, size_t bytes) {
  data[bytes] = 0;
  char *end = strstr(data, "\r\n\r\n");
  char *key = strcasestr(data, "\r\nsec-websocket-key:");
  if (!end || !key) return 0;
  char joined[100], accept[32], answer[200];
  unsigned char digest[20];
  int n = snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 21);
  sha1(joined, (size_t)n, digest);
  base64(digest, accept);
  n = snprintf(answer, sizeof answer,
               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
  if (write(fd, answer, (size_t)n) != n) return 0;
  peers[fd].in_frames = 1;
  members[member_count++] = fd;
  return (size_t)(end + 4 - data);
}

static size_t server_frame(char *to, const unsigned char *masked, size_t bytes, const unsigned char *mask) {
  size_t at = 0;
  to[at++] = (char)0x81;
  if (bytes < 126) {
    to[at++] = (char)bytes;
  } else {
    to[at++] = 126;
    to[at++] = (char)(bytes >> 8);
    to[at++] = (char)bytes;
  }
  for (size_t i = 0; i < bytes; i++) to[at + i] = (char)(masked[i] ^ mask[i & 3]);
  return at + bytes;
}

// Frames of 64 KB and more end the connection: no scenario has them.
static size_t take_frames(int fd, const char *data, size_t bytes, size_t *out_bytes) {
  size_t at = 0;
  while (bytes - at >= 6) {
    const unsigned char *head = (const unsigned char *)data + at;
    size_t length = head[1] & 127, head_bytes = 2;
    if (length == 126) length = (size_t)head[2] << 8 | head[3], head_bytes = 4;
    if (length == 127 || (head[0] & 15) == 8) return drop(fd), bytes;
    if (bytes - at < head_bytes + 4 + length) break;
    if ((head[0] & 15) == 1) {
      *out_bytes += server_frame(out + *out_bytes, head + head_bytes + 4, length, head + head_bytes);
    }
    at += head_bytes + 4 + length;
  }
  return at;
}

static void on_readable(int fd) {
  struct peer *peer = &peers[fd];
  size_t had = peer->carry_bytes, at = 0, out_bytes = 0;
  if (had) memcpy(buffer, peer->carry, had);
  ssize_t n = read(fd, buffer + had, CHUNK - 1);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return drop(fd);
  size_t bytes = had + (size_t)n;
  if (!peer->in_frames) at = handshake(fd, buffer, bytes);
  if (peer->in_frames) at += take_frames(fd, buffer + at, bytes - at, &out_bytes);
  if (peer->open && (had || at < bytes)) keep_rest(peer, buffer + at, bytes - at);
  if (out_bytes == 0) return;
  for (int i = 0; i < member_count; i++) {
    // A short write would leave half a frame behind; with sockets that are read it does not happen here.
    ssize_t sent = send(members[i], out, out_bytes, MSG_NOSIGNAL);
    if (sent >= 0 && (size_t)sent != out_bytes) fprintf(stderr, "floor: short write\n"), exit(1);
  }
}

int main(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0), one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0) return perror("listen"), 1;
  getsockname(listener, (struct sockaddr *)&address, &size);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  printf("{\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int n = epoll_wait(epoll, events, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      int fd = events[i].data.fd;
      if (fd != listener) {
        on_readable(fd);
        continue;
      }
      while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FD) return 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        peers[fd] = (struct peer){.open = 1};
        event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
      }
    }
  }
}
